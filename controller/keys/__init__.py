"""The controller's keys on disk: root, online keys, and the signed set that agents believe."""

from controller.keys.errors import SealedError, UnsealError, VaultError, WrongPassphraseError
from controller.keys.vault import ALARM_DAYS, KEY_SET_LIFE, ROLES, KeyVault, RootSource

__all__ = [
    "ALARM_DAYS",
    "KEY_SET_LIFE",
    "ROLES",
    "KeyVault",
    "RootSource",
    "SealedError",
    "UnsealError",
    "VaultError",
    "WrongPassphraseError",
]
