"""Wall time on a box whose clock may say 1970: when to believe it, and how to keep it still while sound is on.

Rules kept here:

1. Wall time is ``monotonic + offset``. The operating system's clock is read to learn the offset, never to time.
2. An offset is *trusted* when it comes from the controller's clock during this boot, or from an operating-system
   clock that a time server or a real-time clock keeps (:mod:`agent.health.timekeeping`). A trusted time is never
   before the last one that was written down, less :data:`SLACK_US`.
3. A source of a better rank wins. Among agents of one controller the controller's time ranks first, because what
   matters on the ground is that neighbours agree.
4. Small differences are slewed at :data:`SLEW_PPM` at most. A larger one is a step, and a step waits until
   nothing sounds and nothing is armed: it moves no sounding item.

Not here: the conversion of media time (:mod:`protocol`), which has its own filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from schedules.instants import MonoUs, from_unix_us, to_unix_us

#: A difference up to this is slewed, beyond it it is a step.
STEP_US = 250_000

#: 500 ppm, the kernel's own limit for slewing: half a millisecond a second.
SLEW_PPM = 500

#: How far before the last persisted time a trusted time may lie (its own uncertainty).
SLACK_US = 2_000_000


class Source(IntEnum):
    """Where an offset comes from; the number is its rank."""

    NONE = 0
    HARDWARE_CLOCK = 1  # a battery-backed clock set the system clock at boot
    HELD = 2  # a better source spoke during this boot and fell silent; the monotonic clock keeps it
    TIME_SERVER = 3
    CONTROLLER = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """One opinion about wall time: ``utc_us`` microseconds since 1970 at the monotonic instant ``at``."""

    source: Source
    utc_us: int
    at: MonoUs

    @property
    def offset_us(self) -> int:
        """UTC minus monotonic."""
        return self.utc_us - self.at


class SteadyWall:
    """Wall time for the conductor. Starts untrusted, at the last time that was written down."""

    def __init__(self, *, at: MonoUs, floor_us: int) -> None:
        """``floor_us`` is the last persisted UTC in microseconds (0 when there is none), ``at`` is now."""
        self._floor_us = floor_us
        self._offset_us = floor_us - at
        self._slewed_at = at
        self._target_us: int | None = None
        self._adopted = False
        self.source = Source.NONE
        #: The newest reading was refused because it lies before the last persisted time.
        self.implausible = False

    @property
    def trusted(self) -> bool:
        """Scheduled items may sound: a reading was believed, and is in use."""
        return self._adopted

    @property
    def offset_us(self) -> int:
        """UTC minus monotonic, as it is used now."""
        return self._offset_us

    @property
    def pending_step_us(self) -> int:
        """A step that waits for silence, in microseconds; 0 when there is none."""
        if self._target_us is None or abs(self._target_us - self._offset_us) <= STEP_US:
            return 0
        return self._target_us - self._offset_us

    def offer(self, reading: Reading, *, idle: bool) -> None:
        """Take a reading into account. ``idle``: nothing sounds and nothing is armed, so a step is harmless."""
        if reading.source is Source.NONE or reading.source < self.source:
            return
        if reading.utc_us < self._floor_us - SLACK_US:
            self.implausible = True
            return
        self.implausible = False
        self.source = reading.source
        self._target_us = reading.offset_us
        self.settle(reading.at, idle=idle)

    def withdraw(self, source: Source) -> None:
        """``source`` does not speak any more: a lower one may take over. Time stays trusted and keeps running."""
        if self.source is source and source > Source.HELD:
            self.source = Source.HELD

    def settle(self, now: MonoUs, *, idle: bool) -> None:
        """Move toward the newest reading: at once when ``idle``, else slowly, else (a step) not yet."""
        elapsed = max(0, now - self._slewed_at)
        self._slewed_at = MonoUs(max(now, self._slewed_at))
        if self._target_us is None:
            return
        difference = self._target_us - self._offset_us
        if idle:
            self._offset_us = self._target_us
            self._adopted = True
        elif abs(difference) <= STEP_US:
            bound = elapsed * SLEW_PPM // 1_000_000
            self._offset_us += max(-bound, min(bound, difference))

    def now(self, at: MonoUs) -> datetime:
        """Wall time at a monotonic instant."""
        return from_unix_us(max(0, at + self._offset_us))

    def to_mono(self, instant: datetime) -> MonoUs:
        """The monotonic instant of a wall time. Convert once, then keep the result."""
        return MonoUs(to_unix_us(instant) - self._offset_us)

    def remember(self, at: MonoUs) -> int | None:
        """The UTC microseconds to persist as the new floor, or None while time is not trusted."""
        if not self.trusted:
            return None
        self._floor_us = max(self._floor_us, at + self._offset_us)
        return self._floor_us
