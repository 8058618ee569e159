"""How well this cluster keeps time: what its clock, its sound device and its ears of the last minute say of it.

Rules kept here:

1. Sampled once a second while something sounds; the last :data:`WINDOW` samples are kept.
2. Timing that is not to be relied on is told as ``timing_degraded`` with the reason, and taken back when it has been
   well for :data:`CLEAR_AFTER_S`: a fault that flickers is not looked at.
3. Counters (jumps, underruns, missing sound) are of this process's life and only grow.

Not here: putting it on the wire (:mod:`agent.health.report`), doing anything about it (the servo, the filter).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from audio.playout import CuePhase, CueState, OutputStatus, PlayerState, Timing
from protocol.clock import ClockReport
from protocol.telemetry import SyncState, SyncTiming
from schedules.instants import SAMPLE_RATE

#: Samples that p50 and p95 speak of: a minute of sound.
WINDOW: Final = 60

#: A device whose instants lie further beside a line than this cannot be played by to the millisecond.
SCATTER_US: Final = 1_000.0

#: A device that runs dry more often than this in a minute loses its place again and again.
UNDERRUNS_A_MINUTE: Final = 3

CLEAR_AFTER_S: Final = 30

_TIMINGS: Final = {
    Timing.EXACT: SyncTiming.EXACT,
    Timing.DAC: SyncTiming.OK,
    Timing.DEGRADED: SyncTiming.DEGRADED,
    Timing.UNKNOWN: SyncTiming.UNKNOWN,
}


class SyncWatch:
    """Samples one player."""

    def __init__(self) -> None:
        self._errors: deque[float] = deque(maxlen=WINDOW)
        self._jumps: dict[str, int] = {}
        self._missing: dict[str, int] = {}
        self._dry: deque[int] = deque(maxlen=WINDOW)
        self._jumps_before = 0
        self._missing_before = 0
        self._since_bad = CLEAR_AFTER_S
        self._told: str | None = None

    def sample(self, player: PlayerState) -> str | None:
        """Look once (a second); why the timing is degraded, or None while it is well."""
        self._count(player.cues)
        self._dry.append(player.output.underruns)
        for cue in player.cues:
            if cue.phase is CuePhase.SOUNDING:
                self._errors.append(abs(cue.error_us))
        reason = self._reason(player)
        if reason is not None:
            self._told, self._since_bad = reason, 0
        elif self._since_bad < CLEAR_AFTER_S:
            self._since_bad += 1
            if self._since_bad >= CLEAR_AFTER_S:
                self._told = None
        return self._told

    def _reason(self, player: PlayerState) -> str | None:
        output = player.output
        if output.status is not OutputStatus.RUNNING:
            return None
        if output.timing is Timing.DEGRADED:
            return f"{output.name} does not tell when a sample reaches its converter; its stated latency is guessed by"
        if player.dac_steady and player.dac_scatter_us > SCATTER_US:
            return f"the times {output.name} tells scatter by {player.dac_scatter_us / 1000:.1f} ms"
        dry = self._dry[-1] - self._dry[0]
        if dry > UNDERRUNS_A_MINUTE:
            return f"{output.name} ran dry {dry} times within a minute: this machine is too busy, or its power is weak"
        return None

    def _count(self, cues: tuple[CueState, ...]) -> None:
        now = {cue.cue_id for cue in cues}
        for gone in set(self._jumps) - now:
            self._jumps_before += self._jumps.pop(gone)
            self._missing_before += self._missing.pop(gone)
        for cue in cues:
            self._jumps[cue.cue_id] = cue.jumps
            self._missing[cue.cue_id] = cue.silence_frames

    def state(self, player: PlayerState, clock: ClockReport) -> SyncState:
        """All of it, for the wire."""
        errors = sorted(self._errors)
        degraded = self._told is not None
        return SyncState(
            sigma_us=clock.sigma_us,
            rtt_min_us=clock.rtt_min_us,
            rtt_last_us=clock.rtt_last_us,
            excess_us=clock.excess_us,
            standing_us=clock.standing_us,
            age_ms=None if clock.age_us is None else max(0, clock.age_us // 1000),
            bursts=clock.bursts,
            held=clock.held,
            drift_ppm=round(clock.drift_ppm, 3),
            dac_ppm=round(player.dac_ppm, 3),
            dac_latency_us=max(0, player.output.latency_us),
            timing=SyncTiming.DEGRADED if degraded else _TIMINGS[player.output.timing],
            reason=(self._told or "")[:100],
            error_p50_us=_part(errors, 0.50),
            error_p95_us=_part(errors, 0.95),
            jumps=self._jumps_before + sum(self._jumps.values()),
            underruns=player.output.underruns,
            gap_ms=(self._missing_before + sum(self._missing.values())) * 1000 // SAMPLE_RATE,
        )


def _part(errors: list[float], share: float) -> int | None:
    return round(errors[min(len(errors) - 1, int(len(errors) * share))]) if errors else None
