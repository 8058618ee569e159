"""How much louder a programme must become, and what that costs at its peaks.

Rules kept here:

1. Target: −16 LUFS integrated, true peak at most −1 dBTP *after* Opus, since that is what sounds. Speech at that
   level is as loud from village to village as EBU R128 makes stations, 7 LU above its −23 because horns and outdoor
   noise leave no room for quiet passages.
2. One gain for the whole programme; only peaks that would exceed the ceiling are limited.
3. Sound that has no loudness (too short, silent) is not made louder; its peaks are still held.
4. A coder overshoots. The first attempt leaves it :data:`CODER_ROOM`; what is measured afterwards decides whether
   another attempt is needed (:func:`revise`), at most :data:`ATTEMPTS` in all, the last one giving way in loudness
   rather than in peak.

Not here: passes over files (:mod:`audio.ingest`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from audio.codec import Loudness

#: Integrated loudness of everything that goes on air (LUFS).
TARGET_LUFS = -16.0

#: Highest true peak of what sounds (dBTP), EBU R128 and R128 s1.
MAX_TRUE_PEAK = -1.0

#: What the Opus coder adds to peaks at 32 kbit/s, by experience with speech and music (dB).
CODER_ROOM = 1.5

#: Attempts to meet loudness and peak.
ATTEMPTS = 4

#: How far from the target is good enough (LU).
TOLERANCE = 0.3

_SAFETY = 0.1  # between our measurement and another's
_MAX_GAIN = 50.0


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to a sound: a gain, then a limiter at ``ceiling``."""

    gain_db: float
    ceiling: float  # dBTP


def first_treatment(measured: Loudness, target: float = TARGET_LUFS) -> Treatment:
    """The treatment to begin with, from the loudness of the mono sound."""
    gain = 0.0 if measured.integrated is None else min(target - measured.integrated, _MAX_GAIN)
    return Treatment(gain, MAX_TRUE_PEAK - CODER_ROOM)


def revise(treatment: Treatment, sounded: Loudness, target: float = TARGET_LUFS, *, last: bool) -> Treatment | None:
    """A better treatment after hearing what this one gave, or None when it is good.

    ``last``: no attempt is left after the one asked for, so the peak is all that counts.
    """
    peak = sounded.true_peak if sounded.true_peak is not None else -200.0
    excess = peak - (MAX_TRUE_PEAK - _SAFETY)
    short = 0.0 if sounded.integrated is None else target - sounded.integrated
    if excess <= 0 and (abs(short) <= TOLERANCE or last):
        return None
    if last:
        # A lower gain and a lower ceiling together: everything is scaled, so the peak follows exactly.
        return Treatment(treatment.gain_db - excess - 0.3, treatment.ceiling - excess - 0.3)
    ceiling = treatment.ceiling - (excess + 0.2 if excess > 0 else 0.0)
    gain = treatment.gain_db if sounded.integrated is None else treatment.gain_db + short * 1.2
    return replace(treatment, gain_db=min(gain, _MAX_GAIN), ceiling=ceiling)
