"""Whether the operating system's clock can be believed: asked of the kernel, systemd and the real-time clock.

A board without a battery boots at 1970, or at the time of its last shutdown, and says so with a straight face.
The clock counts as kept when

* the kernel says it is synchronised (``adjtimex``; chrony and ntpd set that), or
* systemd-timesyncd left its mark (``/run/systemd/timesync/synchronized``), or
* the kernel set it from a real-time clock at boot (``hctosys``) and it is not before this software was made.
"""

from __future__ import annotations

import ctypes
import errno
from datetime import UTC, datetime
from pathlib import Path

import structlog

from agent.clocks import Clock
from agent.conductor.wall import Reading, Source
from schedules.instants import to_unix_us

log = structlog.get_logger("agent.health")

#: No trusted clock shows a time before this software was written.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)

#: ``adjtimex`` answers this state when the clock is not synchronised (linux/timex.h).
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


class Timekeeper:
    """Reads the operating system's clock together with its right to be believed."""

    def __init__(self, clock: Clock, *, root: Path = Path("/")) -> None:
        """``root`` lets a test show another ``/run`` and ``/sys``."""
        self._clock = clock
        self._root = root

    def read(self) -> Reading:
        """The system clock now; source NONE when nobody vouches for it."""
        at, wall = self._clock.mono_us(), self._clock.wall()
        return Reading(self._source(wall), to_unix_us(wall), at)

    def _source(self, wall: datetime) -> Source:
        if wall < EARLIEST:
            return Source.NONE
        if self._marked_by_timesyncd() or kernel_synchronised():
            return Source.TIME_SERVER
        if self._set_from_hardware():
            return Source.HARDWARE_CLOCK
        return Source.NONE

    def _marked_by_timesyncd(self) -> bool:
        return (self._root / "run/systemd/timesync/synchronized").exists()

    def _set_from_hardware(self) -> bool:
        for flag in sorted((self._root / "sys/class/rtc").glob("rtc*/hctosys")):
            try:
                if flag.read_text().strip() == "1":
                    return True
            except OSError as error:
                log.debug("a real-time clock could not be asked", file=str(flag), error=str(error))
        return False


def kernel_synchronised() -> bool:
    """``adjtimex`` in its reading form: no privilege is needed, a sandbox may forbid it (then: no)."""
    value = _Timex(modes=0)
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.byref(value))
    if state < 0:
        if ctypes.get_errno() not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            log.debug("adjtimex failed", errno=ctypes.get_errno())
        return False
    return state != _TIME_ERROR and not value.status & _STA_UNSYNC
