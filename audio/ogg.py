"""Ogg pages (RFC 3533), one logical stream a file, as Loa writes and reads them.

Rules kept here:

1. A page that is written carries whole packets only, at most one second of sound, so a seek lands close.
2. The serial number is a constant: equal sound gives equal bytes, which content addressing needs.
3. A page that is read is checked by its CRC before a byte of it is believed.

The headers of an Opus stream (RFC 7845) are here too, so that packets can be kept without loading a codec.

Not here: what is inside the packets (:mod:`audio.codec.opus`), pre-skip and trimming (the reader and the writer).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from audio.errors import CodecError
from schedules.instants import SAMPLE_RATE

#: "Loa1" as a number; any constant does, since there is one stream a file.
SERIAL = 0x4C6F6131

MAX_SEGMENTS = 255

#: Granule position of a page on which no packet ends.
NO_GRANULE = -1

_CONTINUED, _FIRST, _LAST = 1, 2, 4
_HEADER = struct.Struct("<4sBBqIIIB")
_CRC_AT = 22
_HEAD = struct.Struct("<8sBBHIhB")
_VENDOR = b"loa"
_LACING_FULL = 255

# Ogg's CRC-32 has zlib's polynomial but takes the bits of a byte in the other order, starts at 0 and is not
# inverted. Turning the bits of every byte round (translate) lets zlib do the work in C.
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ALL_ONES = 0xFFFFFFFF


def checksum(page: bytes) -> int:
    """The CRC of a page whose CRC field is zero."""
    mirrored = zlib.crc32(page.translate(_MIRROR), _ALL_ONES) ^ _ALL_ONES
    return int.from_bytes(mirrored.to_bytes(4, "big").translate(_MIRROR), "little")


def segments_of(size: int) -> int:
    """How many of a page's 255 segments a packet of ``size`` bytes takes."""
    return size // _LACING_FULL + 1


def page(packets: Sequence[bytes], *, granule: int, sequence: int, first: bool = False, last: bool = False) -> bytes:
    """One page of whole packets. ``granule`` is the sample position at the end of the last packet."""
    lacing = bytearray()
    for packet in packets:
        full, rest = divmod(len(packet), _LACING_FULL)
        lacing += bytes((_LACING_FULL,)) * full + bytes((rest,))
    if len(lacing) > MAX_SEGMENTS:
        raise CodecError("too many packets for one Ogg page", code="page_too_large")
    flags = (_FIRST if first else 0) | (_LAST if last else 0)
    head = _HEADER.pack(b"OggS", 0, flags, granule, SERIAL, sequence, 0, len(lacing)) + lacing
    raw = head + b"".join(packets)
    return raw[:_CRC_AT] + checksum(raw).to_bytes(4, "little") + raw[_CRC_AT + 4 :]


def head_packet(pre_skip: int, input_rate: int = SAMPLE_RATE) -> bytes:
    """The identification header of a mono stream (RFC 7845 section 5.1)."""
    return _HEAD.pack(b"OpusHead", 1, 1, pre_skip, input_rate, 0, 0)


def parse_head(packet: bytes) -> int:
    """The pre-skip of an identification header.

    Raises:
        CodecError: not an Opus header, or a version or channel mapping we do not play.
    """
    if len(packet) < _HEAD.size or not packet.startswith(b"OpusHead"):
        raise CodecError("this is not an Ogg Opus file", code="not_opus")
    _, version, channels, pre_skip, _, _, family = _HEAD.unpack_from(packet)
    if version >> 4 or family != 0 or channels not in (1, 2):
        raise CodecError("this kind of Ogg Opus file is not supported", code="not_opus")
    return int(pre_skip)


def tags_packet() -> bytes:
    """The comment header: who wrote it, and no comments (RFC 7845 section 5.2)."""
    return b"OpusTags" + len(_VENDOR).to_bytes(4, "little") + _VENDOR + bytes(4)


@dataclass(frozen=True, slots=True)
class PageMark:
    """Where a page lies in a file, without its body."""

    offset: int
    size: int
    granule: int
    continued: bool
    serial: int
    last: bool


def scan(file: BinaryIO) -> Iterator[PageMark]:
    """Every page of ``file`` from its start, headers only. Ends at the first thing that is no page."""
    offset = 0
    while True:
        file.seek(offset)
        head = file.read(_HEADER.size + MAX_SEGMENTS)
        if len(head) < _HEADER.size:
            return
        magic, version, flags, granule, serial, _, _, count = _HEADER.unpack_from(head)
        table = head[_HEADER.size : _HEADER.size + count]
        if magic != b"OggS" or version != 0 or len(table) < count:
            return
        size = _HEADER.size + count + sum(table)
        yield PageMark(offset, size, granule, bool(flags & _CONTINUED), serial, bool(flags & _LAST))
        offset += size


def pieces(file: BinaryIO, mark: PageMark) -> list[tuple[bytes, bool]]:
    """The pieces of packets on one page: (bytes, whether the packet ends on this page).

    Raises:
        CodecError: the page is cut short (``truncated``) or altered (``bad_checksum``).
    """
    file.seek(mark.offset)
    raw = file.read(mark.size)
    if len(raw) < mark.size:
        raise CodecError("the Ogg file is cut short", code="truncated")
    expected = int.from_bytes(raw[_CRC_AT : _CRC_AT + 4], "little")
    if checksum(raw[:_CRC_AT] + bytes(4) + raw[_CRC_AT + 4 :]) != expected:
        raise CodecError(f"the Ogg page at byte {mark.offset} is damaged", code="bad_checksum")
    count = raw[_HEADER.size - 1]
    at = _HEADER.size + count
    found: list[tuple[bytes, bool]] = []
    begin = at
    for lace in raw[_HEADER.size : _HEADER.size + count]:
        at += lace
        if lace < _LACING_FULL:
            found.append((raw[begin:at], True))
            begin = at
    if begin < at:
        found.append((raw[begin:at], False))
    return found
