"""A converter with a crystal of its own, in software: a WAV file that runs fast or slow against the monotonic clock.

For measuring (``python -m benchmarks.soak``): everything that real hardware asks of the engine (times that scatter, a
rate to be found out and resampled to) without hardware. The truth lies beside the file: each line of ``FILE.times`` is
``frame instant``, the sample of the file and the µs of ``CLOCK_MONOTONIC`` at which a stretch of sound begins.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

from audio.pcm import Samples
from audio.playout.clock import monotonic_us
from audio.playout.errors import OutputError
from audio.playout.outputs.paced import DEVICE_LATENCY_MS, PacedOutput
from audio.playout.outputs.port import Driver
from audio.playout.outputs.wavfile import WavFile
from audio.playout.player import Timing
from schedules.instants import SAMPLE_RATE, MonoUs

#: No sound card is further off.
MOST_PPM = 500.0

#: One standard deviation of the instants it tells, in µs: a USB converter's.
NOISE_US = 100.0


class SkewedOutput(PacedOutput):
    """Writes a WAV file at (1 + ``ppm`` / 10⁶) × 48 kHz."""

    exact: ClassVar[bool] = False

    def __init__(self, path: Path, ppm: float) -> None:
        super().__init__(f"skewed:{ppm:g}:{path}", block_ms=20, latency_ms=DEVICE_LATENCY_MS)
        if not abs(ppm) <= MOST_PPM:
            raise OutputError(f"no converter is {ppm:g} parts in a million off", code="bad_output")
        self._path = path
        self._per_frame = 1e6 / SAMPLE_RATE / (1 + ppm * 1e-6)
        self._file = WavFile(path)
        self._written = 0
        self._noise = random.Random(str(path))  # noqa: S311 - a model of jitter

    def probe(self) -> None:
        """Create the file."""
        self._file.create()

    def _timing(self) -> Timing:
        return Timing.DAC

    def _open(self) -> None:
        self._file.create()

    def _write(self, block: Samples) -> None:
        self._file.write(block)
        self._written += len(block)

    def _serve(self, driver: Driver) -> None:
        begin, frames = float(monotonic_us() + self._latency), 0
        self._note(begin)
        while not self._closing.is_set() and not driver.idle:
            due = begin + frames * self._per_frame
            late = monotonic_us() > due
            if late:
                self._underruns += 1
                begin, frames = float(monotonic_us() + self._latency), 0
                due = begin
                self._note(begin)
            told = round(due + self._noise.gauss(0.0, NOISE_US))
            self._write(driver.render(self._block_frames, MonoUs(told), glitch=late))
            frames += self._block_frames
            ahead = begin + frames * self._per_frame - self._latency - monotonic_us()
            self._closing.wait(max(0.0, ahead) / 1e6)

    def _note(self, begin: float) -> None:
        try:
            with self._path.with_suffix(".times").open("a") as out:
                out.write(f"{self._written} {begin:.1f}\n")
        except OSError as error:
            raise OutputError(f"cannot write beside {self._path}: {error.strerror}", code="file_unwritable") from error

    def _release(self) -> None:
        self._file.settle()

    def close(self) -> None:
        """End the file."""
        super().close()
        self._file.close()
