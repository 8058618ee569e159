"""The demo from beginning to end: controller, station, district, agents, bulletin, relay, summary.

The controller runs in this process, the agents in their own; they meet over loopback only. Every step has a time limit,
and whatever was started is ended, also after Ctrl-C or a failure.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from audio.pcm import read_wav
from audio.speech import EspeakEngine
from controller.app import Running, running
from controller.config import Config
from controller.demo.board import Board
from controller.demo.district import ADMIN_DOOR, PEOPLE, RADIO_TEXT, RADIO_TITLE, TIMEZONE, seed_clusters
from controller.demo.life import Life, cast_of
from controller.demo.radio import RadioStation, compose
from controller.demo.scenario import District, OnAir, Scenario, ScenarioError, moved_quiet_hours
from controller.demo.swarm import SwarmProcess, first_output
from controller.demo.week import USUAL_QUIET, quiet_hours
from controller.services.context import SystemClock

#: From "all are online" to the bulletin: plan, day and audio must arrive at every box in this time.
_DELIVERY = timedelta(seconds=15)
#: A relay's encoder needs a moment, and the desk likes a pause between two programmes.
_PAUSE = timedelta(seconds=8)
_RELAY_ONCE = timedelta(seconds=15)
_RELAY_LONG = timedelta(minutes=30)
_ONLINE_S = 120.0
_REPORT_S = 45.0
_POLL_S = 0.5
#: "Together": the bulletin's first sample within this of the planned instant, at every box.
START_ERROR_LIMIT_MS = 50.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What was asked for."""

    clusters: int
    once: bool
    data: Path | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The last line of ``--once --json``.

    ``played``: clusters that played both the bulletin and the relay from beginning to end. ``missed``: occurrences
    that a cluster did not report as played. ``start_error_ms_max``: the bulletin's, the largest over all clusters.
    """

    ok: bool
    clusters: int
    online: int
    played: int
    missed: int
    duplicate: int
    start_error_ms_max: float | None
    wall_s: float

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


async def run_demo(options: DemoOptions, board: Board) -> Summary:
    """Run it. Without ``once`` it ends when cancelled.

    Raises:
        ScenarioError, SwarmError, and whatever keeps a controller from starting.
    """
    began = time.monotonic()
    with board:
        folder = _folder(options.data)
        board.stage(f"starting the controller and the station (files in {folder})")
        async with (
            _cleared(folder, keep=options.data is not None),
            _station(folder) as radio,
            _controller(folder) as controller,
        ):
            name, password = controller.first_admin or ("", "")
            scenario = await _step(lambda: Scenario(controller.staff_url, name, password))
            district = await _step(lambda: _seed(scenario, options.clusters, once=options.once))
            board.say(_places_words(district))
            recording = await _step(lambda: scenario.record_bulletin(district))
            output, where = first_output(folder)
            board.say(f"The first cluster sounds through {where}. Staff API: {controller.staff_url}")
            if not options.once:
                board.say(_console_words(controller.staff_url))
            cast = cast_of(district.cluster_ids, once=options.once)
            provisioning = await _step(lambda: scenario.provision(cast.well))
            async with AsyncExitStack() as stack:
                swarm = SwarmProcess(len(cast.well), provisioning, folder, output)
                watched: list[_Watched] = [await stack.enter_async_context(swarm)]
                arrived = asyncio.Event()
                if not options.once:
                    life = Life(scenario, district, cast, folder=folder, radio_url=radio.url, arrived=arrived)
                    watched.append(await stack.enter_async_context(life))
                play = _Play(scenario, board, watched, options, district)
                await play.until_online(len(cast.well))
                arrived.set()
                bulletin, relay = await play.schedule(recording, radio.url)
                return await play.follow(bulletin, relay, began)


class _Watched(Protocol):
    """Something beside the play without which it does not go on."""

    def check(self) -> None:
        """Raise when it is gone."""
        ...


class _Play:
    """The part of the demo with agents."""

    def __init__(
        self,
        scenario: Scenario,
        board: Board,
        watched: Sequence[_Watched],
        options: DemoOptions,
        district: District,
    ) -> None:
        self._scenario = scenario
        self._board = board
        self._watched = watched
        self._options = options
        self._district = district
        self._online = 0

    async def until_online(self, expected: int) -> None:
        """All agents have found the controller by mDNS and enrolled; or the time is over, and it goes on with those."""
        self._board.stage("agents look for the controller by mDNS and enrol")
        deadline = time.monotonic() + _ONLINE_S
        async for online in self._looks():
            if online >= expected or time.monotonic() > deadline:
                break
        if self._online == 0:
            raise ScenarioError(f"no agent came online within {_ONLINE_S:.0f} s; see agents.log in the data folder")

    async def schedule(self, recording: tuple[str, float], radio_url: str) -> tuple[OnAir, OnAir]:
        """The bulletin at the next whole minute that leaves time for delivery, the relay after it.

        With ``once`` nobody watches the clock: at the next ten seconds.
        """
        round_s = 10 if self._options.once else 60
        start = _next_round(datetime.now(UTC) + _DELIVERY, round_s)
        bulletin = await _step(lambda: self._scenario.schedule_bulletin(self._district, recording, start))
        after = _next_second(start + bulletin.length + _PAUSE)
        window = _RELAY_ONCE if self._options.once else _RELAY_LONG
        relay = await _step(lambda: self._scenario.schedule_relay(self._district, radio_url, after, window))
        return bulletin, relay

    async def follow(self, bulletin: OnAir, relay: OnAir, began: float) -> Summary:
        """Watch both; with ``once`` until everybody reported or the time is over, else until cancelled."""
        end = relay.start + relay.length + timedelta(seconds=_REPORT_S)
        async for _ in self._looks():
            self._board.stage(*_stage(bulletin, relay, datetime.now(UTC)))
            if self._options.once and datetime.now(UTC) > relay.start:
                summary = await self._judge(bulletin, relay, began)
                if summary.missed == 0 or datetime.now(UTC) > end:
                    return summary
        raise AssertionError("the looks never end")

    async def _looks(self) -> AsyncIterator[int]:
        """Look at the fleet again and again; gives the number of agents online."""
        while True:
            for each in self._watched:
                each.check()
            fleet = await _step(self._scenario.fleet)
            self._board.fleet(fleet)
            self._online = int(fleet["total"]["online"])
            yield self._online
            await asyncio.sleep(_POLL_S)

    async def _judge(self, bulletin: OnAir, relay: OnAir, began: float) -> Summary:
        reports = [await asyncio.to_thread(self._scenario.report, one) for one in (bulletin, relay)]
        clusters = self._options.clusters
        played = [0 if one is None else int(one["played"]) for one in reports]
        duplicate = sum(0 if one is None else int(one["duplicate"]) for one in reports)
        error = None if reports[0] is None else reports[0]["start_error_ms_max"]
        missed = sum(clusters - count for count in played)
        together = error is not None and abs(error) <= START_ERROR_LIMIT_MS
        return Summary(
            ok=self._online == clusters and missed == 0 and duplicate == 0 and together,
            clusters=clusters,
            online=self._online,
            played=min(played),
            missed=missed,
            duplicate=duplicate,
            start_error_ms_max=error,
            wall_s=round(time.monotonic() - began, 1),
        )


def _console_words(url: str) -> str:
    """Where the console is, and doors that need no password."""
    doors = [(person.english, person.display_name, person.door) for person in PEOPLE]
    doors.append(("administrator", "", ADMIN_DOOR[0]))
    lines = [f"  {english:<20} {url}/console/?as={door:<20} {name}".rstrip() for english, name, door in doors]
    more = "Each browser is one person: for the second duty officer take another browser or a private window."
    return "\n".join((f"Console: {url}/console/  Enter with one click, no password:", *lines, more))


def _places_words(district: District) -> str:
    begin, end = district.quiet_begin, district.quiet_end
    usual = (begin, end) == USUAL_QUIET
    quiet = "Quiet hours begin at" if usual else "For this demo quiet hours begin in 12 hours, at"
    return f"{len(district.cluster_ids)} clusters in 13 communes. {quiet} {begin}, and end at {end}."


def _seed(scenario: Scenario, clusters: int, *, once: bool) -> District:
    local = datetime.now(ZoneInfo(TIMEZONE))
    quiet = (None if once else quiet_hours(local)) or moved_quiet_hours(local)
    district = scenario.seed_places(seed_clusters(clusters), quiet)
    scenario.seed_people(district)
    return district


@asynccontextmanager
async def _cleared(folder: Path, *, keep: bool) -> AsyncIterator[None]:
    """Remove the controller's data afterwards, unless the folder was named; recording and log stay."""
    try:
        yield
    finally:
        if not keep:
            await asyncio.to_thread(shutil.rmtree, folder / "controller", ignore_errors=True)


