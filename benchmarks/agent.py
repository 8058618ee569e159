"""What one playing agent costs: CPU and memory of a real ``loa-agent run``, idle and playing.

A real controller on loopback, an agent enrolled by a provisioning file, a minute of speech played by *play now* into
PulseAudio (a private server without a sound card). CPU is user and system time of the agent's process by the kernel's
own account; memory is its resident set. The floor beside it: a bare Python process that imports what an agent must
(aiohttp, PyAV, numpy, sounddevice, cryptography) and does nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from audio.pcm import write_wav
from benchmarks.report import Case, against, arguments, at_most, note, report
from schedules.instants import SAMPLE_RATE
from tests.system.desk import Desk
from tests.system.processes import BIN, Process, wait_until
from tests.system.pulse_hall import Hall

_SETTLE_S = 8.0
_WINDOW_S = 30.0
_SECONDS = 60
_IMPORTS = "import aiohttp, av, numpy, sounddevice, cryptography, zeroconf, pydantic"


def measure() -> Iterator[Case]:
    """Idle, then playing."""
    floor = _floor_mb()
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as name:
        folder = Path(name)
        hall = Hall(folder)
        hall.open()
        try:
            yield from _with_agent(folder, hall, floor)
        finally:
            hall.close()


def _with_agent(folder: Path, hall: Hall, floor: float) -> Iterator[Case]:
    with Desk(folder / "desk") as desk:
        area = desk.area()
        cluster = desk.cluster(area, "Tà Rụt 1")
        speech = folder / "speech.wav"
        write_wav(speech, _babble())
        recording = desk.recording(area, speech)
        card = folder / "provisioning.json"
        with desk.api() as api:
            wanted = {"clusters": [cluster], "controller": desk.agent_url}
            card.write_text(json.dumps(api.post("/api/v1/provisioning", wanted)["provisioning"]))
        card.chmod(0o600)
        argv: list[str | Path] = [BIN / "loa-agent", "run", "--data", folder / "agent", "--output", "pulse:left"]
        with Process("agent", [*argv, "--provisioning", card], folder, hall.environment) as agent, desk.api() as api:
            wait_until(lambda: api.get("/api/v1/fleet")["total"]["cached"] == 1, 60, "the agent has its plan")
            time.sleep(_SETTLE_S)
            idle, _ = _cost(agent.pid)
            yield Case("agent", "idle, connected", "CPU of one core", idle, "%")
            api.post("/api/v1/orders/play", {"clusters": [cluster], "recordings": [recording]})
            wait_until(lambda: api.get("/api/v1/fleet")["total"]["playing"] == 1, 30, "the agent plays")
            time.sleep(_SETTLE_S)
            playing, memory = _cost(agent.pid)
            yield at_most("agent", "playing into PulseAudio", "CPU of one core", playing, "%", 5)
            yield at_most("agent", "playing into PulseAudio", "memory (RSS)", memory, "MB", 120)
            peer = "imports alone"
            yield against("agent", "floor", "memory (RSS)", memory, "MB", peer=peer, peer_value=floor, bound=None)


def _cost(pid: int) -> tuple[float, float]:
    """Share of one core over the window, in percent, and the largest resident set seen, in MB (10^6 bytes)."""
    begun, before, largest = time.monotonic(), _cpu_s(pid), 0.0
    while time.monotonic() - begun < _WINDOW_S:
        largest = max(largest, _rss_mb(pid))
        time.sleep(1)
    return 100 * (_cpu_s(pid) - before) / (time.monotonic() - begun), largest


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def _floor_mb() -> float:
    code = f"{_IMPORTS}; print(int(open('/proc/self/statm').read().split()[1]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return int(found.stdout) * os.sysconf("SC_PAGESIZE") / 1e6


def _babble() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Noise in the rhythm of syllables: as hard to decode as speech."""
    at = np.arange(_SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(1).standard_normal(len(at))
    return (0.1 * noise * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * at))).astype(np.float32)


if __name__ == "__main__":
    note(f"an agent idle and playing, {_WINDOW_S:.0f} s each")
    sys.exit(report(measure(), as_json=arguments(__doc__).json))
