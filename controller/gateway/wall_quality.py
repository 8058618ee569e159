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


def kernel_synchronised() -> bool:
    """Whether the kernel says that its clock is disciplined."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex"):
        return False
    state = int(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return 0 <= state < _TIME_ERROR


def utc_quality(now: datetime, synchronised: Callable[[], bool] = kernel_synchronised) -> UtcQuality:
    """What agents are told about the UTC in a clock reply."""
    if now < _NOT_BEFORE:
        return UtcQuality.UNKNOWN
    return UtcQuality.SYNCHRONISED if synchronised() else UtcQuality.FREE_RUNNING
