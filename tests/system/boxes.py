"""Real agents in processes of their own, and ears that know when each sample of their WAV files was heard."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from audio.pcm import Samples, from_s16
from audio.playout.outputs.paced import DEVICE_LATENCY_MS
from tests.system.desk import Desk, local
from tests.system.processes import BIN, Process, run, wait_until
from tests.system.pulse_hall import find

RATE = 48_000
_HEADER = 44
_POLL_S = 0.004
#: A pause in the growth of the file longer than this is a time in which nothing was armed.
_PAUSE_S = 0.15
#: The WAV output hands over blocks of 20 ms ahead of time: the end of the file sounds this much after it was written.
_AHEAD_S = (DEVICE_LATENCY_MS + 20) / 1000
#: Louder than this (of full scale) is sound.
SOUND = 0.004


class Ear:
    """Watches a WAV file grow, so that every sample gets its instant from a clock that is not the agent's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"ear-{path.name}", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        before = 0
        while not self._ended.wait(_POLL_S):
            try:
                frames = max(0, (self.path.stat().st_size - _HEADER) // 2)
            except FileNotFoundError:
                continue
            if frames != before:
                before = frames
                self._seen.append((time.time(), frames))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)

    def sound(self) -> tuple[Samples, np.ndarray[Any, np.dtype[np.float64]]]:
        """Everything recorded so far, and the UTC second at which each sample was heard."""
        seen = list(self._seen)
        data = self.path.read_bytes()[_HEADER:] if self.path.exists() else b""
        samples = from_s16(data[: len(data) // 2 * 2])
        times = np.zeros(len(samples))
        parts: list[list[tuple[float, int]]] = []
        for look in seen:
            if not parts or look[0] - parts[-1][-1][0] > _PAUSE_S:
                parts.append([])
            parts[-1].append(look)
        begin = 0
        for part in parts:
            base = min(at - frames / RATE for at, frames in part)
            end = min(part[-1][1], len(samples))
            times[begin:end] = base + _AHEAD_S + np.arange(begin, end) / RATE
            begin = end
        return samples[:begin], times[:begin]

    def window(self, begin: float, end: float) -> Samples:
        """What was heard between two instants (UTC seconds)."""
        samples, times = self.sound()
        return samples[(times >= begin) & (times < end)]

    def level(self, begin: float, end: float) -> float:
        """Root mean square between two instants; 0 when nothing was recorded."""
        heard = self.window(begin, end)
        return float(np.sqrt(np.mean(heard**2))) if len(heard) else 0.0

    def sounds_now(self, within_s: float = 0.3) -> bool:
        now = time.time()
        return self.level(now - within_s, now) > SOUND

    def level_now(self) -> float:
        now = time.time()
        return self.level(now - 0.2, now)

    def last_sound(self, before: float | None = None) -> float:
        """When the last sample that is not silence was heard (before an instant); 0 if never."""
        samples, times = self.sound()
        loud = times[np.abs(samples) > SOUND]
        loud = loud if before is None else loud[loud < before]
        return float(loud[-1]) if len(loud) else 0.0

    def find(self, programme: Samples, begin: float, end: float) -> tuple[float, float]:
        """When ``programme`` began in what was heard between two instants, and how like it that is (1 = the same)."""
        samples, times = self.sound()
        inside = (times >= begin) & (times < end)
        piece, at = samples[inside], times[inside]
        if len(piece) < len(programme):
            return 0.0, 0.0
        place, like = find(programme, piece)
        return float(at[place]), like


def tone_part(samples: Samples, hertz: float) -> float:
    """The part of the energy that lies within 20 Hz of ``hertz``: 1 = nothing else."""
    if not len(samples) or not np.any(samples):
        return 0.0
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(power[np.abs(frequencies - hertz) < 20].sum() / power.sum())


class Box:
    """``loa-agent run`` with a folder of its own. Survives :meth:`crash` and restart; each run writes another WAV."""

    def __init__(self, folder: Path, name: str, *, wav: bool = True) -> None:
        self.folder = folder / name
        self.data = self.folder / "data"
        self.name = name
        self._wav = wav
        self._runs = 0
        self.process: Process | None = None
        self.ears: list[Ear] = []

    def start(self, *options: str | Path, env: Mapping[str, str] | None = None) -> Self:
        self._runs += 1
        output = "null"
        if self._wav:
            file = self.folder / f"{self.name}-{self._runs}.wav"
            self.ears.append(Ear(file))
            output = f"wav:{file}"
        argv = [BIN / "loa-agent", "run", "--data", self.data, "--output", output, *options]
        self.process = Process(f"{self.name}-{self._runs}", argv, self.folder, env)
        return self

    @property
    def ear(self) -> Ear:
        """The ear at the present run's loudspeaker."""
        return self.ears[-1]

    def status(self) -> dict[str, Any]:
        """What ``loa-agent status`` says; nothing while the agent does not answer."""
        done = run([BIN / "loa-agent", "status", "--data", self.data, "--json"])
        said: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return said

    def asked(self) -> dict[str, Any]:
        """The same without starting a program, for polling."""
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(5)
                asking.connect(str(self.data / "agent.sock"))
                asking.sendall(b'{"ask": "status"}\n')
                while piece := asking.recv(65_536):
                    answer += piece
        except OSError:
            return {}
        said: dict[str, Any] = json.loads(answer)
        return said

    @property
    def agent_id(self) -> str:
        return str(self.asked()["agent_id"])

    def faults(self) -> set[str]:
        return {fault["code"] for fault in self.asked().get("faults", [])}

    def wait(self, what: Callable[[dict[str, Any]], object], seconds: float, words: str) -> dict[str, Any]:
        """Ask until the answer is right."""
        said: dict[str, Any] = {}

        def look() -> bool:
            nonlocal said
            assert self.process is not None
            if self.process.returncode is not None:
                raise AssertionError(f"{self.name} ended:\n{self.process.said()[-4000:]}")
            said = self.asked()
            return bool(said) and bool(what(said))

        wait_until(look, seconds, f"{self.name} {words}")
        return said

    def crash(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()

    def stop(self) -> None:
        if self.process is not None:
            self.process.close()

    def close(self) -> None:
        self.stop()
        for ear in self.ears:
            ear.close()

    def said(self) -> str:
        """Every run's words."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("*.err")))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def provision(desk: Desk, clusters: Sequence[str], folder: Path) -> list[Path]:
    """One provisioning file for each cluster, as a technician puts it on a card."""
    folder.mkdir(parents=True, exist_ok=True)
    with desk.api() as api:
        body = {"clusters": list(clusters), "controller": desk.agent_url, "life_s": 3600}
        made = dict(api.post("/api/v1/provisioning", body)["provisioning"])
    files = []
    for number, token in enumerate(made["tokens"]):
        file = folder / f"card-{number}.json"
        handle = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(handle, "w") as out:
            json.dump({**made, "tokens": [token]}, out)
        files.append(file)
    return files


def online(desk: Desk, count: int, seconds: float = 30) -> None:
    """Wait until so many agents are online and have everything their plan needs."""

    def ready() -> bool:
        with desk.api() as api:
            total = api.get("/api/v1/fleet")["total"]
        return bool(total["online"] >= count and total["cached"] >= count)

    wait_until(ready, seconds, f"{count} agents are online with their plan")


def cached(desk: Desk, clips: Mapping[str, int], seconds: float = 15) -> None:
    """Wait until the desk knows that every cluster's box has so many sounds, and needs no more."""

    def whole() -> bool:
        with desk.api() as api:
            boxes = {box["cluster_id"]: box["clips"] for box in api.get("/api/v1/agents")["items"]}
        return all(boxes.get(cluster) == f"{count}/{count}" for cluster, count in clips.items())

    wait_until(whole, seconds, "every box has its sounds")


def schedule(
    desk: Desk, area: str, clusters: Sequence[str], begin: float, *, content: Mapping[str, object], **more: object
) -> str:
    """Put a programme on the grid; ``begin`` in UTC seconds. Returns its id."""
    with desk.api() as api:
        body = {
            "area_id": area,
            "title": f"at {begin:.0f}",
            "dtstart": local(datetime.fromtimestamp(begin, UTC)),
            "targets": {"clusters": list(clusters)},
            "content": content,
            **more,
        }
        return str(api.post("/api/v1/programmes", body)["id"])


def recorded(recording: str) -> dict[str, object]:
    """A programme's content: one recording."""
    return {"kind": "recorded", "recordings": [recording]}


def delivered(rule_id: str, boxes: Sequence[Box], seconds: float = 10) -> None:
    """Wait until every box has something ahead, and its sounds."""
    for box in boxes:
        box.wait(
            lambda said: (
                said.get("next") and said["status"]["plan"]["clips_cached"] == said["status"]["plan"]["clips_needed"]
            ),
            seconds,
            f"has {rule_id} before it",
        )


def records(desk: Desk, rule_id: str) -> list[dict[str, Any]]:
    """Play records of one programme or order."""
    with desk.api() as api:
        return list(api.get("/api/v1/play-records", {"rule_id": rule_id})["items"])


def wait_records(desk: Desk, rule_id: str, count: int, seconds: float = 20) -> list[dict[str, Any]]:
    wait_until(lambda: len(records(desk, rule_id)) >= count, seconds, f"{count} records of {rule_id}")
    return records(desk, rule_id)


def seconds_of(text: str) -> float:
    """An instant of the API as UTC seconds."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def no_traceback(*texts: str) -> None:
    for text in texts:
        assert "Traceback" not in text, text[text.index("Traceback") - 500 :][:4000]
