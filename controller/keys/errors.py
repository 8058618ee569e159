"""Errors of the vault, as a tree.

* VaultError: the keys cannot be used as asked
  * SealedError: the root key is not on this machine; give its sealed file and passphrase
  * WrongPassphraseError: the sealed file does not open with it
  * UnsealError: a secret in the database cannot be read with this folder's key
"""

from __future__ import annotations


class VaultError(Exception):
    """The keys cannot be used as asked."""

    code = "vault_error"


class SealedError(VaultError):
    """The root key is not on this machine; give its sealed file and passphrase."""

    code = "root_sealed"


class WrongPassphraseError(VaultError):
    """The sealed file does not open with it."""

    code = "wrong_passphrase"


class UnsealError(VaultError):
    """A secret in the database was sealed with another key, for something else, or was changed."""

    code = "cannot_unseal"
