"""Sources: radio stations that may be relayed.

Rules kept here: an address is checked when it is written down and again at every connection
(:mod:`controller.feeds`); a source that a programme uses is not archived; the password in an address is shown to nobody
who may not change it.
"""

from __future__ import annotations

from yarl import URL

from controller.feeds import AddressPolicy, FeedRefusedError
from controller.services.catalogue import Catalogue, SourceEntry
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, FieldProblem, InvalidError
from controller.services.programme_model import RelaySpec
from controller.store import Database, Transaction, tables
from controller.store.ids import new_id


class SourceService:
    """Use-cases of sources."""

    def __init__(
        self, *, db: Database, directory: Directory, catalogue: Catalogue, policy: AddressPolicy, clock: Clock
    ) -> None:
        self._db = db
        self._directory = directory
        self._catalogue = catalogue
        self._policy = policy
        self._clock = clock

    def readable(self, actor: Actor) -> list[SourceEntry]:
        """The sources in use that the actor may know of."""
        return [
            entry
            for entry in self._catalogue.sources.values()
            if entry.state == "active" and self._directory.allows(actor, Permission.READ, entry.area_id)
        ]

    def get(self, actor: Actor, source_id: str) -> SourceEntry:
        """One source.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        entry = self._catalogue.source(source_id)
        self._directory.require(actor, Permission.READ, entry.area_id)
        return entry

    def shown_url(self, actor: Actor, entry: SourceEntry) -> str:
        """The address, without name and password for those who may not change it."""
        if self._directory.allows(actor, Permission.DRAFT, entry.area_id):
            return entry.url
        return str(URL(entry.url).with_user(None))

    async def create(self, actor: Actor, *, area_id: str, title: str, url: str) -> SourceEntry:
        """Add a station.

        Raises:
            InvalidError: ``bad_url`` or ``address_refused``.
            NotFoundError, ForbiddenError: no such area, or no right to draft there.
        """
        self._directory.area(area_id)
        self._directory.require(actor, Permission.DRAFT, area_id)
        self._check_url(url)
        async with self._db.transaction(actor) as tx:
            row = tables.Source(
                id=new_id("so"),
                area_id=area_id,
                title=title,
                url=url,
                created_by=actor.user_id,
                created_at=self._clock.now(),
            )
            tx.session.add(row)
            tx.audit("source.create", row.id, {"title": title, "url": _public(url), "area": area_id})
            return self._publish(tx, row)

    async def change(
        self, actor: Actor, source_id: str, *, title: str | None = None, url: str | None = None
    ) -> SourceEntry:
        """Change title or address. A window that is open goes on with the new address at its next connection.

        Raises:
            InvalidError: ``bad_url`` or ``address_refused``.
            NotFoundError, ForbiddenError: it is not there, or not theirs to change.
        """
        entry = self._catalogue.source(source_id)
        self._directory.require(actor, Permission.DRAFT, entry.area_id)
        if url is not None:
            self._check_url(url)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Source, source_id)
            before = {"title": row.title, "url": _public(row.url)}
            row.sqlmodel_update({"title": title or row.title, "url": url or row.url})
            tx.session.add(row)
            tx.audit("source.change", source_id, {"before": before, "title": row.title, "url": _public(row.url)})
            return self._publish(tx, row)

    async def archive(self, actor: Actor, source_id: str) -> None:
        """Take a source out of use.

        Raises:
            ConflictError: ``source_in_use`` by a programme.
            NotFoundError, ForbiddenError: it is not there, or not theirs to change.
        """
        entry = self._catalogue.source(source_id)
        self._directory.require(actor, Permission.DRAFT, entry.area_id)
        for programme in self._catalogue.active_programmes():
            content = programme.spec.content
            if isinstance(content, RelaySpec) and content.source == source_id:
                raise ConflictError(
                    f"the programme {programme.spec.title!r} ({programme.id}) relays it; withdraw that first",
                    code="source_in_use",
                )
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Source, source_id)
            row.state = "archived"
            tx.session.add(row)
            tx.audit("source.archive", source_id, {"title": row.title})
            self._publish(tx, row)

    def _check_url(self, url: str) -> None:
        try:
            self._policy.check(url)
        except FeedRefusedError as error:
            raise InvalidError(
                str(error), code=error.code, fields=[FieldProblem("url", str(error), error.code)]
            ) from error

    def _publish(self, tx: Transaction, row: tables.Source) -> SourceEntry:
        entry = SourceEntry.of(row)
        tx.on_commit(lambda: self._catalogue.put_source(entry))
        return entry


def _public(url: str) -> str:
    """An address as the audit log may keep it: without name and password."""
    return str(URL(url).with_user(None))
