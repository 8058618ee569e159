"""The true state of every cluster, from memory: what its boxes told, how long ago, and why it sounds.

Rules kept here:

1. What is not known is *unknown*. "Playing", "idle", "muted" and "faulty" need a report of the last :data:`FRESH_US`;
   a box that is connected and has said nothing lately is unknown, not idle. A metered box reports once a minute and at
   every change of what it sounds: between its reports it is unknown too.
2. A cluster with several boxes stands where its best box stands; faults are those of all.
3. Nothing here waits: 1 500 clusters are looked through in some 20 ms.

Not here: what boxes tell (:mod:`controller.services.fleet`), why (:mod:`controller.services.reasons`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from controller.services.context import Actor, Clock, Permission
from controller.services.directory import ClusterEntry, Directory
from controller.services.fleet import Box, FleetService, has_everything
from controller.services.reasons import Reason, Reasons
from protocol.telemetry import MuteState, OutputState, SoundingState
from schedules.ladder import Priority
from schedules.model import Item

#: How old a report may be and still be shown as what is so now.
FRESH_US: Final = 30_000_000

_CLASSES: Final = {int(each): each.name for each in Priority}


class StateKind(StrEnum):
    """In one word. The order is that of good news: a cluster has the best of its boxes."""

    PLAYING = "playing"
    IDLE = "idle"
    FAULTY = "faulty"  # silent, with a raised fault
    MUTED = "muted"
    UNKNOWN = "unknown"  # connected, without a report of late
    OFFLINE = "offline"
    NEVER_SEEN = "never_seen"
    NO_BOX = "no_box"
    DISABLED = "disabled"


_RANK: Final = {kind: rank for rank, kind in enumerate(StateKind)}


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What is known of a cluster now. ``told``: the box it was taken from, as it told last."""

    cluster: ClusterEntry
    kind: StateKind
    since: datetime | None
    sounding: SoundingState | None
    reason: Reason | None
    faults: tuple[str, ...]
    last_seen: datetime | None
    boxes: int
    online: int
    muted: MuteState | None
    told: Box | None
    cut_off: Item | None = None  # silent because a STOP ended this, which its plan has for now

    @property
    def mark(self) -> tuple[object, ...]:
        """What must differ for people to be told: everything shown but the instants of contact and the gauges."""
        status = None if self.told is None else self.told.status
        facts = None if status is None else (status.health.clock, status.health.output, has_everything(status))
        sounds = None if self.sounding is None else (self.sounding.occurrence_id, self.sounding.stream)
        cut = None if self.cut_off is None else (self.cut_off.rule_id, self.cut_off.recurrence)
        return self.kind, sounds, cut, self.faults, self.boxes, self.online, self.muted, facts

    def as_dict(self) -> dict[str, Any]:
        """As the API and the events show it (:class:`controller.api.state_routes.ClusterStateView`)."""
        status = None if self.told is None else self.told.status
        health = None if status is None else status.health
        return {
            "cluster_id": self.cluster.id,
            "state": self.kind.value,
            "since": _text(self.since),
            "sounding": self._sounding(),
            "cut_off": self._cut_off(),
            "faults": list(self.faults),
            "last_seen": _text(self.last_seen),
            "boxes": self.boxes,
            "online": self.online,
            "muted": None if self.muted is None else {"by": self.muted.by.value, "until": _text(self.muted.until)},
            "clock": None if health is None else health.clock.value,
            "sync_error_us": None if status is None or status.sync is None else status.sync.error_p95_us,
            "output": None if health is None else health.output.value,
            "content": None if status is None else ("complete" if has_everything(status) else "incomplete"),
            "disk_free_mb": None if health is None else health.disk_free_mb,
            "temperature_c": None if health is None else health.temperature_c,
            "gains_db": {priority.name: db for priority, db in self.cluster.gains},
        }

    def _cut_off(self) -> dict[str, Any] | None:
        item = self.cut_off
        return None if item is None else {"title": item.title, "until": _text(item.nominal_end)}

    def _sounding(self) -> dict[str, Any] | None:
        now, reason = self.sounding, self.reason
        if now is None or reason is None:
            return None
        return {
            "title": now.title,
            "priority": now.priority,
            "class": _CLASSES.get(now.priority, ""),
            "since": _text(now.since),
            "kind": reason.kind.value,
            "id": reason.id,
            "recurrence": _text(reason.recurrence),
        }


