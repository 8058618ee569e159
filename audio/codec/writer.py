"""Samples into an Ogg Opus file (RFC 7845) whose decoded length is exact to the sample.

Rules kept here:

1. Pre-skip and end trimming are in the file: a reader gets back exactly as many samples as were written.
2. Equal samples and settings give equal bytes (with one version of libopus): no random serial, no clock.
3. Memory is flat: at most one page (one second) waits.

Not here: temporary names, fsync, hashing: the caller owns the file and moves it into place.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from audio import ogg
from audio.codec.opus import DEFAULT_BIT_RATE, PACKET_FRAMES, OpusEncoder
from audio.errors import CodecError
from audio.pcm import Samples, silence
from schedules.instants import Frames

_PAGE_PACKETS = 50  # one second: a seek reads at most one page more than it needs


class OggOpusWriter:
    """Writes one Ogg Opus file, mono, 20 ms packets.

    Use it as a context manager: leaving it normally ends the file, leaving it by an exception does not (the
    caller throws the file away). ``target`` is a path, or a binary file open for writing that stays the caller's.
    ``monitor`` is shown every packet, for those who want to hear what was made of the sound.
    """

    def __init__(
        self,
        target: Path | BinaryIO,
        *,
        bit_rate: int = DEFAULT_BIT_RATE,
        complexity: int = 10,
        monitor: Callable[[bytes], None] | None = None,
    ) -> None:
        self._encoder = OpusEncoder(bit_rate, complexity=complexity)
        self._owned = isinstance(target, Path)
        self._file: BinaryIO = target.open("wb") if isinstance(target, Path) else target
        self._monitor = monitor
        self._rest: Samples = silence(0)
        self._packets: list[bytes] = []
        self._segments = 0
        self._encoded = 0
        self._sequence = 0
        self._frames = 0
        self._closed = False
        self._page([ogg.head_packet(self._encoder.pre_skip)], granule=0, first=True)
        self._page([ogg.tags_packet()], granule=0)

    @property
    def frames(self) -> Frames:
        """Samples written so far."""
        return Frames(self._frames)

    def write(self, samples: Samples) -> None:
        """Add any number of samples."""
        if self._closed:
            raise CodecError("this Ogg Opus file is finished", code="closed")
        self._frames += len(samples)
        self._encode(np.concatenate((self._rest, samples)) if len(self._rest) else samples)

    def close(self) -> Frames:
        """End the file and return its exact length in samples."""
        if not self._closed:
            self._closed = True
            end = self._encoder.pre_skip + self._frames
            # What the encoder still looks ahead at is pushed out by silence, which the end position trims away.
            missing = -(-end // PACKET_FRAMES) * PACKET_FRAMES - self._encoded - len(self._rest)
            self._encode(np.concatenate((self._rest, silence(missing))))
            self._page(self._packets, granule=end, last=True)
            if self._owned:
                self._file.close()
        return Frames(self._frames)

    def _encode(self, samples: Samples) -> None:
        whole = len(samples) // PACKET_FRAMES * PACKET_FRAMES
        for at in range(0, whole, PACKET_FRAMES):
            self._add(self._encoder.encode(samples[at : at + PACKET_FRAMES]))
        self._rest = samples[whole:].copy()

    def _add(self, packet: bytes) -> None:
        segments = ogg.segments_of(len(packet))
        if len(self._packets) >= _PAGE_PACKETS or self._segments + segments > ogg.MAX_SEGMENTS:
            self._page(self._packets, granule=self._encoded)
            self._packets, self._segments = [], 0
        self._segments += segments
        self._packets.append(packet)
        self._encoded += PACKET_FRAMES
        if self._monitor is not None:
            self._monitor(packet)

    def _page(self, packets: list[bytes], *, granule: int, first: bool = False, last: bool = False) -> None:
        self._file.write(ogg.page(packets, granule=granule, sequence=self._sequence, first=first, last=last))
        self._sequence += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._owned:
            self._closed = True
            self._file.close()
