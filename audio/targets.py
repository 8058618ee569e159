"""The two numbers everything on air is made to. Kept apart so that they can be read without loading FFmpeg."""

from __future__ import annotations

#: Integrated loudness of everything that goes on air (LUFS). EBU R128 asks −23 of stations; horns outdoors have no
#: room for quiet passages, and −16 LUFS mono is what speech for loudspeakers is commonly delivered at.
TARGET_LUFS = -16.0

#: Highest true peak of what sounds (dBTP), EBU R128.
MAX_TRUE_PEAK = -1.0