@dataclass(frozen=True, slots=True)
class _Look:
    """One box, judged."""

    kind: StateKind
    box: Box | None
    since: datetime | None
    faults: tuple[str, ...]


class ClusterStates:
    """Looks at clusters."""

    def __init__(self, directory: Directory, fleet: FleetService, reasons: Reasons, clock: Clock) -> None:
        self._directory = directory
        self._fleet = fleet
        self._reasons = reasons
        self._clock = clock

    def readable(self, actor: Actor, area_id: str | None = None) -> list[ClusterState]:
        """The state of every cluster the actor may read, below ``area_id`` if it is given.

        Raises:
            NotFoundError, ForbiddenError: there is no such area, or it may not be read.
        """
        if area_id is not None:
            self._directory.area(area_id)
            self._directory.require(actor, Permission.READ, area_id)
            return [self.of(cluster) for cluster in self._directory.clusters_in(area_id)]
        allowed = {each for each in self._directory.areas if self._directory.allows(actor, Permission.READ, each)}
        return [self.of(cluster) for cluster in self._directory.clusters.values() if cluster.area_id in allowed]

    def some(self, cluster_ids: Iterable[str]) -> list[ClusterState]:
        """The state of these clusters, as far as they exist."""
        known = (self._directory.clusters.get(each) for each in cluster_ids)
        return [self.of(cluster) for cluster in known if cluster is not None]

    def of(self, cluster: ClusterEntry) -> ClusterState:
        """The state of one cluster."""
        agents = sorted(self._directory.agents_of([cluster.id]))
        looks = [self._look(agent_id) for agent_id in agents]
        best = min(looks, key=lambda look: _RANK[look.kind], default=_Look(StateKind.NO_BOX, None, None, ()))
        kind = best.kind if cluster.active else StateKind.DISABLED
        status = None if best.box is None or kind not in _REPORTED else best.box.status
        sounding = status.sounding if status is not None and kind is StateKind.PLAYING else None
        seen = [look.box.last_seen for look in looks if look.box is not None and look.box.last_seen is not None]
        return ClusterState(
            cluster=cluster,
            kind=kind,
            since=best.since,
            sounding=sounding,
            reason=None if sounding is None else self._reasons.of(cluster.id, sounding),
            faults=tuple(sorted({code for look in looks for code in look.faults})),
            last_seen=max(seen, default=None),
            boxes=len(agents),
            online=sum(self._fleet.online(agent_id) for agent_id in agents),
            muted=None if status is None else status.muted,
            told=None if status is None else best.box,
            cut_off=self._reasons.cut_off(cluster.id) if kind in _SILENT else None,
        )

    def _look(self, agent_id: str) -> _Look:
        box = self._fleet.box(agent_id)
        faults = tuple(fault.code for fault in self._fleet.faults_of(agent_id))
        kind, since = self._judge(box, faults)
        return _Look(kind, box, since, faults)

    def _judge(self, box: Box, faults: Sequence[str]) -> tuple[StateKind, datetime | None]:
        if not self._fleet.online(box.agent_id):
            return (StateKind.NEVER_SEEN, None) if box.last_seen is None else (StateKind.OFFLINE, box.last_seen)
        status = box.status
        if status is None or box.told_us is None or self._clock.mono_us() - box.told_us > FRESH_US:
            return StateKind.UNKNOWN, box.last_seen
        if status.muted is not None and status.muted.until > self._clock.now():
            return StateKind.MUTED, status.muted.since
        if status.sounding is not None:
            return StateKind.PLAYING, status.sounding.since
        if faults or status.health.output is OutputState.FAILED:
            return StateKind.FAULTY, None
        return StateKind.IDLE, None


#: What stands on a fresh report.
_REPORTED: Final = frozenset({StateKind.PLAYING, StateKind.IDLE, StateKind.FAULTY, StateKind.MUTED})
#: Silent, and no order keeps it so.
_SILENT: Final = frozenset({StateKind.IDLE, StateKind.FAULTY})


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")
