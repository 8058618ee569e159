"""The house's own sounds: a gong that rises before a bulletin, and one that falls after it.

Rules kept here:

1. Everything is computed: no recording of anybody's is in here, and equal versions give equal samples.
2. A gong's tone is a few slightly inharmonic partials, the higher the sooner gone; it starts within 5 ms without a
   click and has died away before the sound ends.
3. It is as loud as the programmes around it, and its peaks stay under −2 dBTP.

Not here: when a chime sounds (programmes say so).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import numpy as np

from audio.codec import LoudnessMeter, OggOpusWriter
from audio.mixing.editing import fade, overlay
from audio.pcm import Samples, amplitude, silence
from audio.targets import TARGET_LUFS
from schedules.instants import SAMPLE_RATE, Frames


class ChimeKind(StrEnum):
    """Which chime."""

    OPENING = "opening"  # three tones up: listen
    CLOSING = "closing"  # two tones down: that was it


_G4, _C5, _E5 = 392.00, 523.25, 659.26
_MELODIES = {ChimeKind.OPENING: (_G4, _C5, _E5), ChimeKind.CLOSING: (_E5, _C5)}

#: From one stroke to the next, and how long the last one rings.
_STEP = Frames(SAMPLE_RATE * 55 // 100)
_RING = Frames(SAMPLE_RATE * 16 // 10)

# Partials of a struck bar: frequency ratio, level, time constant in seconds.
_PARTIALS = ((1.0, 1.0, 0.55), (2.0, 0.35, 0.35), (3.01, 0.16, 0.22), (4.17, 0.07, 0.12))
_ATTACK_S = 0.005
_PEAK_DBTP = -2.0


def chime(kind: ChimeKind | str) -> Samples:
    """The samples of a chime.

    Raises:
        ValueError: no such chime.
    """
    melody = _MELODIES[ChimeKind(kind)]
    whole = silence(_STEP * (len(melody) - 1) + _RING)
    for number, pitch in enumerate(melody):
        whole = overlay(whole, _stroke(pitch, len(whole) - number * _STEP), at=number * _STEP)
    return _levelled(fade(whole, fade_out=SAMPLE_RATE // 5))


def write_chime(kind: ChimeKind | str, path: Path) -> Frames:
    """Write a chime as Ogg Opus; equal versions of the libraries give equal bytes. Returns its length."""
    with OggOpusWriter(path) as writer:
        writer.write(chime(kind))
    return writer.frames


def _stroke(pitch: float, frames: int) -> Samples:
    t = np.arange(min(frames, _RING)) / SAMPLE_RATE
    tone = sum(level * np.exp(-t / decay) * np.sin(2 * np.pi * pitch * ratio * t) for ratio, level, decay in _PARTIALS)
    attack = np.minimum(1.0, t / _ATTACK_S)
    return np.asarray(0.25 * tone * attack, np.float32)


def _levelled(sound: Samples) -> Samples:
    meter = LoudnessMeter()
    meter.push(sound)
    measured = meter.result()
    assert measured.integrated is not None  # noqa: S101 - a chime lasts two seconds
    assert measured.true_peak is not None  # noqa: S101 - and is no silence
    gain = min(TARGET_LUFS - measured.integrated, _PEAK_DBTP - measured.true_peak)
    return np.asarray(sound * np.float32(amplitude(gain)), np.float32)
