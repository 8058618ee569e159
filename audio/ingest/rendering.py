"""The second pass: the file as a programme, at the loudness of all programmes, and what that sounds like.

Rules kept here:

1. What is judged is what will sound: every packet is decoded again as it is written, and loudness and true peak are
   measured on that.
2. When the coder pushed a peak over the limit, or the limiter took too much loudness, the pass is repeated with a
   better treatment (:mod:`audio.loudness`), a bounded number of times, into the same file.

Not here: where the file goes (:mod:`audio.ingest.ingestor`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from audio.codec import Loudness, LoudnessMeter, OggOpusWriter, OpusDecoder, Resampler
from audio.ingest.analysis import Analysis, Progress, Recording
from audio.loudness import ATTEMPTS, Treatment, TruePeakLimiter, first_treatment, revise
from audio.pcm import Samples, amplitude
from schedules.instants import SAMPLE_RATE, Frames

#: A difference in loudness that is heard between two programmes (LU).
NOTICEABLE = 1.0


@dataclass(frozen=True, slots=True)
class Rendering:
    """What was written."""

    frames: Frames
    sounded: Loudness  # measured after decoding
    attempts: int

    def misses(self, target: float) -> bool:
        """The peaks left no room for the target loudness: neighbours on air would notice."""
        return self.sounded.integrated is not None and abs(self.sounded.integrated - target) > NOTICEABLE


def render(recording: Recording, out: BinaryIO, found: Analysis, target: float, progress: Progress) -> Rendering:
    """Write the recording as Ogg Opus into ``out``, loud as ``target`` LUFS says."""
    treatment = first_treatment(found.loudness, found.profile, target)
    aim = None if found.loudness.integrated is None else target
    for attempt in range(1, ATTEMPTS + 1):
        out.seek(0)
        out.truncate()
        frames, sounded = _once(recording, out, found, treatment, progress)
        better = revise(treatment, sounded, found.profile, aim, last=attempt >= ATTEMPTS - 1)
        if better is None or attempt == ATTEMPTS:
            break
        treatment = better
    return Rendering(frames, sounded if aim is not None else Loudness(None, sounded.true_peak), attempt)


def _once(
    recording: Recording, out: BinaryIO, found: Analysis, treatment: Treatment, progress: Progress
) -> tuple[Frames, Loudness]:
    ear = _Ear()
    gain = np.float32(amplitude(treatment.gain_db))
    limiter = TruePeakLimiter(treatment.ceiling) if _needs_limiting(found, treatment) else None
    resampler = Resampler()
    with recording.play() as source, OggOpusWriter(out, monitor=ear.hear) as writer:
        for block in source.blocks():
            part = resampler.push(found.treat.mono(block), block.rate) * gain
            writer.write(limiter.push(part) if limiter else part)
            progress(source.bytes_read / recording.size, writer.frames / SAMPLE_RATE)
        rest: Samples = resampler.flush() * gain
        writer.write(np.concatenate((limiter.push(rest), limiter.flush())) if limiter else rest)
    return writer.frames, ear.loudness()


def _needs_limiting(found: Analysis, treatment: Treatment) -> bool:
    peak = found.loudness.true_peak
    return peak is not None and peak + treatment.gain_db > treatment.ceiling


class _Ear:
    """Hears the packets as an agent will."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder()
        self._meter = LoudnessMeter()
        self._waiting: list[Samples] = []

    def hear(self, packet: bytes) -> None:
        self._waiting.append(self._decoder.decode(packet))
        if len(self._waiting) >= 10:  # noqa: PLR2004 - 200 ms at a time costs less than 20
            self._meter.push(np.concatenate(self._waiting))
            self._waiting = []

    def loudness(self) -> Loudness:
        if self._waiting:
            self._meter.push(np.concatenate(self._waiting))
        return self._meter.result()
