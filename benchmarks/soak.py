"""A relay for a long while over a bad line: two real agents on converters that run +80 and −60 ppm off.

A real controller relays a station to two ``loa-agent run`` processes, each behind a proxy that models a poor mobile
line (120 ± 60 ms each way, 5 % loss in bursts of 5 as TCP shows it, 400 kbit/s). Their output is a converter in
software with a crystal of its own (``skewed:PPM:FILE``); what it wrote, and when each stretch began by the one
monotonic clock of this machine, tells how far the two loudspeakers were apart and what was missing: silence in what was
written, and the time in which the converter was dry because the machine did not let the agent run for 120 ms.

It takes ``--minutes`` (10 by default) and two minutes more, so it is not part of ``make bench``.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audio.pcm import Samples
from benchmarks.loudspeakers import Loudspeakers
from benchmarks.offsets import gaps_ms, offset_at, spread_of
from benchmarks.report import Case, at_most, note, parser, report
from schedules.instants import SAMPLE_RATE
from tests.system.bad_path import POOR, BadPath, Profile
from tests.system.pulse_hall import pink_noise

PPM = (80.0, -60.0)

#: A line that nobody has measured yet gets a lead that may prove too short: the first half minute is told apart.
SETTLE_S = 30
_AHEAD_S = 45.0
_HEADER = 44
_NOISE_S = 60
_SEED = 7
_LOOK_S = 30
_CHUNK_S = 60


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound without a break: its first sample in the file, and when that was heard (µs, monotonic)."""

    frame: int
    at: float


@dataclass(frozen=True, slots=True)
class Missing:
    """Milliseconds of silence in what was written, milliseconds in which nothing was, and how often that was."""

    silent_ms: float
    dry_ms: float
    dry: int


class Recording:
    """What one converter wrote, asked by time."""

    def __init__(self, path: Path, ppm: float) -> None:
        self._data: npt.NDArray[Any] = np.memmap(path, "<i2", "r", _HEADER)
        lines = path.with_suffix(".times").read_text().split("\n")
        self.stretches = [Stretch(int(one.split()[0]), float(one.split()[1])) for one in lines if one]
        self._rate = SAMPLE_RATE / 1e6 * (1 + ppm * 1e-6)

    def onset(self) -> float:
        """When the first sound was heard.

        Raises:
            ValueError: never.
        """
        for begin in range(0, len(self._data), SAMPLE_RATE):
            loud = np.flatnonzero(np.abs(self._data[begin : begin + SAMPLE_RATE]) > 130)
            if len(loud):
                return self._instant(begin + int(loud[0]))
        raise ValueError("nothing was heard")

    def _instant(self, frame: int) -> float:
        stretch = next(one for one in reversed(self.stretches) if one.frame <= frame)
        return stretch.at + (frame - stretch.frame) / self._rate

    def at(self, instant: float, frames: int) -> tuple[Samples, float] | None:
        """``frames`` samples from the first that was heard at or after an instant, and when; None across a break."""
        stretch = next((one for one in reversed(self.stretches) if one.at <= instant), None)
        if stretch is None:
            return None
        frame = stretch.frame + int(np.ceil((instant - stretch.at) * self._rate))
        following = next((one.frame for one in self.stretches if one.frame > stretch.frame), len(self._data))
        if frame + frames > following:
            return None
        return self._sound(frame, frame + frames), self._instant(frame)

    def missing(self, since: float, until: float) -> Missing:
        """What was not heard between two instants."""
        silent_ms, dry, heard_until = 0.0, [], since
        for one, following in zip(self.stretches, [*self.stretches[1:], None], strict=True):
            end = len(self._data) if following is None else following.frame
            first = max(one.frame, one.frame + math.ceil((since - one.at) * self._rate))
            last = min(end, one.frame + math.floor((until - one.at) * self._rate))
            if last <= first:
                continue
            if one.at > heard_until:
                dry.append((one.at - heard_until) / 1000)
            heard_until = one.at + (last - one.frame) / self._rate
            for begin in range(first, last, _CHUNK_S * SAMPLE_RATE):
                silent_ms += gaps_ms(self._sound(begin, min(begin + _CHUNK_S * SAMPLE_RATE, last)))
        if until - heard_until > 1e6 / SAMPLE_RATE:
            dry.append((until - heard_until) / 1000)
        return Missing(silent_ms, sum(dry), len(dry))

    def _sound(self, begin: int, end: int) -> Samples:
        return (self._data[begin:end] / np.float32(32_768)).astype(np.float32)


