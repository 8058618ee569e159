r"""The live bundle: some Opus packets, when they sound, and a signature, in one binary frame.

Rules kept here:

1. The bytes are the same for every agent; they are packed and signed once.
2. The signature is Ed25519 over ``"loa-bundle-1\0"`` and everything before the signature.
3. :func:`unpack` checks every length before it reads and verifies nothing; :mod:`protocol.gate` does.

The byte table is PROTOCOL.md, section 7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import Final

from protocol.errors import MalformedError, WrongVersionError
from protocol.keys import SIGNATURE_BYTES, SigningKey
from protocol.limits import MAX_BINARY, MAX_INT, MAX_U32, MAX_U64
from protocol.version import WIRE_VERSION
from schedules.instants import MediaUs

DOMAIN: Final = b"loa-bundle-1\0"

#: version, type, flags, codec, key_id, timeline, stream, seq, lead_ms, frame_samples, play_at, sample_index, frames,
#: reserved: 52 bytes, big-endian.
HEADER: Final = struct.Struct(">BBBBIQQIHHqQHH")
_LENGTH: Final = struct.Struct(">H")

#: Samples an Opus packet may hold at 48 kHz: 2.5 to 60 ms.
FRAME_SAMPLES: Final = frozenset({120, 240, 480, 960, 1920, 2880})

#: An Opus frame of 20 ms has at most 1 275 bytes; a packet adds a few.
MAX_PACKET: Final = 1500
MAX_PACKETS: Final = 250
_MAX_U16: Final = 0xFFFF


class BundleType(IntEnum):
    """What a bundle carries. Others are refused until a version of the wire defines them."""

    AUDIO = 1


class BundleCodec(IntEnum):
    """How its packets are encoded."""

    OPUS = 1


class BundleFlag(IntFlag):
    """Bits of the flags byte; the other six must be zero."""

    END = 1
    DISCONTINUITY = 2


@dataclass(frozen=True, slots=True)
class Bundle:
    """Consecutive packets of one stream.

    Attributes:
        key_id: the online key that signs.
        timeline: the timeline ``play_at`` counts on.
        stream: the stream, opened by a signed document before.
        seq: rises with every bundle of the stream.
        lead_ms: how long before ``play_at`` the controller sends it; a hint for buffer sizes.
        frame_samples: samples in each packet.
        play_at: media time of the first sample.
        sample_index: position of the first sample in the stream.
        packets: Opus packets, in order; none only at the end.
        end: nothing follows.
        discontinuity: the source had a gap: reset the decoder and fade in.
    """

    key_id: int
    timeline: int
    stream: int
    seq: int
    lead_ms: int
    frame_samples: int
    play_at: MediaUs
    sample_index: int
    packets: tuple[bytes, ...]
    end: bool = False
    discontinuity: bool = False

    @property
    def samples(self) -> int:
        """Samples carried."""
        return self.frame_samples * len(self.packets)


def pack(bundle: Bundle, key: SigningKey) -> bytes:
    """The frame every agent gets.

    Raises:
        MalformedError: a value does not fit, or ``key`` is not the one the bundle names.
    """
    _check(bundle)
    if key.key_id != bundle.key_id:
        raise MalformedError("bad_bundle", "signed with another key than the bundle names")
    flags = (BundleFlag.END if bundle.end else 0) | (BundleFlag.DISCONTINUITY if bundle.discontinuity else 0)
    parts = [
        HEADER.pack(
            WIRE_VERSION,
            BundleType.AUDIO,
            flags,
            BundleCodec.OPUS,
            bundle.key_id,
            bundle.timeline,
            bundle.stream,
            bundle.seq,
            bundle.lead_ms,
            bundle.frame_samples,
            bundle.play_at,
            bundle.sample_index,
            len(bundle.packets),
            0,
        )
    ]
    for packet in bundle.packets:
        parts += (_LENGTH.pack(len(packet)), packet)
    signed = b"".join(parts)
    if len(signed) + SIGNATURE_BYTES > MAX_BINARY:
        raise MalformedError("too_large", f"a bundle of more than {MAX_BINARY} bytes")
    return signed + key.sign(DOMAIN + signed)


def unpack(data: bytes) -> Bundle:
    """Read a frame. Nothing is verified: give frames from the network to a :class:`~protocol.gate.BundleGate`.

    Raises:
        MalformedError: ``too_large``, ``wrong_version`` or ``bad_bundle``.
    """
    if len(data) > MAX_BINARY:
        raise MalformedError("too_large", f"a bundle of {len(data)} bytes")
    return _remembered(data) if len(data) <= _SHARED_BYTES else _read(data)


def _read(data: bytes) -> Bundle:
    if len(data) < HEADER.size + SIGNATURE_BYTES:
        raise MalformedError("bad_bundle", "shorter than a header and a signature")
    version, kind, flags, codec, *numbers, frames, reserved = HEADER.unpack_from(data)
    if version != WIRE_VERSION:
        raise WrongVersionError(f"a bundle of version {version}; this side speaks {WIRE_VERSION}")
    if kind != BundleType.AUDIO or codec != BundleCodec.OPUS or flags & ~0b11 or reserved or frames > MAX_PACKETS:
        raise MalformedError("bad_bundle", "type, flags, codec, frames or reserved bits are not known")
    key_id, timeline, stream, seq, lead_ms, frame_samples, play_at, sample_index = numbers
    bundle = Bundle(
        key_id,
        timeline,
        stream,
        seq,
        lead_ms,
        frame_samples,
        MediaUs(play_at),
        sample_index,
        _packets(data, frames),
        end=bool(flags & BundleFlag.END),
        discontinuity=bool(flags & BundleFlag.DISCONTINUITY),
    )
    _check(bundle)
    return bundle


#: A frame is looked at twice (whose it is; whether it is good), and in a swarm's process by every agent: the same bytes
#: are read once.
_SHARED_BYTES = 16_384
_remembered = lru_cache(maxsize=4)(_read)


def _packets(data: bytes, count: int) -> tuple[bytes, ...]:
    position, stop = HEADER.size, len(data) - SIGNATURE_BYTES
    packets = []
    for _ in range(count):
        if position + _LENGTH.size > stop:
            raise MalformedError("bad_bundle", "ends inside its packets")
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if position + length > stop:
            raise MalformedError("bad_bundle", "a packet is longer than the bundle")
        packets.append(data[position : position + length])
        position += length
    if position != stop:
        raise MalformedError("bad_bundle", "bytes between the last packet and the signature")
    return tuple(packets)


def _check(bundle: Bundle) -> None:
    bounds = (
        (bundle.key_id, MAX_U32),
        (bundle.timeline, MAX_U64),
        (bundle.stream, MAX_U64),
        (bundle.seq, MAX_U32),
        (bundle.lead_ms, _MAX_U16),
        (bundle.play_at, MAX_INT),
        (bundle.sample_index, MAX_INT),
        (len(bundle.packets), MAX_PACKETS),
    )
    if not all(0 <= value <= highest for value, highest in bounds):
        raise MalformedError("bad_bundle", "a number in the header is out of range")
    if bundle.frame_samples not in FRAME_SAMPLES:
        raise MalformedError("bad_bundle", f"packets of {bundle.frame_samples} samples are not Opus at 48 kHz")
    if not all(0 < len(packet) <= MAX_PACKET for packet in bundle.packets):
        raise MalformedError("bad_bundle", f"a packet has no bytes, or more than {MAX_PACKET}")
    if not bundle.packets and not bundle.end:
        raise MalformedError("bad_bundle", "no packets, and not the end")
