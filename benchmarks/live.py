"""From the mouth to the loudspeaker: how long live speech takes, measured on one sample clock.

A real controller, a real agent playing into the left channel of a private PulseAudio without a sound card. The right
channel is the room's microphone: bursts of noise are played there, ``loa-controller live start --input`` captures them
as a line-in, and they come out on the left. Both channels are recorded together, so what lies between them is the
whole way: capture, 20 ms frames, the WebSocket, encoding, a bundle's 100 ms, signing, sending, the lead, decoding,
PulseAudio. Nothing is subtracted.

The floor is what no implementation with this design can avoid: the length of a bundle, Opus's look-ahead, and what
the agent's output asks for in advance.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from audio.pcm import Samples, to_s16
from benchmarks.report import Case, arguments, at_most, note, report
from controller.services.chunks import PACKET_US, SourceKind
from controller.services.live.pacing import bundle_packets
from schedules.instants import SAMPLE_RATE
from tests.system.desk import Desk
from tests.system.processes import BIN, Process, wait_until
from tests.system.pulse_hall import Hall, find, pink_noise

_BURSTS = 40
_BURST_S = 0.25
_EVERY_S = 0.8
#: Bursts that are found less surely than this are not counted, but told.
_LIKE = 0.25
_GOAL_MS = 400.0
_LONGEST_S = 1.5
_OPUS_LOOK_AHEAD_MS = 6.5


def measure(bursts: int = _BURSTS) -> Iterator[Case]:
    """Speak, listen, compare."""
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as name:
        folder = Path(name)
        hall = Hall(folder)
        hall.open()
        try:
            yield from _in_the_hall(folder, hall, bursts)
        finally:
            hall.close()


def _in_the_hall(folder: Path, hall: Hall, bursts: int) -> Iterator[Case]:
    with Desk(folder / "desk") as desk:
        cluster = desk.cluster(desk.area(), "Tà Rụt 1")
        card = folder / "provisioning.json"
        with desk.api() as api:
            wanted = {"clusters": [cluster], "controller": desk.agent_url}
            card.write_text(json.dumps(api.post("/api/v1/provisioning", wanted)["provisioning"]))
        card.chmod(0o600)
        argv: list[str | Path] = [BIN / "loa-agent", "run", "--data", folder / "agent", "--output", "pulse:left"]
        agent = Process("agent", [*argv, "--provisioning", card], folder, hall.environment)
        speaking: list[str | Path] = [BIN / "loa-controller", "live", "start", "--cluster", cluster, "--json"]
        speaking += ["--input", "pulse:right.monitor"]
        with agent, desk.api() as api:
            wait_until(lambda: api.get("/api/v1/fleet")["total"]["cached"] == 1, 60, "the agent has its plan")
            with Process("speaker", speaking, folder, {**hall.environment, **desk.cli_env}) as speaker:
                wait_until(lambda: _state(api) == "on_air", 30, "the session is on air")
                hall.record()
                voices = _speak(hall, folder, bursts)
                loud, spoken = hall.recorded()
                lead_ms = api.get("/api/v1/live")["items"][0]["lead_ms"]
                os.kill(speaker.pid, signal.SIGINT)
                wait_until(lambda: _state(api) == "ended", 30, "the session is over")
        yield from _compare(voices, spoken, loud, lead_ms)


def _state(api: object) -> str:
    items = api.get("/api/v1/live")["items"]  # type: ignore[attr-defined]
    return str(items[0]["state"]) if items else ""


def _speak(hall: Hall, folder: Path, bursts: int) -> list[Samples]:
    """Play bursts into the room's microphone; returns them."""
    voices = [pink_noise(_BURST_S, seed=number) for number in range(bursts)]
    gap = np.zeros(round((_EVERY_S - _BURST_S) * SAMPLE_RATE), np.float32)
    whole = np.concatenate([np.zeros(SAMPLE_RATE, np.float32), *(np.concatenate((one, gap)) for one in voices)])
    file = folder / "voice.raw"
    file.write_bytes(to_s16(np.concatenate((whole, np.zeros(2 * SAMPLE_RATE, np.float32)))))
    command = ["pacat", "--device=right", "--rate=48000", "--channels=1", "--format=s16le", "--raw", str(file)]
    subprocess.run(command, env=os.environ | hall.environment, check=True, timeout=30 + len(whole) / SAMPLE_RATE)
    return voices


def _compare(voices: list[Samples], spoken: Samples, loud: Samples, lead_ms: int) -> Iterator[Case]:
    delays = []
    at = 0
    for voice in voices:
        place, sure = find(voice, spoken[at:])
        place += at
        at = place + len(voice)
        window = loud[place : place + round(_LONGEST_S * SAMPLE_RATE)]
        if len(window) <= len(voice):
            continue
        later, like = find(voice, window)
        if sure > _LIKE and like > _LIKE:
            delays.append(later / SAMPLE_RATE * 1000)
    note(f"{len(delays)} of {len(voices)} bursts found on both sides; lead {lead_ms} ms")
    if not delays:
        note("nothing was heard")
        yield at_most("live", "microphone to loudspeaker", "median", 9_999.0, "ms", _GOAL_MS)
        return
    bundle_ms = bundle_packets(SourceKind.MICROPHONE, lead_ms * 1000) * PACKET_US / 1000
    median, p95, most = (float(value) for value in np.percentile(delays, (50, 95, 100)))
    yield at_most("live", "microphone to loudspeaker", "median", median, "ms", _GOAL_MS)
    yield at_most("live", "microphone to loudspeaker", "p95", p95, "ms", _GOAL_MS)
    yield Case("live", "microphone to loudspeaker", "max", most, "ms")
    yield Case("live", "microphone to loudspeaker", "bursts heard", 100 * len(delays) / len(voices), "%")
    yield Case("live", "floor", "bundle", bundle_ms, "ms")
    yield Case("live", "floor", "lead asked for by the agent", float(lead_ms), "ms")
    yield Case("live", "floor", "Opus look-ahead", _OPUS_LOOK_AHEAD_MS, "ms")
    yield Case("live", "floor", "sum", bundle_ms + lead_ms + _OPUS_LOOK_AHEAD_MS, "ms")


if __name__ == "__main__":
    sys.exit(report(measure(), as_json=arguments(__doc__).json))
