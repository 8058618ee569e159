"""The vault: one root key, one online key per role, and the key set that the root signed.

Rules kept here:

1. First start makes everything. Later starts read it, and refuse a folder in which something is missing or does not
   match: a vault is never silently made anew, because every agent would refuse the new root.
2. Files are 0600 in a folder 0700, written by the four steps (:mod:`controller.store.files`).
3. The online keys work without the root. Only a new key set (rotation, a raised term) needs it: from the disk, or from
   its sealed file and passphrase.
4. (term, version) of the key set only rises. Superseded keys stay in the set until what they signed has expired
   (:data:`OVERLAP`), so that a plan signed yesterday is still believed; unless they were stolen (``revoke``).
5. Online keys and key set are one file, replaced as one: no power cut leaves keys that the set does not name.

Files: ``root.key`` (until sealed), ``root.pub``, ``online.json``. Not here: what each role may sign
(:mod:`protocol.authority`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from controller.keys.errors import SealedError, VaultError, WrongPassphraseError
from controller.store.files import fsync_directory, remove_file, write_file
from protocol.codec import decode, encode
from protocol.documents import PAYLOAD_TYPES, DocumentKind
from protocol.envelope import check_signatures, open_envelope, seal
from protocol.errors import ProtocolError
from protocol.keys import KeySet, OnlineKey, Role, SigningKey, root_fingerprint
from protocol.limits import MAX_KEYS

#: DESIGN, section 4. Alarms at 90, 30, 14, 7 and 1 days before.
KEY_SET_LIFE = timedelta(days=400)
ALARM_DAYS = (90, 30, 14, 7, 1)
#: How long a superseded key stays believed: longest plan horizon (35 days) and a margin.
OVERLAP = timedelta(days=40)
#: An agent whose clock is a little behind must not refuse a key made just now.
BACKDATE = timedelta(days=1)
#: A passphrase shorter than this protects nothing against a copy of the file.
MIN_PASSPHRASE = 12
ROLES = (Role.PLAN, Role.LIVE, Role.EMERGENCY, Role.DRILL)

_ROOT, _ROOT_PUBLIC, _ONLINE = "root.key", "root.pub", "online.json"


@dataclass(frozen=True, slots=True)
class RootSource:
    """Where the root comes from when it is sealed: its file and passphrase."""

    file: Path
    passphrase: str


class KeyVault:
    """The opened vault. Make it with :meth:`open`."""

    def __init__(
        self, folder: Path, root_public: bytes, keys: Mapping[Role, SigningKey], key_set: KeySet, envelope: bytes
    ) -> None:
        self._folder = folder
        self.root_public = root_public
        self._keys = dict(keys)
        self._key_set = key_set
        self._envelope = envelope

    @classmethod
    def open(cls, folder: Path, *, now: datetime) -> KeyVault:
        """Read the vault, or make it when the folder holds none.

        Raises:
            VaultError: something is missing, unreadable or does not belong together.
        """
        if not folder.exists() or not any(folder.iterdir()):
            return cls._make(folder, now)
        return cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> KeyVault:
        """Read a vault that must be there.

        Raises:
            VaultError: something is missing, unreadable or does not belong together.
        """
        try:
            root_public = bytes.fromhex((folder / _ROOT_PUBLIC).read_text().strip())
            online = json.loads((folder / _ONLINE).read_text())
            keys = {role: SigningKey.from_seed(bytes.fromhex(online["keys"][role])) for role in ROLES}
            envelope = online["key_set"].encode()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise VaultError(f"the keys in {folder} cannot be read ({error}); restore them from a backup") from error
        key_set = _open_key_set(envelope, root_public)
        for role, key in keys.items():
            entry = key_set.by_fingerprint(key.fingerprint)
            if entry is None or role not in entry.roles:
                raise VaultError(f"the {role} key in {folder} is not in the key set; restore both from one backup")
        return cls(folder, root_public, keys, key_set, envelope)

    @property
    def root_fingerprint(self) -> str:
        """What agents pin."""
        return root_fingerprint(self.root_public)

    @property
    def sealed(self) -> bool:
        """Whether the root key is off this machine."""
        return not (self._folder / _ROOT).exists()

    @property
    def key_set(self) -> KeySet:
        """The key set in force."""
        return self._key_set

    @property
    def key_set_envelope(self) -> bytes:
        """The key set as the root signed it, for agents."""
        return self._envelope

    @property
    def term(self) -> int:
        """The term documents are numbered under."""
        return self._key_set.term

    def key(self, role: Role) -> SigningKey:
        """The online key of a role."""
        return self._keys[role]

    def seal_root(self, target: Path, passphrase: str) -> None:
        """Write the root key to ``target``, encrypted (PKCS#8, scrypt), check the copy, and remove it from the vault.

        Raises:
            SealedError: it was sealed before.
            VaultError: the passphrase is too short, or the file cannot be written or is there already.
        """
        root = self._root(None)
        if len(passphrase) < MIN_PASSPHRASE:
            raise VaultError(f"the passphrase must have at least {MIN_PASSPHRASE} characters")
        if target.exists():
            raise VaultError(f"{target} exists; choose another name")
        pem = Ed25519PrivateKey.from_private_bytes(root.seed).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
        )
        try:
            write_file(target, pem)
        except OSError as error:
            raise VaultError(f"{target} cannot be written: {error}") from error
        self._unseal(RootSource(target, passphrase))  # never remove what cannot be brought back
        remove_file(self._folder / _ROOT)

    def rotate(self, *, now: datetime, root: RootSource | None = None, revoke: bool = False) -> KeySet:
        """New online keys, and a key set that names them beside the old ones (with ``revoke``: without the old ones).

        Raises:
            SealedError, WrongPassphraseError, VaultError: the root is needed and cannot be had.
        """
        keys = {role: SigningKey.generate() for role in ROLES}
        return self._renew(now, root, keys, () if revoke else self._key_set.keys, self.term)

    def raise_term(self, *, now: datetime, root: RootSource | None = None, at_least: int = 0) -> KeySet:
        """A key set of a higher term, so that agents take lower sequence numbers again (after a restore).

        Raises:
            SealedError, WrongPassphraseError, VaultError: the root is needed and cannot be had.
        """
        return self._renew(now, root, self._keys, self._key_set.keys, max(self.term + 1, at_least))

    def _renew(
        self,
        now: datetime,
        source: RootSource | None,
        keys: Mapping[Role, SigningKey],
        older: tuple[OnlineKey, ...],
        term: int,
    ) -> KeySet:
        root = self._root(source)
        until = now + KEY_SET_LIFE
        current = {key.fingerprint for key in keys.values()}
        kept = [
            replace(entry, not_after=min(entry.not_after, now + OVERLAP))  # never later than it was going to
            for entry in older
            if entry.fingerprint not in current and entry.not_after > now
        ]
        kept.sort(key=lambda entry: entry.not_after, reverse=True)
        since = {entry.fingerprint: entry.not_before for entry in self._key_set.keys}
        # A key that goes on keeps its first day: what it signed since then must stay valid.
        named = tuple(
            OnlineKey.of(key.public, frozenset({role}), since.get(key.fingerprint, now - BACKDATE), until)
            for role, key in keys.items()
        )
        entries = (*named, *kept)[:MAX_KEYS]
        key_set = KeySet(self.root_fingerprint, term, self._key_set.version + 1, now - BACKDATE, until, entries)
        envelope = _seal_key_set(key_set, root)
        write_file(self._folder / _ONLINE, _online(keys, envelope))
        self._keys, self._key_set, self._envelope = dict(keys), key_set, envelope
        return key_set

    def _root(self, source: RootSource | None) -> SigningKey:
        if source is not None:
            return self._unseal(source)
        if self.sealed:
            raise SealedError("the root key is sealed: give its file and passphrase (--root FILE)")
        try:
            return self._matching(_load(self._folder / _ROOT))
        except (OSError, ValueError) as error:
            raise VaultError(f"the root key cannot be read: {error}") from error

    def _unseal(self, source: RootSource) -> SigningKey:
        try:
            pem = source.file.read_bytes()
        except OSError as error:
            raise VaultError(f"{source.file} cannot be read: {error}") from error
        try:
            private = load_pem_private_key(pem, source.passphrase.encode())
        except (ValueError, TypeError) as error:
            raise WrongPassphraseError(f"{source.file} does not open with this passphrase") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise VaultError(f"{source.file} holds another kind of key")
        return self._matching(SigningKey.from_seed(private.private_bytes_raw()))

    def _matching(self, root: SigningKey) -> SigningKey:
        if root.public != self.root_public:
            raise VaultError("this is the root key of another installation")
        return root

    @classmethod
    def _make(cls, folder: Path, now: datetime) -> KeyVault:
        root = SigningKey.generate()
        keys = {role: SigningKey.generate() for role in ROLES}
        until = now + KEY_SET_LIFE
        entries = tuple(
            OnlineKey.of(key.public, frozenset({role}), now - BACKDATE, until) for role, key in keys.items()
        )
        key_set = KeySet(root.fingerprint, 1, 1, now - BACKDATE, until, entries)
        envelope = _seal_key_set(key_set, root)
        # All of it appears at once: a first start that is cut off leaves no half vault behind.
        folder.parent.mkdir(parents=True, exist_ok=True)
        unborn = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        write_file(unborn / _ONLINE, _online(keys, envelope))
        write_file(unborn / _ROOT, root.seed.hex().encode())
        write_file(unborn / _ROOT_PUBLIC, root.public.hex().encode())
        unborn.replace(folder)
        fsync_directory(folder.parent)
        return cls(folder, root.public, keys, key_set, envelope)


def _online(keys: Mapping[Role, SigningKey], envelope: bytes) -> bytes:
    seeds = {role.value: key.seed.hex() for role, key in keys.items()}
    return json.dumps({"keys": seeds, "key_set": envelope.decode()}).encode()


def _seal_key_set(key_set: KeySet, root: SigningKey) -> bytes:
    return seal(PAYLOAD_TYPES[DocumentKind.KEY_SET], encode(key_set), root)


def _open_key_set(envelope: bytes, root_public: bytes) -> KeySet:
    try:
        opened = open_envelope(envelope)
        check_signatures(opened, [root_public])
        document = decode(DocumentKind.KEY_SET, opened.payload)
    except ProtocolError as error:
        raise VaultError(f"the key set is damaged ({error}); restore the keys from a backup") from error
    if not isinstance(document, KeySet):
        raise VaultError("the key set is damaged; restore the keys from a backup")
    return document


def _load(path: Path) -> SigningKey:
    return SigningKey.from_seed(bytes.fromhex(path.read_text().strip()))
