"""A WAV file that is valid at any moment, however the process ends.

The header's two sizes are written again after every second of sound, before the sound that exceeds them: a reader
of a file whose writer was killed sees all but the last second. At 4 GB (12 hours) a numbered file follows, because
the format counts in 32 bits.
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import BinaryIO

from audio.pcm import Samples, silence, to_s16
from audio.playout.errors import OutputError
from schedules.instants import SAMPLE_RATE

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_WIDTH = 2
_SETTLE_BYTES = SAMPLE_RATE * _WIDTH
_SILENCE_BLOCK = SAMPLE_RATE

#: Bytes of sound in one file: a little under what 32 bits can count.
MAX_BYTES = 0xFFFF_FFFF - _HEADER.size - _SETTLE_BYTES


def header(sound_bytes: int) -> bytes:
    """RIFF header of a mono 16-bit 48 kHz file with ``sound_bytes`` of sound."""
    return _HEADER.pack(
        b"RIFF",
        _HEADER.size - 8 + sound_bytes,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        SAMPLE_RATE,
        SAMPLE_RATE * _WIDTH,
        _WIDTH,
        8 * _WIDTH,
        b"data",
        sound_bytes,
    )


class WavFile:
    """Written by one thread."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._number = 1
        self._written = 0
        self._settled = 0

    def create(self) -> None:
        """Begin the file, if it is not begun.

        Raises:
            OutputError: it cannot be written (``file_unwritable``).
        """
        if self._file is not None:
            return
        path = self._path
        if self._number > 1:
            path = path.with_name(f"{path.stem}-{self._number}{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._file.write(header(0))
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self._written = self._settled = 0

    def write(self, block: Samples) -> None:
        """Add a block.

        Raises:
            OutputError: the disk is full or gone (``file_unwritable``).
        """
        data = to_s16(block)
        if self._written + len(data) > self._max_bytes:
            self.close()
            self._number += 1
        self.create()
        assert self._file is not None  # noqa: S101 - create() made it
        try:
            self._file.write(data)
            self._written += len(data)
            if self._written - self._settled >= _SETTLE_BYTES:
                self._settle(self._file)
        except OSError as error:
            self._abandon()
            raise self._unwritable(error) from error

    def write_silence(self, frames: int) -> None:
        """Add silence."""
        while frames > 0:
            self.write(silence(min(frames, _SILENCE_BLOCK)))
            frames -= _SILENCE_BLOCK

    def settle(self) -> None:
        """Make the header tell all that was written, as well as the disk lets it."""
        if self._file is not None:
            try:
                self._settle(self._file)
            except OSError:
                self._abandon()  # the next write begins another file, or tells why it cannot

    def close(self) -> None:
        """End the file."""
        self.settle()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _settle(self, file: BinaryIO) -> None:
        file.flush()  # the sound first: a header must never promise more than there is
        file.seek(0)
        file.write(header(self._written))
        file.flush()
        file.seek(0, 2)
        self._settled = self._written

    def _abandon(self) -> None:
        """Touch this file no more: what is in it stays. The next write begins another."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # the reason was told already
                self._file.close()
        self._file = None
        self._number += 1

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write {self._path}: {error.strerror}. Choose another file with --output wav:FILE",
            code="file_unwritable",
        )
