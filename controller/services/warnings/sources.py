"""Warning sources: who may warn us, how they prove it, and what their warnings may do. Kept in memory and on the disk.

Rules kept here:

1. Every change needs the right ``policy_edit`` over the area the source speaks for, and stands in the audit log: who
   may wake a district without a person is decided by few and remembered for ever.
2. A push token is shown once; only its SHA-256 is kept. A client certificate is recognised by its very bytes, not by
   a name that an authority may give twice.
3. Who pushes is answered from memory. A source that is disabled or removed is nobody at once.
4. A source that sent too much automatically is *demoted*: everything of it is proposed until someone with the right
   restores it (:meth:`WarningSources.restore`).

Not here: what happens to a warning (:mod:`controller.services.warnings.intake`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.feeds import AddressPolicy
from controller.services.context import SYSTEM, Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from controller.services.warnings.model import SourceEntry
from controller.services.warnings.policy import Mode
from controller.services.warnings.source_checks import (
    SourceSpec,
    address_problems,
    audited,
    der_of,
    public_address,
    read_certificates,
    table_problems,
)
from controller.store import Database, Transaction
from controller.store.ids import new_id
from controller.store.warning_tables import WarningSource, WarningToken

#: Sources, and tokens of one source.
MAX_SOURCES, MAX_TOKENS = 100, 10
_TOKEN_BYTES = 32
#: What a push token begins with, so that one found in a log says what it is.
_MARK = "lw_"

SourceListener = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A push token as it is shown: never the token itself."""

    hash: str
    source_id: str
    label: str
    created_by: str
    created_at: datetime

    @property
    def id(self) -> str:
        """Enough of the hash to name it."""
        return self.hash[:16]


