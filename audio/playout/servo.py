"""Keeps a voice on its line: a slow PI controller on its rate, and one jump when it is far off.

The error is measured inside the callback that renders (positive = the sound is late). The device's known rate is fed
forward; the controller removes what is left. Constants, from simulation on a virtual converter and on times recorded
from PulseAudio: Kp = 1 per second (eight times the gain that control by the median of errors allows, because here the
device's instants are smoothed instead, so the loop has no dead time), Ki = 1/32. ±500 ppm are inaudible; ±2000 ppm
hold for 10 s after a device ran dry; beyond 20 ms a jump is less audible than minutes of slewing.

Not here: how the rate is applied (:mod:`audio.playout.voice`), where the instants come from
(:mod:`audio.playout.dac`).
"""

from __future__ import annotations

from schedules.instants import SAMPLE_RATE

KP = 1.0
KI = 1 / 32
LEARN_S = 0.5e-3  # a larger error is a step, not a rate: learning from it would overshoot
CLAMP = 500e-6
CLAMP_DISTURBED = 2000e-6
DISTURBED_S = 10.0
JUMP_US = 20_000.0
REANCHOR_US = 500_000.0
JUMP_REST_S = 5.0
JUMP_BLOCKS = 3  # far off in as many blocks running, so that one absurd reading moves nothing


class Servo:
    """One voice's rate control."""

    def __init__(self, dac_ppm: float = 0.0, *, exact: bool = False) -> None:
        """Start from the device's known rate. ``exact``: the output has no clock of its own, never resample."""
        self.exact = exact
        self._integral = 0.0  # what the device's rate does not explain, such as a clock filter that still learns
        self._correction = self._forward(dac_ppm)
        self._since_jump_s = JUMP_REST_S
        self._disturbed_s = 0.0
        self._far = 0
        #: The last error, in µs.
        self.error_us = 0.0
        #: Times the voice jumped.
        self.jumps = 0

    @property
    def rate(self) -> float:
        """Source samples for each output sample."""
        return 1.0 + self._correction

    @property
    def ppm(self) -> float:
        """The correction in parts per million."""
        return self._correction * 1e6

    def disturbed(self) -> None:
        """The device ran dry: stronger correction is allowed for a while."""
        self._disturbed_s = DISTURBED_S

    def update(self, error_us: float, frames: int, *, dac_ppm: float, settled: bool) -> bool:
        """Take the error of a block of ``frames``; True when the voice must jump to where the clock is.

        ``dac_ppm`` is what is known of the device's rate now. Nothing is corrected until the instants have
        ``settled``: a start is never hurried.
        """
        seconds = frames / SAMPLE_RATE
        self.error_us = error_us
        self._since_jump_s += seconds
        self._disturbed_s = max(0.0, self._disturbed_s - seconds)
        if self._must_jump(abs(error_us)):
            self.jumps += 1
            self._far = 0
            self._since_jump_s = 0.0
            self._correction = self._forward(dac_ppm) + self._integral
            return True
        if settled and not self.exact:
            self._steer(error_us * 1e-6, seconds, self._forward(dac_ppm))
        return False

    def _forward(self, dac_ppm: float) -> float:
        return 0.0 if self.exact else 1.0 / (1.0 + dac_ppm * 1e-6) - 1.0

    def _must_jump(self, distance_us: float) -> bool:
        self._far = self._far + 1 if distance_us > JUMP_US else 0
        if self.exact:  # the pacing thread was held up: its instants are true at once
            return distance_us > 1_000.0  # noqa: PLR2004 - 1 ms
        if self._far < JUMP_BLOCKS:
            return False
        return distance_us > REANCHOR_US or self._since_jump_s >= JUMP_REST_S

    def _steer(self, error_s: float, seconds: float, forward: float) -> None:
        clamp = CLAMP_DISTURBED if self._disturbed_s > 0 else CLAMP
        wanted = forward + KP * error_s + self._integral
        self._correction = max(-clamp, min(clamp, wanted))
        if self._correction == wanted and abs(error_s) < LEARN_S:  # anti-windup
            self._integral += KI * error_s * seconds
            self._integral = max(-CLAMP, min(CLAMP, self._integral))
