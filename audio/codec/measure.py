"""Loudness and true peak of mono 48 kHz sound (EBU R128, ITU-R BS.1770), measured by FFmpeg's ebur128 filter.

Rules kept here:

1. The integrated loudness is gated over the whole sound; sound shorter than one 400 ms gating block, or below the
   absolute gate of −70 LUFS, has none (None).
2. The true peak is that of the four times oversampled signal, to the last sample.
3. Every number is finite or None.

Not here: what is done about it (:mod:`audio.loudness`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from audio.errors import CodecError
from audio.pcm import Samples, decibels, silence
from schedules.instants import SAMPLE_RATE

_ABSOLUTE_GATE = -70.0
_STEP = SAMPLE_RATE // 10  # the filter speaks every 100 ms
_GATING_BLOCK = SAMPLE_RATE * 4 // 10


@dataclass(frozen=True, slots=True)
class Loudness:
    """What a sound measures."""

    integrated: float | None  # LUFS; None = too short or too quiet to have one
    true_peak: float | None  # dBTP; None = nothing but zeros


class LoudnessMeter:
    """Listens to blocks of samples and tells their loudness at the end."""

    def __init__(self) -> None:
        self._graph = Graph()
        time_base = Fraction(1, SAMPLE_RATE)
        source = self._graph.add_abuffer(sample_rate=SAMPLE_RATE, format="flt", layout="mono", time_base=time_base)
        meter = self._graph.add("ebur128", "metadata=1:peak=true:framelog=quiet")
        sink = self._graph.add("abuffersink")
        self._graph.link_nodes(source, meter, sink).configure()
        self._time_base = time_base
        self._frames = 0
        self._integrated = _ABSOLUTE_GATE
        self._peak = 0.0

    def push(self, samples: Samples) -> None:
        """Listen to more."""
        if not len(samples):
            return
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = self._time_base
        frame.pts = self._frames
        self._frames += len(samples)
        try:
            self._graph.push(frame)
        except (av.FFmpegError, ValueError) as error:
            raise CodecError("loudness could not be measured", code="measure_failed") from error
        for metadata in self._pull():
            self._integrated = _finite(metadata.get("lavfi.r128.I"), self._integrated)
            self._peak = max(self._peak, _finite(metadata.get("lavfi.r128.true_peak"), 0.0))

    def result(self) -> Loudness:
        """The loudness of all that was pushed. Call it once, at the end."""
        measured, integrated = self._frames, self._integrated
        # Two steps of silence make the filter speak about the last, incomplete step; only its peak is taken.
        self.push(silence(-measured % _STEP + _STEP))
        loud_enough = measured >= _GATING_BLOCK and integrated > _ABSOLUTE_GATE
        return Loudness(
            round(integrated, 2) if loud_enough else None,
            round(decibels(self._peak), 2) if self._peak > 0 else None,
        )

    def _pull(self) -> Iterator[dict[str, str]]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield frame.metadata


def _finite(text: str | None, otherwise: float) -> float:
    if text is None:
        return otherwise
    value = float(text)
    return value if np.isfinite(value) else otherwise
