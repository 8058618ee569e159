"""How each box did in the last tests: received, verified, started in time, finished, clock, stock. Pure.

Rules kept here:

1. Only what was over, or is a minute old, counts, or what has passed already; a drill that was cancelled counts for
   those who had started.
2. Availability is the share of passed ones; a box that was never tried has none, which is not the same as zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controller.services.drills.model import MISSING_AFTER, Drill, DrillKind, Result

#: Drills looked at when nothing else is asked for: half a year of monthly ones, three months of weekly ones.
LAST: Final = 12


@dataclass(frozen=True, slots=True)
class Card:
    """One box over its last tries. Counts are of tries; ``None`` where nothing was tried."""

    agent_id: str
    cluster_id: str
    tries: int
    passed: int
    received: int
    verified: int
    audible: int
    started_in_time: int
    finished: int
    silent: int
    clock_ok: bool | None
    stock_ok: bool | None
    last_try: datetime | None
    last_passed: datetime | None
    last_code: str
    worst_start_error_us: int | None

    @property
    def availability(self) -> float | None:
        """Share of tries that passed."""
        return self.passed / self.tries if self.tries else None


def scorecard(drills: Iterable[Drill], now: datetime, *, last: int = LAST) -> tuple[Card, ...]:
    """The cards of every box that was tried, the worst first."""
    tries: dict[str, list[tuple[Drill, Result]]] = {}
    for drill in sorted(drills, key=lambda each: each.start, reverse=True):
        told = now >= drill.start + MISSING_AFTER or drill.over(now)
        for result in drill.results.values():
            mine = tries.setdefault(result.agent_id, [])
            counts = (told or result.passed) and (drill.cancelled_at is None or result.started_at is not None)
            if len(mine) < last and counts:
                mine.append((drill, result))
    cards = [_card(agent_id, mine) for agent_id, mine in tries.items() if mine]
    return tuple(sorted(cards, key=lambda card: (card.availability or 0.0, card.cluster_id, card.agent_id)))


def _card(agent_id: str, tries: list[tuple[Drill, Result]]) -> Card:
    results = [result for _, result in tries]
    audible = [result for drill, result in tries if drill.kind is not DrillKind.SILENT]
    errors = [abs(result.start_error_us) for result in audible if result.start_error_us is not None]
    newest, passed = tries[0], [drill.start for drill, result in tries if result.passed]
    return Card(
        agent_id=agent_id,
        cluster_id=results[0].cluster_id,
        tries=len(results),
        passed=len(passed),
        received=sum(result.received_at is not None for result in results),
        verified=sum(result.verified_at is not None for result in results),
        audible=len(audible),
        started_in_time=sum(result.started_at is not None and result.in_time for result in audible),
        finished=sum(result.finished_at is not None and not result.code for result in audible),
        silent=len(results) - len(audible),
        clock_ok=_last_check(results, "clock"),
        stock_ok=_last_check(results, "stock"),
        last_try=newest[0].start,
        last_passed=passed[0] if passed else None,
        last_code="" if newest[1].passed else newest[1].code or "missing",
        worst_start_error_us=max(errors, default=None),
    )


def _last_check(results: list[Result], name: str) -> bool | None:
    return next((result.checks[name][0] for result in results if name in result.checks), None)
