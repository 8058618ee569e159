"""One cue as the mixer hears it: waiting for its instant, sounding on its line, fading, done.

Rules kept here:

1. The first sample sounds at its instant, to a fraction of a sample; who is late joins the line where it is now.
2. Between samples a straight line is drawn ("vernier"): at ≤ 500 ppm and 48 kHz that is inaudible and costs one
   multiply-add.
3. No edge without a fade: start, stop, gap, jump, end of a gap.
4. Every sample due after arming is counted, as heard or as silence; except while the fader is shut.
5. The fader moves in exactly 4800 samples from the sample it is asked for, and the voice's place does not.

Pure: time is an argument, sound comes from a ring.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from audio.pcm import Samples, amplitude
from audio.playout.cues import LEVEL_RAMP_MS, MUTED_DB, ON_AIR_DB
from audio.playout.level import EDGE_FRAMES, GapGuard, Ramp
from audio.playout.player import CuePhase, CueState, Outcome
from audio.playout.ring import SampleRing
from audio.playout.servo import REANCHOR_US, Servo
from audio.playout.timeline import FRAMES_PER_US, Timeline
from schedules.instants import SAMPLE_RATE, Frames, MonoUs

_NEVER: Final = float("inf")

#: Samples in which a sound rises that was interrupted: 20 ms.
RETURN_FRAMES: Final = SAMPLE_RATE * 20 // 1000

#: Samples in which the fader moves.
LEVEL_FRAMES: Final = LEVEL_RAMP_MS * SAMPLE_RATE // 1000


@dataclass(frozen=True, slots=True)
class Started:
    """The first sample of a cue reaches the converter at ``at``."""

    cue_id: str
    at: MonoUs

    def delayed(self, by_us: int) -> Started:
        """The same, so much later."""
        return replace(self, at=MonoUs(self.at + by_us))


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing of a cue sounds after ``at``."""

    cue_id: str
    at: MonoUs
    frames: Frames
    silence_frames: Frames
    outcome: Outcome

    def delayed(self, by_us: int) -> Finished:
        """The same, so much later."""
        return replace(self, at=MonoUs(self.at + by_us))


VoiceEvent = Started | Finished


@dataclass(frozen=True, slots=True)
class Source:
    """Where a voice's sound and its place in time come from."""

    timeline: Timeline
    ring: SampleRing
    #: True when no more sound will come because what there is cannot be read.
    broken: Callable[[], bool] = lambda: False


