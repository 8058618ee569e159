"""From the second person's yes to the first sample at every siren, and from STOP to silence, with a live relay running.

A real controller, a swarm of real agents (``--decode`` of them decode into null outputs; the others do everything but
decode), two people at the API. Per round: a live relay sounds everywhere, an alert from a template is composed and
confirmed, the board is watched until every cluster sounds, then everything is stopped. The next rounds are the same
while fifty uploads are in ingest, a plan for 2 000 clusters is compiled and another program holds the database locked
for thirty seconds; and with a live voice (class 90) instead of a stored message.

Instants: the request's first byte is taken here; first samples and last samples are what each agent wrote down as
handed over to its output, on the clock of this same machine. The floor beside the figures is the CPU the swarm itself
used, because two cores carry both sides here and a village carries one.
"""

from __future__ import annotations

import json
import math
import sqlite3
import tempfile
import threading
import time
import wave
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from audio.pcm import Samples, to_s16
from benchmarks.loudspeakers import Station
from benchmarks.report import Case, at_most, note, parser, report
from controller.cli.output import CliError
from tests.system.boxes import schedule
from tests.system.desk import Desk, LockedDatabase, rows, soon
from tests.system.processes import BIN, Process, wait_until
from tests.system.pulse_hall import pink_noise
from tests.system.siren_desk import as_officer, composed, officer, template
from tests.system.speaker import SpeakerPerson

_WORDS: Final = "Cảnh báo lũ khẩn cấp. Mời bà con di dời ngay đến nơi an toàn. Nước đang lên nhanh."
_CONFIRM_S: Final = 0.5
_STOP_S: Final = 0.3
_BOARD_S: Final = 2.0
_LOAD_FACTOR: Final = 2.0
_UPLOADS: Final = 50
_COMPILED: Final = 2_000
_LOCKED_S: Final = 30.0
#: Agents hold at the fifth distinct start in a minute; a round has two (the relay and the alert).
_ROUND_S: Final = 32.0
_PROMISED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Round:
    """What one round gave, in seconds."""

    first_sample: tuple[float, ...]  # per cluster
    silence: tuple[float, ...]  # per cluster
    answer: float  # until the confirming person has their 2xx
    board: float  # until the board shows everyone sounding


