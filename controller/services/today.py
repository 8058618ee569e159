"""Today at a glance: what sounded, what sounds, what will, and what went wrong; each with what to look at.

Rules kept here:

1. What sounded is what boxes reported, what sounds is what they report now, what will sound is the grid.
2. Who has said nothing :data:`LATE` after a start is silent; before that a report may be on its way.
3. Lists are bounded (:data:`SHOWN`), counts are whole. Only what is kept silent is told in full, and at once: nothing
   sounds there, emergencies included.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from controller.services.alerts.desk import AlertDesk
from controller.services.alerts.model import Alert
from controller.services.cluster_states import ClusterState, ClusterStates, StateKind
from controller.services.context import Actor, Clock
from controller.services.errors import InvalidError
from controller.services.fleet_views import FaultView, FleetViews
from controller.services.grid import Grid, GridItem, GridService
from controller.services.hold_desk import HoldDesk
from controller.services.holds import Hold
from controller.services.reasons import Reason, ReasonKind, Reasons
from controller.services.reports import ReportLine, ReportQuery, ReportService

SHOWN: Final = 200
MAX_HOURS: Final = 72
LATE: Final = timedelta(minutes=30)
#: Outcomes that somebody should look at.
FAILED: Final = ("partial", "missed", "refused")


@dataclass(frozen=True, slots=True)
class Sounded:
    """One occurrence that boxes reported."""

    line: ReportLine
    reason: Reason
    silent: tuple[str, ...]  # clusters that had it in their plan and should have reported by now

    @property
    def failed(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.silent) or any(self.line.count(outcome) for outcome in FAILED)


@dataclass(frozen=True, slots=True)
class SoundsNow:
    """One thing that sounds, and where."""

    reason: Reason
    title: str
    priority: int
    since: datetime
    clusters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RedList:
    """An alert of the last hours that was not heard everywhere."""

    alert: Alert
    total: int
    sounded: int
    clusters: tuple[str, ...]  # that did not start


@dataclass(frozen=True, slots=True)
class Today:
    """All of it."""

    at: datetime
    since: datetime
    until: datetime
    sounded: tuple[Sounded, ...]
    now: tuple[SoundsNow, ...]
    ahead: Grid  # what has not begun
    failed: tuple[Sounded, ...]
    unheard: tuple[GridItem, ...]  # that should have sounded, and no box said anything about it
    holes: tuple[GridItem, ...]  # that will come and cannot sound, or not everywhere
    faults: tuple[FaultView, ...]
    held: dict[str, Hold]  # clusters kept silent by order, emergencies included
    red: tuple[RedList, ...]
    states: dict[StateKind, int]


class TodayService:
    """Puts it together."""

    def __init__(
        self,
        *,
        reports: ReportService,
        grid: GridService,
        states: ClusterStates,
        reasons: Reasons,
        views: FleetViews,
        alerts: AlertDesk,
        holds: HoldDesk,
        clock: Clock,
    ) -> None:
        self._reports = reports
        self._grid = grid
        self._states = states
        self._reasons = reasons
        self._views = views
        self._alerts = alerts
        self._holds = holds
        self._clock = clock

    async def look(self, actor: Actor, area_id: str | None = None, hours: int = 24) -> Today:
        """So many hours back and ahead, at the clusters one may read, below ``area_id`` if it is given.

        Raises:
            InvalidError: ``bad_span``.
            NotFoundError, ForbiddenError: there is no such area, or it may not be read.
        """
        if not 1 <= hours <= MAX_HOURS:
            raise InvalidError(f"look 1 to {MAX_HOURS} hours back and ahead", code="bad_span")
        now = self._clock.now()
        since, until = now - timedelta(hours=hours), now + timedelta(hours=hours)
        states = self._states.readable(actor, area_id)
        lines = await self._reports.occurrences(
            actor, ReportQuery(area_id=area_id, since=since, until=now, limit=SHOWN)
        )
        sounded = tuple(self._sounded(line, now) for line in lines)
        past = await self._grid.between(actor, since, now, area_id)
        ahead = await self._grid.between(actor, now, until, area_id)
        places = frozenset(state.cluster.id for state in states)
        counts: defaultdict[StateKind, int] = defaultdict(int)
        for state in states:
            counts[state.kind] += 1
        return Today(
            at=now,
            since=since,
            until=until,
            sounded=sounded,
            now=_sounds_now(states),
            ahead=replace(ahead, items=tuple(item for item in ahead.items if item.when.start > now)),
            failed=tuple(each for each in sounded if each.failed),
            unheard=_unheard(past, {(line.rule_id, line.recurrence) for line in lines}, since, now)[:SHOWN],
            holes=tuple(item for item in ahead.items if item.gaps or item.when.lacking or item.when.quiet)[:SHOWN],
            faults=tuple(each for each in self._views.faults(actor) if each.cluster.id in places)[:SHOWN],
            held={cluster: hold for cluster, hold in self._holds.held(actor).items() if cluster in places},
            red=tuple(self._red(actor, places, since, now)),
            states=dict(counts),
        )

    def _sounded(self, line: ReportLine, now: datetime) -> Sounded:
        due = line.planned_start is not None and line.planned_start <= now - LATE
        silent = line.silent or ()
        return Sounded(line, self._reasons.of_rule(line.rule_id, line.recurrence), silent if due else ())

    def _red(self, actor: Actor, places: frozenset[str], since: datetime, now: datetime) -> Iterable[RedList]:
        for alert in self._alerts.alerts(actor):
            board = None if alert.start is None or alert.start < since else self._alerts.board(alert.id)
            rows = [] if board is None else [row.cluster_id for row in board.red(now) if row.cluster_id in places]
            if board is not None and rows:
                yield RedList(alert, len(alert.clusters), board.sounded(), tuple(rows[:SHOWN]))


def _unheard(
    past: Grid, reported: set[tuple[str, datetime | None]], since: datetime, now: datetime
) -> tuple[GridItem, ...]:
    return tuple(
        item
        for item in past.items
        if item.when.sounds
        and not item.gaps
        and max(since, item.programme.created_at) <= item.when.start <= now - LATE
        and (item.programme.id, item.when.recurrence) not in reported
    )


def _sounds_now(states: Sequence[ClusterState]) -> tuple[SoundsNow, ...]:
    """What sounds by what is behind it; the highest class first."""
    found: dict[tuple[ReasonKind, str | None, int, str], SoundsNow] = {}
    for state in states:
        what, reason = state.sounding, state.reason
        if what is None or reason is None:
            continue
        key = (reason.kind, reason.id, what.priority, what.title)
        known = found.get(key)
        here = (state.cluster.id,)
        if known is None:
            found[key] = SoundsNow(reason, what.title, what.priority, what.since, here)
        else:
            found[key] = replace(known, since=min(known.since, what.since), clusters=known.clusters + here)
    return tuple(sorted(found.values(), key=lambda each: (-each.priority, each.since)))
