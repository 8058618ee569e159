"""Areas: the tree of places and the policy (zone, quiet hours, caps) that is inherited down it.

Rules kept here: no cycles; names are unique among siblings; an area with anything in it is not deleted; the zone is one
that this machine knows; quiet hours have both ends or neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlmodel import SQLModel, col, select

from controller.services.context import Actor, Clock, Permission
from controller.services.directory import AreaEntry, Directory
from controller.services.errors import ConflictError, FieldProblem, InvalidError
from controller.store import Database, Transaction, tables
from controller.store.ids import new_id
from controller.store.warning_tables import WarningSource
from schedules.model import MAX_ITEM, MAX_RELAY, QuietHours

#: A tree deeper than this is a mistake (country, province, district, commune, village, hamlet are six).
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class AreaPolicy:
    """What an area may say about itself; None = as its parent. ``quiet``: quiet hours, or "none" for no quiet hours."""

    timezone: str | None = None
    quiet: QuietHours | str | None = None
    max_item: timedelta | None = None
    max_relay: timedelta | None = None

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InvalidError: with the field.
        """
        if self.timezone is not None:
            check_zone(self.timezone)
        for name, value, cap in (("max_item_s", self.max_item, MAX_ITEM), ("max_relay_s", self.max_relay, MAX_RELAY)):
            if value is not None and not timedelta(0) < value <= cap:
                seconds = int(cap.total_seconds())
                raise InvalidError(
                    f"{name} must be 1 to {seconds} seconds", fields=[FieldProblem(name, f"1 to {seconds}")]
                )

    def columns(self) -> dict[str, Any]:
        """The columns of :class:`controller.store.tables.Area` that hold it."""
        quiet = self.quiet if isinstance(self.quiet, QuietHours) else None
        return {
            "timezone": self.timezone,
            "quiet_begin": quiet and _clock_text(quiet.begin),
            "quiet_end": quiet and _clock_text(quiet.end),
            "quiet_none": True if self.quiet == "none" else None,
            "max_item_s": None if self.max_item is None else int(self.max_item.total_seconds()),
            "max_relay_s": None if self.max_relay is None else int(self.max_relay.total_seconds()),
        }


