"""The clock port: the only place of the agent that reads a clock.

Everything else gets a :class:`Clock`, so that a test can boot in 1970 and live through a year in a second.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from schedules.instants import MonoUs


class Clock(Protocol):
    """What the agent wants to know of time."""

    def mono_us(self) -> MonoUs:
        """Microseconds of the monotonic clock of this machine."""
        ...

    def wall(self) -> datetime:
        """What the operating system says the time is, in UTC. It may be wrong; see :mod:`agent.conductor.wall`."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def mono_us(self) -> MonoUs:
        """``CLOCK_MONOTONIC`` in microseconds."""
        return MonoUs(time.monotonic_ns() // 1000)

    def wall(self) -> datetime:
        """``CLOCK_REALTIME`` as an aware UTC value."""
        return datetime.now(UTC)