@asynccontextmanager
async def _controller(folder: Path) -> AsyncIterator[Running]:
    config = Config(
        data=folder / "controller",
        staff_listen="127.0.0.1:0",
        agent_listen="127.0.0.1:0",
        announce_interfaces=("127.0.0.1",),
        allow_private_sources=True,  # the demo's station is on this machine
        log_level="warning",
        second_factor_required=False,  # nobody has an app for a district that ends with Ctrl-C
        demo_logins=(ADMIN_DOOR, *((person.door, person.name) for person in PEOPLE)),
    )
    async with running(config, SystemClock()) as controller:
        yield controller


@asynccontextmanager
async def _station(folder: Path) -> AsyncIterator[RadioStation]:
    file = folder / "radio.wav"
    await EspeakEngine(voice="vi").speak(RADIO_TEXT, file)
    programme = await asyncio.to_thread(lambda: compose(read_wav(file)))
    async with RadioStation(programme, RADIO_TITLE) as station:
        yield station


def _folder(data: Path | None) -> Path:
    if data is not None:
        if (data / "controller").exists():
            raise ScenarioError(f"{data} was used by a demo before; give an empty folder, or none")
        data.mkdir(parents=True, exist_ok=True)
        return data
    return Path(tempfile.mkdtemp(prefix="loa-demo-"))


def _stage(bulletin: OnAir, relay: OnAir, now: datetime) -> tuple[str, str]:
    for programme, words in ((bulletin, "the bulletin"), (relay, "the relay of live radio")):
        if now < programme.start:
            left = (programme.start - now).total_seconds()
            return f"{words} begins at {programme.start:%H:%M:%S} UTC: {programme.title}", f"(in {left:.0f} s)"
        if now < programme.start + programme.length:
            return f"{words} is on air: {programme.title}", ""
    return "waiting for the last reports", ""


def _next_round(moment: datetime, seconds: int) -> datetime:
    """The next instant whose seconds are a multiple of ``seconds`` (a divisor of 60)."""
    return moment.replace(microsecond=0) + timedelta(seconds=seconds - moment.second % seconds)


def _next_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0) + timedelta(seconds=1)


async def _step(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)
