"""The board: how far an order came at every cluster, in memory, at once. Used by alerts and by drills alike.

Rules kept here:

1. The ladder is queued → delivered (written to its connection) → verified (the box believed it) → started → finished →
   heard (reserved). Beside it: refused, muted, stopped, and missed once the order has expired unheard.
2. A cluster stands where its best box stands: one horn that sounds is a warning given.
3. Who has not started :data:`RED_AFTER` after the start is on the red list, with whom to call.
4. Every change raises :attr:`Board.revision`; who asks again with the last number gets only what changed.
5. Cheap: a change touches one rung, and nothing is computed twice over two thousand clusters but the view itself.

Not here: where the facts come from (:mod:`controller.services.alerts.watch`), rows (:mod:`…alerts.books`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from protocol.messages import Progress, ProgressStage
from protocol.telemetry import PlayOutcome, PlayRecord

#: Who is silent this long after the start needs a telephone.
RED_AFTER: Final = timedelta(seconds=15)

#: States by how much good they are; the last is the best.
STATES: Final = (
    "no_box",
    "missed",
    "queued",
    "refused",
    "muted",
    "stopped",
    "delivered",
    "verified",
    "started",
    "finished",
    "heard",
)
_RANK: Final = {state: rank for rank, state in enumerate(STATES)}
#: States in which people there were warned.
SOUNDED: Final = frozenset({"started", "finished", "heard"})
_DELIVERY: Final = {"queued": "queued", "sent": "delivered", "accepted": "verified", "refused": "refused",
                    "retired": "stopped"}  # fmt: skip
#: What a box says of a sound that people ended before its last word.
_CUT_SHORT: Final = frozenset({PlayOutcome.STOPPED.value, PlayOutcome.WITHDRAWN.value})
_STAGES: Final = {
    ProgressStage.STARTED: "started",
    ProgressStage.FINISHED: "finished",
    ProgressStage.REFUSED: "refused",
    ProgressStage.MUTED: "muted",
}


@dataclass(slots=True)
class Rung:
    """How far it came with one box."""

    agent_id: str
    cluster_id: str
    state: str = "queued"
    code: str = ""
    times: dict[str, datetime] = field(default_factory=dict)  # first instant of each state
    start_error_us: int | None = None
    rounds: int = 0  # that were finished
    revision: int = 0

    @property
    def sounded(self) -> bool:
        """Whether it began to sound at least once."""
        return "started" in self.times


@dataclass(frozen=True, slots=True)
class Row:
    """How far it came at one cluster."""

    cluster_id: str
    state: str
    code: str
    times: Mapping[str, datetime]
    start_error_us: int | None
    rounds: int
    boxes: int
    revision: int
    sounded: bool


class Board:
    """The board of one alert (or drill). Make it with the boxes of every cluster it is for."""

    def __init__(
        self,
        name: str,
        start: datetime,
        expires: datetime,
        boxes: Mapping[str, Iterable[str]],
        *,
        given: datetime | None = None,
    ) -> None:
        self.name = name
        self.start = start
        self.expires = expires
        self.revision = 1
        self.closed = False
        self._rungs: dict[str, Rung] = {}
        self._clusters: dict[str, list[Rung]] = {}
        self._dirty: set[str] = set()
        self._dirty_since = given or start
        first = {"queued": given or start}
        for cluster_id, agents in boxes.items():
            rungs = [Rung(agent_id, cluster_id, times=dict(first), revision=1) for agent_id in sorted(agents)]
            self._clusters[cluster_id] = rungs
            self._rungs.update({rung.agent_id: rung for rung in rungs})
            self._dirty.update(rung.agent_id for rung in rungs)

    # --- facts -------------------------------------------------------------------------------------------------

    def delivery(self, agent_id: str, state: str, code: str, now: datetime) -> None:
        """What the courier says: queued, sent, accepted, refused, retired."""
        rung = self._rungs.get(agent_id)
        told = _DELIVERY[state]
        if rung is None:
            return
        # An acknowledgement may come after the first sound: it is noted, and leaves the rung where it stands.
        if told != "refused" and rung.state in SOUNDED:
            if told not in rung.times:
                self._note(rung, told, now)
            return
        self._set(rung, told, code, now)

    def progress(self, agent_id: str, said: Progress, now: datetime) -> None:
        """What a box tells about its own sounding."""
        rung, state = self._rungs.get(agent_id), _STAGES.get(said.stage)
        if rung is None or state is None:
            return
        if state == "started" and rung.start_error_us is None:
            rung.start_error_us = said.start_error_us
        if state == "finished" and (said.code in _CUT_SHORT or (said.code and not rung.sounded)):
            state = "stopped"  # in the middle, or before it began
        elif state == "finished" and not said.code:
            rung.times.setdefault("started", now)  # that it began was told while nobody listened
            rung.rounds += rung.state != "finished"
        self._set(rung, state, said.code or "", now)

    def recorded(self, agent_id: str, record: PlayRecord, now: datetime) -> None:
        """A play record of something that sounded."""
        rung = self._rungs.get(agent_id)
        if rung is None:
            return
        if not rung.sounded:
            rung.start_error_us = record.start_error_us
            self._set(rung, "started", "", now)
        if record.outcome is PlayOutcome.PLAYED and rung.state == "started":
            rung.rounds += 1
            self._set(rung, "finished", "", now)

    def stopped(self, clusters: frozenset[str] | None, now: datetime) -> None:
        """Silence was ordered there (None: everywhere)."""
        for rung in self._rungs.values():
            if (clusters is None or rung.cluster_id in clusters) and rung.state not in {"finished", "heard", "refused"}:
                self._set(rung, "stopped", "", now)

    def prolong(self, expires: datetime) -> None:
        """It goes on longer."""
        self.expires = max(self.expires, expires)
        self.closed = False

    def close(self, now: datetime) -> None:
        """Its time is over: who never sounded missed it."""
        for rung in self._rungs.values():
            if not rung.sounded and rung.state in {"queued", "delivered", "verified"}:
                self._set(rung, "missed", rung.code, now)
        self.closed = True
        self.revision += 1

    def restore(self, rungs: Iterable[Rung]) -> None:
        """What was known before a restart."""
        for known in rungs:
            rung = self._rungs.get(known.agent_id)
            if rung is not None and _RANK[known.state] >= _RANK[rung.state]:
                rung.state, rung.code, rung.times = known.state, known.code, known.times
                rung.start_error_us = known.start_error_us

    # --- views -------------------------------------------------------------------------------------------------

    def rows(self, since: int = 0) -> list[Row]:
        """Every cluster that changed after a revision, by id."""
        return [self._row(cluster, rungs) for cluster, rungs in sorted(self._clusters.items())
                if since <= 0 or any(rung.revision > since for rung in rungs)]  # fmt: skip

    def counts(self) -> dict[str, int]:
        """Clusters by state."""
        found = Counter(_best(rungs).state if rungs else "no_box" for rungs in self._clusters.values())
        return {state: found.get(state, 0) for state in reversed(STATES)}

    def heard(self) -> frozenset[str]:
        """Clusters that began to sound."""
        return frozenset(cluster for cluster, rungs in self._clusters.items() if any(rung.sounded for rung in rungs))

    def sounded(self) -> int:
        """How many clusters began to sound."""
        return len(self.heard())

    def red(self, now: datetime) -> list[Row]:
        """Clusters that should have started and did not."""
        if now < self.start + RED_AFTER:
            return []
        return [
            self._row(cluster, rungs)
            for cluster, rungs in sorted(self._clusters.items())
            if not any(rung.sounded for rung in rungs)
        ]

    def take_dirty(self, before: datetime | None = None) -> list[Rung]:
        """Rungs that changed since they were last taken; none yet, if the first of them did after ``before``."""
        if before is not None and self._dirty_since > before:
            return []
        taken = [self._rungs[agent_id] for agent_id in self._dirty]
        self._dirty.clear()
        return taken

    def put_back(self, rungs: Iterable[Rung]) -> None:
        """They could not be written."""
        self._dirty.update(rung.agent_id for rung in rungs)

    def _row(self, cluster_id: str, rungs: list[Rung]) -> Row:
        if not rungs:
            return Row(cluster_id, "no_box", "", {}, None, 0, 0, 1, sounded=False)
        best = _best(rungs)
        return Row(
            cluster_id,
            best.state,
            best.code,
            best.times,
            best.start_error_us,
            best.rounds,
            len(rungs),
            max(rung.revision for rung in rungs),
            any(rung.sounded for rung in rungs),
        )

    def _set(self, rung: Rung, state: str, code: str, now: datetime) -> None:
        if (rung.state, rung.code) == (state, code):
            return
        rung.state, rung.code = state, code
        self._note(rung, state, now)

    def _note(self, rung: Rung, state: str, now: datetime) -> None:
        self.revision += 1
        rung.revision = self.revision
        rung.times.setdefault(state, now)
        if not self._dirty:
            self._dirty_since = now
        self._dirty.add(rung.agent_id)


def unaware(alert: Board | None, farewell: Board) -> frozenset[str]:
    """Clusters that heard an alert and not (yet) that it is over: people there go on believing in the danger."""
    return frozenset() if alert is None else alert.heard() - farewell.heard()


def _best(rungs: list[Rung]) -> Rung:
    return max(rungs, key=lambda rung: _RANK[rung.state])
