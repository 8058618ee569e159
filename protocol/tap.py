"""The tap frame: what an agent's loudspeaker sounds, sent back to the controller on the media connection.

Rules kept here:

1. It carries sound that has left the agent's mixer already, so nothing can sound because of it; it is not signed. The
   session it travels in has proved who speaks.
2. A frame without packets says "nothing sounds": whoever listens knows that the line is alive.
3. :func:`unpack` checks every length before it reads.

The byte table is PROTOCOL.md, section 7.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from protocol.errors import MalformedError, WrongVersionError
from protocol.limits import MAX_TAP
from protocol.version import WIRE_VERSION
from schedules.instants import MediaUs

#: version, type, flags, packets, tap, seq, timeline, play_at: 28 bytes, big-endian.
HEADER: Final = struct.Struct(">BBBBIIQq")
_LENGTH: Final = struct.Struct(">H")

#: The type byte; a live bundle has 1.
TAP_TYPE: Final = 2

#: Samples in each packet: 20 ms at 48 kHz.
PACKET_SAMPLES: Final = 960

#: A packet of 20 ms never exceeds this.
MAX_PACKET: Final = 1_275

#: One second.
MAX_PACKETS: Final = 50

_BITS: Final = 3


class TapFlag(IntFlag):
    """Bits of the flags byte; the other six must be zero."""

    DISCONTINUITY = 1
    NO_CLOCK = 2


@dataclass(frozen=True, slots=True)
class TapFrame:
    """Some Opus packets of 20 ms that sounded in a row.

    Attributes:
        tap: the number the controller gave when it asked.
        seq: rises by one with every frame; a hole is a frame that was dropped.
        timeline: the timeline ``play_at`` counts on.
        play_at: when the first sample reached the converter; None when the agent does not know the controller's time.
        packets: what sounded; empty when nothing did.
        discontinuity: what came before does not lead up to this.
    """

    tap: int
    seq: int
    timeline: int
    play_at: MediaUs | None
    packets: tuple[bytes, ...] = ()
    discontinuity: bool = False


def pack(frame: TapFrame) -> bytes:
    """The bytes of a frame.

    Raises:
        ValueError: too many packets, or too large ones.
    """
    if len(frame.packets) > MAX_PACKETS or any(not 0 < len(packet) <= MAX_PACKET for packet in frame.packets):
        raise ValueError("a tap frame holds at most 50 packets of 1 to 1275 bytes")
    flags = TapFlag(0)
    flags |= TapFlag.DISCONTINUITY if frame.discontinuity else TapFlag(0)
    flags |= TapFlag.NO_CLOCK if frame.play_at is None else TapFlag(0)
    head = HEADER.pack(
        WIRE_VERSION, TAP_TYPE, flags, len(frame.packets), frame.tap, frame.seq, frame.timeline, frame.play_at or 0
    )
    data = head + b"".join(_LENGTH.pack(len(packet)) + packet for packet in frame.packets)
    if len(data) > MAX_TAP:
        raise ValueError(f"a tap frame of {len(data)} bytes is too large")
    return data


def unpack(data: bytes) -> TapFrame:
    """Read a frame.

    Raises:
        WrongVersionError: another version of the wire.
        MalformedError: ``bad_tap``.
    """
    if not HEADER.size <= len(data) <= MAX_TAP:
        raise MalformedError("bad_tap", f"a tap frame has {HEADER.size} to {MAX_TAP} bytes, this has {len(data)}")
    version, kind, flags, count, tap, seq, timeline, play_at = HEADER.unpack_from(data)
    if version != WIRE_VERSION:
        raise WrongVersionError(f"a tap frame of version {version}; this side speaks {WIRE_VERSION}")
    if kind != TAP_TYPE or flags > _BITS or count > MAX_PACKETS:
        raise MalformedError("bad_tap", "type, flags or number of packets that no tap frame has")
    return TapFrame(
        tap=tap,
        seq=seq,
        timeline=timeline,
        play_at=None if flags & TapFlag.NO_CLOCK else MediaUs(play_at),
        packets=_packets(data, count),
        discontinuity=bool(flags & TapFlag.DISCONTINUITY),
    )


def _packets(data: bytes, count: int) -> tuple[bytes, ...]:
    found, at = [], HEADER.size
    for _ in range(count):
        if len(data) < at + _LENGTH.size:
            raise MalformedError("bad_tap", "a packet is cut off")
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if not 0 < size <= MAX_PACKET or len(data) < at + size:
            raise MalformedError("bad_tap", "a packet is empty, too large or cut off")
        found.append(data[at : at + size])
        at += size
    if at != len(data):
        raise MalformedError("bad_tap", "bytes after the last packet")
    return tuple(found)
