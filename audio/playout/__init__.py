"""Playout: cues on the monotonic clock, into a sound card, a WAV file, or nothing.

Sound starts at its sample against the converter's own time, is kept there by a slow resampler, and never clicks.
:class:`EnginePlayer` decodes and mixes; :class:`TimedPlayer` only keeps time, for swarms. Both are
:class:`Player` and pass the same contract suite.

Rooms inside: values (``cues``, ``player``), the pure engine (``engine``, ``voice``, ``timeline``, ``servo``, ``dac``,
``level``, ``ring``), what fills it (``decoding``, ``live``), where it goes (``outputs``), and the two players.

The mixer: the three buses of :mod:`schedules.ladder` lie one above the other, and the conductor says where each cue
stands by its fader (``set_level``): open, softer, or shut. A cue whose fader is shut runs on along its line, so it is
back in step to the sample. Whoever listens in (``hear``) gets what leaves for the output, behind the limiter.

Beyond the contract it was asked for: ``attach(listener)``, ``set_output_delay``, a third listener call ``trouble``,
``ramp_ms`` on ``set_gain``; ``close`` is a coroutine.
"""

from __future__ import annotations

from audio.playout.clock import Clock, LoopClock, Timer, monotonic_us
from audio.playout.cues import MUTED_DB, ON_AIR_DB, ClipSegment, Cue, LiveCue, Segment, SilenceSegment
from audio.playout.decoding import DecodeWorker, Decoding
from audio.playout.engine import Engine
from audio.playout.engine_player import EnginePlayer
from audio.playout.errors import CueError, OutputError
from audio.playout.feed import LiveChunk, LiveFeed, ToMono
from audio.playout.outputs import Driver, NullOutput, Output, SounddeviceOutput, WavOutput, open_output
from audio.playout.player import (
    WARM_US,
    CuePhase,
    CueState,
    Ear,
    Outcome,
    OutputState,
    OutputStatus,
    Player,
    PlayerListener,
    PlayerState,
    Timing,
)
from audio.playout.timed_player import TimedPlayer

__all__ = [
    "MUTED_DB",
    "ON_AIR_DB",
    "WARM_US",
    "ClipSegment",
    "Clock",
    "Cue",
    "CueError",
    "CuePhase",
    "CueState",
    "DecodeWorker",
    "Decoding",
    "Driver",
    "Ear",
    "Engine",
    "EnginePlayer",
    "LiveChunk",
    "LiveCue",
    "LiveFeed",
    "LoopClock",
    "NullOutput",
    "Outcome",
    "Output",
    "OutputError",
    "OutputState",
    "OutputStatus",
    "Player",
    "PlayerListener",
    "PlayerState",
    "Segment",
    "SilenceSegment",
    "SounddeviceOutput",
    "TimedPlayer",
    "Timer",
    "Timing",
    "ToMono",
    "WavOutput",
    "monotonic_us",
    "open_output",
]
