"""The player port: what the conductor asks for, and what it is told.

Rules every implementation keeps (``tests/contract/test_player_contract.py`` runs on all of them):

1. No call blocks the event loop; every listener callback arrives on the event loop's thread, in order.
2. Each armed cue is told ``started`` at most once and ``finished`` exactly once, whatever happens to the output.
3. Sound starts at its instant or joins its own timeline later; it is never shifted and never hurried.
4. ``stop`` may be repeated, and may name a cue that has ended.
5. A muted cue runs on along its line. Muted, it has not started, and what passes is neither counted as handed over nor
   as missing; ducked, it counts like any other sound.

Not here: the arbiter's reasons, the records that are kept of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from audio.pcm import Samples
from audio.playout.cues import STOP_FADE_MS, Cue, LiveCue
from schedules.instants import Frames, MonoUs

#: How long before it sounds an output is best opened: PulseAudio's times need 20 s to settle, and the line through them
#: looks back over half of its life.
WARM_US = 40_000_000

#: Cues armed or sounding at once. A conductor needs three or four; more is a fault in the caller.
MAX_CUES = 16


class Outcome(StrEnum):
    """How a cue ended."""

    COMPLETE = "complete"  # its end was reached (``silence_frames`` says what is missing in between)
    STOPPED = "stopped"  # by ``stop``
    SILENT = "silent"  # its end was reached and not one sample of it was handed over
    UNREADABLE = "unreadable"  # a file of it is missing or damaged and nothing of it sounded
    CLOSED = "closed"  # the player was closed


class OutputStatus(StrEnum):
    """What the output does now."""

    IDLE = "idle"  # nothing to sound: the device is closed or waits
    RUNNING = "running"
    FAILED = "failed"  # lost or never found; it is tried again with growing pauses


class Timing(StrEnum):
    """Where the output's idea of time comes from."""

    EXACT = "exact"  # the monotonic clock itself (WAV, null)
    DAC = "dac"  # the device tells when a sample reaches its converter
    DEGRADED = "degraded"  # the device does not tell; guessed from its stated latency
    UNKNOWN = "unknown"  # not opened yet


@dataclass(frozen=True, slots=True)
class OutputState:
    """The output as a technician wants to see it. ``code`` and ``detail`` say why it is not well."""

    name: str
    status: OutputStatus = OutputStatus.IDLE
    timing: Timing = Timing.UNKNOWN
    code: str | None = None
    detail: str | None = None
    latency_us: int = 0
    underruns: int = 0  # times the device or the pacing ran dry since the player was made
    reopened: int = 0  # times it came back after it was lost


class CuePhase(StrEnum):
    """Where a cue is in its life."""

    ARMED = "armed"
    SOUNDING = "sounding"
    BENEATH = "beneath"  # its time runs, its fader is shut
    FADING = "fading"


@dataclass(frozen=True, slots=True)
class CueState:
    """One cue, now. ``error_us`` is positive when its sound is late; ``correction_ppm`` is what is done about it."""

    cue_id: str
    phase: CuePhase
    frames: Frames
    silence_frames: Frames
    error_us: float = 0.0
    correction_ppm: float = 0.0
    jumps: int = 0


@dataclass(frozen=True, slots=True)
class PlayerState:
    """The whole player, now. ``dac_ppm`` is to be kept and given to the next player of the same device."""

    output: OutputState
    cues: tuple[CueState, ...] = ()
    dac_ppm: float = 0.0  # how much faster than the monotonic clock the device's converter runs
    dac_steady: bool = True  # the device has been open long enough for its times to be believed
    dac_scatter_us: float = 0.0  # how far the instants it tells lie beside a straight line
    limited: int = 0  # blocks that the limiter had to turn down
    decoding: bool = True  # False: time is kept but nothing is decoded


#: Told each block and the instant its first sample reaches the converter, on the output's thread: it must be quick,
#: must not raise, and must not keep the block itself.
Ear: TypeAlias = Callable[[Samples, MonoUs], None]


class PlayerListener(Protocol):
    """Who is told what sounded. Called on the event loop's thread."""

    def started(self, cue_id: str, at: MonoUs) -> None:
        """The first sample that was not muted reached the converter (or was really handed over) at ``at``.

        The output delay is included.
        """

    def finished(self, cue_id: str, at: MonoUs, frames: Frames, silence_frames: Frames, outcome: Outcome) -> None:
        """Nothing more of it sounds after ``at``.

        ``frames``: samples of the programme that were handed over, its own pauses included. ``silence_frames``:
        samples that should have been heard after arming and were not. What passed while it was muted is in neither.
        """

    def trouble(self, code: str, detail: str, cue_id: str | None = None) -> None:
        """Something is worth a fault or a log line; sound goes on as well as it can. Once per incident."""


class Player(Protocol):
    """Sounds cues at their instants."""

    def attach(self, listener: PlayerListener) -> None:
        """Tell ``listener`` from now on. One listener at a time; called before the first ``arm``."""

    def arm(self, cue: Cue | LiveCue) -> None:
        """Get ready, and sound at the cue's instant. Best called ≥ 0.5 s ahead; later, it joins its timeline.

        Raises:
            CueError: the id is in use, too many cues, or the player is closed.
        """

    def stop(self, cue_id: str, at: MonoUs | None = None, fade_ms: int = STOP_FADE_MS) -> None:
        """Begin to fade at ``at`` (now, if None or past); silent ``fade_ms`` later. An earlier stop wins."""

    def set_gain(self, cue_id: str, db: float, ramp_ms: int = 100) -> None:
        """Move to another gain over ``ramp_ms``. Without effect on a cue that has ended.

        Raises:
            CueError: the gain is out of range (``bad_gain``).
        """

    def set_level(self, cue_id: str, level_db: float, at: MonoUs | None = None) -> None:
        """From ``at`` on (now, if None or past) move its fader to ``level_db``, in :data:`LEVEL_RAMP_MS`.

        A call replaces an earlier one whose instant has not come. Without effect on a cue that has ended.

        Raises:
            CueError: no fader has that level (``bad_level``).
        """

    def warm(self, until: MonoUs) -> None:
        """Something may sound until then: hold the output open, so that its times are steady when it does.

        Best called :data:`WARM_US` ahead. Nothing sounds by it; without effect on outputs that need no warming.
        """

    def set_output_delay(self, delay_us: int) -> None:
        """Sound everything later by this much (acoustics between clusters). Positive = later."""

    def hear(self, ear: Ear | None) -> bool:
        """Show every block that leaves for the output, behind the limiter, to ``ear`` (None: to nobody any more).

        One ear at a time. False: this player makes no sound, there is nothing to hear.
        """

    def state(self) -> PlayerState:
        """What it does now. Cheap."""

    async def close(self) -> None:
        """End everything (each cue is told ``finished`` with ``closed``) and let the output go. Safe to repeat."""
