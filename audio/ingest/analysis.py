"""The first pass: listen to a whole file and note what it is.

Rules kept here:

1. The length is the sound that was decoded, counted in the file's own samples.
2. Silence is an RMS below −60 dBFS of the mono sound, or nothing above the absolute gate of EBU R128; clipping is a
   mono mix beyond full scale, or runs of samples at full scale in a channel.
3. When the channels cancel each other (mix 20 dB below the louder channel), the pass says so and is repeated with
   that channel alone. A constant offset is taken away in the same manner, since it eats the room for peaks.

Not here: the verdict in words (:mod:`audio.ingest.report`), the second pass (:mod:`audio.ingest.rendering`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from audio.codec import Block, Loudness, LoudnessMeter, Resampler, SoundSource, mono
from audio.errors import IngestError
from audio.ingest.report import MediaWarning
from audio.loudness import Profile
from audio.pcm import Samples, decibels

SILENT_DBFS = -60.0
SHORT_S = 0.5
GATING_S = 0.4
DC_PART = 0.02
CANCELLED_DB = 20.0
#: Headers may be off by the coder's delay; more than this is worth a word.
MISMATCH_S, MISMATCH_PART = 0.5, 0.02
_STEREO = 2
_FLAT_LEVEL = 0.9995
_FLAT_RUN = 4
_FLAT_RUNS = 3

#: Told how far a pass is (0 to 1) and how many seconds of sound came out so far.
Progress = Callable[[float, float], None]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file to be listened to more than once."""

    file: BinaryIO
    size: int  # bytes

    def play(self) -> SoundSource:
        """From its start."""
        self.file.seek(0)
        return SoundSource(self.file)


@dataclass(frozen=True, slots=True)
class Treat:
    """How many channels become one: the mix, or the channel ``only``, less a constant ``offset``."""

    only: int | None = None
    offset: float = 0.0

    def mono(self, block: Block) -> Samples:
        """One channel out of a block."""
        mixed = mono(block.planes, block.channels, self.only)
        return mixed - np.float32(self.offset) if self.offset else mixed


