"""Outputs without a device, paced by the monotonic clock: nothing (:class:`NullOutput`) and a WAV file.

One thread each, asleep between blocks. A thread and not the event loop, because the engine is then driven from a
foreign thread as a sound card would drive it, and a busy loop never delays a block. Blocks may be long: a start is
placed inside its block by the sample, so only the delay of a stop grows with them.

A thread that wakes after its block's instant has run dry: the lost time is counted, told to the engine as a jump of
the clock, and written to a WAV as silence, so that the recording keeps its place in time.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from audio.pcm import Samples
from audio.playout.clock import monotonic_us
from audio.playout.outputs.kept import KeptOutput
from audio.playout.outputs.port import Driver
from audio.playout.outputs.wavfile import WavFile
from schedules.instants import SAMPLE_RATE, MonoUs

#: How far ahead a block is handed over: what a sound card buffers with PortAudio's ``latency='high'`` on ALSA is of
#: this size, so a busy machine makes these outputs run dry no sooner than a real one, and a stop takes no less.
DEVICE_LATENCY_MS = 120


class PacedOutput(KeptOutput):
    """Hands over a block shortly before its instant."""

    def __init__(self, name: str, *, block_ms: int, latency_ms: int) -> None:
        super().__init__(name)
        self._block_frames = block_ms * SAMPLE_RATE // 1000
        self._block_us = block_ms * 1000
        self._latency = latency_ms * 1000

    def _latency_us(self) -> int:
        return self._latency

    def _open(self) -> None:
        """Nothing to open."""

    def _release(self) -> None:
        """Nothing to let go."""

    def _write(self, block: Samples) -> None:
        """Take one block. Raises :class:`OutputError` when it cannot."""

    def _lost(self, frames: int) -> None:
        """Time passed without a block."""

    def _serve(self, driver: Driver) -> None:
        due = monotonic_us() + self._latency
        while not self._closing.is_set() and not driver.idle:
            late = monotonic_us() - due
            if late > 0:
                self._underruns += 1
                due += late
                self._lost(late * SAMPLE_RATE // 1_000_000)
            self._write(driver.render(self._block_frames, MonoUs(due), glitch=late > 0))
            due += self._block_us
            self._closing.wait(max(0, due - self._latency - monotonic_us()) / 1e6)


class NullOutput(PacedOutput):
    """Keeps time and throws sound away."""

    exact: ClassVar[bool] = True

    def __init__(self, *, block_ms: int = 100, latency_ms: int = DEVICE_LATENCY_MS) -> None:
        super().__init__("null", block_ms=block_ms, latency_ms=latency_ms)

    def _write(self, block: Samples) -> None:
        """Away with it."""


class WavOutput(PacedOutput):
    """A recording of everything that sounds (mono, 16 bits). Time in which nothing is armed is not recorded."""

    def __init__(self, path: Path, *, block_ms: int = 20, latency_ms: int = DEVICE_LATENCY_MS) -> None:
        super().__init__(f"wav:{path}", block_ms=block_ms, latency_ms=latency_ms)
        self._file = WavFile(path)

    def probe(self) -> None:
        """Create the file."""
        self._file.create()

    def _open(self) -> None:
        self._file.create()

    def _write(self, block: Samples) -> None:
        self._file.write(block)

    def _lost(self, frames: int) -> None:
        self._file.write_silence(frames)

    def _release(self) -> None:
        self._file.settle()

    def close(self) -> None:
        """End the file."""
        super().close()
        self._file.close()
