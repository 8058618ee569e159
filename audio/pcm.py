"""Uncompressed sound in memory: mono, 48 kHz, 32-bit float, full scale = ±1.0.

One type for the whole package, so that no function has to ask for rate or channels. Lengths are counts of samples
(:data:`schedules.instants.Frames`), never rounded durations.

Not here: other rates and layouts (they end at :mod:`audio.codec`), long programmes (those are streamed in blocks).
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio.errors import CodecError
from schedules.instants import SAMPLE_RATE, Frames

#: Mono samples at 48 kHz, full scale ±1.0.
Samples: TypeAlias = NDArray[np.float32]

_S16_SCALE = 32_768.0
_SILENCE_DB = -200.0


def silence(frames: int) -> Samples:
    """``frames`` samples of nothing."""
    return np.zeros(frames, np.float32)


def from_s16(data: bytes) -> Samples:
    """Little-endian 16-bit samples as :data:`Samples`."""
    return (np.frombuffer(data, "<i2").astype(np.float32)) / np.float32(_S16_SCALE)


def to_s16(samples: Samples) -> bytes:
    """Little-endian 16-bit samples; what exceeds full scale is held at full scale."""
    scaled = np.clip(np.rint(samples * np.float32(_S16_SCALE)), -_S16_SCALE, _S16_SCALE - 1)
    return bytes(scaled.astype("<i2").tobytes())


def decibels(amplitude: float) -> float:
    """An amplitude (1.0 = full scale) in dB; zero is −200 dB, so the value is always finite."""
    return 20.0 * float(np.log10(amplitude)) if amplitude > 10 ** (_SILENCE_DB / 20) else _SILENCE_DB


def amplitude(db: float) -> float:
    """The factor that ``db`` decibels stand for."""
    return float(10.0 ** (db / 20.0))


def read_wav(path: Path) -> Samples:
    """A short mono 48 kHz 16-bit WAV file of ours, whole.

    Raises:
        CodecError: another layout (``wrong_layout``), or no WAV (``bad_audio_data``).
    """
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, SAMPLE_RATE):
                raise CodecError(f"{path.name} is not mono 16-bit 48 kHz", code="wrong_layout")
            return from_s16(file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as error:
        raise CodecError(f"{path.name} is not a WAV file: {error}") from error


def write_wav(path: Path, samples: Samples) -> Frames:
    """Write ``samples`` as mono 48 kHz 16-bit WAV and return their count."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(to_s16(samples))
    return Frames(len(samples))