@dataclass(slots=True)
class _Tally:
    """Sums over all blocks."""

    seconds: float = 0.0
    samples: int = 0
    mono_power: float = 0.0
    mono_sum: float = 0.0
    mono_peak: float = 0.0
    flat_runs: int = 0
    channel_power: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    def add(self, block: Block, mixed: Samples) -> None:
        """Count one block."""
        self.seconds += len(mixed) / block.rate
        self.samples += len(mixed)
        self.mono_power += float(np.dot(mixed, mixed))
        self.mono_sum += float(mixed.sum(dtype=np.float64))
        self.mono_peak = max(self.mono_peak, float(np.abs(mixed).max(initial=0.0)))
        if len(self.channel_power) != len(block.planes):
            self.channel_power = np.zeros(len(block.planes))
        self.channel_power += np.einsum("ij,ij->i", block.planes, block.planes)
        self.flat_runs += _flat_runs(block.planes)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the first pass found."""

    seconds: float
    codec: str
    sample_rate: int
    channels: int
    loudness: Loudness  # of the mono sound; none when it is silent
    profile: Profile
    warnings: tuple[MediaWarning, ...]
    treat: Treat


def analyse(recording: Recording, max_seconds: float, progress: Progress) -> Analysis:
    """Listen to a recording from its start.

    Raises:
        CodecError: not sound (see :class:`audio.codec.SoundSource`).
        IngestError: ``unreadable`` when nothing could be decoded, ``too_long`` beyond ``max_seconds``.
    """
    plain = Treat()
    found, treat = _listen(recording, max_seconds, progress, plain)
    if treat != plain:
        found, _ = _listen(recording, max_seconds, progress, treat)
    return found


def _listen(recording: Recording, max_seconds: float, progress: Progress, treat: Treat) -> tuple[Analysis, Treat]:
    """One pass. Returns what was heard, and how the sound should be treated to be heard better."""
    tally, ear = _Tally(), _Ear()
    with recording.play() as source:
        first: Block | None = None
        for block in source.blocks():
            first = first or block
            mixed = treat.mono(block)
            tally.add(block, mixed)
            if tally.seconds > max_seconds:
                raise IngestError(
                    f"it is longer than {max_seconds / 60:.0f} minutes: cut it into parts", code="too_long"
                )
            ear.push(mixed, block.rate)
            progress(source.bytes_read / recording.size, tally.seconds)
        if first is None or not tally.samples:
            raise IngestError("no sound in this file can be decoded: save it again as MP3 or WAV", code="unreadable")
        loudness = ear.loudness()
        warnings = tuple(_warnings(source, first, tally, loudness, treat))
        analysis = Analysis(
            seconds=tally.seconds,
            codec=source.codec,
            sample_rate=first.rate,
            channels=len(first.planes),
            loudness=Loudness(None, loudness.true_peak) if MediaWarning.SILENT in warnings else loudness,
            profile=ear.profile,
            warnings=warnings,
            treat=treat,
        )
        return analysis, _better(tally, treat)


def _better(tally: _Tally, treat: Treat) -> Treat:
    loudest = int(np.argmax(tally.channel_power))
    if treat.only is None and _cancels(tally, loudest):
        return Treat(only=loudest)
    mean = tally.mono_sum / tally.samples
    return Treat(treat.only, mean) if abs(mean) > DC_PART and tally.seconds >= SHORT_S else treat


class _Ear:
    """Hears the mono sound at 48 kHz."""

    def __init__(self) -> None:
        self.profile = Profile()
        self._resampler = Resampler()
        self._meter = LoudnessMeter()

    def push(self, mixed: Samples, rate: int) -> None:
        self._hear(self._resampler.push(mixed, rate))

    def loudness(self) -> Loudness:
        self._hear(self._resampler.flush())
        return self._meter.result()

    def _hear(self, samples: Samples) -> None:
        self._meter.push(samples)
        self.profile.push(samples)


def _warnings(source: SoundSource, first: Block, tally: _Tally, loudness: Loudness, treat: Treat) -> list[MediaWarning]:
    gated = tally.seconds >= GATING_S and loudness.integrated is None
    claimed = source.claimed_seconds
    off = abs(claimed - tally.seconds) if claimed is not None else 0.0
    mean = treat.offset or tally.mono_sum / tally.samples
    facts = {
        MediaWarning.SILENT: gated or _rms_db(tally.mono_power, tally.samples) < SILENT_DBFS,
        MediaWarning.CLIPPED: tally.mono_peak > 1.0 or tally.flat_runs >= _FLAT_RUNS,
        MediaWarning.VERY_SHORT: tally.seconds < SHORT_S,
        MediaWarning.DC_OFFSET: tally.seconds >= SHORT_S and abs(mean) > DC_PART,
        MediaWarning.DAMAGED: source.faults > 0,
        MediaWarning.HAS_VIDEO: source.has_video,
        MediaWarning.MANY_CHANNELS: len(first.planes) > _STEREO,
        MediaWarning.OUT_OF_PHASE: treat.only is not None,
        MediaWarning.DURATION_MISMATCH: off > max(MISMATCH_S, MISMATCH_PART * tally.seconds),
    }
    return [warning for warning, holds in facts.items() if holds]


def _cancels(tally: _Tally, loudest: int) -> bool:
    channel = _rms_db(float(tally.channel_power[loudest]), tally.samples)
    return channel > SILENT_DBFS and _rms_db(tally.mono_power, tally.samples) < channel - CANCELLED_DB


def _rms_db(power: float, samples: int) -> float:
    return decibels(float(np.sqrt(power / samples))) if samples else -200.0


def _flat_runs(planes: NDArray[np.float32]) -> int:
    """How many times a channel stays at full scale for some samples in a row."""
    if float(np.abs(planes).max(initial=0.0)) < _FLAT_LEVEL:
        return 0
    flat = np.abs(planes) >= _FLAT_LEVEL
    run = flat[:, _FLAT_RUN - 1 :].copy()
    for back in range(1, _FLAT_RUN):
        run &= flat[:, _FLAT_RUN - 1 - back : flat.shape[1] - back]
    return int(np.count_nonzero(run[:, 1:] & ~run[:, :-1]) + np.count_nonzero(run[:, :1]))
