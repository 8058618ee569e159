"""Opus packets that went on air, kept as an Ogg Opus file: the very packets, nothing is encoded again. Pure.

Rules kept here:

1. The file's time is air time: where nothing was sent there is silence of the same length (packets of three bytes),
   so a place in the file is an instant of the broadcast.
2. Pages hold a second at most, and each is whole: a file that breaks off in the middle plays up to there.
3. Loads neither numpy nor FFmpeg.

Not here: files and folders (the caller's), who may hear it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from audio import ogg
from schedules.instants import Frames

#: 20 ms of silence: a CELT frame, full band, mono, that says "nothing" (RFC 6716: configuration 31, code 0).
SILENT_PACKET: Final = b"\xf8\xff\xfe"

_PACKET_FRAMES: Final = 960
_PAGE_PACKETS: Final = 50
#: What the encoder looked ahead before its first packet (libopus at 48 kHz).
_PRE_SKIP: Final = 312
#: The longest silence that is written down, in packets: an hour.
_MAX_SILENCE: Final = 3600 * 50


class OpusTape:
    """Turns packets into the bytes of one file. Call :meth:`begin` once, then :meth:`add`, then :meth:`finish`."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._segments = 0
        self._sequence = 0
        self._packets = 0

    @property
    def frames(self) -> Frames:
        """Samples so far."""
        return Frames(self._packets * _PACKET_FRAMES)

    def begin(self) -> bytes:
        """The two header pages."""
        head = self._page([ogg.head_packet(_PRE_SKIP)], granule=0, first=True)
        return head + self._page([ogg.tags_packet()], granule=0)

    def silence(self, packets: int) -> bytes:
        """The pages that became whole by ``packets`` x 20 ms of nothing."""
        return self.add(SILENT_PACKET for _ in range(min(packets, _MAX_SILENCE)))

    def add(self, packets: Iterable[bytes]) -> bytes:
        """The pages that became whole by these packets."""
        pages = bytearray()
        for packet in packets:
            segments = ogg.segments_of(len(packet))
            if len(self._waiting) >= _PAGE_PACKETS or self._segments + segments > ogg.MAX_SEGMENTS:
                pages += self._flush()
            self._waiting.append(packet)
            self._segments += segments
            self._packets += 1
        return bytes(pages)

    def finish(self) -> bytes:
        """The last page."""
        return self._flush(last=True)

    def _flush(self, *, last: bool = False) -> bytes:
        page = self._page(self._waiting, granule=self.frames, last=last)
        self._waiting, self._segments = [], 0
        return page

    def _page(self, packets: list[bytes], *, granule: int, first: bool = False, last: bool = False) -> bytes:
        made = ogg.page(packets, granule=granule, sequence=self._sequence, first=first, last=last)
        self._sequence += 1
        return made
