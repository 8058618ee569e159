"""What the gateway needs from the rest of the controller, beyond :mod:`controller.services.ports`.

All of it is read without waiting: the listener keeps working while the database is locked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controller.keys import KeyVault
from protocol.keys import Role, SigningKey


@dataclass(frozen=True, slots=True)
class LinkIdentity:
    """How the controller proves itself on a link. ``root_chain`` leads from older roots, oldest first."""

    key: SigningKey  # an online key with the plan role, named in key_set
    root_public: bytes
    key_set: bytes
    root_chain: tuple[bytes, ...] = ()


class IdentitySource(Protocol):
    """Where the identity comes from (the key vault); asked for each handshake, because keys rotate."""

    def link_identity(self) -> LinkIdentity:
        """The identity in force."""
        ...


@dataclass(frozen=True, slots=True)
class VaultIdentity:
    """The identity as the key vault holds it."""

    vault: KeyVault

    def link_identity(self) -> LinkIdentity:
        """The identity in force."""
        return LinkIdentity(self.vault.key(Role.PLAN), self.vault.root_public, self.vault.key_set_envelope)
