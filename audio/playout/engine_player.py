"""A player that really decodes and mixes: the engine between an output's thread, a decoding thread and the loop.

Who calls what:

* the event loop: ``arm``, ``stop``, … which only post a command;
* the output's thread: ``begin``, ``render``, ``lose``, which carry out the commands and run the engine;
* the decoding thread: the feeders.

Each hands on by an atomic append, so nobody ever waits for another. Bounds: :data:`MAX_CUES` cues, hence as many
rings and twice as many events; :data:`MAX_COMMANDS` posted commands, beyond which a caller is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable
from functools import partial

from audio.pcm import Samples
from audio.playout.clock import Clock, LoopClock
from audio.playout.cues import STOP_FADE_MS, Cue, LiveCue, check_gain, check_level
from audio.playout.decoding import ClipFeeder, DecodeWorker, Decoding, Feeder
from audio.playout.engine import Engine
from audio.playout.errors import CueError
from audio.playout.live import LiveFeeder
from audio.playout.outputs.port import Output
from audio.playout.player import MAX_CUES, Ear, PlayerListener, PlayerState
from audio.playout.ring import SampleRing
from audio.playout.timeline import ClipTimeline, LiveTimeline
from audio.playout.voice import Finished, Source, Started
from schedules.instants import MonoUs

MAX_COMMANDS = 256

_Command = Callable[[], None]


class EnginePlayer:
    """Implements :class:`audio.playout.Player` on any output. Made on a running event loop.

    Args:
        output: where sound goes; the player closes it.
        dac_ppm: what :attr:`PlayerState.dac_ppm` was when this device was last used.
        clock: the monotonic clock, for tests.
        decoding: a decoding thread to share; without it the player has its own and closes it.
    """

    def __init__(
        self,
        output: Output,
        *,
        dac_ppm: float = 0.0,
        clock: Clock | None = None,
        decoding: Decoding | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock or LoopClock(self._loop)
        self._output = output
        self._engine = Engine(dac_ppm=dac_ppm, exact=output.exact)
        self._owns_decoding = decoding is None
        self._decoding: Decoding = decoding or DecodeWorker()
        self._listener: PlayerListener | None = None
        self._feeders: dict[str, Feeder] = {}
        self._commands: deque[_Command] = deque()
        self._messages: deque[_Command] = deque()
        self._closed = False
        self._ear: Ear | None = None
        self._broken_told = False
        output.start(self)

    # For the conductor, on the event loop --------------------------------------------------------------------------

    def attach(self, listener: PlayerListener) -> None:
        """Tell ``listener`` from now on."""
        self._listener = listener

    def arm(self, cue: Cue | LiveCue) -> None:
        """Get ready, and sound at the cue's instant."""
        if self._closed:
            raise CueError("the player is closed", code="player_closed")
        if cue.cue_id in self._feeders:
            raise CueError(f"cue {cue.cue_id} is armed already", code="duplicate_cue")
        if len(self._feeders) >= MAX_CUES:
            raise CueError(f"{MAX_CUES} cues are armed already: stop one first", code="too_many_cues")
        source, feeder = self._live(cue) if isinstance(cue, LiveCue) else self._stored(cue)
        levels = {"gain_db": cue.gain_db, "level_db": cue.level_db}
        self._post(lambda: self._engine.add(cue.cue_id, source, fade_in_ms=cue.fade_in_ms, **levels))
        self._feeders[cue.cue_id] = feeder
        self._decoding.add(feeder)
        self._output.wake()

    def stop(self, cue_id: str, at: MonoUs | None = None, fade_ms: int = STOP_FADE_MS) -> None:
        """Begin to fade at ``at``."""
        if cue_id in self._feeders:
            self._post(lambda: self._engine.stop(cue_id, at, fade_ms))

    def set_gain(self, cue_id: str, db: float, ramp_ms: int = 100) -> None:
        """Move to another gain."""
        check_gain(db)
        if cue_id in self._feeders:
            self._post(lambda: self._engine.set_gain(cue_id, db, ramp_ms))

    def set_level(self, cue_id: str, level_db: float, at: MonoUs | None = None) -> None:
        """Move its fader at ``at``."""
        check_level(level_db)
        if cue_id in self._feeders:
            self._post(lambda: self._engine.set_level(cue_id, level_db, at))

    def warm(self, until: MonoUs) -> None:
        """Hold the output open until then."""
        self._output.warm(until)

    def set_output_delay(self, delay_us: int) -> None:
        """Sound everything later by this much."""
        self._engine.output_delay_us = delay_us

    def hear(self, ear: Ear | None) -> bool:
        """Show every block to ``ear`` from the next one on."""
        self._ear = ear
        return True

    def state(self) -> PlayerState:
        """What it does now."""
        return PlayerState(
            output=self._output.state(),
            cues=self._engine.states(),
            dac_ppm=self._engine.dac_ppm,
            dac_steady=self._engine.dac_steady,
            dac_scatter_us=self._engine.dac_scatter_us,
            limited=self._engine.limited,
        )

    async def close(self) -> None:
        """End everything and let the output go."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._output.close)
        self._carry_out()
        self._engine.close(self._clock.now())
        self._hand_on()
        self._deliver()
        for feeder in self._feeders.values():
            self._decoding.remove(feeder)
        self._feeders.clear()
        if self._owns_decoding:
            await asyncio.to_thread(self._decoding.close)

    def _stored(self, cue: Cue) -> tuple[Source, Feeder]:
        timeline = ClipTimeline(cue.start_at, cue.offset, cue.frames)
        due = math.floor(timeline.index_at(self._clock.now() - self._engine.output_delay_us))
        ring = SampleRing(min(cue.frames, max(cue.offset, due)))
        feeder = ClipFeeder(cue.segments, ring, self._reporter(cue.cue_id))
        return Source(timeline, ring, lambda: feeder.broken), feeder

    def _live(self, cue: LiveCue) -> tuple[Source, Feeder]:
        timeline, ring = LiveTimeline(cue.feed), SampleRing()
        report = self._reporter(cue.cue_id)
        feeder = LiveFeeder(cue.feed, ring, timeline, report, now=self._clock.now, bell=self._decoding.wake)
        return Source(timeline, ring), feeder

    def _post(self, command: _Command) -> None:
        if len(self._commands) >= MAX_COMMANDS:
            raise CueError("the output takes no orders: it hangs", code="output_stuck")
        self._commands.append(command)

    def _reporter(self, cue_id: str) -> Callable[[str, str], None]:
        return lambda code, detail: self._tell(lambda: self._trouble(code, detail, cue_id))

    def _trouble(self, code: str, detail: str, cue_id: str | None) -> None:
        if self._listener is not None:
            self._listener.trouble(code, detail, cue_id)

    # For the output, on its threads --------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing is armed and nothing is asked."""
        return self._engine.idle and not self._commands

    def begin(self) -> None:
        """The output was opened."""
        self._engine.reopened()

    def render(self, frames: int, dac: MonoUs, *, glitch: bool = False, called: MonoUs | None = None) -> Samples:
        """The next block."""
        self._carry_out()
        block = self._engine.render(frames, dac, glitch=glitch, called=called)
        ear = self._ear
        if ear is not None:
            ear(block, dac)
        self._hand_on()
        return block

    def lose(self, frames: int, dac: MonoUs) -> None:
        """A block's time passed without an output."""
        self._carry_out()
        self._engine.lose(frames, dac)
        self._hand_on()

    def trouble(self, code: str, detail: str) -> None:
        """The output was lost, or came back."""
        self._tell(lambda: self._trouble(code, detail, None))

    def _carry_out(self) -> None:
        while self._commands:
            self._commands.popleft()()

    def _hand_on(self) -> None:
        for event in self._engine.take_events():
            self._tell(partial(self._told, event))
        if self._engine.broken and not self._broken_told:
            self._broken_told = True
            self.trouble("broken_sound", "a block of sound held no numbers and was silenced: please report this")

    def _tell(self, message: _Command) -> None:
        self._messages.append(message)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._messages:
            self._messages.popleft()()

    def _told(self, event: Started | Finished) -> None:
        if isinstance(event, Finished):
            feeder = self._feeders.pop(event.cue_id, None)
            if feeder is not None:
                self._decoding.remove(feeder)
        if self._listener is None:
            return
        if isinstance(event, Started):
            self._listener.started(event.cue_id, event.at)
        else:
            self._listener.finished(event.cue_id, event.at, event.frames, event.silence_frames, event.outcome)
