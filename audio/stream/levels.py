"""How loud sound is on its way to the air. Loads neither numpy nor FFmpeg."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """How loud 100 ms were, in dBFS."""

    peak_db: float
    rms_db: float
