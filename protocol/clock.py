"""Following a controller's timeline: four timestamps in, a mapping with its uncertainty out.

Rules kept here:

1. A burst counts once, and is judged by its excess: what its path was longer than the shortest this path ever was
   (:mod:`protocol.path`), because only the excess is queueing. (A constant asymmetry of the path cannot be seen by any
   protocol; ``path_asymmetry_us`` corrects a known one.)
2. Half the excess bounds the error. The part that comes and goes is averaged away; the part that stands is not: what a
   standing queue can explain teaches nothing, and the mapping holds over by its drift until it is less sure of itself
   than the queue is long.
3. State is offset and drift, a two-state Kalman filter. Drift is used only once it is significant.
4. Microseconds are integers at the surface. Inside, floats are relative to an anchor, so that nothing is lost however
   long the machines have run.
5. A new timeline starts the offset anew and keeps the drift: the crystals are the same.

Constants: process noise 0 for the offset and 1e-11 per square root of a microsecond for drift; measurement variance
(max(50 µs, (excess + doubt) / 2))², where the doubt is how much further down the floor may be; gate at excess / 2 above
25 ms unless nothing was accepted for 60 s; covariances grow by λ² = 4 when a residual exceeds three times the
measurement's error after 20 accepted bursts; drift used when drift² > 4 variances; ready from two accepted bursts on
while sigma is below 5 ms.

Not here: when to send a burst and on which socket (the agent's link); the timeline itself (:mod:`protocol.timeline`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from protocol.burst import Exchange
from protocol.errors import ClockError
from protocol.limits import MAX_INT
from protocol.messages import UtcQuality
from protocol.path import PathMemory, Reading, read_burst
from schedules.instants import MediaUs, MonoUs, from_unix_us

#: What scheduling leaves of eight exchanges on a quiet wire.
LEAST_ERROR_US: Final = 50.0
GATE_US: Final = 25_000.0
GATE_OPENS_AFTER_US: Final = 60_000_000
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


class Verdict(StrEnum):
    """What became of a burst."""

    ACCEPTED = "accepted"
    STARTED = "started"  # accepted, and it is the first of a timeline
    GATED = "gated"  # too much queueing to be of use
    HELD = "held"  # a standing queue explains all of it: nothing was learnt
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
    rtt_last_us: int | None
    excess_us: int | None
    standing_us: int
    drift_ppm: float
    bursts: int
    held: int  # bursts that a standing queue explained
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
        self._path = PathMemory()
        self._last: Reading | None = None
        self._accepted = 0
        self._held = 0
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
        newest = burst[-1]
        if newest.timeline != self._timeline:
            self._follow(newest.timeline)
        before = self._estimate
        reading = read_burst(burst, 0.0 if before is None else before.drift, self._asymmetry)
        if self._last is not None and reading.at <= self._last.at:
            return Verdict.OLD
        self._last = reading
        self._path.add(reading)
        self._utc = newest.utc_us - newest.t2, newest.utc_quality, newest.t3
        if before is None:
            self._start(reading)
            return Verdict.STARTED
        return self._weigh(before, reading)

    def _follow(self, timeline: int) -> None:
        if self._estimate is not None:
            self._prior = self._estimate.drift, max(KEPT_DRIFT, math.sqrt(self._estimate.p_drift))
        self._forget()
        self._timeline = timeline

    def _start(self, reading: Reading) -> None:
        self._anchor = round(reading.media) - reading.at
        drift, sigma = self._prior
        error = max(LEAST_ERROR_US, self._path.doubt_us / 2)
        self._accepted = 1
        offset = reading.media - reading.at - self._anchor
        self._estimate = _Estimate(reading.at, offset, drift, error * error, 0.0, sigma * sigma)

    def _weigh(self, before: _Estimate, reading: Reading) -> Verdict:
        """Rule 2: how much of a burst is believed."""
        elapsed = float(reading.at - before.at)
        bound, standing = (self._path.excess_us + self._path.doubt_us) / 2, self._path.standing_us / 2
        if bound - standing > GATE_US and elapsed <= GATE_OPENS_AFTER_US:
            return Verdict.GATED
        residual = (reading.media - reading.at - self._anchor) - (before.offset + before.drift * elapsed)
        error = max(LEAST_ERROR_US, bound)
        sigma = math.sqrt(before.aged(elapsed)[0])
        if standing > sigma:
            explained = bound + LEAST_ERROR_US + FORGET_RESIDUALS * sigma
            if abs(residual) <= explained:
                self._held += 1
                return Verdict.HELD
            residual -= math.copysign(explained, residual)  # what even the whole queue cannot explain
            error = max(LEAST_ERROR_US, bound - standing)
        self._accepted += 1
        self._correct(before, reading.at, residual, error)
        return Verdict.ACCEPTED

    def _correct(self, before: _Estimate, at: MonoUs, residual: float, error: float) -> None:
        elapsed = float(at - before.at)
        p_offset, p_cross, p_drift = before.aged(elapsed)
        if self._accepted > FORGET_AFTER and abs(residual) > FORGET_RESIDUALS * error:
            grown = FORGET_FACTOR * FORGET_FACTOR
            p_offset, p_cross, p_drift = p_offset * grown, p_cross * grown, p_drift * grown
        total = p_offset + error * error
        gain_offset, gain_drift = p_offset / total, p_cross / total
        drift = before.drift + gain_drift * residual
        self._estimate = _Estimate(
            at,
            before.offset + before.drift * elapsed + gain_offset * residual,
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
            rtt_min_us=None if self._path.floor_us is None else round(self._path.floor_us),
            rtt_last_us=None if self._last is None else round(self._last.path_us),
            excess_us=None if self._last is None else round(self._path.excess_us),
            standing_us=round(self._path.standing_us),
            drift_ppm=self.drift_ppm,
            bursts=self._accepted,
            held=self._held,
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
