"""How late live bundles arrive: measured on the agent's own clock, kept for ten minutes, told to the controller.

Rules kept here:

1. The delay of a bundle is its arrival less the instant the controller says it was sent, ``play_at - lead``, mapped by
   the clock filter. It is measured only while the filter is ready: a bad clock would be reported as a bad line.
2. Memory is bounded: :data:`SLOTS` histograms of :data:`SLOT_US` each, in steps of ten per cent. A quantile is never
   told too small, and at most a step too large.
3. What the agent needs is the delay that one bundle in 200 exceeds, and what it needs itself: at least
   :data:`RESERVE_MS`, more when its sound output is slower; never less than :data:`LEAST_MS`, nor more than
   :data:`MOST_MS` (research: 400 ms on a LAN, 8 s on 4G).

Not here: what the controller makes of it (a zone's lead is the largest of its members', within a cap).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import deque
from typing import Final

from protocol.bundle import Bundle
from protocol.clock import ClockFilter
from protocol.errors import ClockError
from protocol.telemetry import Arrivals
from schedules.instants import MediaUs, MonoUs

SLOT_US: Final = 30_000_000
SLOTS: Final = 20

RESERVE_MS: Final = 200
LEAST_MS: Final = 400
MOST_MS: Final = 8_000

#: From arrival to the sound output: decoding in a thread, and the mixer's next block.
DECODE_MS: Final = 40

#: Delays are counted up to this; what is slower counts as this.
_SLOWEST_MS: Final = 60_000.0
_STEP: Final = 1.1


def _bounds() -> tuple[float, ...]:
    bounds, bound = [], 1.0
    while bound < _SLOWEST_MS:
        bounds.append(bound)
        bound *= _STEP
    return (*bounds, _SLOWEST_MS)


_BOUNDS: Final = _bounds()


class ArrivalMeter:
    """The delays of one agent's live bundles, of whatever stream: they are the line's, not the stream's."""

    def __init__(self, timebase: ClockFilter) -> None:
        self._timebase = timebase
        self._slots: deque[tuple[MonoUs, array[int]]] = deque(maxlen=SLOTS)
        self._bundles = 0
        self._late = 0

    def note(self, bundle: Bundle, arrived: MonoUs, *, output_us: int) -> None:
        """Count a bundle that was believed. ``output_us``: what the sound output holds ahead of the loudspeaker."""
        self._bundles += 1
        if not self._timebase.ready(arrived):
            return
        try:
            sent = self._timebase.to_mono(MediaUs(bundle.play_at - bundle.lead_ms * 1000))
        except ClockError:
            return
        if arrived + output_us > sent + bundle.lead_ms * 1000:
            self._late += 1
        delay_ms = max(0, arrived - sent) / 1000
        self._slot(arrived)[min(bisect_left(_BOUNDS, delay_ms), len(_BOUNDS) - 1)] += 1

    def told(self, now: MonoUs, *, output_us: int) -> Arrivals | None:
        """What is known at ``now``; None before the first bundle. Quantiles are null when none came lately."""
        if self._bundles == 0:
            return None
        reserve = -(-output_us // 1000) + DECODE_MS
        totals = self._totals(now)
        count = sum(totals)
        if count == 0:
            return Arrivals(bundles=self._bundles, late=self._late, reserve_ms=reserve)
        p50, p95, p995 = (_quantile(totals, count, share) for share in (0.5, 0.95, 0.995))
        return Arrivals(
            bundles=self._bundles,
            late=self._late,
            p50_ms=p50,
            p95_ms=p95,
            p995_ms=p995,
            reserve_ms=reserve,
            needed_lead_ms=min(max(p995 + max(reserve, RESERVE_MS), LEAST_MS), MOST_MS),
        )

    def _slot(self, now: MonoUs) -> array[int]:
        if not self._slots or now - self._slots[-1][0] >= SLOT_US:
            self._slots.append((now, array("I", bytes(4 * len(_BOUNDS)))))
        return self._slots[-1][1]

    def _totals(self, now: MonoUs) -> list[int]:
        while self._slots and now - self._slots[0][0] > SLOTS * SLOT_US:
            self._slots.popleft()
        return [sum(column) for column in zip(*(counts for _, counts in self._slots), strict=True)]


def _quantile(totals: list[int], count: int, share: float) -> int:
    """The bound, in whole milliseconds, that at least ``share`` of the delays do not exceed."""
    left = share * count
    for bound, some in zip(_BOUNDS, totals, strict=True):
        left -= some
        if left <= 0:
            return math.ceil(bound)
    return math.ceil(_BOUNDS[-1])
