"""A player that keeps time without decoding: one of thousands in a process.

Two timers a cue, at its start and at its end, and none in between. ``started`` carries the instant at which the
timer really ran, so a loop that is late is seen in the records. The listener hears of it in the loop's next round:
a hundred agents that start together all take their instant before the first of them begins to write it down. Live
chunks are counted when they are pushed: their place in time is known by then, what lies between them is silence. A
muted cue keeps its time and counts nothing; a timer opens its fader (:mod:`audio.playout.tally` has the arithmetic).

Not here: sound. ``state().decoding`` is False, and whoever reports must say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from audio.playout.clock import Clock, LoopClock, Timer
from audio.playout.cues import MUTED_DB, STOP_FADE_MS, Cue, LiveCue, check_gain, check_level
from audio.playout.errors import CueError
from audio.playout.feed import LiveChunk, LiveFeed, LiveReader
from audio.playout.player import (
    MAX_CUES,
    CuePhase,
    CueState,
    Ear,
    Outcome,
    OutputState,
    OutputStatus,
    PlayerListener,
    PlayerState,
    Timing,
)
from audio.playout.tally import Tally
from schedules.instants import SAMPLE_RATE, Frames, MonoUs

#: One block of a sound card.
_TOLERATED_US = 20_000


@dataclass(slots=True)
class _Timed:
    """One armed cue. ``tally.begin`` None: live, nothing arrived yet; ``end`` None: live, nobody knows."""

    cue_id: str
    tally: Tally
    end: MonoUs | None
    reader: LiveReader | None = None
    started_at: MonoUs | None = None
    told: bool = False
    stop_at: MonoUs | None = None
    ending: Timer | None = None
    ends_at: MonoUs | None = None  # when ``ending`` is to run
    starting: Timer | None = None
    filled_to: int = 0
    due_at: int = 0  # when its first sample that is not muted was due
    fader: Timer | None = None
    fades_at: MonoUs | None = None  # when ``fader`` is to run

    def settle(self, now: MonoUs) -> None:
        """Forget the details of what nothing that is still to come can change."""
        waiting = (at for at in (now, self.ends_at, self.fades_at) if at is not None)
        self.tally.settle(min(waiting))


class TimedPlayer:
    """Implements :class:`audio.playout.Player` by timers on ``clock``. One event loop, no thread."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or LoopClock()
        self._cues: dict[str, _Timed] = {}
        self._listener: PlayerListener | None = None
        self._delay_us = 0
        self._closed = False

    def attach(self, listener: PlayerListener) -> None:
        """Tell ``listener`` from now on."""
        self._listener = listener

    def arm(self, cue: Cue | LiveCue) -> None:
        """Get ready, and keep the cue's time."""
        if self._closed:
            raise CueError("the player is closed", code="player_closed")
        if cue.cue_id in self._cues:
            raise CueError(f"cue {cue.cue_id} is armed already", code="duplicate_cue")
        if len(self._cues) >= MAX_CUES:
            raise CueError(f"{MAX_CUES} cues are armed already: stop one first", code="too_many_cues")
        if isinstance(cue, LiveCue):
            timed = _Timed(cue.cue_id, Tally(None), None)
            self._cues[cue.cue_id] = timed
            self._fade(timed, cue.level_db, self._clock.now())
            timed.reader = cue.feed.reader(lambda: self._pushed(timed, cue.feed))
            self._pushed(timed, cue.feed)
            return
        begin = MonoUs(cue.start_at + self._delay_us)
        end = MonoUs(begin + _span(cue.frames - cue.offset))
        # What lies before now was never to be heard here: the cue joins its own timeline.
        first = MonoUs(max(begin, self._clock.now()))
        timed = _Timed(cue.cue_id, Tally(first), end)
        self._cues[cue.cue_id] = timed
        self._fade(timed, cue.level_db, self._clock.now())
        if end > self._clock.now():
            timed.starting = self._clock.call_at(begin, lambda: self._start(timed, first))
        self._end(timed, end, Outcome.COMPLETE)

    def stop(self, cue_id: str, at: MonoUs | None = None, fade_ms: int = STOP_FADE_MS) -> None:
        """Begin to fade at ``at``. The earlier of two stops wins."""
        timed = self._cues.get(cue_id)
        if timed is None:
            return
        now = self._clock.now()
        begins = now if at is None else MonoUs(max(at + self._delay_us, now))
        if timed.stop_at is not None and timed.stop_at <= begins:
            return
        timed.stop_at = begins
        sounds = timed.tally.begin is not None and timed.tally.begin < begins
        silent = MonoUs(begins + fade_ms * 1000) if sounds else begins
        if timed.end is not None and timed.end <= silent:
            return  # it ends by itself before that
        self._end(timed, silent, Outcome.STOPPED)

    def set_gain(self, cue_id: str, db: float, ramp_ms: int = 100) -> None:
        """Nothing is heard, but a wrong gain is refused all the same."""
        del cue_id, ramp_ms
        check_gain(db)

    def set_level(self, cue_id: str, level_db: float, at: MonoUs | None = None) -> None:
        """Shut or open the fader at ``at``."""
        check_level(level_db)
        timed = self._cues.get(cue_id)
        if timed is None:
            return
        if timed.fader is not None:
            timed.fader.cancel()
            timed.fader = timed.fades_at = None
        now = self._clock.now()
        moves = now if at is None else MonoUs(max(at + self._delay_us, now))
        if moves <= now:
            self._fade(timed, level_db, now)
        else:
            timed.fades_at = moves
            timed.fader = self._clock.call_at(moves, lambda: self._fade(timed, level_db, moves))

    def warm(self, until: MonoUs) -> None:
        """Nothing is opened, ever."""

    def set_output_delay(self, delay_us: int) -> None:
        """Keep everything that is armed from now on later by this much."""
        self._delay_us = delay_us

    def hear(self, ear: Ear | None) -> bool:
        """There is nothing to hear."""
        del ear
        return False

    def state(self) -> PlayerState:
        """What it does now."""
        now = self._clock.now()
        status = OutputStatus.RUNNING if self._cues else OutputStatus.IDLE
        return PlayerState(
            output=OutputState(name="timed", status=status, timing=Timing.EXACT),
            cues=tuple(self._state(timed, now) for timed in self._cues.values()),
            decoding=False,
        )

    async def close(self) -> None:
        """End everything."""
        if self._closed:
            return
        self._closed = True
        for timed in tuple(self._cues.values()):
            self._finish(timed, self._clock.now(), Outcome.CLOSED)

    def _end(self, timed: _Timed, at: MonoUs, outcome: Outcome) -> None:
        """It ends at ``at``, whatever was to end it before."""
        if timed.ending is not None:
            timed.ending.cancel()
        timed.ends_at = at
        timed.ending = self._clock.call_at(at, lambda: self._finish(timed, at, outcome))

    def _fade(self, timed: _Timed, level_db: float, at: MonoUs) -> None:
        timed.fader = timed.fades_at = None
        opens = timed.tally.muted and level_db != MUTED_DB
        timed.tally.fade(at, muted=level_db == MUTED_DB)
        begin = timed.tally.begin
        if opens and timed.started_at is None and begin is not None and begin <= at:
            self._start(timed, at)

    def _start(self, timed: _Timed, due: MonoUs) -> None:
        if timed.tally.muted or timed.started_at is not None:
            return
        timed.due_at = due
        timed.started_at = self._clock.now()
        timed.starting = self._clock.call_at(timed.started_at, lambda: self._tell_start(timed))

    def _tell_start(self, timed: _Timed) -> None:
        timed.starting = None
        if self._listener is not None and timed.started_at is not None and not timed.told:
            timed.told = True
            self._listener.started(timed.cue_id, timed.started_at)

    def _finish(self, timed: _Timed, at: MonoUs, outcome: Outcome) -> None:
        del self._cues[timed.cue_id]
        for timer in (timed.starting, timed.ending, timed.fader):
            if timer is not None:
                timer.cancel()
        if timed.reader is not None:
            timed.reader.close()
        self._tell_start(timed)
        frames, silent = self._count(timed, at)
        if outcome is Outcome.COMPLETE and frames == 0:
            outcome = Outcome.SILENT
        if self._listener is not None:
            self._listener.finished(timed.cue_id, at, frames, silent, outcome)

    def _count(self, timed: _Timed, until: MonoUs) -> tuple[Frames, Frames]:
        """Samples handed over and samples missing, up to ``until``."""
        due, heard = timed.tally.count(until)
        if timed.reader is None:
            # A sound card would have played on time from its buffer what a timer hands over a little late.
            late = due if timed.started_at is None else timed.started_at - timed.due_at
            heard = due if late < _TOLERATED_US else max(0, due - late)
        return _frames(heard), _frames(due - heard)

    def _state(self, timed: _Timed, now: MonoUs) -> CueState:
        frames, silent = self._count(timed, now)
        phase = CuePhase.ARMED if timed.started_at is None else CuePhase.SOUNDING
        if timed.stop_at is not None and timed.started_at is not None and timed.stop_at <= now:
            phase = CuePhase.FADING
        elif timed.tally.muted and timed.tally.begin is not None and timed.tally.begin <= now:
            phase = CuePhase.BENEATH
        return CueState(timed.cue_id, phase, frames, silent)

    def _pushed(self, timed: _Timed, feed: LiveFeed) -> None:
        """Take what a feed holds, and know where it lies in time. Without a clock it lies nowhere and is lost."""
        while timed.reader is not None and (chunk := timed.reader.take()) is not None:
            located = feed.locate(chunk.play_at)
            if located is not None:
                self._take(timed, located, chunk)

    def _take(self, timed: _Timed, located: MonoUs, chunk: LiveChunk) -> None:
        now = self._clock.now()
        begin = located + self._delay_us
        end = begin + _span(chunk.frames)
        begin = max(begin, now, timed.filled_to)
        if begin < end:
            timed.tally.bring(begin, end)
            timed.filled_to = end
            if timed.tally.begin is None:
                timed.tally.begin = begin
                timed.starting = self._clock.call_at(MonoUs(begin), lambda: self._start(timed, MonoUs(begin)))
        timed.settle(now)
        if chunk.end and timed.end is None:
            timed.end = over = MonoUs(max(end, now))
            if timed.stop_at is None:
                self._end(timed, over, Outcome.COMPLETE)


def _frames(span_us: int) -> Frames:
    """Samples in a span, to the nearest."""
    return Frames(round(span_us * SAMPLE_RATE / 1_000_000))


def _span(frames: int) -> int:
    """How long samples last, in µs, to the nearest."""
    return round(frames * 1_000_000 / SAMPLE_RATE)
