"""The three times, as types that never mix.

* Wall time: an aware :class:`datetime.datetime` in UTC. What a plan says.
* Media time: :data:`MediaUs`, microseconds on a named controller timeline. What a live bundle says.
* Monotonic time: :data:`MonoUs`, microseconds of this machine's ``CLOCK_MONOTONIC``. What a sound card says.

A conversion is always a named function of a clock; nothing here reads one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NewType

#: Microseconds on a controller's media timeline (see protocol/PROTOCOL.md, "Timeline").
MediaUs = NewType("MediaUs", int)

#: Microseconds of the local ``CLOCK_MONOTONIC``; comparable only within one machine and one boot.
MonoUs = NewType("MonoUs", int)

#: A count of samples at :data:`SAMPLE_RATE`. Positions in sound are integers, never rounded durations.
Frames = NewType("Frames", int)

#: No sound yet.
NO_FRAMES = Frames(0)

#: Samples a second, everywhere in Loa: 48 kHz divides evenly into Opus frames of 20 ms (960 samples).
SAMPLE_RATE = 48_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NO_OFFSET = timedelta(0)


def require_utc(value: datetime) -> datetime:
    """Return ``value`` if it is aware and in UTC.

    Raises:
        ValueError: it is naive, or in another zone.
    """
    if value.tzinfo is not UTC and (value.tzinfo is None or value.utcoffset() != _NO_OFFSET):
        msg = f"wall time must be aware and in UTC, got {value!r}"
        raise ValueError(msg)
    return value


def frames_of(duration: timedelta) -> Frames:
    """Samples in ``duration``, rounded down to a whole sample."""
    return Frames(duration // _MICROSECOND * SAMPLE_RATE // 1_000_000)


def duration_of(frames: int) -> timedelta:
    """The time ``frames`` samples last, to the microsecond (rounded up, so a sound is never cut short)."""
    return timedelta(microseconds=-(-frames * 1_000_000 // SAMPLE_RATE))


def from_unix_us(value: int) -> datetime:
    """Microseconds since 1970-01-01 UTC as wall time."""
    return _EPOCH + timedelta(microseconds=value)


def to_unix_us(value: datetime) -> int:
    """Wall time as microseconds since 1970-01-01 UTC."""
    return (require_utc(value) - _EPOCH) // _MICROSECOND
