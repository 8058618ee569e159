"""How much louder a programme must become, and what that costs at its peaks.

Rules kept here:

1. Target: −16 LUFS integrated, true peak at most −1 dBTP *after* Opus, since that is what sounds.
2. One gain for the whole programme; only peaks that would exceed the ceiling are limited. The gain makes up for what
   the limiter takes (:class:`audio.loudness.profile.Profile`).
3. Sound that has no loudness (too short, silent) is not made louder; its peaks are still held.
4. A coder overshoots. The first attempt leaves it :data:`CODER_ROOM`; what is measured afterwards decides whether
   another attempt is needed (:func:`revise`), at most :data:`ATTEMPTS` in all, the last one giving way in loudness
   rather than in peak.

Not here: passes over files (:mod:`audio.ingest`).
"""

from __future__ import annotations

from dataclasses import dataclass

from audio.codec import Loudness
from audio.loudness.profile import Profile
from audio.targets import MAX_TRUE_PEAK

#: What the Opus coder adds to peaks at 32 kbit/s: speech and music stay below it most of the time (dB).
CODER_ROOM = 1.5

#: Attempts to meet loudness and peak.
ATTEMPTS = 5

#: How far from the target is good enough (LU).
TOLERANCE = 0.4

_SAFETY = 0.1  # dB between our measurement of a true peak and another's
_MAX_GAIN = 60.0
_EAGER = 1.1  # where a limiter works, a decibel of gain is less than a decibel of loudness


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to a sound: a gain, then a limiter at ``ceiling``."""

    gain_db: float
    ceiling: float  # dBTP


def first_treatment(measured: Loudness, profile: Profile, target: float) -> Treatment:
    """The treatment to begin with, from the loudness and the sketch of the mono sound."""
    ceiling = MAX_TRUE_PEAK - CODER_ROOM
    if measured.integrated is None:
        return Treatment(0.0, ceiling)
    wanted = target - measured.integrated
    return Treatment(min(profile.gain_for(wanted, ceiling), _MAX_GAIN), ceiling)


def revise(
    treatment: Treatment, sounded: Loudness, profile: Profile, target: float | None, *, last: bool
) -> Treatment | None:
    """A better treatment after hearing what this one gave, or None when it is good.

    Args:
        treatment: what was done.
        sounded: what came of it, decoded.
        profile: the sketch of the mono sound.
        target: LUFS wanted; None when the sound has no loudness.
        last: no attempt is left after the one asked for, so the peak is all that counts.
    """
    excess = -200.0 if sounded.true_peak is None else sounded.true_peak - (MAX_TRUE_PEAK - _SAFETY)
    short = 0.0 if target is None or sounded.integrated is None else target - sounded.integrated
    if excess <= 0 and (abs(short) <= TOLERANCE or last):
        return None
    if last:
        # A lower gain and a lower ceiling together: everything is scaled, so the peak follows.
        return Treatment(treatment.gain_db - excess - _SAFETY, treatment.ceiling - excess - _SAFETY)
    # What a coder makes of a peak hardly follows the ceiling, so the step is a bold one.
    ceiling = treatment.ceiling - (2.0 * excess + _SAFETY if excess > 0 else 0.0)
    if target is None:
        return Treatment(treatment.gain_db, ceiling)
    # What the lower ceiling will take is made up for at once.
    more = profile.gain_for(treatment.gain_db, ceiling) - profile.gain_for(treatment.gain_db, treatment.ceiling)
    return Treatment(min(treatment.gain_db + short * _EAGER + more, _MAX_GAIN), ceiling)