class WarningSources:
    """Use-cases of sources, and the memory of them."""

    def __init__(self, *, db: Database, directory: Directory, policy: AddressPolicy, clock: Clock) -> None:
        self._db = db
        self._directory = directory
        self._addresses = policy
        self._clock = clock
        self._entries: dict[str, SourceEntry] = {}
        self._tokens: dict[str, TokenEntry] = {}
        self._listeners: list[SourceListener] = []

    def subscribe(self, listener: SourceListener) -> None:
        """Call ``listener`` with a source's id after every change of it. It must be quick and must not raise."""
        self._listeners.append(listener)

    async def load(self, session: AsyncSession) -> None:
        """Fill the memory (at start)."""
        for row in await session.exec(select(WarningSource).where(col(WarningSource.state) == "active")):
            self._entries[row.id] = SourceEntry.of(row)
        for token in await session.exec(select(WarningToken)):
            if token.source_id in self._entries:
                self._tokens[token.hash] = _token_entry(token)

    # --- reading ---

    def all(self) -> tuple[SourceEntry, ...]:
        """Every source in use, by name."""
        return tuple(sorted(self._entries.values(), key=lambda entry: (entry.name, entry.id)))

    def readable(self, actor: Actor) -> list[SourceEntry]:
        """The sources the actor may know of."""
        return [entry for entry in self.all() if self._directory.allows(actor, Permission.READ, entry.area_id)]

    def find(self, source_id: str) -> SourceEntry | None:
        """A source in use, None when there is none."""
        return self._entries.get(source_id)

    def get(self, actor: Actor, source_id: str) -> SourceEntry:
        """One source.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        entry = self._entry(source_id)
        self._directory.require(actor, Permission.READ, entry.area_id)
        return entry

    def shown_url(self, actor: Actor, entry: SourceEntry) -> str | None:
        """The feed's address, without name and password for those who may not change it."""
        if entry.url is None or self._directory.allows(actor, Permission.POLICY_EDIT, entry.area_id):
            return entry.url
        return public_address(entry.url)

    def tokens(self, source_id: str) -> list[TokenEntry]:
        """The push tokens of a source, oldest first."""
        return sorted(
            (token for token in self._tokens.values() if token.source_id == source_id), key=lambda one: one.created_at
        )

    def by_token(self, token: str) -> SourceEntry | None:
        """Whose push token this is; None = nobody's, or of a source that is switched off. Memory only."""
        found = self._tokens.get(token_hash(token))
        return self._enabled(found.source_id) if found is not None else None

    def by_certificate(self, der: bytes) -> SourceEntry | None:
        """Whose client certificate this is, by its very bytes. Memory only."""
        for entry in self._entries.values():
            if any(der_of(pem) == der for pem in entry.client_certificates):
                return self._enabled(entry.id)
        return None

    def client_certificates(self) -> tuple[str, ...]:
        """Every certificate (PEM) that a pushing source may show."""
        return tuple(pem for entry in self.all() if entry.enabled for pem in entry.client_certificates)

    # --- changing ---

    async def create(self, actor: Actor, spec: SourceSpec) -> SourceEntry:
        """Add a source.

        Raises:
            InvalidError, NotFoundError, ForbiddenError, ConflictError: see the module's rules.
        """
        spec = self._checked(actor, spec, None)
        if len(self._entries) >= MAX_SOURCES:
            raise ConflictError(f"there are {MAX_SOURCES} sources already; remove one", code="too_many_sources")
        async with self._db.transaction(actor) as tx:
            row = WarningSource(
                id=new_id("ws"), created_by=actor.user_id, created_at=self._clock.now(), **spec.columns()
            )
            tx.session.add(row)
            tx.audit("warning_source.create", row.id, audited(spec.columns()))
            return self._publish(tx, row)

    async def change(self, actor: Actor, source_id: str, changes: Mapping[str, Any]) -> SourceEntry:
        """Change some of the fields of :class:`SourceSpec`; what is not named stays.

        Raises:
            InvalidError, NotFoundError, ForbiddenError, ConflictError: see the module's rules.
        """
        entry = self._entry(source_id)
        self._directory.require(actor, Permission.POLICY_EDIT, entry.area_id)
        before = SourceSpec.of(entry)
        said = {name: getattr(before, name) for name in SourceSpec.__dataclass_fields__}
        spec = self._checked(actor, SourceSpec(**{**said, **changes}), source_id)
        old, new = audited(before.columns()), audited(spec.columns())
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(WarningSource, source_id)
            row.sqlmodel_update(spec.columns())
            tx.session.add(row)
            tx.audit(
                "warning_source.change",
                source_id,
                {name: [old[name], new[name]] for name in new if old[name] != new[name]},
            )
            return self._publish(tx, row)

    async def remove(self, actor: Actor, source_id: str) -> None:
        """Take a source out of use, with its tokens. What it sent is kept.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not theirs to remove.
        """
        entry = self._entry(source_id)
        self._directory.require(actor, Permission.POLICY_EDIT, entry.area_id)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(WarningSource, source_id)
            row.state = "removed"
            tx.session.add(row)
            await tx.session.exec(delete(WarningToken).where(col(WarningToken.source_id) == source_id))
            tx.audit("warning_source.remove", source_id, {"name": entry.name})
            tx.on_commit(lambda: self._drop(source_id))

    async def make_token(self, actor: Actor, source_id: str, label: str) -> tuple[str, TokenEntry]:
        """A new push token; the only time it is seen in the clear.

        Raises:
            ConflictError: ``too_many_tokens``.
            NotFoundError, ForbiddenError: no such source, or no right.
        """
        entry = self._entry(source_id)
        self._directory.require(actor, Permission.POLICY_EDIT, entry.area_id)
        if len(self.tokens(source_id)) >= MAX_TOKENS:
            raise ConflictError(f"the source has {MAX_TOKENS} tokens; revoke one first", code="too_many_tokens")
        token = _MARK + secrets.token_urlsafe(_TOKEN_BYTES)
        async with self._db.transaction(actor) as tx:
            row = WarningToken(
                hash=token_hash(token),
                source_id=source_id,
                label=label,
                created_by=actor.user_id,
                created_at=self._clock.now(),
            )
            tx.session.add(row)
            made = _token_entry(row)
            tx.audit("warning_source.token", source_id, {"token": made.id, "label": label})
            tx.on_commit(lambda: self._tokens.__setitem__(made.hash, made))
        return token, made

    async def revoke_token(self, actor: Actor, source_id: str, token_id: str) -> None:
        """Make a push token worthless, at once.

        Raises:
            NotFoundError, ForbiddenError: no such source or token, or no right.
        """
        entry = self._entry(source_id)
        self._directory.require(actor, Permission.POLICY_EDIT, entry.area_id)
        found = next((token for token in self.tokens(source_id) if token.id == token_id), None)
        if found is None:
            raise NotFoundError(f"the source has no token {token_id!r}", code="token_not_found")
        async with self._db.transaction(actor) as tx:
            await tx.session.exec(delete(WarningToken).where(col(WarningToken.hash) == found.hash))
            tx.audit("warning_source.revoke_token", source_id, {"token": token_id, "label": found.label})
            tx.on_commit(lambda: self._forget(found.hash))

    async def demote(self, source_id: str, why: str) -> None:
        """Take the automatic way from a source; people decide from now on. Nothing happens when it has none."""
        entry = self._entries.get(source_id)
        if entry is None or not entry.automatic:
            return
        await self._set_demoted(SYSTEM, source_id, self._clock.now(), why)

    async def restore(self, actor: Actor, source_id: str) -> SourceEntry:
        """Give a demoted source its automatic way back.

        Raises:
            NotFoundError, ForbiddenError: no such source, or no right.
        """
        entry = self._entry(source_id)
        self._directory.require(actor, Permission.POLICY_EDIT, entry.area_id)
        return await self._set_demoted(actor, source_id, None, "") if entry.demoted else entry

    async def _set_demoted(self, actor: Actor, source_id: str, at: datetime | None, why: str) -> SourceEntry:
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(WarningSource, source_id)
            row.demoted_at, row.demoted_why = at, why
            tx.session.add(row)
            tx.audit("warning_source.demote" if at else "warning_source.restore", source_id, {"why": why})
            return self._publish(tx, row)

    # --- inside ---

    def _checked(self, actor: Actor, spec: SourceSpec, own_id: str | None) -> SourceSpec:
        self._directory.area(spec.area_id)
        self._directory.require(actor, Permission.POLICY_EDIT, spec.area_id)
        for other in self._entries.values():
            if other.id != own_id and other.name.casefold() == spec.name.casefold():
                raise ConflictError(f"there is already a source called {spec.name!r}: {other.id}", code="name_taken")
        problems = [*address_problems(spec, self._addresses), *table_problems(spec, self._directory.areas)]
        certificates, more = read_certificates("certificates", spec.certificates)
        clients, still = read_certificates("client_certificates", spec.client_certificates)
        problems += [*more, *still]
        if any(set(clients) & set(other.client_certificates) for other in self._entries.values() if other.id != own_id):
            problems.append(FieldProblem("client_certificates", "another source shows this certificate", "taken"))
        if spec.policy.mode is Mode.AUTOMATIC and not certificates and not problems:
            problems.append(
                FieldProblem("certificates", "automatic needs a certificate their signatures lead to", "required")
            )
        if problems:
            first = problems[0]
            raise InvalidError(f"{first.field}: {first.message}", fields=problems)
        said = {name: getattr(spec, name) for name in SourceSpec.__dataclass_fields__}
        return SourceSpec(**{**said, "certificates": certificates, "client_certificates": clients})

    def _entry(self, source_id: str) -> SourceEntry:
        if source_id not in self._entries:
            raise NotFoundError(f"there is no warning source {source_id!r}", code="warning_source_not_found")
        return self._entries[source_id]

    def _enabled(self, source_id: str) -> SourceEntry | None:
        entry = self._entries.get(source_id)
        return entry if entry is not None and entry.enabled else None

    def _publish(self, tx: Transaction, row: WarningSource) -> SourceEntry:
        entry = SourceEntry.of(row)
        tx.on_commit(lambda: self._put(entry))
        return entry

    def _put(self, entry: SourceEntry) -> None:
        self._entries[entry.id] = entry
        self._tell(entry.id)

    def _drop(self, source_id: str) -> None:
        self._entries.pop(source_id, None)
        self._tokens = {key: token for key, token in self._tokens.items() if token.source_id != source_id}
        self._tell(source_id)

    def _forget(self, token: str) -> None:
        self._tokens.pop(token, None)

    def _tell(self, source_id: str) -> None:
        for listener in self._listeners:
            listener(source_id)


def token_hash(token: str) -> str:
    """What is kept of a push token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _token_entry(row: WarningToken) -> TokenEntry:
    return TokenEntry(row.hash, row.source_id, row.label, row.created_by, row.created_at)
