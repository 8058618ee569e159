"""What a player is asked to sound, as frozen values.

* :class:`Cue`: stored sound laid end to end, begun at an instant of the local monotonic clock.
* :class:`LiveCue`: a stream that is still being made; its samples arrive through a :class:`~audio.playout.LiveFeed`.

Rule: a cue is a line on the clock, not a queue. Sample *i* sounds at ``start_at + (i - offset) / 48 kHz``; what
arrives or is armed too late is left out, never played late.

Two factors act on it. ``gain_db`` is how loud its class is at this place. ``level_db`` is its fader in the mixer: 0 on
air, less while somebody speaks over it, :data:`MUTED_DB` while it runs on unheard beneath something more urgent. The
line knows nothing of either: what comes back is where it would have been.

Not here: why it sounds (the arbiter), where the bytes come from (the cache, the streams).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from audio.playout.errors import CueError
from audio.playout.feed import LiveFeed
from schedules.instants import Frames, MonoUs

_FROM_THE_BEGINNING: Final = Frames(0)

#: Shortest fade at any edge of sound, in milliseconds: below hearing as a fade, long enough not to click.
EDGE_FADE_MS = 5

#: Fade of a STOP, in milliseconds: one block.
STOP_FADE_MS = 20

#: The fader is moved in exactly this time, in milliseconds: 4800 samples.
LEVEL_RAMP_MS = 100

#: The levels of a fader: on air; softer, down to :data:`MIN_LEVEL_DB`; or shut.
ON_AIR_DB: Final = 0.0
MIN_LEVEL_DB: Final = -60.0
MUTED_DB: Final = float("-inf")

#: Gains outside of this are a mistake: +20 dB is ten times the amplitude.
MIN_GAIN_DB, MAX_GAIN_DB = -120.0, 20.0


@dataclass(frozen=True, slots=True)
class ClipSegment:
    """An Ogg Opus file of exactly ``frames`` samples."""

    path: Path
    frames: Frames


@dataclass(frozen=True, slots=True)
class SilenceSegment:
    """A pause that belongs to the programme."""

    frames: Frames


Segment: TypeAlias = ClipSegment | SilenceSegment


@dataclass(frozen=True, slots=True)
class Cue:
    """Stored sound with its place in time.

    ``offset`` is the sample of the joined segments that sounds at ``start_at`` (0 = from the beginning; more when
    joining or resuming). ``gain_db`` applies from the first sample; ``fade_in_ms`` is at least
    :data:`EDGE_FADE_MS`.

    Raises:
        CueError: empty, a negative length or offset, or nothing left after ``offset``.
    """

    cue_id: str
    start_at: MonoUs
    segments: tuple[Segment, ...]
    offset: Frames = _FROM_THE_BEGINNING
    gain_db: float = 0.0
    fade_in_ms: int = EDGE_FADE_MS
    level_db: float = ON_AIR_DB

    def __post_init__(self) -> None:
        if not self.segments or any(segment.frames <= 0 for segment in self.segments):
            raise CueError(f"cue {self.cue_id} needs segments of at least one sample each")
        if not 0 <= self.offset < self.frames:
            raise CueError(f"cue {self.cue_id} starts at sample {self.offset} of {self.frames}: nothing is left of it")
        check_gain(self.gain_db)
        check_level(self.level_db)

    @property
    def frames(self) -> Frames:
        """Length of all segments together, from sample 0."""
        return Frames(sum(segment.frames for segment in self.segments))


@dataclass(frozen=True, slots=True)
class LiveCue:
    """A live stream, from now until it ends by itself or is stopped."""

    cue_id: str
    feed: LiveFeed
    gain_db: float = 0.0
    fade_in_ms: int = 20
    level_db: float = ON_AIR_DB

    def __post_init__(self) -> None:
        check_gain(self.gain_db)
        check_level(self.level_db)


def check_gain(gain_db: float) -> None:
    """Refuse a gain that is no number or outside of what a loudspeaker is given.

    Raises:
        CueError: it is (``bad_gain``).
    """
    if not MIN_GAIN_DB <= gain_db <= MAX_GAIN_DB:
        raise CueError(
            f"a gain must lie between {MIN_GAIN_DB:g} and {MAX_GAIN_DB:g} dB, got {gain_db}", code="bad_gain"
        )


def check_level(level_db: float) -> None:
    """Refuse a level that no fader has.

    Raises:
        CueError: it is neither :data:`MUTED_DB` nor between :data:`MIN_LEVEL_DB` and 0 dB (``bad_level``).
    """
    if level_db != MUTED_DB and not MIN_LEVEL_DB <= level_db <= ON_AIR_DB:
        raise CueError(f"a level lies between {MIN_LEVEL_DB:g} and 0 dB, or is muted; got {level_db}", code="bad_level")
