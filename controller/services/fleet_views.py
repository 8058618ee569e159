"""What people may see of the fleet: boxes, faults and play records of the areas they may read.

Not here: what is known (:mod:`controller.services.fleet`, :mod:`controller.services.play_records`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from sqlmodel import col, select

from controller.services.context import Actor, Permission
from controller.services.directory import AgentEntry, ClusterEntry, Directory
from controller.services.errors import InvalidError
from controller.services.faults import Fault
from controller.services.fleet import AreaSummary, Box, FleetService
from controller.services.play_records import PlayRecordBook, RecordFilter
from controller.store import Database, tables

#: Rows one question gives at most.
ROWS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class BoxView:
    """One enrolled box as people see it. ``box`` is None while it is revoked or was never heard of."""

    entry: AgentEntry
    cluster: ClusterEntry | None
    online: bool
    box: Box | None
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class FaultView:
    """A raised fault and where it is."""

    agent_id: str
    cluster: ClusterEntry
    fault: Fault


class FleetViews:
    """Looks at the fleet on somebody's behalf."""

    def __init__(self, db: Database, directory: Directory, fleet: FleetService, records: PlayRecordBook) -> None:
        self._db = db
        self._directory = directory
        self._fleet = fleet
        self._records = records

    def boxes(self, actor: Actor) -> list[BoxView]:
        """Every box of the clusters the actor may read."""
        return [self._view(entry) for entry in self._readable(actor)]

    def box(self, actor: Actor, agent_id: str) -> BoxView:
        """One box.

        Raises:
            NotFoundError: there is none.
            ForbiddenError: its cluster may not be read.
        """
        entry = self._directory.agent(agent_id)
        cluster = self._directory.clusters.get(entry.cluster_id or "")
        self._directory.require(actor, Permission.READ, cluster.area_id if cluster else None)
        return self._view(entry)

    def summaries(self, actor: Actor, area_id: str | None = None) -> tuple[AreaSummary, ...]:
        """The areas with clusters that the actor may read, below ``area_id`` if it is given.

        Raises:
            NotFoundError: there is no such area.
            ForbiddenError: it may not be read.
        """
        if area_id is not None:
            self._directory.area(area_id)
            self._directory.require(actor, Permission.READ, area_id)
            return self._fleet.summaries(area.id for area in self._directory.subtree(area_id))
        return self._fleet.summaries(
            area.id
            for area in self._directory.areas.values()
            if self._directory.allows(actor, Permission.READ, area.id)
        )

    def faults(self, actor: Actor) -> list[FaultView]:
        """Every raised fault, the newest first."""
        found = []
        for entry in self._readable(actor):
            cluster = self._directory.clusters.get(entry.cluster_id or "")
            if cluster is not None:
                found += [FaultView(entry.id, cluster, fault) for fault in self._fleet.faults_of(entry.id)]
        return sorted(found, key=lambda one: one.fault.since, reverse=True)

    async def records(
        self, actor: Actor, wanted: RecordFilter, *, cluster_id: str | None = None, agent_id: str | None = None
    ) -> list[tables.PlayRecordRow]:
        """Play records, newest first, of the clusters the actor may read.

        Raises:
            InvalidError: too many rows were asked for.
            NotFoundError: there is no such cluster or agent.
            ForbiddenError: it may not be read.
        """
        if not 1 <= wanted.limit <= ROWS_MAX:
            raise InvalidError(f"1 to {ROWS_MAX} rows at a time")
        if cluster_id is not None:
            self._directory.require_cluster(actor, Permission.READ, cluster_id)
            wanted = replace(wanted, cluster_ids=frozenset({cluster_id}))
        elif not actor.may_everywhere(Permission.READ):
            wanted = replace(wanted, cluster_ids=frozenset(one.id for one in self._clusters(actor)))
        if agent_id is not None:
            self.box(actor, agent_id)
            wanted = replace(wanted, agent_ids=frozenset({agent_id}))
        return await self._records.find(wanted)

    async def security_events(
        self, actor: Actor, *, limit: int, before_id: int | None = None, agent_id: str | None = None
    ) -> list[tables.SecurityEvent]:
        """What agents (or this one) refused as forged, replayed or foreign; newest first.

        All of them are for who reads the audit log. Those of one box are also for who looks after boxes where it
        stands; what it refused is about itself alone.

        Raises:
            ForbiddenError: the right is missing.
            NotFoundError: there is no such box.
            InvalidError: too many rows were asked for.
        """
        if agent_id is None or self._directory.allows(actor, Permission.AUDIT_READ, None):
            self._directory.require(actor, Permission.AUDIT_READ, None)
        else:
            cluster = self._directory.clusters.get(self._directory.agent(agent_id).cluster_id or "")
            self._directory.require(actor, Permission.AGENT_CONTROL, cluster.area_id if cluster else None)
        if not 1 <= limit <= ROWS_MAX:
            raise InvalidError(f"1 to {ROWS_MAX} rows at a time")
        row = tables.SecurityEvent
        query = select(row).order_by(col(row.id).desc()).limit(limit)
        if before_id is not None:
            query = query.where(col(row.id) < before_id)
        if agent_id is not None:
            query = query.where(col(row.agent_id) == agent_id)
        async with self._db.read() as session:
            return list(await session.exec(query))

    def _clusters(self, actor: Actor) -> Iterable[ClusterEntry]:
        allowed = {
            area.id
            for area in self._directory.areas.values()
            if self._directory.allows(actor, Permission.READ, area.id)
        }
        return [cluster for cluster in self._directory.clusters.values() if cluster.area_id in allowed]

    def _readable(self, actor: Actor) -> list[AgentEntry]:
        if actor.may_everywhere(Permission.READ):
            return list(self._directory.agents.values())
        clusters = {cluster.id for cluster in self._clusters(actor)}
        return [entry for entry in self._directory.agents.values() if entry.cluster_id in clusters]

    def _view(self, entry: AgentEntry) -> BoxView:
        return BoxView(
            entry=entry,
            cluster=self._directory.clusters.get(entry.cluster_id or ""),
            online=entry.approved and self._fleet.online(entry.id),
            box=self._fleet.box(entry.id) if entry.approved else None,
            faults=self._fleet.faults_of(entry.id) if entry.approved else (),
        )