class District:
    """A controller with its swarm, and what is done there."""

    def __init__(self, folder: Path, agents: int, decode: int, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.agents = agents
        self.desk = stack.enter_context(Desk(folder))
        note(f"making {agents} clusters")
        self._area = self.desk.area()
        clusters = [self.desk.cluster(self._area, f"Cụm {number}") for number in range(agents)]
        self._lan, self._minh = officer(self.desk, "lan"), officer(self.desk, "minh")
        file = folder / "swarm.json"
        with self.desk.api() as api:
            body = {"clusters": clusters, "controller": self.desk.agent_url, "life_s": 3600}
            file.write_text(json.dumps(api.post("/api/v1/provisioning", body)["provisioning"]))
        file.chmod(0o600)
        self._template = template(self.desk, self._area, _WORDS)
        argv: list[str | Path] = [BIN / "loa-agent", "swarm", "--count", str(agents), "--decode", str(decode)]
        argv += ["--processes", str(math.ceil(agents / 1_250)), "--provisioning", file, "--data", "memory"]
        self.swarm = stack.enter_context(Process("swarm", argv, folder))
        began = time.monotonic()
        wait_until(lambda: self._total()["online"] == agents, 60 + agents / 10, "every agent is online")
        note(f"{agents} agents enrolled and online after {time.monotonic() - began:.1f} s")
        wait_until(self._held, 120, "every agent holds the template")
        station = Station(folder, pink_noise(30.0), repeat=20)
        stack.callback(station.close)
        with self.desk.api() as api:
            made = api.post("/api/v1/sources", {"area_id": self._area, "title": "Đài", "url": station.url})
        self._source = str(made["id"])
        self._more: tuple[str, ...] = ()

    def _total(self) -> dict[str, Any]:
        with self.desk.api() as api:
            total: dict[str, Any] = api.get("/api/v1/fleet")["total"]
        return total

    def _held(self) -> bool:
        with self.desk.api() as api:
            found = api.get("/api/v1/templates/readiness")["templates"]
        return bool(found) and all(each["holding"] == self.agents for each in found)

    # --- what people do ----------------------------------------------------------------------------------------

    def relay(self) -> str:
        """A live relay to everyone, on air; the id of its session."""
        with self.desk.api() as api:
            body = {"everywhere": True, "input": "source", "source_id": self._source, "chime_before": False,
                    "chime_after": False, "title": "Tiếp sóng"}  # fmt: skip
            session = str(api.post("/api/v1/live", body)["id"])
        wait_until(lambda: self._total()["playing"] >= self.agents, 90, "the relay sounds everywhere")
        return session

    def alert(self, *, voice: bool = False) -> dict[str, Any]:
        """Compose, as the first person."""
        more: dict[str, object] = {"again": True}
        with as_officer(self.desk, self._lan) as api:
            if voice:
                body = {"kind": "voice", "areas": [self._area], "title": "Trực tiếp khẩn cấp", **more}
                made: dict[str, Any] = api.post("/api/v1/alerts", body)
                return made
            return composed(api, self._template, self._area, **more)

    def confirm(self, alert: dict[str, Any]) -> tuple[float, float, float]:
        """Say yes, as the second person: (when it was asked, seconds to the answer, seconds to a whole board)."""
        path = f"/api/v1/alerts/{alert['id']}"
        with as_officer(self.desk, self._minh) as api:
            api.get(path)  # the connection is open, as a console's is
            asked, began = time.time(), time.monotonic()
            api.post(f"{path}/confirm", {"code": alert["code"]})
            answered = time.monotonic() - began
            wait_until(lambda: api.get(f"{path}/board")["sounded"] >= self.agents, 60, "the board is whole")
            return asked, answered, time.monotonic() - began

    def stop(self) -> float:
        """STOP ALL; when it was asked."""
        with self.desk.api() as api:
            api.get("/api/v1/fleet")
            asked = time.time()
            name = api.post("/api/v1/orders/stop", {"everywhere": True})["name"]
            wait_until(lambda: api.get(f"/api/v1/orders/{name}")["accepted"] >= self.agents, 60, "everybody stopped")
        return asked

    def round(self) -> Round:
        """One alert, heard and stopped, over a relay."""
        began = time.monotonic()
        self.relay()
        alert = self.alert()
        asked, answer, board = self.confirm(alert)
        time.sleep(1.0)
        stopped = self.stop()
        first, last = self._sounded(f"rule_id LIKE '{alert['id']}%'")
        time.sleep(max(0.0, _ROUND_S - (time.monotonic() - began)))
        return Round(tuple(at - asked for at in first), tuple(at - stopped for at in last), answer, board)

    def spoken(self) -> tuple[float, ...]:
        """A live emergency voice: seconds from the confirmation to its first sample at each cluster."""
        alert = self.alert(voice=True)
        with as_officer(self.desk, self._minh) as api:
            asked = time.time()
            given = api.post(f"/api/v1/alerts/{alert['id']}/confirm", {"code": alert["code"]})
        session = str(given["live_session"])
        speaker = SpeakerPerson(self.desk, session, pink_noise(4.0), token=self._minh)
        speaker.join(60)
        first, _ = self._sounded("priority = 90")
        return tuple(at - asked for at in first)

    def _sounded(self, which: str) -> tuple[list[float], list[float]]:
        """When each cluster began and ended, by its own record; waits until all have come."""
        query = f"SELECT started, ended FROM playrecordrow WHERE started IS NOT NULL AND {which}"  # noqa: S608 - ours
        found: list[tuple[Any, ...]] = []

        def whole() -> bool:
            nonlocal found
            try:
                found = rows(self.desk, query)
            except sqlite3.OperationalError:  # locked by our own hand
                return False
            return len(found) >= self.agents

        wait_until(whole, 90, f"{self.agents} play records came home")
        return [_second(started) for started, _ in found], [_second(ended) for _, ended in found if ended]

    def cpu(self) -> tuple[float, float]:
        """CPU seconds so far: controller, swarm."""
        controller = self.desk.process
        return 0.0 if controller is None else _cpu(controller.pid), _cpu(self.swarm.pid)

    # --- load --------------------------------------------------------------------------------------------------

    def grow(self, clusters: int) -> None:
        """More clusters, for the plan's sake; they have no box, in an area of their own."""
        area = self.desk.area("Vùng khác")
        self._more = (area,)
        for number in range(clusters):
            self.desk.cluster(area, f"Trống {number}")

    def burden(self, stop: threading.Event) -> Iterator[threading.Thread | ThreadPoolExecutor]:
        """Fifty uploads, a plan that is compiled again and again; each as a thread that ends with ``stop``."""
        file = self._folder / "long.wav"
        _write_wav(file, pink_noise(30.0))
        pool = ThreadPoolExecutor(8, thread_name_prefix="upload")
        for number in range(_UPLOADS):
            pool.submit(self._upload, file, number)
        yield pool
        edits = threading.Thread(target=self._edit, args=(stop,), name="edits", daemon=True)
        edits.start()
        yield edits

    def _upload(self, file: Path, number: int) -> None:
        try:
            with self.desk.api() as api, file.open("rb") as content:
                query = {"area_id": self._area, "title": f"Tải lên {number}", "file_name": file.name}
                api.upload("/api/v1/recordings", content, size=file.stat().st_size, query=query,
                           media_type="application/octet-stream")  # fmt: skip
        except CliError as error:
            note(f"upload {number}: {error}")  # refused while the database is locked: told, and nothing is lost

    def _edit(self, stop: threading.Event) -> None:
        number = 0
        while not stop.wait(1.0):
            number += 1
            body = {"kind": "relay", "source": self._source, "fallback": []}
            try:
                schedule(self.desk, self._area, [], soon(86_400 + 600 * number).timestamp(), content=body,
                         priority="RELAY", slot_s=300, title=f"Tiếp sóng {number}",
                         targets={"areas": [self._area, *self._more]})  # fmt: skip
            except (AssertionError, CliError) as error:
                note(f"edit {number}: {error}")


def _second(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _cpu(pid: int) -> float:
    top = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (top, *top.children(recursive=True)))


def _write_wav(path: Path, sound: Samples) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(to_s16(sound))


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]


