"""From a decision of the arbiter to a cue for the player. Pure.

Rules kept here:

1. A cue is a line on the clock. What is due by the clock (a planned start, a join) is armed on its own line even
   when that began long ago: the player leaves out what is late, so neighbours stay together.
2. What starts because something else ended (an order, a restart, a resumption) is armed a moment ahead of now
   instead, so that no word of it is lost.
3. A relay without its stream plays its fallback in a circle, at most :data:`CIRCLE_SEGMENTS` at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from audio.playout import ClipSegment, Cue, Segment, SilenceSegment
from schedules.arbiter import Sounding
from schedules.instants import Frames, MonoUs, frames_of
from schedules.model import Clip, ClusterSettings, Piece, Recorded

#: A player wants to be told this early, in microseconds, to open its file and its device.
PREPARE_US = 120_000

#: What began longer ago than this is joined, never begun anew.
JOIN_AFTER_US = 1_000_000

CIRCLE_SEGMENTS = 1_000

#: The player takes gains in this range only; a plan that says more is played at the bound.
MIN_GAIN_DB, MAX_GAIN_DB = -60.0, 12.0

Key = tuple[str, int | None, datetime | None]


def key_of(sounding: Sounding) -> Key:
    """What makes two decisions the same sound: one occurrence, and one stream or one line on the clock.

    It stays the same while the sound runs on beneath something else.
    """
    line = sounding.line.at if sounding.stream_id is None else None
    return sounding.occurrence_id, sounding.stream_id, line


def joins(sounding: Sounding) -> bool:
    """Its line, or its stream, has begun before it is to be heard."""
    return sounding.line.at != sounding.since


def clips_of(sounding: Sounding) -> tuple[str, ...]:
    """The sounds that must be proven before it may start."""
    if sounding.stream_id is not None or sounding.item is None:
        return ()
    return tuple(clip.sha256 for clip in sounding.item.content.clips)


def gain_of(settings: ClusterSettings, sounding: Sounding) -> float:
    """The gain of its class, within what the player takes."""
    return max(MIN_GAIN_DB, min(MAX_GAIN_DB, settings.gain_db(sounding.priority)))


@dataclass(frozen=True, slots=True)
class Placement:
    """``since`` and the beginning of the line on the monotonic clock, and now."""

    since: MonoUs
    line: MonoUs
    now: MonoUs

    def start_of(self, sounding: Sounding) -> tuple[MonoUs, Frames]:
        """A sample and the instant it belongs to (rules 1 and 2)."""
        if joins(sounding):
            return self.line, sounding.line.sample
        item = sounding.item
        planned = item is not None and sounding.since == item.start
        by_the_clock = planned or self.now - self.since > JOIN_AFTER_US
        if by_the_clock or self.since >= self.now + PREPARE_US:
            return self.since, sounding.offset
        return MonoUs(self.now + PREPARE_US), sounding.offset


def stored_cue(
    cue_id: str,
    sounding: Sounding,
    placement: Placement,
    *,
    gain_db: float,
    level_db: float,
    path: Callable[[str], Path],
) -> Cue | None:
    """The cue for stored sound; None when nothing of it is left."""
    assert sounding.item is not None  # noqa: S101 - only streams have none
    content = sounding.item.content
    if isinstance(content, Recorded):
        segments = tuple(_segment(piece, path) for piece in content.pieces)
    else:
        segments = _circle(content.fallback, sounding, path)
    if sounding.offset >= sum(segment.frames for segment in segments):
        return None
    start, offset = placement.start_of(sounding)
    return Cue(cue_id, start, segments, offset=offset, gain_db=gain_db, level_db=level_db)


def _segment(piece: Piece, path: Callable[[str], Path]) -> Segment:
    if isinstance(piece, Clip):
        return ClipSegment(path(piece.sha256), piece.frames)
    return SilenceSegment(piece.frames)


def _circle(clips: tuple[Clip, ...], sounding: Sounding, path: Callable[[str], Path]) -> tuple[Segment, ...]:
    once = tuple(ClipSegment(path(clip.sha256), clip.frames) for clip in clips)
    round_frames = sum(segment.frames for segment in once)
    if not round_frames:
        return ()
    ends = sounding.ends or sounding.since + timedelta(hours=1)
    wanted = sounding.offset + frames_of(ends - sounding.since)
    rounds = min(-(-wanted // round_frames), CIRCLE_SEGMENTS // len(once))
    return once * max(1, rounds)
