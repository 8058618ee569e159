"""``loa-agent selftest``: tone, level, clock, disk and network, each with what to do when it is not well.

The tone is a soft 440 Hz of one second at -30 dBFS, through the very output that programmes take. It is for a
technician in front of the box; it needs no order, and it is not played while an agent runs with the same device
(the device is then busy, which the table says).
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.cache.atomic import write_file
from agent.clocks import SystemClock
from agent.conductor.wall import Source
from agent.errors import AgentError
from agent.health.timekeeping import Timekeeper
from agent.link.address import read_address
from agent.link.transport import Transport

TONE_HZ = 440.0
TONE_S = 1.0
TONE_DB = -30.0
RATE = 48_000

#: A write and fsync slower than this wears out patience and cards.
SLOW_DISK_S = 0.5
LEAST_FREE_MIB = 256
CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    name: str
    ok: bool
    found: str
    advice: str = ""

    def plain(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def run_checks(data: Path, output: str, controller: str | None) -> list[Check]:
    """All of them, one after the other. Blocks for some seconds."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("tone", lambda: check_tone(output)),
        ("clock", check_clock),
        ("disk", lambda: check_disk(data)),
        ("network", lambda: check_network(controller)),
    ]
    results = []
    for name, check in checks:
        try:
            results.append(check())
        except (AgentError, OSError) as error:
            results.append(Check(name, ok=False, found=str(error)))
    return results


def check_tone(output: str) -> Check:
    """Play the tone and see that the output took all of it."""
    from audio.errors import AudioError  # noqa: PLC0415 - sound libraries are loaded only when needed

    try:
        level, frames, late_ms = asyncio.run(_play_tone(output))
    except AudioError as error:
        return Check(
            "tone", ok=False, found=str(error), advice="choose another --output, or see that the device is free"
        )
    found = f"{frames / RATE:.2f} s at {level:.0f} dBFS handed over, first sample {late_ms:+.1f} ms"
    whole = frames >= TONE_S * RATE * 0.98
    return Check("tone", ok=whole, found=found, advice="" if whole else "the output lost samples: try another device")


async def _play_tone(output: str) -> tuple[float, int, float]:
    import numpy as np  # noqa: PLC0415

    from audio.codec import OggOpusWriter  # noqa: PLC0415
    from audio.playout import ClipSegment, Cue, EnginePlayer, monotonic_us, open_output  # noqa: PLC0415
    from schedules.instants import Frames, MonoUs  # noqa: PLC0415

    sink = open_output(output)
    await asyncio.to_thread(sink.probe)
    frames = int(TONE_S * RATE)
    amplitude = 10 ** (TONE_DB / 20)
    wave = (amplitude * np.sin(2 * np.pi * TONE_HZ * np.arange(frames) / RATE)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="loa-selftest-") as folder:
        path = Path(folder) / "tone.opus"
        with OggOpusWriter(path) as writer:
            writer.write(wave)
        player = EnginePlayer(sink)
        heard = _Listener()
        player.attach(heard)
        start = MonoUs(monotonic_us() + 500_000)
        try:
            player.arm(Cue("selftest", start, (ClipSegment(path, Frames(frames)),)))
            async with asyncio.timeout(TONE_S + 5):
                await heard.done.wait()
        except TimeoutError:
            heard.frames = 0
        finally:
            await player.close()
    late = 0.0 if heard.started_at is None else (heard.started_at - start) / 1000
    return TONE_DB, heard.frames, late


class _Listener:
    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.frames = 0
        self.started_at: int | None = None

    def started(self, cue_id: str, at: int) -> None:  # noqa: ARG002 - the port's own signature
        self.started_at = at

    def finished(self, cue_id: str, at: int, frames: int, silence_frames: int, outcome: object) -> None:  # noqa: ARG002
        self.frames = frames
        self.done.set()

    def trouble(self, code: str, detail: str, cue_id: str | None = None) -> None:  # noqa: ARG002
        return


def check_clock() -> Check:
    """Whether anybody vouches for wall time."""
    reading = Timekeeper(SystemClock()).read()
    wall = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    if reading.source is Source.NONE:
        advice = "connect it once to its controller, or set up NTP or a real-time clock"
        return Check("clock", ok=False, found=f"{wall} UTC, and nobody vouches for it", advice=advice)
    return Check("clock", ok=True, found=f"{wall} UTC by {reading.source.name.lower().replace('_', ' ')}")


def check_disk(data: Path) -> Check:
    """Room, and whether a write really reaches the disk."""
    folder = data if data.is_dir() else Path(tempfile.gettempdir())
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize // (1024 * 1024)
    probe = folder / ".selftest"
    began = time.monotonic()
    try:
        write_file(probe, os.urandom(4096))
    finally:
        probe.unlink(missing_ok=True)
    took = time.monotonic() - began
    found = f"{free} MiB free on {folder}, a safe write takes {took * 1000:.1f} ms"
    if free < LEAST_FREE_MIB:
        return Check("disk", ok=False, found=found, advice="make room or use a larger card")
    if took > SLOW_DISK_S:
        return Check("disk", ok=False, found=found, advice="the card is slow: it may be wearing out")
    return Check("disk", ok=True, found=found)


def check_network(controller: str | None) -> Check:
    """Whether the controller's agents' listener answers, or, without an address, whether there is a way out."""
    if controller is None:
        names = [name for _, name in socket.if_nameindex() if name != "lo"]
        return Check(
            "network", ok=bool(names), found=f"interfaces: {', '.join(names) or 'none'}; no --controller to try"
        )
    address = read_address(controller)
    began = time.monotonic()
    asyncio.run(_reach(controller))
    took = (time.monotonic() - began) * 1000
    host = urlsplit(address.base).netloc
    return Check("network", ok=True, found=f"{host} answers as an agents' listener in {took:.0f} ms")


async def _reach(controller: str) -> None:
    async with Transport() as transport, asyncio.timeout(CONNECT_S):
        socket_ = await transport.open(read_address(controller), "control")
        await socket_.close()
