"""A district to try emergencies in: a real controller, a swarm of real agents, two duty officers, a station to relay.

Rules kept here:

1. Agents hold at the fifth distinct start within a minute, so whoever lets something sound waits for its turn
   (:meth:`District.turn`) before anything is measured.
2. Answers are asked for ten times a second, as a console may: a benchmark that asks faster measures its own asking.
3. Instants come from this machine's wall clock on both sides: ours when a request's first byte is sent, the agents'
   own records for first and last samples.

Not here: what burdens the controller meanwhile (:mod:`benchmarks.burden`), the figures (:mod:`benchmarks.emergency`).
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.loudspeakers import Station
from benchmarks.report import note
from tests.system.boxes import schedule
from tests.system.desk import Desk, rows, soon
from tests.system.processes import BIN, Process, wait_until
from tests.system.pulse_hall import pink_noise
from tests.system.siren_desk import as_officer, composed, officer, template
from tests.system.speaker import SpeakerPerson

_WORDS: Final = "Cảnh báo lũ khẩn cấp. Mời bà con di dời ngay đến nơi an toàn. Nước đang lên nhanh."
_STARTS_A_MINUTE: Final = 4
_MINUTE_S: Final = 62.0
_ASK_S: Final = 0.1
#: A record that was not acknowledged is sent again after thirty seconds, and the locked database costs as much.
_RECORDS_S: Final = 90.0
#: How far ahead a relay is planned, so that every box has its plan; and how long its window is.
_PLANNED_S: Final = 10.0
_WINDOW_S: Final = 50
#: A relay to more than these is more than two cores carry for both sides.
_RELAYED: Final = 1_000
#: Half of a thousand: two processes, because a box has a core of its own and two cores are what there is here.
_AGENTS_A_PROCESS: Final = 500


@dataclass(frozen=True, slots=True)
class Round:
    """What one round gave, in seconds."""

    first_sample: tuple[float, ...]  # per cluster, from the confirmation
    acknowledged: tuple[float, ...]  # per cluster, from the confirmation until the desk knows that it was believed
    silence: tuple[float, ...]  # per cluster that still sounded, from STOP
    answer: float  # until the confirming person has their 2xx
    board: float  # until the board shows everyone sounding
    obeyed: float  # from STOP until everybody has said so


@dataclass(frozen=True, slots=True)
class Given:
    """A confirmation: when it was asked (wall clock), and what came of it in seconds after that."""

    asked: float
    answer: float
    board: float
    acknowledged: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A STOP: when it was asked (wall clock), and the seconds until everybody had obeyed."""

    asked: float
    obeyed: float


@dataclass(frozen=True, slots=True)
class Voice:
    """What a live emergency voice gave, in seconds."""

    first_sample: tuple[float, ...]  # per cluster, from the confirmation: the chime before the voice
    silence: tuple[float, ...]  # per cluster, from STOP
    on_air: float  # from the confirmation until the speaker may speak


