"""Sounds for the tests of :mod:`audio`: made here, written as files here."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio.pcm import Samples

Rows = NDArray[np.float32]


def tone(seconds: float, frequency: float = 440.0, level: float = 0.25, rate: int = 48_000) -> Samples:
    t = np.arange(round(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * np.pi * frequency * t), np.float32)


def noise(seconds: float, level: float = 0.1, rate: int = 48_000, seed: int = 1) -> Samples:
    return np.asarray(np.random.default_rng(seed).normal(0.0, level, round(seconds * rate)), np.float32)


def babble(seconds: float, level: float = 0.2, rate: int = 48_000, seed: int = 2) -> Samples:
    """Noise in syllables with pauses and sharp starts: as hard on a limiter as speech."""
    sound = noise(seconds, 1.0, rate, seed)
    t = np.arange(len(sound)) / rate
    envelope = np.exp(-6.0 * (t % 0.25)) * ((t % 2.0) < 1.4)
    return np.asarray(level * sound * envelope, np.float32)


def wav(path: Path, *channels: Samples, rate: int = 48_000) -> Path:
    rows = np.clip(np.stack(channels, axis=1), -1.0, 32_767 / 32_768)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(rows * 32_768).clip(-32_768, 32_767).astype("<i2").tobytes())
    return path