def spread(case: str, metric: str, values: Sequence[float], bound: float | None) -> Iterator[Case]:
    """p50, p95, p99 and max; the bound is on p99."""
    for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        value = percentile(values, part)
        if name == "p99" and bound is not None:
            yield at_most("emergency", case, f"{metric}, p99", value, "s", bound)
        else:
            yield Case("emergency", case, f"{metric}, {name}", value, "s")


def told(case: str, done: Sequence[Round], factor: float | None) -> Iterator[Case]:
    """The cases of some rounds. ``factor``: how much slower than promised they may be; None: nothing is promised."""

    def bound(seconds: float) -> float | None:
        return None if factor is None else factor * seconds

    yield from spread(case, "confirm → first sample", [one for each in done for one in each.first_sample],
                      bound(_CONFIRM_S))  # fmt: skip
    yield from spread(case, "STOP → silence", [one for each in done for one in each.silence], bound(_STOP_S))
    board, answer = max(each.board for each in done), max(each.answer for each in done)
    if factor is None:
        yield Case("emergency", case, "board complete, slowest round", board, "s")
    else:
        yield at_most("emergency", case, "board complete, slowest round", board, "s", factor * _BOARD_S)
    yield Case("emergency", case, "confirm → 2xx, slowest round", answer, "s")


def measure(agents: int, decode: int, rounds: int) -> Iterator[Case]:
    """All cases."""
    promised = agents <= _PROMISED
    name = f"{agents} agents, {decode} decode"
    with tempfile.TemporaryDirectory(prefix="loa-emergency-") as folder, ExitStack() as stack:
        district = District(Path(folder), agents, decode, stack)
        before, began = district.cpu(), time.monotonic()
        done = [district.round() for _ in range(rounds)]
        wall = time.monotonic() - began
        yield from told(name, done, 1.0 if promised else None)
        after = district.cpu()
        yield Case("emergency", name, "CPU of the controller meanwhile", (after[0] - before[0]) / wall, "cores")
        yield Case("emergency", name, "CPU of the simulated agents (floor)", (after[1] - before[1]) / wall, "cores")
        yield from spread(f"{name}, voice", "confirm → first sample", district.spoken(), None)
        if promised:
            yield from _under_load(district, name)


def _under_load(district: District, name: str) -> Iterator[Case]:
    district.grow(max(0, _COMPILED - district.agents))
    time.sleep(_ROUND_S)
    district.relay()
    alert = district.alert()
    stop = threading.Event()
    busy = list(district.burden(stop))
    time.sleep(2.0)
    with LockedDatabase(district.desk):
        began = time.monotonic()
        asked, answer, board = district.confirm(alert)
        time.sleep(1.0)
        stopped = district.stop()
        time.sleep(max(0.0, _LOCKED_S - (time.monotonic() - began)))
    stop.set()
    for one in busy:
        if isinstance(one, ThreadPoolExecutor):
            one.shutdown(cancel_futures=True)
        else:
            one.join(10)
    first, last = district._sounded(f"rule_id LIKE '{alert['id']}%'")  # noqa: SLF001 - the same module
    done = Round(tuple(at - asked for at in first), tuple(at - stopped for at in last), answer, board)
    yield from told(f"{name}; uploads, compile, database locked", [done], _LOAD_FACTOR)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--agents", type=int, default=1_000, help="how many (default 1000)")
    options.add_argument("--decode", type=int, default=16, help="how many of them decode (default 16)")
    options.add_argument("--rounds", type=int, default=2, help="rounds of the plain case (default 2)")
    given = options.parse_args()
    raise SystemExit(report(measure(given.agents, given.decode, given.rounds), as_json=given.json))