class District:
    """A controller with its swarm, and what is done there."""

    def __init__(self, folder: Path, agents: int, decode: int, empty: int, stack: ExitStack) -> None:
        """``empty``: clusters without a box, in an area of their own, that plans are compiled for."""
        self.folder = folder
        self.agents = agents
        self.desk = stack.enter_context(Desk(folder))
        note(f"making {agents + empty} clusters")
        self.area = self.desk.area()
        clusters = self._clusters(self.area, agents)
        self._ours = tuple(clusters)
        self._relayed = self._ours[:_RELAYED]
        self.elsewhere = self.desk.area("Vùng khác")
        self._clusters(self.elsewhere, empty)
        self._lan, self._minh = officer(self.desk, "lan"), officer(self.desk, "minh")
        self._template = template(self.desk, self.area, _WORDS)
        self._starts: deque[float] = deque(maxlen=_STARTS_A_MINUTE)
        self.swarm = stack.enter_context(self._swarm(clusters, decode))
        began = time.monotonic()
        _until(lambda: self._total()["online"] == agents, 60 + agents / 10, "every agent is online")
        note(f"{agents} agents enrolled and online after {time.monotonic() - began:.1f} s")
        _until(self._held, 120, "every agent holds the template")
        station = Station(folder, pink_noise(30.0), repeat=20)
        stack.callback(station.close)
        with self.desk.api() as api:
            made = api.post("/api/v1/sources", {"area_id": self.area, "title": "Đài", "url": station.url})
        self.source = str(made["id"])
        self._window_ends = 0.0

    def _clusters(self, area: str, count: int) -> list[str]:
        with self.desk.api() as api:
            body = ({"area_id": area, "name": f"Cụm {number}"} for number in range(count))
            return [str(api.post("/api/v1/clusters", each)["id"]) for each in body]

    def _swarm(self, clusters: list[str], decode: int) -> Process:
        file = self.folder / "swarm.json"
        with self.desk.api() as api:
            body = {"clusters": clusters, "controller": self.desk.agent_url, "life_s": 3600}
            file.write_text(json.dumps(api.post("/api/v1/provisioning", body)["provisioning"]))
        file.chmod(0o600)
        argv: list[str | Path] = [BIN / "loa-agent", "swarm", "--count", str(len(clusters)), "--decode", str(decode)]
        argv += ["--processes", str(math.ceil(len(clusters) / _AGENTS_A_PROCESS))]
        return Process("swarm", [*argv, "--provisioning", file, "--data", "memory"], self.folder)

    def _total(self) -> dict[str, Any]:
        with self.desk.api() as api:
            total: dict[str, Any] = api.get("/api/v1/fleet")["total"]
        return total

    def _all_playing(self) -> bool:
        return bool(self._total()["playing"] >= len(self._relayed))

    def _held(self) -> bool:
        with self.desk.api() as api:
            found = api.get("/api/v1/templates/readiness")["templates"]
        return bool(found) and all(each["holding"] == self.agents for each in found)

    # --- what people do ----------------------------------------------------------------------------------------

    def turn(self, starts: int) -> None:
        """Wait until so many starts are allowed by the agents' guard, and count them."""
        for _ in range(starts):
            if len(self._starts) == _STARTS_A_MINUTE:
                time.sleep(max(0.0, self._starts[0] + _MINUTE_S - time.monotonic()))
            self._starts.append(time.monotonic() + (_ASK_S if not self._starts else 0.0))

    def relay(self) -> None:
        """A relay of the station, sounding at everyone (the first thousand) on return, in bundles of a second."""
        self.turn(2)  # the relay and what goes over it
        begin = soon(max(_PLANNED_S, self._window_ends - time.time()))
        self._window_ends = begin.timestamp() + _WINDOW_S + 1
        content = {"kind": "relay", "source": self.source, "fallback": []}
        schedule(self.desk, self.area, [], begin.timestamp(), content=content, priority="RELAY", slot_s=_WINDOW_S,
                 targets={"clusters": list(self._relayed)}, title="Tiếp sóng")  # fmt: skip
        time.sleep(max(0.0, begin.timestamp() - time.time()))
        _until(self._all_playing, _WINDOW_S - 20, "the relay sounds everywhere", every_s=0.5)

    def alert(self) -> dict[str, Any]:
        """A stored alert, armed by the first person."""
        with as_officer(self.desk, self._lan) as api:
            return composed(api, self._template, self.area, again=True)

    def confirm(self, alert: dict[str, Any]) -> Given:
        """Say yes, as the second person, and watch the board until it is whole."""
        path = f"/api/v1/alerts/{alert['id']}"
        with as_officer(self.desk, self._minh) as api:
            api.get(path)  # the connection is open, as a console's is
            asked, began = time.time(), time.monotonic()
            api.post(f"{path}/confirm", {"code": alert["code"]})
            answered = time.monotonic() - began
            revision = 0
            while True:
                board = api.get(f"{path}/board", {"since": revision})
                if board["sounded"] >= self.agents:
                    whole = time.monotonic() - began
                    break
                if time.monotonic() - began > 60:
                    raise AssertionError(f"the board is not whole after a minute: {board['counts']}")
                revision = board["revision"]
                time.sleep(_ASK_S)
            verified: list[str] = []

            def all_acknowledged() -> bool:
                nonlocal verified
                known = [row["times"] for row in api.get(f"{path}/board")["rows"]]
                verified = [times["verified"] for times in known if "verified" in times]
                return len(verified) >= self.agents

            _until(all_acknowledged, 30, "every cluster acknowledged")
        return Given(asked, answered, whole, tuple(_second(each) - asked for each in verified))

    def stop(self) -> Stopped:
        """STOP ALL. Returns once everybody has said that they obeyed."""
        with self.desk.api() as api:
            api.get("/healthz")
            asked, began = time.time(), time.monotonic()
            name = api.post("/api/v1/orders/stop", {"everywhere": True})["name"]
            _until(lambda: api.get(f"/api/v1/orders/{name}")["accepted"] >= self.agents, 60, "everybody stopped")
            return Stopped(asked, time.monotonic() - began)

    def round(self, during: Callable[[], None] = lambda: None) -> Round:
        """One alert over a relay, heard and stopped; ``during``: what else happens before its records are read."""
        self.relay()
        alert = self.alert()
        given = self.confirm(alert)
        time.sleep(1.0)
        stopped = self.stop()
        during()
        return self.heard(alert, given, stopped)

    def heard(self, alert: dict[str, Any], given: Given, stopped: Stopped) -> Round:
        """What the agents wrote down about an alert."""
        found = self._sounded(f"rule_id LIKE '{alert['id']}%'", self._ours)
        cut = [ended - stopped.asked for _, ended in found if ended > stopped.asked]
        if len(cut) < len(found):
            note(f"{len(found) - len(cut)} of {len(found)} were silent before STOP, and count for no silence")
        return Round(
            first_sample=tuple(started - given.asked for started, _ in found),
            acknowledged=given.acknowledged,
            silence=tuple(cut),
            answer=given.answer,
            board=given.board,
            obeyed=stopped.obeyed,
        )

    def spoken(self, clusters: int) -> Voice:
        """A live emergency voice to so many clusters, over a relay to all, then STOP."""
        self.relay()
        reached = self._ours[:: max(1, self.agents // clusters)][:clusters]  # of every process some
        with as_officer(self.desk, self._lan) as api:
            body = {"kind": "voice", "clusters": reached, "title": "Trực tiếp khẩn cấp", "again": True}
            alert = api.post("/api/v1/alerts", body)
        with as_officer(self.desk, self._minh) as api:
            path = f"/api/v1/alerts/{alert['id']}"
            api.get(path)
            asked = time.time()
            given = api.post(f"{path}/confirm", {"code": alert["code"]})
        speaker = SpeakerPerson(self.desk, str(given["live_session"]), pink_noise(3.0), token=self._lan)
        speaker.join(60)
        stopped = self.stop()
        found = self._sounded("priority = 90", reached)
        return Voice(
            first_sample=tuple(started - asked for started, _ in found),
            silence=tuple(ended - stopped.asked for _, ended in found),
            on_air=(speaker.began or math.nan) - asked,
        )

    def _sounded(self, which: str, clusters: Sequence[str]) -> list[tuple[float, float]]:
        """When each of the clusters began and ended, by its own record; waits until all have come, each once."""
        query = f"SELECT cluster_id, outcome, code, started, ended FROM playrecordrow WHERE {which}"  # noqa: S608 - ours
        found: list[tuple[Any, ...]] = []

        def whole() -> bool:
            nonlocal found
            try:
                found = rows(self.desk, query)
            except sqlite3.OperationalError:  # locked by our own hand
                return False
            return len(found) >= len(clusters)

        try:
            _until(whole, _RECORDS_S, "every play record came home", every_s=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}: {_told(found, clusters)}") from None
        heard = {cluster: (started, ended) for cluster, _, _, started, ended in found if started and ended}
        if len(found) != len(clusters) or len(heard) != len(clusters):
            raise AssertionError(f"every cluster sounds and leaves one record, but: {_told(found, clusters)}")
        return [(_second(started), _second(ended)) for started, ended in heard.values()]

    def cpu(self) -> tuple[float, float]:
        """CPU seconds so far: controller, swarm."""
        controller = self.desk.process
        return 0.0 if controller is None else _cpu(controller.pid), _cpu(self.swarm.pid)


def _until(holds: Callable[[], object], seconds: float, what: str, *, every_s: float = _ASK_S) -> None:
    wait_until(partial(_paced, holds, every_s), seconds, what)


def _paced(holds: Callable[[], object], every_s: float) -> object:
    held = holds()
    if not held:
        time.sleep(every_s)
    return held


def _second(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _cpu(pid: int) -> float:
    top = psutil.Process(pid)
    family: Iterable[psutil.Process] = (top, *top.children(recursive=True))
    return float(sum(sum(one.cpu_times()[:2]) for one in family))


def _told(found: list[tuple[Any, ...]], clusters: Sequence[str]) -> str:
    """What records there are, and whose are missing."""
    outcomes = Counter(f"{outcome} {code}".strip() for _, outcome, code, _, _ in found)
    silent = sum(1 for one in found if not (one[3] and one[4]))
    missing = sorted(set(clusters) - {one[0] for one in found})
    kinds = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()) or "none"
    lost = f"{len(missing)} missing" + (f" ({', '.join(missing[:5])} …)" if missing else "")
    return f"{len(found)} records of {len(clusters)} clusters ({kinds}), {silent} never began, {lost}"
