"""Following a controller's timeline: four timestamps in, a mapping with its uncertainty out.

Rules kept here:

1. A burst counts once, by its exchange with the least round trip; an exchange is judged by its round trip minus the
   least one this path had in ten minutes, because only the excess is queueing. (A constant asymmetry of the path
   cannot be seen by any protocol; ``path_asymmetry_us`` corrects a known one.)
2. State is offset and drift, a two-state Kalman filter. Drift is used only once it is significant.
3. Microseconds are integers at the surface. Inside, floats are relative to an anchor, so that nothing is lost however
   long the machines have run.
4. A new timeline starts the offset anew and keeps the drift: the crystals are the same.

Constants are those of the table in research on synchronisation (a): process noise 0 for the offset and 1e-11 per
square root of a microsecond for drift; measurement variance (max(150 µs, excess / 2))²; gate at excess / 2 above
25 ms unless nothing was accepted for 60 s; covariances grow by λ² = 4 when a residual exceeds three times the
measurement's error after 20 accepted bursts; drift used when drift² > 4 variances; ready from two accepted bursts on
while sigma is below 5 ms.

Not here: when to send a burst and on which socket (the agent's link); the timeline itself (:mod:`protocol.timeline`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from protocol.burst import Exchange
from protocol.errors import ClockError
from protocol.limits import MAX_INT
from protocol.messages import UtcQuality
from schedules.instants import MediaUs, MonoUs, from_unix_us

LEAST_ERROR_US: Final = 150.0
GATE_US: Final = 25_000.0
GATE_OPENS_AFTER_US: Final = 60_000_000
RTT_WINDOW_US: Final = 600_000_000
DRIFT_VARIANCE_PER_US: Final = 1e-11**2
FORGET_FACTOR: Final = 2.0
FORGET_RESIDUALS: Final = 3.0
FORGET_AFTER: Final = 20
DRIFT_SIGNIFICANCE: Final = 4.0
READY_BURSTS: Final = 2
READY_SIGMA_US: Final = 5_000

#: Before anything is measured, two crystals may differ by this (1 sigma); a drift kept from an earlier run is trusted
#: to three parts in a million, which is what temperature does to crystals indoors.
UNKNOWN_DRIFT: Final = 100e-6
KEPT_DRIFT: Final = 3e-6

#: No pair of machines worth following differs by more: beyond it a filter was fed nonsense.
LARGEST_DRIFT: Final = 1e-3

#: Bursts the window may hold; at one every ten seconds ten minutes are 60.
_WINDOW_BURSTS: Final = 256


class Verdict(StrEnum):
    """What became of a burst."""

    ACCEPTED = "accepted"
    STARTED = "started"  # accepted, and it is the first of a timeline
    GATED = "gated"  # too much queueing to be of use
    OLD = "old"  # older than what is known already


@dataclass(frozen=True, slots=True)
class UtcEstimate:
    """Wall time as the controller knows it."""

    utc: datetime
    quality: UtcQuality
    sigma_us: int
    age_us: int


@dataclass(frozen=True, slots=True)
class ClockReport:
    """What a technician wants to see of a clock; microseconds and parts in a million."""

    timeline: int | None
    ready: bool
    sigma_us: int | None
    rtt_min_us: int | None
    excess_us: int | None
    drift_ppm: float
    bursts: int
    age_us: int | None


@dataclass(slots=True)
class _Estimate:
    """Offset (µs, relative to the anchor) and drift at ``at``, and their covariance."""

    at: MonoUs
    offset: float
    drift: float
    p_offset: float
    p_cross: float
    p_drift: float

    def aged(self, elapsed_us: float) -> tuple[float, float, float]:
        """The covariance after a while without measurements."""
        p_offset = self.p_offset + 2 * self.p_cross * elapsed_us + self.p_drift * elapsed_us * elapsed_us
        p_cross = self.p_cross + self.p_drift * elapsed_us
        return p_offset, p_cross, self.p_drift + DRIFT_VARIANCE_PER_US * elapsed_us

    @property
    def used_drift(self) -> float:
        """The drift, where it is significant; else none."""
        return self.drift if self.drift * self.drift > DRIFT_SIGNIFICANCE * self.p_drift else 0.0


class ClockFilter:
    """One agent's view of one controller's timeline."""

    def __init__(self, *, drift_ppm: float | None = None, path_asymmetry_us: int = 0) -> None:
        """Start without a timeline.

        Args:
            drift_ppm: :attr:`drift_ppm` of an earlier run, kept on disk.
            path_asymmetry_us: known extra time of the way up over the way down, for this site's carrier.

        Raises:
            ClockError: ``bad_drift``: not a drift two machines can have; start without.
        """
        kept = 0.0 if drift_ppm is None else drift_ppm * 1e-6
        if not abs(kept) <= LARGEST_DRIFT:
            raise ClockError("bad_drift", f"a drift of {drift_ppm} parts in a million")
        self._asymmetry = path_asymmetry_us
        self._prior = kept, KEPT_DRIFT if drift_ppm is not None else UNKNOWN_DRIFT
        self._timeline: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._anchor = 0  # media minus mono of the first burst; offsets are relative to it
        self._estimate: _Estimate | None = None
        self._round_trips: deque[tuple[MonoUs, int]] = deque(maxlen=_WINDOW_BURSTS)
        self._accepted = 0
        self._excess: int | None = None
        self._utc: tuple[int, UtcQuality, MonoUs] | None = None

    @property
    def timeline(self) -> int | None:
        """The timeline followed, or None."""
        return self._timeline

    @property
    def drift_ppm(self) -> float:
        """How much faster the controller's clock runs than this machine's; worth keeping across restarts."""
        drift = self._prior[0] if self._estimate is None else self._estimate.drift
        return drift * 1e6

    def update(self, burst: Sequence[Exchange]) -> Verdict:
        """Take in the exchanges of one burst, all of one timeline.

        A burst of another timeline than before starts anew (rule 4).

        Raises:
            ClockError: ``bad_exchange``: no exchange, mixed timelines, or timestamps that run backwards.
        """
        _check(burst)
        best = min(burst, key=lambda exchange: exchange.round_trip)
        if best.timeline != self._timeline:
            self._follow(best.timeline)
        before = self._estimate
        if before is not None and best.middle <= before.at:
            return Verdict.OLD
        self._utc = best.utc_us - best.t2, best.utc_quality, best.t3
        excess = best.round_trip - self._least_round_trip(best)
        self._excess = excess
        if before is not None and excess / 2 > GATE_US and best.middle - before.at <= GATE_OPENS_AFTER_US:
            return Verdict.GATED
        error = max(LEAST_ERROR_US, excess / 2)
        self._accepted += 1
        if before is None:
            self._start(best, error)
            return Verdict.STARTED
        self._correct(before, best, error)
        return Verdict.ACCEPTED

    def _follow(self, timeline: int) -> None:
        if self._estimate is not None:
            self._prior = self._estimate.drift, max(KEPT_DRIFT, math.sqrt(self._estimate.p_drift))
        self._forget()
        self._timeline = timeline

    def _least_round_trip(self, best: Exchange) -> int:
        window = self._round_trips
        window.append((best.middle, best.round_trip))
        while window[0][0] < best.middle - RTT_WINDOW_US:
            window.popleft()
        return min(round_trip for _, round_trip in window)

    def _offset(self, exchange: Exchange) -> float:
        """Media minus mono by one exchange, relative to the anchor."""
        twice = (exchange.t1 - exchange.t0) + (exchange.t2 - exchange.t3) - self._asymmetry
        return (twice - 2 * self._anchor) / 2

    def _start(self, best: Exchange, error: float) -> None:
        self._anchor = best.t1 - best.t0
        drift, sigma = self._prior
        self._estimate = _Estimate(best.middle, self._offset(best), drift, error * error, 0.0, sigma * sigma)

    def _correct(self, before: _Estimate, best: Exchange, error: float) -> None:
        elapsed = float(best.middle - before.at)
        p_offset, p_cross, p_drift = before.aged(elapsed)
        predicted = before.offset + before.drift * elapsed
        residual = self._offset(best) - predicted
        if self._accepted > FORGET_AFTER and abs(residual) > FORGET_RESIDUALS * error:
            grown = FORGET_FACTOR * FORGET_FACTOR
            p_offset, p_cross, p_drift = p_offset * grown, p_cross * grown, p_drift * grown
        total = p_offset + error * error
        gain_offset, gain_drift = p_offset / total, p_cross / total
        drift = before.drift + gain_drift * residual
        self._estimate = _Estimate(
            best.middle,
            predicted + gain_offset * residual,
            min(LARGEST_DRIFT, max(-LARGEST_DRIFT, drift)),
            (1 - gain_offset) * p_offset,
            (1 - gain_offset) * p_cross,
            p_drift - gain_drift * p_cross,
        )

    def sigma_us(self, now: MonoUs) -> float:
        """One standard deviation of the mapping at ``now``, in microseconds; infinite before the first burst."""
        if self._estimate is None:
            return math.inf
        return math.sqrt(max(0.0, self._estimate.aged(float(now - self._estimate.at))[0]))

    def ready(self, now: MonoUs) -> bool:
        """Whether the mapping may be played by: two bursts, and sigma below 5 ms."""
        return self._accepted >= READY_BURSTS and self.sigma_us(now) < READY_SIGMA_US

    def to_media(self, mono: MonoUs) -> MediaUs:
        """Media time at a monotonic instant.

        Raises:
            ClockError: ``no_timeline``: no burst was taken in yet.
        """
        now = self._known()
        return MediaUs(mono + self._anchor + round(now.offset + now.used_drift * (mono - now.at)))

    def to_mono(self, media: MediaUs) -> MonoUs:
        """The monotonic instant of a media time.

        Raises:
            ClockError: ``no_timeline``: no burst was taken in yet.
        """
        now = self._known()
        beyond = media - self._anchor - now.at - now.offset  # what the timeline ran since the last correction
        return MonoUs(now.at + round(beyond / (1 + now.used_drift)))

    def utc_at(self, mono: MonoUs) -> UtcEstimate | None:
        """Wall time at a monotonic instant as the controller knows it; None before the first burst.

        ``quality`` is the controller's own judgement: ``unknown`` is not to be believed.
        """
        if self._estimate is None or self._utc is None:
            return None
        offset, quality, at = self._utc
        microseconds = self.to_media(mono) + offset
        if not 0 <= microseconds <= MAX_INT:
            return None
        return UtcEstimate(from_unix_us(microseconds), quality, round(self.sigma_us(mono)), mono - at)

    def report(self, now: MonoUs) -> ClockReport:
        """The state for people."""
        known = self._estimate
        return ClockReport(
            timeline=self._timeline,
            ready=self.ready(now),
            sigma_us=None if known is None else round(self.sigma_us(now)),
            rtt_min_us=min((each for _, each in self._round_trips), default=None),
            excess_us=self._excess,
            drift_ppm=self.drift_ppm,
            bursts=self._accepted,
            age_us=None if known is None else now - known.at,
        )

    def _known(self) -> _Estimate:
        if self._estimate is None:
            raise ClockError("no_timeline", "no time reply has been taken in yet")
        return self._estimate


def _check(burst: Sequence[Exchange]) -> None:
    if not burst or len({exchange.timeline for exchange in burst}) != 1:
        raise ClockError("bad_exchange", "a burst needs exchanges, all of one timeline")
    if any(exchange.t3 < exchange.t0 or exchange.t2 < exchange.t1 or exchange.round_trip < 0 for exchange in burst):
        raise ClockError("bad_exchange", "timestamps that run backwards")
