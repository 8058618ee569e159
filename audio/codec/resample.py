"""Mono sound at any rate to 48 kHz, by FFmpeg's resampler, block by block.

Total length is kept: *n* samples at *r* Hz become ``ceil(n × 48000 / r)``, aligned with the input.
"""

from __future__ import annotations

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from audio.errors import CodecError
from audio.pcm import Samples, silence
from schedules.instants import SAMPLE_RATE


class Resampler:
    """Takes blocks whose rate may change from one to the next, gives 48 kHz."""

    def __init__(self) -> None:
        self._rate = SAMPLE_RATE
        self._inner: AudioResampler | None = None
        self._taken = 0  # at self._rate
        self._given = 0  # at 48 kHz

    def push(self, samples: Samples, rate: int) -> Samples:
        """What can be told at 48 kHz after ``samples`` at ``rate``."""
        before = self.flush() if rate != self._rate else None
        self._rate = rate
        after = samples if rate == SAMPLE_RATE else self._run(samples)
        return after if before is None or not len(before) else np.concatenate((before, after))

    def flush(self) -> Samples:
        """What is left at the end of the sound."""
        if self._inner is None:
            return silence(0)
        due = -(-self._taken * SAMPLE_RATE // self._rate) - self._given
        # The filter gives nothing for a sound shorter than itself, so silence pushes the end out and is cut off.
        rest = np.concatenate((self._run(silence(self._rate // 20 + 64)), _joined(self._inner.resample(None))))
        self._inner, self._taken, self._given = None, 0, 0
        return rest[:due]

    def _run(self, samples: Samples) -> Samples:
        if self._inner is None:
            self._inner = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = self._rate
        try:
            out = _joined(self._inner.resample(frame))
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(f"sound at {self._rate} Hz cannot be brought to 48 kHz", code="unreadable") from error
        self._taken += len(samples)
        self._given += len(out)
        return out


def _joined(frames: list[AudioFrame]) -> Samples:
    parts = [np.asarray(frame.to_ndarray(), np.float32).reshape(-1) for frame in frames]
    if not parts:
        return silence(0)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
