"""The attention signals before an emergency message: siren, warble, pulse and gong, each unlike the others.

Rules kept here:

1. Everything is computed: no recording and no broadcast code of anybody's is in here (a tone carries no data that could
   be replayed at another system), and equal versions give equal samples.
2. Sirens are as loud as a horn lets them be: :data:`SIREN_LUFS`, peaks under −1 dBTP, energy between 400 and 3 000 Hz,
   where village horns are efficient and ears are keen. The gong is as loud as speech: it calms.
3. They begin and end within 20 ms without a click.

Not here: which category has which tone (templates say so).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.codec import LoudnessMeter, OggOpusWriter
from audio.pcm import Samples, amplitude
from audio.targets import TARGET_LUFS
from schedules.instants import SAMPLE_RATE, Frames

#: Six decibels over speech.
SIREN_LUFS = -10.0
_PEAK_DBTP = -1.5
_EDGE_S = 0.02

Floats = npt.NDArray[np.float64]


class SirenKind(StrEnum):
    """Which signal."""

    SIREN = "siren"  # rises and falls slowly, twice: listen
    WARBLE = "warble"  # two tones in turn, fast: danger now
    PULSE = "pulse"  # three blasts and a pause (the pattern of ISO 8201): leave
    GONG = "gong"  # four calm strokes down: it is over


def siren(kind: SirenKind | str) -> Samples:
    """The samples of a signal.

    Raises:
        ValueError: no such signal.
    """
    wanted = SirenKind(kind)
    sound = _MAKERS[wanted]()
    edge = int(_EDGE_S * SAMPLE_RATE)
    ramp = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, edge))
    sound[:edge] *= ramp
    sound[-edge:] *= ramp[::-1]
    return _levelled(np.asarray(sound, np.float32), TARGET_LUFS if wanted is SirenKind.GONG else SIREN_LUFS)


def write_siren(kind: SirenKind | str, path: Path) -> Frames:
    """Write a signal as Ogg Opus; equal versions of the libraries give equal bytes. Returns its length."""
    with OggOpusWriter(path) as writer:
        writer.write(siren(kind))
    return writer.frames


def _rising() -> Floats:
    """From 420 to 1 050 Hz in three seconds and back, twice."""
    t = _time(9.0)
    pitch = 735.0 - 315.0 * np.cos(2 * np.pi * t / 4.5)
    return _horn(pitch)


def _two_tones() -> Floats:
    """850 and 1 130 Hz in turn, four times a second, for six seconds."""
    t = _time(6.0)
    return _horn(np.where((t * 8).astype(np.int64) % 2 == 0, 850.0, 1130.0))


def _blasts() -> Floats:
    """Half a second on, half a second off, three times, then a second and a half of silence; three rounds."""
    t = _time(12.0 - 1.5)
    place = t % 4.0
    on = (place < 3.0) & (place % 1.0 < 0.5)  # noqa: PLR2004 - the pattern, in seconds
    smooth = np.convolve(on.astype(np.float64), np.ones(480) / 480, mode="same")
    return np.asarray(_horn(np.full_like(t, 950.0)) * smooth)


def _strokes() -> Floats:
    """G, E, C, G, a second apart, ringing out."""
    t = _time(6.0)
    sound = np.zeros_like(t)
    for number, pitch in enumerate((783.99, 659.26, 523.25, 392.00)):
        since = np.maximum(t - number, 0.0)
        ring = np.exp(-since / 0.9) * np.minimum(1.0, since / 0.01)
        sound += ring * sum(
            level * np.sin(2 * np.pi * pitch * ratio * since) for ratio, level in ((1.0, 1.0), (2.0, 0.4), (3.0, 0.15))
        )
    return sound


_MAKERS: dict[SirenKind, Callable[[], Floats]] = {
    SirenKind.SIREN: _rising,
    SirenKind.WARBLE: _two_tones,
    SirenKind.PULSE: _blasts,
    SirenKind.GONG: _strokes,
}


def _time(seconds: float) -> Floats:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _horn(pitch: Floats) -> Floats:
    """A tone with the odd partials of a horn, following ``pitch`` (Hz) without jumps of phase."""
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    return np.asarray(np.sin(phase) + 0.35 * np.sin(3 * phase) + 0.12 * np.sin(2 * phase))


def _levelled(sound: Samples, lufs: float) -> Samples:
    meter = LoudnessMeter()
    meter.push(sound)
    measured = meter.result()
    assert measured.integrated is not None  # noqa: S101 - a signal lasts seconds
    assert measured.true_peak is not None  # noqa: S101 - and is no silence
    gain = min(lufs - measured.integrated, _PEAK_DBTP - measured.true_peak)
    return np.asarray(sound * np.float32(amplitude(gain)), np.float32)
