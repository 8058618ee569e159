"""A key of our own for secrets that lie in the database, so that a copy of the database does not tell them.

Rules kept here:

1. Made at first need, 256 random bits in the vault's folder: it travels in a backup with the other keys, encrypted.
2. AES-256-GCM; every secret is bound to what it belongs to (``context``), so that rows cannot be exchanged.
3. Without the key nothing that was sealed can be read again; who needs it must be able to live without.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from controller.keys.errors import UnsealError, VaultError
from controller.store.files import write_file

DATABASE_KEY: Final = "database.key"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Sealer:
    """Seals and opens secrets."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def ensure(cls, folder: Path) -> Self:
        """With the key in ``folder``, made when it is not there.

        Raises:
            VaultError: the key is there and cannot be read.
        """
        file = folder / DATABASE_KEY
        if not file.exists():
            write_file(file, secrets.token_bytes(_KEY_BYTES).hex().encode())
        try:
            key = bytes.fromhex(file.read_text().strip())
        except (OSError, ValueError) as error:
            raise VaultError(f"{file} cannot be read ({error}); restore it from a backup") from error
        if len(key) != _KEY_BYTES:
            raise VaultError(f"{file} holds no key; restore it from a backup")
        return cls(key)

    def seal(self, plain: str, context: str) -> str:
        """The secret as it may lie in the database."""
        nonce = os.urandom(_NONCE_BYTES)
        return (nonce + self._cipher.encrypt(nonce, plain.encode(), context.encode())).hex()

    def unseal(self, sealed: str, context: str) -> str:
        """The secret again.

        Raises:
            UnsealError: it was sealed with another key, for something else, or was changed.
        """
        try:
            raw = bytes.fromhex(sealed)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise UnsealError("the secret was sealed with another key") from error