class Voice:
    """Mixes one source into blocks."""

    def __init__(
        self, cue_id: str, source: Source, *, gain_db: float, fade_in_ms: int, servo: Servo, level_db: float = ON_AIR_DB
    ) -> None:
        self.cue_id = cue_id
        self.done = False
        self._source = source
        self._servo = servo
        self._gain = Ramp(amplitude(gain_db))
        self._level = Ramp(amplitude(level_db))
        self._muted = level_db == MUTED_DB
        self._level_at = _NEVER
        self._level_next = level_db
        self._fade = Ramp(0.0)
        self._fade_in = max(EDGE_FRAMES, fade_in_ms * SAMPLE_RATE // 1000)
        self._guard = GapGuard()
        self._position: float | None = None  # None while waiting
        self._started = False
        self._accounted: float | None = None  # the sample up to which all is counted, as heard or as silence
        self._heard = 0.0  # in samples of the programme, which the rate makes fractional
        self._silent = 0
        self._stop_at = _NEVER
        self._stop_fade = 0
        self._stopping = False
        self._silent_at = _NEVER
        self._events: list[VoiceEvent] = []

    def stop(self, at: float, fade_frames: int) -> None:
        """Begin to fade at ``at``. The earlier of two stops wins."""
        if at < self._stop_at and not self._stopping:
            self._stop_at = at
            self._stop_fade = max(EDGE_FRAMES, fade_frames)

    def set_gain(self, db: float, frames: int) -> None:
        """Move to another gain over ``frames``."""
        self._gain.go(amplitude(db), frames)

    def set_level(self, db: float, at: float) -> None:
        """Move the fader at ``at``. The last that is said counts."""
        self._level_next, self._level_at = db, at

    def disturbed(self) -> None:
        """The device ran dry."""
        self._servo.disturbed()

    @property
    def waiting(self) -> bool:
        """Nothing of it was handed over yet."""
        return self._position is None

    def state(self) -> CueState:
        """What it does now."""
        return CueState(
            cue_id=self.cue_id,
            phase=self._phase(),
            frames=Frames(round(self._heard)),
            silence_frames=Frames(self._silent),
            error_us=self._servo.error_us,
            correction_ppm=self._servo.ppm,
            jumps=self._servo.jumps,
        )

    def _phase(self) -> CuePhase:
        if self._stopping:
            return CuePhase.FADING
        if self._position is not None and self._muted:
            return CuePhase.BENEATH
        return CuePhase.SOUNDING if self._started else CuePhase.ARMED

    def mix(self, out: Samples, dac: float, *, dac_ppm: float = 0.0, settled: bool) -> list[VoiceEvent]:
        """Add the sound of the block that reaches the converter from ``dac`` on; say what happened in it."""
        self._events = []
        done = 0
        for place, act in self._due(dac, len(out)):
            if place > done:
                self._advance(out[done:place], dac + done / FRAMES_PER_US, dac_ppm, settled=settled)
                done = place
            if self.done:
                return self._events
            act(dac + place / FRAMES_PER_US)
        if not self.done and done < len(out):
            self._advance(out[done:], dac + done / FRAMES_PER_US, dac_ppm, settled=settled)
        return self._events

    def _due(self, dac: float, frames: int) -> list[tuple[int, Callable[[float], None]]]:
        """What is to be done in a block, and at which of its samples."""
        if self._stop_at == self._level_at == _NEVER:
            return []
        asked = ((self._level_at, self._move_fader), (self._stop_at, self._begin_stop))
        due = [(self._frames_until(at, dac, frames), act) for at, act in asked]
        return sorted([one for one in due if one[0] < frames], key=lambda one: one[0])

    def lose(self, frames: int, dac: float) -> list[VoiceEvent]:
        """Let the time of a block pass without an output: the cue goes on along its line, unheard."""
        self._events = []
        self._position = None
        self._fade = Ramp(0.0)
        self._guard = GapGuard()
        if self._stop_at < dac + frames / FRAMES_PER_US:
            self._finish(max(dac, self._stop_at), Outcome.STOPPED)
            return self._events
        if self._level_at < dac + frames / FRAMES_PER_US:
            self._move_fader(max(dac, self._level_at))
        timeline, after = self._source.timeline, dac + frames / FRAMES_PER_US
        due, end = timeline.index_at(after), timeline.end
        if due is not None:
            self._miss(due - frames, due)
            self._source.ring.want(max(self._source.ring.wanted, math.floor(due)))
            self._end_if_over(due, timeline.time_of(due if end is None else end))
        return self._events

    def close(self, at: float) -> list[VoiceEvent]:
        """End at once, because the player is closed."""
        self._events = []
        self._finish(at, Outcome.CLOSED)
        return self._events

    @staticmethod
    def _frames_until(instant: float, dac: float, frames: int) -> int:
        if instant == _NEVER:
            return frames
        return max(0, min(frames, math.ceil((instant - dac) * FRAMES_PER_US)))

    def _begin_stop(self, at: float) -> None:
        self._stop_at = _NEVER
        if self._position is None:
            self._finish(at, Outcome.STOPPED)
            return
        self._stopping = True
        self._silent_at = at + self._stop_fade / FRAMES_PER_US
        self._fade.go(0.0, self._stop_fade)

    def _move_fader(self, at: float) -> None:
        self._level_at = _NEVER
        self._muted = self._level_next == MUTED_DB
        self._level.go(amplitude(self._level_next), LEVEL_FRAMES)
        if not self._muted and self._position is not None:
            self._tell_start(at)

    def _advance(self, out: Samples, dac: float, dac_ppm: float, *, settled: bool) -> None:
        if self._position is None:
            begin = self._wait(len(out), dac)
            if begin is None or self.done:
                return
            out, dac = out[begin:], dac + begin / FRAMES_PER_US
            self._sound(out, dac)
            return
        error = dac - self._source.timeline.time_of(self._position)
        if self._servo.update(error, len(out), dac_ppm=dac_ppm, settled=settled) and not self._stopping:
            self._jump(out, dac, abs(error))
        self._sound(out, dac)

    # Waiting -----------------------------------------------------------------------------------------------------

    def _wait(self, frames: int, dac: float) -> int | None:
        """Look for the first sample in this block that is due and there; its place in the block, or None."""
        timeline, ring = self._source.timeline, self._source.ring
        origin, due = timeline.origin, timeline.index_at(dac)
        if origin is None or due is None:
            self._end_if_over(due, dac)
            return None
        if self._source.broken() and ring.end <= ring.wanted:
            self._finish(dac, Outcome.UNREADABLE)
            return None
        # A start that is still ahead begins at the origin exactly; who is late stands where the line is.
        ahead = max(0.0, origin - due)
        first = round(ahead) if self._servo.exact else math.ceil(ahead - 1e-6)
        ring.want(max(ring.wanted, origin, math.floor(due)))
        if first >= frames:
            return None
        begin = self._snapped(due + first)
        self._end_if_over(begin, dac)
        if self.done:
            return None
        # Whatever was due since the last sample that was accounted for, and is not there, is silence.
        there = np.flatnonzero(~np.isnan(ring.read(math.floor(begin), frames - first)))
        late = int(there[0]) if len(there) else frames - first
        self._miss(begin, begin + late)
        if late >= frames - first:
            self._end_if_over(begin + late, dac + frames / FRAMES_PER_US)
            return None
        self._position = begin + late
        return self._start(first + late, dac)

    def _miss(self, since: float, until: float) -> None:
        """Count as silence what was due up to ``until`` and not accounted for; the first time, from ``since`` on."""
        origin, end = self._source.timeline.origin, self._source.timeline.end
        if origin is None:
            return
        since = max(since if self._accounted is None else self._accounted, origin)
        until = until if end is None else min(until, end)
        if until > since:
            self._silent += 0 if self._muted else round(until) - round(since)
            self._accounted = until

    def _snapped(self, position: float) -> float:
        """An output without a clock of its own plays whole samples as they are."""
        return float(round(position)) if self._servo.exact else position

    def _start(self, place: int, dac: float) -> int:
        # What comes back after its output was lost rises slowly, however briskly it began.
        self._fade.go(1.0, max(self._fade_in, RETURN_FRAMES) if self._started else self._fade_in)
        if not self._muted:
            self._tell_start(dac + place / FRAMES_PER_US)
        return place

    def _tell_start(self, at: float) -> None:
        if not self._started:
            self._started = True
            self._events.append(Started(self.cue_id, MonoUs(round(at))))

    def _end_if_over(self, position: float | None, dac: float) -> None:
        end = self._source.timeline.end
        if end is not None and position is not None and position >= end:
            self._finish(dac, Outcome.COMPLETE)

    # Sounding ----------------------------------------------------------------------------------------------------

    def _sound(self, out: Samples, dac: float) -> None:
        assert self._position is not None  # noqa: S101 - only called while it has a place
        begin, rate, end = self._position, self._servo.rate, self._source.timeline.end
        frames = len(out)
        if end is not None:
            frames = min(frames, max(0, math.ceil((end - begin) / rate - 1e-6)))
        block = self._read(begin, rate, frames, end)
        missing = self._guard.apply(block)
        if not self._muted:
            self._silent += missing
            self._heard += (frames - missing) * rate
        if end is not None:
            self._soften_end(block, begin, end)
        self._fade.apply(block)
        self._gain.apply(block)
        self._level.apply(block)
        out[:frames] += block
        self._position = self._accounted = begin + frames * rate
        self._source.ring.want(max(0, math.floor(self._position)))
        if end is not None and (frames < len(out) or self._position >= end - 1e-6):
            self._finish(dac + frames / FRAMES_PER_US, Outcome.COMPLETE)
        elif self._stopping and not self._fade.moving:
            self._finish(min(self._silent_at, dac + len(out) / FRAMES_PER_US), Outcome.STOPPED)

    def _read(self, begin: float, rate: float, frames: int, end: int | None) -> Samples:
        """``frames`` samples from ``begin`` at ``rate``, drawn between the ring's samples."""
        whole = math.floor(begin)
        if rate == 1.0 and begin == whole:
            return self._source.ring.read(whole, frames)
        places = (begin - whole) + rate * np.arange(frames)
        left = places.astype(np.int64)
        data = self._source.ring.read(whole, math.floor(begin - whole + rate * frames) + 2)
        if end is not None and 0 <= end - whole < len(data):
            data[end - whole :] = 0.0  # past its end a programme is silence, not a gap
        share = (places - left).astype(np.float32)
        return data[left] * (1 - share) + data[left + 1] * share

    @staticmethod
    def _soften_end(block: Samples, begin: float, end: int) -> None:
        """The last 5 ms fall to zero, wherever the block is cut."""
        to_go = end - begin
        if to_go - len(block) < EDGE_FRAMES:
            left = (to_go - np.arange(len(block))) / EDGE_FRAMES
            block *= np.clip(left, 0.0, 1.0).astype(np.float32)

    def _jump(self, out: Samples, dac: float, distance_us: float) -> None:
        """Go to where the clock is; what was sounding fades out over what begins there."""
        assert self._position is not None  # noqa: S101 - only called while it has a place
        target = self._source.timeline.index_at(dac)
        if target is None:
            return
        fade = min(len(out), EDGE_FRAMES * (4 if distance_us > REANCHOR_US else 1))
        tail = np.nan_to_num(self._read(self._position, self._servo.rate, fade, self._source.timeline.end), copy=False)
        tail *= np.linspace(1.0, 0.0, fade, dtype=np.float32) * np.float32(
            self._gain.level * self._fade.level * self._level.level
        )
        out[:fade] += tail
        self._fade = Ramp(0.0)
        self._fade.go(1.0, fade)
        self._guard = GapGuard()
        lost = target - self._position
        if lost > 0 and not self._muted:
            self._silent += round(lost)
        self._position = self._snapped(target)

    def _finish(self, at: float, outcome: Outcome) -> None:
        if self.done:
            return
        self.done = True
        if outcome is Outcome.COMPLETE and self._heard == 0:
            outcome = Outcome.UNREADABLE if self._source.broken() else Outcome.SILENT
        end = MonoUs(round(at))
        self._events.append(Finished(self.cue_id, end, Frames(round(self._heard)), Frames(self._silent), outcome))