class AreaService:
    """Use-cases of the tree of places."""

    def __init__(self, db: Database, directory: Directory, clock: Clock) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock

    def readable(self, actor: Actor) -> list[AreaEntry]:
        """The areas the actor may read."""
        if actor.may_everywhere(Permission.READ):
            return list(self._directory.areas.values())
        roots = {grant.area_id for grant in actor.grants if grant.area_id and grant.allows(Permission.READ)}
        return list({area.id: area for root in roots for area in self._directory.subtree(root)}.values())

    def get(self, actor: Actor, area_id: str) -> AreaEntry:
        """One area.

        Raises:
            NotFoundError: there is none.
            ForbiddenError: the right to read it is missing.
        """
        area = self._directory.area(area_id)
        self._directory.require(actor, Permission.READ, area_id)
        return area

    async def create(
        self, actor: Actor, *, name: str, kind: str, parent_id: str | None = None, policy: AreaPolicy | None = None
    ) -> AreaEntry:
        """Add an area below ``parent_id`` (None: a root, which needs the right over everything).

        Raises:
            InvalidError: zone or caps make no sense, or the tree would be too deep.
            NotFoundError: there is no such parent.
            ForbiddenError: no right to edit the parent.
            ConflictError: a sibling has the name.
        """
        policy = policy or AreaPolicy()
        policy.check()
        if parent_id is not None:
            self._directory.area(parent_id)
        self._directory.require(actor, Permission.POLICY_EDIT, parent_id)
        self._check_place(None, parent_id, name)
        async with self._db.transaction(actor) as tx:
            row = tables.Area(
                id=new_id("ar"),
                parent_id=parent_id,
                name=name,
                kind=kind,
                created_at=self._clock.now(),
                **policy.columns(),
            )
            tx.session.add(row)
            tx.audit("area.create", row.id, {"name": name, "kind": kind, "parent": parent_id, **policy.columns()})
            return self._publish(tx, row)

    async def change(self, actor: Actor, area_id: str, changes: Mapping[str, Any]) -> AreaEntry:
        """Change some of name, kind, parent_id and the fields of :class:`AreaPolicy`; what is not named stays.

        Raises:
            InvalidError: the result makes no sense, or an area would be inside itself.
            NotFoundError: there is no such area or parent.
            ForbiddenError: the right over the area (or its new parent) is missing.
            ConflictError: a sibling has the name.
        """
        area = self._directory.area(area_id)
        self._directory.require(actor, Permission.POLICY_EDIT, area_id)
        policy = AreaPolicy(**{one.name: changes.get(one.name, getattr(area, one.name)) for one in fields(AreaPolicy)})
        policy.check()
        parent_id = changes.get("parent_id", area.parent_id)
        if parent_id != area.parent_id:
            if parent_id is not None:
                self._directory.area(parent_id)
            self._directory.require(actor, Permission.POLICY_EDIT, parent_id)
        name, kind = changes.get("name", area.name), changes.get("kind", area.kind)
        self._check_place(area_id, parent_id, name)
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get_one(tables.Area, area_id)
            said = {"name": name, "kind": kind, "parent_id": parent_id, **policy.columns()}
            before = {field: getattr(row, field) for field in said}
            row.sqlmodel_update(said)
            tx.session.add(row)
            differences = {field: [before[field], said[field]] for field in said if before[field] != said[field]}
            tx.audit("area.change", area_id, differences)
            return self._publish(tx, row)

    async def delete(self, actor: Actor, area_id: str) -> None:
        """Delete an empty area.

        Raises:
            NotFoundError: there is no such area.
            ForbiddenError: the right over its parent is missing.
            ConflictError: something is still in it.
        """
        area = self._directory.area(area_id)
        self._directory.require(actor, Permission.POLICY_EDIT, area_id)
        async with self._db.transaction(actor) as tx:
            await self._refuse_unless_empty(tx, area_id)
            row = await tx.session.get_one(tables.Area, area_id)
            await tx.session.delete(row)
            tx.audit("area.delete", area_id, {"name": area.name, "kind": area.kind, "parent": area.parent_id})
            tx.on_commit(lambda: self._directory.drop_area(area_id))

    def _publish(self, tx: Transaction, row: tables.Area) -> AreaEntry:
        entry = AreaEntry.of(row)
        tx.on_commit(lambda: self._directory.put_area(entry))
        return entry

    def _check_place(self, area_id: str | None, parent_id: str | None, name: str) -> None:
        above = [node.id for node in self._directory.lineage(parent_id)] if parent_id is not None else []
        if area_id is not None and area_id in above:
            raise InvalidError(
                "an area cannot be inside itself", fields=[FieldProblem("parent_id", "would be a circle")]
            )
        if len(above) >= MAX_DEPTH:
            raise InvalidError(f"areas may be nested {MAX_DEPTH} deep", fields=[FieldProblem("parent_id", "too deep")])
        for sibling in self._directory.children(parent_id):
            if sibling.id != area_id and sibling.name.casefold() == name.casefold():
                raise ConflictError(f"there is already an area called {name!r} here: {sibling.id}", code="name_taken")

    async def _refuse_unless_empty(self, tx: Transaction, area_id: str) -> None:
        holders: tuple[tuple[str, type[SQLModel], Any], ...] = (
            ("areas", tables.Area, tables.Area.parent_id),
            ("clusters", tables.Cluster, tables.Cluster.area_id),
            ("zones", tables.Zone, tables.Zone.area_id),
            ("recordings", tables.Recording, tables.Recording.area_id),
            ("sources", tables.Source, tables.Source.area_id),
            ("programmes", tables.Programme, tables.Programme.area_id),
            ("roles of users", tables.Grant, tables.Grant.area_id),
            ("warning sources", WarningSource, WarningSource.area_id),
        )
        for what, table, column in holders:
            query = select(func.count()).select_from(table).where(col(column) == area_id)
            count = (await tx.session.exec(query)).one()
            if count:
                raise ConflictError(f"the area still holds {count} {what}; move or delete them first", code="not_empty")


def check_zone(name: str) -> None:
    """Refuse a time zone that this machine does not know.

    Raises:
        InvalidError: with the field ``timezone``.
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:  # ZoneInfoNotFoundError is a KeyError; "Asia" is a directory
        problem = FieldProblem("timezone", "not an IANA zone; for example Asia/Ho_Chi_Minh", "unknown_zone")
        raise InvalidError(f"there is no time zone {name!r}", code="unknown_zone", fields=[problem]) from error


def _clock_text(value: time) -> str:
    return value.strftime("%H:%M")
