"""The output port: where blocks go, and who decides when the next one is due.

An output owns its thread and its time; the player (as :class:`Driver`) only answers. So a device's callback, a pacing
thread and a test that steps by hand look the same to the engine.

Not here: what is in the blocks.
"""

from __future__ import annotations

from typing import Protocol

from audio.pcm import Samples
from audio.playout.player import OutputState
from schedules.instants import MonoUs


class Driver(Protocol):
    """What an output drives. Called from the output's threads, never from two at once."""

    @property
    def idle(self) -> bool:
        """Nothing is armed: no block is needed."""

    def begin(self) -> None:
        """The output was opened; its instants begin anew."""

    def render(self, frames: int, dac: MonoUs, *, glitch: bool = False, called: MonoUs | None = None) -> Samples:
        """The block whose first sample reaches the converter at ``dac``.

        ``called``: when the device asked for it, where a device with a clock of its own asks.
        """

    def lose(self, frames: int, dac: MonoUs) -> None:
        """A block's time has passed while the output was lost."""

    def trouble(self, code: str, detail: str) -> None:
        """Tell that the output was lost, or came back."""


class Output(Protocol):
    """Somewhere sound can go."""

    @property
    def exact(self) -> bool:
        """Whether its instants are the monotonic clock's own."""

    def probe(self) -> None:
        """Open it and let it go again. Blocks up to seconds: before the loop runs, or in a thread.

        Raises:
            OutputError: it cannot be opened; the message lists what there is and what to do.
        """

    def start(self, driver: Driver) -> None:
        """Serve ``driver`` from now on. Never raises for a missing device: that is a state, and is tried again."""

    def wake(self) -> None:
        """The driver is not idle any more."""

    def warm(self, until: MonoUs) -> None:
        """Something may sound soon: keep the device open until then, so that its times are steady. From any thread."""

    def state(self) -> OutputState:
        """How it is. From any thread."""

    def close(self) -> None:
        """Let it go. Blocks for a moment. Safe to repeat."""
