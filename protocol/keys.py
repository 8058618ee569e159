"""Keys, what each may sign, and the set that says so.

Rules kept here:

1. All signatures are Ed25519. A key is named by the SHA-256 of its 32 public bytes; ``key_id`` is the first four
   bytes of that, big-endian, because a live bundle has no room for more.
2. The root key signs nothing but key sets and its own successor. Online keys have roles; :func:`roles_for` is the
   one table of which role may make which class sound.
3. Nothing here reads a disk, a clock or a source of chance except :meth:`SigningKey.generate`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schedules.ladder import Priority

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
AGENT_ID_DIGITS = 32


class Role(StrEnum):
    """What an online key is for."""

    PLAN = "plan"  # settings, plans, commands below class 70, STOP, and the controller's end of a handshake
    LIVE = "live"  # streams and bundles up to class 60
    EMERGENCY = "emergency"  # class 80 and more, and STOP
    DRILL = "drill"  # class 70 and nothing else


def roles_for(priority: Priority, *, streamed: bool) -> frozenset[Role]:
    """The roles that may make a class sound, as a live stream or as stored sound.

    STOP is no sound: no role may sign an item or a stream of that class.
    """
    if priority is Priority.STOP:
        return frozenset()
    if priority >= Priority.EMERGENCY_STORED:
        return frozenset({Role.EMERGENCY})
    if priority is Priority.DRILL:
        return frozenset({Role.DRILL})
    return frozenset({Role.LIVE if streamed else Role.PLAN})


@lru_cache(maxsize=256)
def fingerprint(public: bytes) -> str:
    """SHA-256 of a public key, 64 hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()


def root_fingerprint(public: bytes) -> str:
    """What an agent pins: the fingerprint of the root's public key."""
    return fingerprint(public)


def agent_id_of(public: bytes) -> str:
    """An agent's id: the first 32 hexadecimal digits of its key's fingerprint."""
    return fingerprint(public)[:AGENT_ID_DIGITS]


def key_id_of(public: bytes) -> int:
    """The short name of an online key: the first four bytes of its fingerprint, as a big-endian number."""
    return int(fingerprint(public)[:8], 16)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private Ed25519 key. Its ``repr`` tells the public half only."""

    _private: Ed25519PrivateKey = field(repr=False)
    public: bytes

    @classmethod
    def generate(cls) -> SigningKey:
        """A new key from the system's source of chance."""
        return cls._around(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """The key of a 32-byte seed.

        Raises:
            ValueError: the seed is not 32 bytes.
        """
        return cls._around(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def _around(cls, private: Ed25519PrivateKey) -> SigningKey:
        return cls(private, private.public_key().public_bytes_raw())

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for a vault to keep."""
        return self._private.private_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public half."""
        return fingerprint(self.public)

    @property
    def key_id(self) -> int:
        """The short name bundles carry."""
        return key_id_of(self.public)

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519 over ``message``. The caller puts what the message is in front of it."""
        return self._private.sign(message)


_loaded = lru_cache(maxsize=256)(Ed25519PublicKey.from_public_bytes)


#: The same order is told to all agents of a process (a swarm's), and the same bundle. Whether a signature is good
#: depends on these three texts and on nothing else, so it is worked out once for the very same ones; whom to believe,
#: and for what, each agent judges by itself. A message above this is not remembered: at most a mebibyte is.
_SHARED_BYTES = 16_384
_SHARED = 64


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` is that of ``public`` over ``message``; anything malformed is simply not."""
    return (_checked if len(message) <= _SHARED_BYTES else _check)(public, signature, message)


def _check(public: bytes, signature: bytes, message: bytes) -> bool:
    if len(public) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        _loaded(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


_checked = lru_cache(maxsize=_SHARED)(_check)


@dataclass(frozen=True, slots=True)
class OnlineKey:
    """One key of a key set: who it is, what it may sign, and when it was in use."""

    key_id: int
    public: bytes
    roles: frozenset[Role]
    not_before: datetime
    not_after: datetime

    @classmethod
    def of(cls, public: bytes, roles: frozenset[Role], not_before: datetime, not_after: datetime) -> OnlineKey:
        """The entry for a public key, named by the rule above."""
        return cls(key_id_of(public), public, roles, not_before, not_after)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key."""
        return fingerprint(self.public)

    def valid_at(self, instant: datetime) -> bool:
        """Whether the key was in use at ``instant`` (both ends included)."""
        return self.not_before <= instant <= self.not_after


@dataclass(frozen=True, slots=True)
class KeySet:
    """The online keys an agent believes, signed by the root.

    ``term`` is the one number only the root can raise; (``term``, ``version``) rises with every new set.
    """

    root_fingerprint: str
    term: int
    version: int
    issued: datetime
    expires: datetime
    keys: tuple[OnlineKey, ...]

    def by_fingerprint(self, name: str) -> OnlineKey | None:
        """The key of that fingerprint."""
        return next((key for key in self.keys if key.fingerprint == name), None)

    def by_id(self, key_id: int) -> OnlineKey | None:
        """The key of that short name."""
        return next((key for key in self.keys if key.key_id == key_id), None)
