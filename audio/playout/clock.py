"""The local monotonic clock, as a port: microseconds of ``CLOCK_MONOTONIC``, and calls at an instant of it.

Python's :func:`time.monotonic` reads ``CLOCK_MONOTONIC`` on Linux, which is what PortAudio's ALSA back end and
asyncio's timers count in too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from schedules.instants import MonoUs


class Timer(Protocol):
    """A call that has been asked for."""

    def cancel(self) -> None:
        """Do not call."""


class Clock(Protocol):
    """What a player reads and waits by."""

    def now(self) -> MonoUs:
        """This instant."""

    def call_at(self, at: MonoUs, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` on the event loop's thread at ``at`` or soon after, never before."""


def monotonic_us() -> MonoUs:
    """This instant of ``CLOCK_MONOTONIC``."""
    return MonoUs(time.monotonic_ns() // 1_000)


#: uvloop counts in whole milliseconds and may wake a timer this much early. So little is waited out on the spot:
#: going back to sleep would put the timer behind whatever its neighbours of the same instant do next.
_EARLY_US = 1_500


class _LoopTimer:
    """A timer that never runs early, whatever the loop rounds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, at: MonoUs, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._at = at
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._sleep()

    def _sleep(self) -> None:
        self._handle = self._loop.call_later(max(0, self._at - monotonic_us()) / 1e6, self._wake)

    def _wake(self) -> None:
        early = self._at - monotonic_us()
        if early > _EARLY_US:
            self._sleep()
            return
        while monotonic_us() < self._at:
            pass  # too short to sleep
        self._callback()

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class LoopClock:
    """The real clock, with timers on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()

    def now(self) -> MonoUs:
        """This instant."""
        return monotonic_us()

    def call_at(self, at: MonoUs, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` on the loop at ``at`` or soon after."""
        return _LoopTimer(self._loop, at, callback)
