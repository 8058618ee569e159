"""What a recording looks like: the highest level of each part of it, from the very file that goes on air.

Rules kept here:

1. A clip never changes under its hash, so a picture is made once and remembered (:data:`REMEMBERED`).
2. One is made at a time, in a thread: three hours of sound take a while, and what is on air must not wait for it.

Not here: who may see it (:mod:`controller.services.recordings`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Final

import numpy as np

from audio.codec import OggOpusReader
from audio.errors import CodecError
from controller.services.errors import ConflictError

#: Parts a picture has: more than a screen shows bars.
PARTS: Final = 600
REMEMBERED: Final = 500
_BLOCK: Final = 48_000 * 10


class Waveforms:
    """Pictures of clips."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._made: OrderedDict[str, tuple[float, ...]] = OrderedDict()

    async def of(self, sha256: str, path: Path) -> tuple[float, ...]:
        """The peak of each of :data:`PARTS` equal parts, of full scale; fewer parts when there are fewer samples.

        Raises:
            ConflictError: ``media_damaged``.
        """
        async with self._turn:
            known = self._made.get(sha256)
            if known is None:
                try:
                    known = await asyncio.to_thread(_peaks, path)
                except CodecError as error:
                    raise ConflictError(f"the file cannot be read: {error}", code="media_damaged") from error
                self._made[sha256] = known
                while len(self._made) > REMEMBERED:
                    self._made.popitem(last=False)
            return known


def _peaks(path: Path) -> tuple[float, ...]:
    with OggOpusReader(path) as reader:
        parts = min(PARTS, reader.frames)
        peaks = np.zeros(parts, np.float32)
        for begin in range(0, reader.frames, _BLOCK):
            levels = np.abs(reader.read(begin, _BLOCK))
            part = (np.arange(begin, begin + len(levels)) * parts) // reader.frames
            np.maximum.at(peaks, part, levels)
    return tuple(round(min(1.0, float(each)), 3) for each in peaks)