def measure(minutes: float, profile: Profile) -> Iterator[Case]:
    """Play, then judge."""
    seconds = round(minutes * 60)
    with tempfile.TemporaryDirectory(prefix="loa-soak-") as name, ExitStack() as stack:
        folder = Path(name)
        files = [folder / f"{side}.wav" for side in ("left", "right")]

        def through(port: int, number: int) -> int:
            return stack.enter_context(BadPath(port, up=profile, down=profile, seed=_SEED + number)).port

        outputs = [f"skewed:{ppm:g}:{file}" for ppm, file in zip(PPM, files, strict=True)]
        repeat = -(-(seconds + SETTLE_S + 10) // _NOISE_S)
        speakers = Loudspeakers(
            folder, {}, pink_noise(_NOISE_S), through=through, outputs=outputs, ahead_s=_AHEAD_S, repeat=repeat
        )
        with speakers:
            speakers.wait_for_sound()
            memory = _live(speakers, SETTLE_S + seconds)
        recordings = [Recording(file, ppm) for file, ppm in zip(files, PPM, strict=True)]
        yield from _judge(recordings, seconds)
        for number, (before, after) in enumerate(zip(memory[0], memory[-1], strict=True)):
            who = ("left agent", "right agent", "controller")[number]
            yield at_most("soak", who, "memory gained", after - before, "MB", 10)


def _live(speakers: Loudspeakers, seconds: int) -> list[tuple[float, ...]]:
    """Let it play; the memory of everybody, every half minute."""
    until, seen = time.monotonic() + seconds, []
    assert speakers.desk is not None  # noqa: S101 - it is entered
    assert speakers.desk.process is not None  # noqa: S101 - and serves
    pids = [*(agent.pid for agent in speakers.agents), speakers.desk.process.pid]
    while time.monotonic() < until:
        time.sleep(min(_LOOK_S, max(0.1, until - time.monotonic())))
        seen.append(tuple(_resident_mb(pid) for pid in pids))
        syncs = [speakers.status(number).get("status", {}).get("sync", {}) for number in range(2)]
        told = [f"±{one.get('sigma_us')} µs, error {one.get('error_p95_us')} µs" for one in syncs]
        note(f"  {until - time.monotonic():.0f} s to go; {told}; MB {[round(one) for one in seen[-1]]}")
    return seen


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise ValueError(f"process {pid} tells no memory")


def _judge(recordings: list[Recording], seconds: int) -> Iterator[Case]:
    begins = [one.onset() for one in recordings]
    since = max(begins) + SETTLE_S * 1e6
    offsets, untold = [], 0
    for second in range(seconds):
        pieces = [one.at(since + second * 1e6, SAMPLE_RATE) for one in recordings]
        offset = None
        if pieces[0] is not None and pieces[1] is not None:
            offset = offset_at(pieces[0][0], pieces[1][0], 0, SAMPLE_RATE)
        if offset is None or pieces[0] is None or pieces[1] is None:
            untold += 1
            continue
        offsets.append(offset + pieces[1][1] - pieces[0][1])  # the pieces began within a sample of each other
    spread = spread_of(offsets)
    apart = "two converters, +80 and −60 ppm"
    yield Case("soak", apart, "start, apart", abs(begins[1] - begins[0]) / 1000, "ms")
    yield Case("soak", apart, "offset, median", spread.median, "ms")
    yield at_most("soak", apart, "offset, p95", spread.p95, "ms", 10)
    yield Case("soak", apart, "offset, largest", spread.largest, "ms")
    for ppm, recording in zip(PPM, recordings, strict=True):
        missing = recording.missing(since, since + seconds * 1e6)
        case, lost = f"{ppm:+g} ppm", missing.silent_ms + missing.dry_ms
        yield at_most("soak", case, "time without sound", lost / 10 / seconds, "%", 1)
        yield Case("soak", case, "of it the converter was dry", missing.dry_ms / 10 / seconds, "%")
        yield Case("soak", case, "times the converter was dry", missing.dry, "times")
    yield Case("soak", apart, "seconds that told no offset", untold, "s")


def main() -> int:
    """The command line."""
    words = parser(__doc__)
    words.add_argument("--minutes", type=float, default=10.0, help="how long it is measured")
    asked = words.parse_args()
    note(f"{asked.minutes:g} minutes of relay over a poor mobile line, after {SETTLE_S} s of settling")
    return report(measure(asked.minutes, POOR), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
