"""Loudness of everything that goes on air: −16 LUFS mono, true peak at most −1 dBTP (EBU R128).

Measuring is :class:`LoudnessMeter` (FFmpeg's ebur128, from :mod:`audio.codec`), deciding is
:func:`first_treatment` and :func:`revise`, holding peaks is :class:`TruePeakLimiter`.
"""

from __future__ import annotations

from audio.codec import Loudness, LoudnessMeter
from audio.loudness.limiter import TruePeakLimiter
from audio.loudness.normalise import (
    ATTEMPTS,
    TOLERANCE,
    Treatment,
    first_treatment,
    revise,
)
from audio.loudness.profile import Profile
from audio.targets import MAX_TRUE_PEAK, TARGET_LUFS

__all__ = [
    "ATTEMPTS",
    "MAX_TRUE_PEAK",
    "TARGET_LUFS",
    "TOLERANCE",
    "Loudness",
    "LoudnessMeter",
    "Profile",
    "Treatment",
    "TruePeakLimiter",
    "first_treatment",
    "revise",
]
