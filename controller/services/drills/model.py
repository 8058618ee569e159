"""What a drill is, and what a box made of it: values. Nothing here can become an alert, and no alert becomes this.

Rules kept here:

1. Three kinds: ``drill`` (an emergency's words, between two notices that say "this is a drill"), ``test`` (a short
   sentence between the same notices, end to end), ``silent`` (no sound: the box proves itself).
2. Ids begin with ``dr_``; alerts have ids, tables, paths, permissions and keys of their own.
3. A box that has told nothing :data:`MISSING_AFTER` the start is missing.

Not here: who may (:mod:`controller.services.drills.desk`), grades (:mod:`controller.services.drills.scorecard`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from controller.services.alerts.model import Where, Words

#: A box is missing when it told nothing so long after the start (reliability I3: visible within a minute).
MISSING_AFTER: Final = timedelta(seconds=60)

#: A start is in time when it is no further from its instant than this, and people would not notice.
IN_TIME_US: Final = 1_000_000


class DrillKind(StrEnum):
    """What is tried."""

    DRILL = "drill"
    TEST = "test"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class DrillDraft:
    """What someone wants to try, and where. ``template`` or ``words`` for a drill; a test has words of its own."""

    where: Where
    kind: DrillKind = DrillKind.DRILL
    title: str = ""
    template: str | None = None
    words: tuple[Words, ...] = ()
    times: int = 1


@dataclass(slots=True)
class Drill:
    """One drill that was ordered."""

    id: str
    kind: DrillKind
    title: str
    clusters: frozenset[str]
    words: Mapping[str, str]
    started_by: str
    start: datetime
    expires: datetime
    numbers: set[tuple[int, int]] = field(default_factory=set)
    cancelled_at: datetime | None = None
    results: dict[str, Result] = field(default_factory=dict)  # by agent

    def missing(self, now: datetime) -> tuple[Result, ...]:
        """Boxes that should have told something by now."""
        if now < self.start + MISSING_AFTER:
            return ()
        return tuple(result for result in self.results.values() if not result.answered)

    def over(self, now: datetime) -> bool:
        """Nothing more will come of it."""
        return now >= self.expires or self.cancelled_at is not None


@dataclass(slots=True)
class Result:
    """What one box made of one drill."""

    agent_id: str
    cluster_id: str
    received_at: datetime | None = None
    verified_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    tested_at: datetime | None = None
    start_error_us: int | None = None
    code: str = ""
    checks: dict[str, tuple[bool, str]] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """It told what it did, or why not."""
        return bool(self.started_at or self.tested_at or self.code)

    @property
    def passed(self) -> bool:
        """All was as it must be."""
        if self.tested_at is not None:
            return not self.code and all(ok for ok, _ in self.checks.values())
        return self.finished_at is not None and not self.code and self.in_time

    @property
    def in_time(self) -> bool:
        """It started when it should have."""
        return self.start_error_us is not None and abs(self.start_error_us) <= IN_TIME_US
