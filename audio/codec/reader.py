"""An Ogg Opus file as samples, at any position, exact to the sample.

Rules kept here:

1. ``read(offset, frames)`` counts from the first sample that was put in: pre-skip and end trimming are done here.
2. A read that goes on where the last one ended costs only its own packets; any other one decodes the second
   before its place first (Opus needs them to converge), so joining in the middle sounds as if never left.
3. Memory is flat: page positions, one page, one packet.

Not here: whether the file is the one it should be (its SHA-256 is checked by the cache).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from audio import ogg
from audio.codec.opus import PRE_ROLL, OpusDecoder, packet_frames
from audio.errors import CodecError
from audio.pcm import Samples, silence
from schedules.instants import Frames

_HEADER_PACKETS = 2


class OggOpusReader:
    """Reads one Ogg Opus file. Not shared between threads; close it, or use it as a context manager.

    Raises:
        CodecError: not Ogg Opus (``not_opus``), cut short, or without sound (``empty``).
        OSError: the file cannot be opened.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        self._owned = isinstance(source, Path)
        self._file: BinaryIO = source.open("rb") if isinstance(source, Path) else source
        try:
            self._index()
        except BaseException:
            self.close()
            raise
        self._decoder = OpusDecoder()
        self._packets: deque[bytes] = deque()
        self._partial = b""
        self._next_page = 0
        self._decoded: Samples = silence(0)
        self._at = -1  # stream position (pre-skip included) of the first sample of _decoded; -1: nowhere

    @property
    def frames(self) -> Frames:
        """Exact length in samples."""
        return self._frames

    def read(self, offset: int, frames: int) -> Samples:
        """Up to ``frames`` samples from ``offset``: fewer only where the sound ends, none at or after its end.

        Raises:
            CodecError: the file is damaged there.
            ValueError: a negative position or count.
        """
        if offset < 0 or frames < 0:
            raise ValueError("positions and counts of samples are never negative")
        count = min(frames, self._frames - offset)
        if count <= 0:
            return silence(0)
        begin = self._origin + self._pre_skip + offset
        if not self._at <= begin <= self._at + len(self._decoded) or self._at < 0:
            self._seek(begin)
        return self._take(begin, count)

    def close(self) -> None:
        """Let the file go. Safe to repeat."""
        if self._owned:
            self._file.close()

    def _index(self) -> None:
        """Read the headers and note where every page lies and at which sample it ends."""
        marks = list(ogg.scan(self._file))
        if not marks:
            raise CodecError("this is not an Ogg file", code="not_opus")
        marks = [mark for mark in marks if mark.serial == marks[0].serial]
        headers = 0
        for number, mark in enumerate(marks):
            parts = ogg.pieces(self._file, mark)
            if number == 0:
                self._pre_skip = ogg.parse_head(parts[0][0] if parts else b"")
            headers += sum(1 for _, ends in parts if ends)
            if headers >= _HEADER_PACKETS:
                break
        self._pages = [mark for mark in marks[number + 1 :] if mark.granule != ogg.NO_GRANULE or not mark.last]
        ends = [mark.granule for mark in self._pages if mark.granule != ogg.NO_GRANULE]
        if not ends or any(later < earlier for earlier, later in pairwise(ends)):
            raise CodecError("this Ogg Opus file holds no sound", code="empty")
        self._origin = self._first_position()
        self._frames = Frames(ends[-1] - self._origin - self._pre_skip)
        if self._frames <= 0:
            raise CodecError("this Ogg Opus file holds no sound", code="empty")
        # Position at which each page begins: where the one before it ended.
        self._begins = [self._origin]
        for mark in self._pages[:-1]:
            self._begins.append(self._begins[-1] if mark.granule == ogg.NO_GRANULE else mark.granule)

    def _first_position(self) -> int:
        """Position before the first packet: 0, unless the file was cut from a running stream."""
        first = self._pages[0]
        if first.last or first.granule == ogg.NO_GRANULE:
            return 0
        held = sum(packet_frames(packet) for packet, ends in ogg.pieces(self._file, first) if ends)
        return max(0, first.granule - held)

    def _seek(self, begin: int) -> None:
        """Stand before ``begin`` with a decoder that has heard what comes before it."""
        wanted = max(self._origin, begin - PRE_ROLL)
        number = max(0, bisect_right(self._begins, wanted) - 1)
        while number > 0 and self._pages[number].continued:
            number -= 1
        self._decoder.reset()
        self._packets.clear()
        self._partial = b""
        self._next_page = number
        self._decoded = silence(0)
        self._at = self._begins[number]
        while self._at + self._peek() <= wanted:  # whole packets before the pre-roll are not decoded at all
            self._at += packet_frames(self._packets.popleft())

    def _peek(self) -> int:
        """Samples in the packet that comes next."""
        while not self._packets:
            if self._next_page >= len(self._pages):
                raise CodecError("the Ogg Opus file ends before its length", code="truncated")
            for piece, ends in ogg.pieces(self._file, self._pages[self._next_page]):
                self._partial += piece
                if ends:
                    self._packets.append(self._partial)
                    self._partial = b""
            self._next_page += 1
        return packet_frames(self._packets[0])

    def _take(self, begin: int, count: int) -> Samples:
        """``count`` samples from ``begin``; what was decoded beyond them is kept for the next read."""
        parts = [self._decoded]
        held = len(self._decoded)
        while self._at + held < begin + count:
            self._peek()
            part = self._decoder.decode(self._packets.popleft())
            parts.append(part)
            held += len(part)
        whole = np.concatenate(parts)
        skip = begin - self._at
        self._decoded = whole[skip + count :].copy()
        self._at = begin + count
        return whole[skip : skip + count]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
