"""The playout engine: voices in, blocks of sound out. Pure: no thread, no device, no clock.

``render(frames, dac)`` is called by whoever owns the output, with the instant at which the block's first sample
reaches the converter. The same calls with the same instants give the same samples, which is how the tests run it for
hours on a virtual converter in seconds.

Not here: decoding (:mod:`audio.playout.decoding` fills the rings), threads (:mod:`audio.playout.engine_player`).
"""

from __future__ import annotations

import numpy as np

from audio.pcm import Samples
from audio.playout.cues import ON_AIR_DB
from audio.playout.dac import DacLine
from audio.playout.level import Limiter
from audio.playout.player import CueState
from audio.playout.servo import Servo
from audio.playout.voice import Source, Voice, VoiceEvent
from schedules.instants import SAMPLE_RATE, MonoUs


class Engine:
    """Mixes voices against one converter's time."""

    def __init__(self, *, dac_ppm: float = 0.0, exact: bool = False) -> None:
        """``exact``: the output's instants are the monotonic clock's own, so nothing is smoothed or resampled."""
        self._exact = exact
        self._line = DacLine(dac_ppm)
        self._voices: dict[str, Voice] = {}
        self._limiter = Limiter()
        self._events: list[VoiceEvent] = []
        #: Everything sounds later by this much, in µs.
        self.output_delay_us = 0

    @property
    def dac_ppm(self) -> float:
        """How much faster than the monotonic clock the converter runs."""
        return 0.0 if self._exact else self._line.ppm

    @property
    def dac_steady(self) -> bool:
        """Whether the device's times have been told for long enough to be believed."""
        return self._exact or self._line.steady

    @property
    def dac_scatter_us(self) -> float:
        """How far the instants that the device tells lie beside a straight line."""
        return 0.0 if self._exact else self._line.scatter_us

    @property
    def limited(self) -> int:
        """Blocks that the limiter had to turn down."""
        return self._limiter.limited

    @property
    def broken(self) -> int:
        """Blocks that held no numbers and were silenced."""
        return self._limiter.broken

    @property
    def idle(self) -> bool:
        """Nothing is armed or sounding."""
        return not self._voices

    def states(self) -> tuple[CueState, ...]:
        """Every cue, now."""
        return tuple(voice.state() for voice in tuple(self._voices.values()))

    def add(self, cue_id: str, source: Source, *, gain_db: float, fade_in_ms: int, level_db: float = ON_AIR_DB) -> None:
        """Arm one voice."""
        servo = Servo(self._line.ppm, exact=self._exact)
        voice = Voice(cue_id, source, gain_db=gain_db, fade_in_ms=fade_in_ms, level_db=level_db, servo=servo)
        self._voices[cue_id] = voice

    def stop(self, cue_id: str, at: MonoUs | None, fade_ms: int) -> None:
        """Begin to fade a voice at ``at``, or with the next block."""
        voice = self._voices.get(cue_id)
        if voice is not None:
            instant = -1.0 if at is None else float(at)
            voice.stop(instant, fade_ms * SAMPLE_RATE // 1000)

    def set_gain(self, cue_id: str, db: float, ramp_ms: int) -> None:
        """Move a voice to another gain."""
        voice = self._voices.get(cue_id)
        if voice is not None:
            voice.set_gain(db, ramp_ms * SAMPLE_RATE // 1000)

    def set_level(self, cue_id: str, level_db: float, at: MonoUs | None) -> None:
        """Move a voice's fader at ``at``, or with the next block."""
        voice = self._voices.get(cue_id)
        if voice is not None:
            voice.set_level(level_db, -1.0 if at is None else float(at))

    def reopened(self) -> None:
        """The output begins anew: its instants have nothing to do with those before."""
        self._line.reset()

    def render(self, frames: int, dac: MonoUs, *, glitch: bool = False, called: MonoUs | None = None) -> Samples:
        """The block whose first sample reaches the converter at ``dac``.

        Args:
            frames: its length.
            dac: µs of the monotonic clock.
            glitch: the device ran dry since the last block.
            called: when the device asked for the block, µs of the monotonic clock; None where that tells nothing.
        """
        if glitch:
            self._line.reset(dry=True)
            for voice in self._voices.values():
                voice.disturbed()
        silent = all(voice.waiting for voice in self._voices.values())
        smooth = float(dac) if self._exact else self._line.instant(float(dac), frames, called, silent=silent)
        settled = self._exact or self._line.settled
        out = np.zeros(frames, np.float32)
        for voice in tuple(self._voices.values()):
            self._take(voice, voice.mix(out, smooth - self.output_delay_us, dac_ppm=self.dac_ppm, settled=settled))
        self._limiter.apply(out)
        return out

    def lose(self, frames: int, dac: MonoUs) -> None:
        """Let a block's time pass without an output: every cue goes on along its line, and nobody hears it."""
        for voice in tuple(self._voices.values()):
            self._take(voice, voice.lose(frames, float(dac - self.output_delay_us)))

    def close(self, at: MonoUs) -> None:
        """End every voice."""
        for voice in tuple(self._voices.values()):
            self._take(voice, voice.close(float(at - self.output_delay_us)))

    def take_events(self) -> list[VoiceEvent]:
        """What happened since the last call, instants with the output delay included."""
        events, self._events = self._events, []
        return events

    def _take(self, voice: Voice, events: list[VoiceEvent]) -> None:
        if voice.done:
            del self._voices[voice.cue_id]
        for event in events:
            self._events.append(event.delayed(self.output_delay_us))
