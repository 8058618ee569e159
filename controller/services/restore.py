"""Restore: a backup put into a data folder that no controller uses, and the term raised.

Rules kept here:

1. Everything is unpacked beside the folder and checked against the manifest's hashes before anything is put in place;
   what was in the folder is moved aside, never deleted.
2. A restored controller has forgotten what it signed since the backup. Restore therefore raises the term of the key set
   (which needs the root key), so that agents take its documents and refuse every older order. The new term is at least
   the number of minutes since 2020, so that restoring the same backup twice never gives the same term.

If keys were revoked since the backup was made, revoke them again: ``keys rotate --revoke``.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controller.keys import KeyVault, RootSource
from controller.services.backup import FORMAT, KEYS, KEYS_LABEL, MANIFEST, MEDIA, SECRET_FOLDERS, backup_key
from controller.services.errors import ConflictError, InvalidError, NotFoundError
from controller.store.files import fsync_directory, write_file

_CHUNK = 1 << 20
#: A manifest larger than this is not one of ours.
_MANIFEST_MAX = 64 << 20
_TERM_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was put back."""

    data: Path
    created: str
    recordings: int
    with_keys: bool
    term: int | None  # the raised term, None when there were no keys
    moved_aside: Path | None  # what was in the folder before


def restore(
    file: Path,
    data: Path,
    *,
    passphrase: str | None,
    root: RootSource | None,
    now: datetime,
    replace: bool = False,
) -> RestoreReport:
    """Put a backup into a data folder that no controller uses.

    Args:
        file: the backup.
        data: the folder; must be empty or missing unless ``replace``, which moves what is there aside.
        passphrase: decrypts the keys, when the backup has them.
        root: the sealed root key, when it was sealed before the backup.
        now: for the raised term.
        replace: see ``data``.

    Raises:
        NotFoundError: there is no such file, or it is no backup.
        InvalidError: it is damaged, or the passphrase is wrong.
        ConflictError: the folder is not empty.
        VaultError: the root key is needed to raise the term and cannot be had.
    """
    occupied = data.exists() and any(entry.name != "lock" for entry in data.iterdir())
    if occupied and not replace:
        raise ConflictError(f"{data} is not empty; use --replace to move what is there aside", code="not_empty")
    data.parent.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(dir=data.parent, prefix=".loa-restore-"))
    try:
        manifest = _unpack(file, incoming)
        term = None
        if manifest["with_keys"]:
            if passphrase is None:
                raise InvalidError("the backup holds keys: give its passphrase", code="passphrase_missing")
            _decrypt_folders(incoming / KEYS, incoming, passphrase)
            (incoming / KEYS).unlink()
            at_least = max(_minutes(now), _term_of(data / "keys") + 1)
            term = KeyVault.read(incoming / "keys").raise_term(now=now, root=root, at_least=at_least).term
        aside = _move_aside(data, now) if data.exists() else None
        incoming.chmod(0o700)
        incoming.rename(data)
        fsync_directory(data.parent)
    except BaseException:
        _remove_tree(incoming)
        raise
    recordings = sum(name.startswith(f"{MEDIA}/") for name in manifest["files"])
    return RestoreReport(data, str(manifest["created"]), recordings, bool(manifest["with_keys"]), term, aside)


def holds_keys(file: Path) -> bool:
    """Whether a backup has keys in it (and so needs a passphrase).

    Raises:
        NotFoundError, InvalidError: it is no backup, or damaged.
    """
    with _opened(file) as tar:
        return bool(_manifest(tar, tar.next())["with_keys"])


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    if not file.is_file():
        raise NotFoundError(f"there is no file {file}", code="no_backup")
    try:
        with tarfile.open(file, mode="r:") as tar:
            yield tar
    except tarfile.TarError as error:
        raise NotFoundError(f"{file} is not a backup of a Loa controller: {error}", code="no_backup") from error


def _unpack(file: Path, into: Path) -> dict[str, Any]:
    with _opened(file) as tar:
        manifest = _manifest(tar, tar.next())
        seen = set(_extract(tar, iter(tar.next, None), manifest["files"], into))
    missing = sorted(set(manifest["files"]) - seen)
    if missing:
        raise InvalidError(
            f"the backup is cut off: {missing[0]} and {len(missing) - 1} more are missing", code="damaged"
        )
    return manifest


def _manifest(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> dict[str, Any]:
    stream = tar.extractfile(member) if member is not None and member.name == MANIFEST else None
    if stream is None or member is None or member.size > _MANIFEST_MAX:
        raise NotFoundError("this is not a backup of a Loa controller", code="no_backup")
    try:
        value = json.loads(stream.read())
        files = {str(name): str(digest) for name, digest in value["files"].items()}
        if value["format"] != FORMAT:
            raise InvalidError(
                f"this backup has format {value['format']}; install a newer version", code="newer_format"
            )
        return {"files": files, "created": str(value["created"]), "with_keys": bool(value["with_keys"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError("the backup's manifest is damaged", code="damaged") from error


def _extract(
    tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo], digests: Mapping[str, str], into: Path
) -> Iterator[str]:
    for member in members:
        parts = PurePosixPath(member.name).parts
        known = member.name in digests and member.isreg()
        if not known or member.name.startswith("/") or ".." in parts or not parts:
            raise InvalidError(f"the backup holds {member.name!r}, which its manifest does not", code="damaged")
        target = into.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = tar.extractfile(member)
        if stream is None or _copy(stream, target) != digests[member.name]:
            raise InvalidError(f"{member.name} in the backup is damaged", code="damaged")
        yield member.name


def _copy(stream: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _decrypt_folders(sealed: Path, into: Path, passphrase: str) -> None:
    data = sealed.read_bytes()
    salt, nonce, body = data[:16], data[16:28], data[28:]
    try:
        plain = json.loads(AESGCM(backup_key(passphrase, salt)).decrypt(nonce, body, KEYS_LABEL))
    except InvalidTag as error:
        raise InvalidError("the passphrase of the backup is wrong", code="wrong_passphrase") from error
    for name, content in plain.items():
        folder, _, leaf = str(name).partition("/")
        if folder not in SECRET_FOLDERS or not leaf or "/" in leaf:
            raise InvalidError("the keys in the backup are damaged", code="damaged")
        (into / folder).mkdir(exist_ok=True, mode=0o700)
        write_file(into / folder / leaf, bytes.fromhex(content))


def _term_of(keys: Path) -> int:
    """The term of the keys that are being replaced, 0 when there are none or they cannot be read."""
    try:
        return KeyVault.read(keys).term
    except Exception:  # noqa: BLE001 - whatever is wrong with them is why a restore is being done
        return 0


def _minutes(now: datetime) -> int:
    return max(0, int((now - _TERM_EPOCH).total_seconds()) // 60)


def _move_aside(data: Path, now: datetime) -> Path:
    aside = data.with_name(f"{data.name}.before-restore-{now:%Y%m%dT%H%M%S}")
    return data.rename(aside)


def _remove_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
