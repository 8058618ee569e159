"""Zones: named groups of clusters across the tree, such as the villages along one river.

Rules kept here:

1. A zone belongs to an area: its people keep it, and its clusters lie in that area or below it.
2. What is left of a zone is what still lies there (:meth:`Directory.members`): a cluster that is deleted or moves out
   is no member any more, and the next change of its members forgets it.
3. A name is unique within the area; there are at most :data:`MAX_ZONES` zones of :data:`MAX_MEMBERS` clusters each.
4. To name a zone where something shall sound is to name its clusters of that moment: a zone gives nobody a right.
   A programme keeps the zone and sounds where it is each day; so it takes the right to schedule over the zone's area,
   and a zone that a programme needs is not deleted, nor moved to another area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory, ZoneEntry
from controller.services.errors import ConflictError, FieldProblem, InvalidError
from controller.store import Database, Transaction, tables
from controller.store.ids import new_id

MAX_ZONES: Final = 200
#: As many clusters as may be named one by one where something shall sound.
MAX_MEMBERS: Final = 1_000


class ZoneService:
    """Use-cases around zones."""

    def __init__(self, db: Database, directory: Directory, clock: Clock) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        #: Titles of what sounds in a zone and would not know where without it.
        self.used_by: list[Callable[[str], tuple[str, ...]]] = []

    def readable(self, actor: Actor) -> list[ZoneEntry]:
        """The zones of areas the actor may read."""
        allows = self._directory.allows
        return [zone for zone in self._directory.zones.values() if allows(actor, Permission.READ, zone.area_id)]

    async def create(self, actor: Actor, *, name: str, area_id: str, clusters: Iterable[str]) -> ZoneEntry:
        """Add a zone.

        Raises:
            InvalidError: ``empty_zone``, ``too_many_clusters``, ``outside_area``.
            NotFoundError: the area or a cluster does not exist.
            ForbiddenError: no right to edit the area.
            ConflictError: ``name_taken``, ``too_many_zones``.
        """
        self._directory.area(area_id)
        self._directory.require(actor, Permission.POLICY_EDIT, area_id)
        members = self._members(area_id, clusters)
        async with self._db.transaction(actor) as tx:
            if len(self._directory.zones) >= MAX_ZONES:
                raise ConflictError(f"there are {MAX_ZONES} zones; delete one first", code="too_many_zones")
            self._refuse_twin(area_id, name, None)
            row = tables.Zone(
                id=new_id("zn"), area_id=area_id, name=name, clusters=members, created_at=self._clock.now()
            )
            tx.session.add(row)
            tx.audit("zone.create", row.id, {"name": name, "area": area_id, "clusters": members})
            return self._publish(tx, row)

    async def change(self, actor: Actor, zone_id: str, changes: Mapping[str, Any]) -> ZoneEntry:
        """Change some of name, area_id and clusters; what is not named stays.

        Raises:
            InvalidError: ``empty_zone``, ``too_many_clusters``, ``outside_area``.
            NotFoundError: the zone, its new area or a cluster does not exist.
            ForbiddenError: no right over its area, or over the new one.
            ConflictError: ``name_taken``; ``zone_in_use`` by a programme, which keeps it in its area.
        """
        zone = self._mine(actor, zone_id)
        area_id, name = changes.get("area_id", zone.area_id), changes.get("name", zone.name)
        if area_id != zone.area_id:
            self._directory.area(area_id)
            self._directory.require(actor, Permission.POLICY_EDIT, area_id)
            self._refuse_in_use(zone_id)
        members = list(zone.clusters)
        if "clusters" in changes or area_id != zone.area_id:
            members = self._members(area_id, changes.get("clusters", self._directory.members(zone)))
        async with self._db.transaction(actor) as tx:
            self._refuse_twin(area_id, name, zone_id)
            row = await tx.session.get_one(tables.Zone, zone_id)
            said = {"name": name, "area_id": area_id, "clusters": members}
            before = {field: getattr(row, field) for field in said}
            row.sqlmodel_update(said)
            tx.session.add(row)
            differences = {field: [before[field], said[field]] for field in said if before[field] != said[field]}
            tx.audit("zone.change", zone_id, differences)
            return self._publish(tx, row)

    async def delete(self, actor: Actor, zone_id: str) -> None:
        """Delete a zone; its clusters stay, and what was composed with it keeps them.

        Raises:
            NotFoundError: there is no such zone.
            ForbiddenError: no right over its area.
            ConflictError: ``zone_in_use`` by a programme.
        """
        zone = self._mine(actor, zone_id)
        self._refuse_in_use(zone_id)
        async with self._db.transaction(actor) as tx:
            await tx.session.delete(await tx.session.get_one(tables.Zone, zone_id))
            tx.audit("zone.delete", zone_id, {"name": zone.name, "area": zone.area_id})
            tx.on_commit(lambda: self._directory.drop_zone(zone_id))

    def _mine(self, actor: Actor, zone_id: str) -> ZoneEntry:
        zone = self._directory.zone(zone_id)
        self._directory.require(actor, Permission.POLICY_EDIT, zone.area_id)
        return zone

    def _refuse_in_use(self, zone_id: str) -> None:
        titles = [title for ask in self.used_by for title in ask(zone_id)]
        if titles:
            raise ConflictError(
                f"programmes sound there: {', '.join(titles[:5])}; change them first", code="zone_in_use"
            )

    def _members(self, area_id: str, clusters: Iterable[str]) -> list[str]:
        members = sorted(set(clusters))
        if not members:
            raise _faulty("a zone has at least one cluster", "empty_zone")
        if len(members) > MAX_MEMBERS:
            raise _faulty(f"a zone has at most {MAX_MEMBERS} clusters", "too_many_clusters")
        strangers = [one for one in members if not self._directory.lies_in(self._directory.cluster(one).id, area_id)]
        if strangers:
            raise _faulty(f"{', '.join(strangers[:5])}: not in the area the zone belongs to", "outside_area")
        return members

    def _refuse_twin(self, area_id: str, name: str, own_id: str | None) -> None:
        for other in self._directory.zones.values():
            if (other.area_id, other.name.casefold()) == (area_id, name.casefold()) and other.id != own_id:
                raise ConflictError(f"the area already has a zone called {name!r}: {other.id}", code="name_taken")

    def _publish(self, tx: Transaction, row: tables.Zone) -> ZoneEntry:
        entry = ZoneEntry.of(row)
        tx.on_commit(lambda: self._directory.put_zone(entry))
        return entry


def _faulty(message: str, code: str) -> InvalidError:
    return InvalidError(message, code=code, fields=[FieldProblem("clusters", message, code)])
