"""How well this machine knows wall time, asked of the kernel.

``adjtimex`` tells whether something (NTP, GNSS) disciplines the clock. A date before this software was written is not
to be believed whatever the kernel says: that is a machine that lost its battery.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from datetime import UTC, datetime

from protocol.messages import UtcQuality

#: No controller of this version ran before.
_NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
#: sys/timex.h: the clock is not synchronised.
_TIME_ERROR = 5
#: Larger than struct timex on every Linux; a read-only request (modes = 0) touches nothing else.
_TIMEX_BYTES = 512


#: The kernel is asked again after this; thousands of agents ask us in between.
_LIFE_US = 1_000_000
_LIBC = ctypes.CDLL(None)


def kernel_synchronised() -> bool:
    """Whether the kernel says that its clock is disciplined."""
    if not hasattr(_LIBC, "adjtimex"):
        return False
    state = int(_LIBC.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return 0 <= state < _TIME_ERROR


def utc_quality(now: datetime, synchronised: Callable[[], bool] = kernel_synchronised) -> UtcQuality:
    """What agents are told about the UTC in a clock reply."""
    if now < _NOT_BEFORE:
        return UtcQuality.UNKNOWN
    return UtcQuality.SYNCHRONISED if synchronised() else UtcQuality.FREE_RUNNING


class WallQuality:
    """:func:`utc_quality`, with the kernel asked once a second."""

    def __init__(self, synchronised: Callable[[], bool] = kernel_synchronised) -> None:
        self._ask = synchronised
        self._known = False
        self._asked_us: int | None = None

    def at(self, now: datetime, now_us: int) -> UtcQuality:
        """What agents are told at this wall time and this monotonic time."""
        if self._asked_us is None or now_us - self._asked_us >= _LIFE_US:
            self._known, self._asked_us = self._ask(), now_us
        return utc_quality(now, lambda: self._known)
