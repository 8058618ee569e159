"""Relays: a real station, a real encoder, signed streams that an agent's gate lets through."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from aiohttp import web
from sqlmodel import col, select

from audio.codec import encode_mp3
from audio.errors import StreamError
from audio.mixing import chime
from audio.stream import Level, StreamEncoder
from controller.feeds import AddressPolicy, FeedTimeouts
from controller.services import carrier as carrier_module
from controller.services.carrier import Carrier, CarrierState
from controller.services.carriers import CarrierPool
from controller.services.chunks import Chunk
from controller.services.context import RunClock, SystemClock
from controller.services.errors import NotFoundError
from controller.services.orders import Scope
from controller.services.plan_making import Window
from controller.services.relay_pacing import LEAD
from controller.services.relays import NOT_AFTER_SLACK, OPEN_AHEAD, RelayDesk, _within
from controller.services.streams import StreamOpener
from controller.store.tables import Audit
from protocol.bundle import Bundle
from protocol.keys import Role
from schedules.instants import MediaUs
from schedules.ladder import Priority
from tests.unit.controller.air_kit import ADMIN, Stage, open_stage, stream_open, until

LAN = AddressPolicy(allow_private=True)
QUICK = FeedTimeouts(connect_s=2, read_s=0.5)


class Radio:
    """A station on loopback: endless frames at its own pace, or whatever the test makes of it."""

    def __init__(self) -> None:
        self.listeners = 0
        self.connections = 0
        self.cut = asyncio.Event()
        self.url = ""
        self.block = b"x" * 200
        self.every = 0.02
        self.status = 200

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if self.status != 200:
            return web.Response(status=self.status)
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg", "icy-name": "VOV1"})
        await response.prepare(request)
        self.listeners += 1
        try:
            while not self.cut.is_set():
                await response.write(self.block)
                await asyncio.sleep(self.every)
        except ConnectionError:
            return response
        finally:
            self.listeners -= 1
        return response

    async def file(self, _: web.Request) -> web.Response:
        """Something that ends, and says beforehand where."""
        self.connections += 1
        return web.Response(body=self.block * 2, content_type="audio/mpeg")


@asynccontextmanager
async def radio() -> AsyncIterator[Radio]:
    station = Radio()
    app = web.Application()
    app.router.add_get("/live", station.serve)
    app.router.add_get("/file", station.file)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    station.url = f"http://{host}:{port}/live"
    try:
        yield station
    finally:
        station.cut.set()
        await runner.cleanup()


class PacketForBlock:
    """An encoder that makes ten packets of every block of bytes; ``not_audio`` for a web page."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(100)
        self.level: Level | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    async def feed(self, data: bytes) -> None:
        await self._queue.put(data)

    def end(self) -> None:
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        numbers = itertools.count()
        while (data := await self._queue.get()) is not None:
            if data.startswith(b"<html"):
                raise StreamError("no radio stream", code="not_audio")
            for _ in range(10 * (len(data) // 200)):
                number = next(numbers)
                self.level = Level(-6.0, -20.0)
                yield number * 960, number.to_bytes(4, "big")


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_module, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(carrier_module, "_LONGEST_WAIT_S", 0.05)


@asynccontextmanager
async def carrying(url: Callable[[], str], **more: object) -> AsyncIterator[tuple[Carrier, list[Chunk]]]:
    media = RunClock(SystemClock())
    subject = Carrier(
        url, policy=LAN, encoder=PacketForBlock, media=media, clock=SystemClock(), start=media.now(), timeouts=QUICK
    )
    chunks: list[Chunk] = []
    subject.listeners.append(chunks.append)
    task = asyncio.create_task(subject.run(), name="carrier")
    try:
        yield subject, chunks
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_station_is_carried_and_named() -> None:
    async with radio() as station, carrying(lambda: station.url) as (subject, chunks):
        await until(lambda: len(chunks) >= 2)
        assert (subject.state.state, subject.state.station) == ("sounding", "VOV1")
        assert chunks[0].discontinuity
        assert chunks[1].play_at == chunks[0].ends


async def test_a_lost_station_is_told_once_and_comes_back_by_itself() -> None:
    async with radio() as station, carrying(lambda: station.url) as (subject, chunks):
        states: list[CarrierState] = []
        subject.state_listeners.append(states.append)
        await until(lambda: chunks)
        station.cut.set()
        await until(lambda: subject.state.state == "lost" and subject.state.losses >= 3)
        station.cut.clear()
        await until(lambda: subject.state.state == "sounding")
        count = len(chunks)
        await until(lambda: len(chunks) > count)
        assert [state.state for state in states] == ["sounding", "lost", "sounding"]
        assert any(chunk.discontinuity for chunk in chunks[1:])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda station: setattr(station, "status", 404), "source_refused"),
        (lambda station: setattr(station, "block", b"<html>".ljust(200)), "not_audio"),
        (lambda station: setattr(station, "every", 5), "source_silent"),
        (lambda station: setattr(station, "url", "http://169.254.169.254/"), "address_refused"),
    ],
)
async def test_why_a_station_is_lost(spoil: Callable[[Radio], None], code: str) -> None:
    async with radio() as station:
        spoil(station)
        async with carrying(lambda: station.url) as (subject, _):
            await until(lambda: subject.state.state == "lost")
            assert subject.state.code == code


async def test_a_deleted_source_ends_its_carrier_and_says_so() -> None:
    async with radio() as station:
        known = [station.url]

        def url() -> str:
            if not known:
                raise NotFoundError("there is no such source")
            return known[0]

        async with carrying(url) as (subject, chunks):
            await until(lambda: chunks)
            known.clear()
            async with asyncio.timeout(10):
                station.cut.set()
                await until(lambda: subject.state.code == "source_deleted")
            connections = station.connections
            await asyncio.sleep(0.2)
            assert station.connections == connections


async def test_a_listener_that_raises_is_dropped_and_the_others_hear_on() -> None:
    async with radio() as station, carrying(lambda: station.url) as (subject, chunks):

        def broken(_: Chunk) -> None:
            raise RuntimeError("a fault of ours")

        subject.listeners.insert(0, broken)
        await until(lambda: len(chunks) >= 3)
        assert broken not in subject.listeners


async def test_a_file_served_at_full_speed_is_played_at_its_own_pace() -> None:
    async with radio() as station, carrying(lambda: station.url) as (subject, chunks):
        station.every = 0
        await until(lambda: subject._pacer.full)
        await asyncio.sleep(0.3)
        assert subject._pacer.buffered_us <= 31_000_000
        ahead = chunks[-1].play_at - subject._media.now()
        assert ahead <= LEAD


class OneWindow:
    """A plan with the windows the test wants."""

    def __init__(self) -> None:
        self.wanted: list[Window] = []

    def windows(self, after: object, before: object) -> list[Window]:
        return [w for w in self.wanted if w.start < before and w.end > after]  # type: ignore[operator]


@asynccontextmanager
async def relaying(stage: Stage, source_url: str, area: str) -> AsyncIterator[tuple[RelayDesk, OneWindow, str]]:
    source = await stage.air.sources.create(ADMIN, area_id=area, title="VOV1", url=source_url)
    plan = OneWindow()
    media = RunClock(SystemClock())
    carriers = CarrierPool(
        catalogue=stage.air.catalogue,
        media=media,
        clock=stage.clock,
        policy=LAN,
        encoder=PacketForBlock,
        timeouts=QUICK,
    )
    opener = StreamOpener(
        journal=stage.base.journal,
        signers=stage.base.vault,
        gateway=stage.gateway,
        directory=stage.base.directory,
        media=media,
        clock=stage.clock,
    )
    desk = RelayDesk(
        plan=plan,
        courier=stage.air.courier,
        opener=opener,
        carriers=carriers,
        tapes=stage.air.tapes,
        media=media,
        clock=stage.clock,
        db=stage.base.db,
    )
    task = asyncio.gather(carriers.run(), desk.run())
    await asyncio.sleep(0)
    try:
        yield desk, plan, source.id
    finally:
        task.cancel()
        await asyncio.wait([task])


def window(
    stage: Stage, source_id: str, clusters: frozenset[str], *, starts_in: float = 0.0, rule: str = "pr_relay"
) -> Window:
    start = stage.clock.now() + timedelta(seconds=starts_in)
    end = start + timedelta(minutes=30)
    return Window(rule, start, "Thời sự", int(Priority.RELAY), source_id, start, end, clusters)


async def act(stage: Stage, desk: RelayDesk) -> list[str]:
    """Do everything that is due; returns what it was."""
    now = stage.clock.now()
    due = [each for each in desk.due(now, now + timedelta(seconds=90)) if each.at <= now]
    for each in due:
        await each.action()
    return [each.name.split(":")[0] for each in due]


def bundles(stage: Stage, agent: str) -> list[Bundle]:
    """Everything published on the first stream, judged as the agent judges it."""
    stream_id = stage.gateway.opened[0]
    trust = stage.trusting(agent)
    verified = trust.verify_stream_open(stage.gateway.streams[stream_id][0], now=stage.clock.now())
    gate = trust.gate(verified.document)
    return [
        gate.accept(data, now=stage.clock.now()) for stream, data, _ in stage.gateway.bundles if stream == stream_id
    ]


async def test_a_window_opens_ahead_as_a_signed_stream_and_closes_at_its_end(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        clusters = frozenset([await stage.cluster(area, name) for name in "AB"])
        async with relaying(stage, station.url, area) as (desk, plan, source):
            plan.wanted = [window(stage, source, clusters, starts_in=60)]
            (soon,) = desk.due(stage.clock.now(), stage.clock.now() + timedelta(seconds=90))
            assert soon.at == plan.wanted[0].start - OPEN_AHEAD
            assert await act(stage, desk) == []
            stage.clock.at = plan.wanted[0].start
            assert await act(stage, desk) == ["relay.open"]
            agent = stage.agent_of(min(clusters))
            envelope, targets = next(iter(stage.gateway.streams.values()))
            assert len(targets) == 2
            said = stream_open(envelope)
            assert (said.rule_id, said.recurrence) == ("pr_relay", plan.wanted[0].recurrence)
            assert said.not_after == plan.wanted[0].end + NOT_AFTER_SLACK
            assert said.key_id == stage.base.vault.key(Role.LIVE).key_id
            await until(lambda: len(stage.gateway.bundles) >= 3)
            heard = bundles(stage, agent)
            assert [bundle.seq for bundle in heard] == list(range(1, len(heard) + 1))
            assert [bundle.sample_index for bundle in heard[:3]] == [0, 48_000, 96_000]
            assert heard[0].discontinuity
            assert desk.state_of(source) is not None
            stage.clock.at = plan.wanted[0].end
            assert await act(stage, desk) == ["relay.close"]
            assert desk.state_of(source) is None
            await until(lambda: stage.gateway.streams == {}, within=20)
            await until(lambda: station.listeners == 0)
            assert await act(stage, desk) == []


def test_the_last_chunk_of_a_window_is_cut_to_the_packet() -> None:
    chunk = Chunk(MediaUs(1_000_000), tuple(bytes([number]) for number in range(50)), discontinuity=False)
    whole = _within(chunk, MediaUs(0), MediaUs(2_000_000))
    assert whole == chunk
    cut = _within(chunk, MediaUs(0), MediaUs(1_310_000))
    assert cut is not None
    assert (len(cut.packets), cut.ends) == (16, 1_320_000)
    assert _within(chunk, MediaUs(0), MediaUs(1_000_000)) is None
    assert _within(chunk, MediaUs(2_000_000), MediaUs(3_000_000)) is None


async def test_a_window_of_twelve_hours_is_carried_to_its_end(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        async with relaying(stage, station.url, area) as (desk, plan, source):
            soon = window(stage, source, frozenset([cluster]), starts_in=5)
            plan.wanted = [replace(soon, end=soon.start + timedelta(hours=12))]
            assert await act(stage, desk) == ["relay.open"]
            (first,) = (stream_open(envelope) for envelope, _ in stage.gateway.streams.values())
            assert first.not_after < plan.wanted[0].end
            stage.clock.at = plan.wanted[0].start
            assert await act(stage, desk) == ["relay.close"]  # looked at again, and extended
            (later,) = (stream_open(envelope) for envelope, _ in stage.gateway.streams.values())
            assert (later.stream, later.not_after) == (first.stream, plan.wanted[0].end)
            assert await act(stage, desk) == []


async def test_two_windows_of_one_station_share_one_connection(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        one, two = await stage.cluster(area, "A"), await stage.cluster(area, "B")
        async with relaying(stage, station.url, area) as (desk, plan, source):
            plan.wanted = [
                window(stage, source, frozenset([one]), rule="pr_one"),
                window(stage, source, frozenset([two]), rule="pr_two"),
            ]
            assert await act(stage, desk) == ["relay.open", "relay.open"]
            await until(lambda: {stream for stream, _, _ in stage.gateway.bundles} == set(stage.gateway.opened))
            assert (station.connections, station.listeners) == (1, 1)
            plan.wanted.pop()
            assert await act(stage, desk) == ["relay.close"]
            assert station.listeners == 1
            assert len(stage.gateway.streams) == 1


async def test_a_withdrawn_window_closes_at_once_and_stop_leaves_the_stopped_out(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        one, two = await stage.cluster(area, "A"), await stage.cluster(area, "B")
        async with relaying(stage, station.url, area) as (desk, plan, source):
            plan.wanted = [window(stage, source, frozenset([one, two]))]
            await act(stage, desk)
            stage.clock.advance(seconds=5)
            await stage.air.orders.stop(ADMIN, Scope(clusters=(one,)))
            await act(stage, desk)
            ((_, targets),) = stage.gateway.streams.values()
            assert targets == {stage.agent_of(two)}
            late = await stage.agent(two)  # an agent approved in the middle
            await act(stage, desk)
            ((_, targets),) = stage.gateway.streams.values()
            assert late in targets
            await stage.air.orders.stop(ADMIN, Scope(everywhere=True))
            await act(stage, desk)
            assert stage.gateway.streams == {}
            assert await act(stage, desk) == []  # and it does not open again
            stage.clock.advance(hours=24)
            plan.wanted = [window(stage, source, frozenset([one]))]
            assert await act(stage, desk) == ["relay.open"]
            plan.wanted = []
            assert await act(stage, desk) == ["relay.close"]


async def test_clusters_that_leave_or_join_do_not_disturb_the_others(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        one, two, three = [await stage.cluster(area, name) for name in "ABC"]
        async with relaying(stage, station.url, area) as (desk, plan, source):
            whole = window(stage, source, frozenset([one, two]))
            plan.wanted = [whole]
            await act(stage, desk)
            ((first, _),) = stage.gateway.streams.items()
            plan.wanted = [replace(whole, clusters=frozenset([two]))]
            await act(stage, desk)
            assert {name: targets for name, (_, targets) in stage.gateway.streams.items()} == {
                first: {stage.agent_of(two)}
            }
            plan.wanted = [replace(whole, clusters=frozenset([one, two, three]))]
            await act(stage, desk)
            found = {name: targets for name, (_, targets) in stage.gateway.streams.items()}
            assert found.pop(first) == {stage.agent_of(one), stage.agent_of(two)}
            assert list(found.values()) == [{stage.agent_of(three)}]
            assert station.connections <= 1, "the station was never let go"


async def test_more_clusters_than_fit_into_one_open_become_several_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.streams.MAX_TARGETS", 2)
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        clusters = frozenset([await stage.cluster(area, name) for name in "ABC"])
        async with relaying(stage, station.url, area) as (desk, plan, source):
            plan.wanted = [window(stage, source, clusters)]
            await act(stage, desk)
            assert sorted(len(targets) for _, targets in stage.gateway.streams.values()) == [1, 2]
            await until(lambda: {stream for stream, _, _ in stage.gateway.bundles} == set(stage.gateway.opened))
            assert station.connections == 1


async def test_a_window_whose_listener_was_dropped_hears_again(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        async with relaying(stage, station.url, area) as (desk, plan, source):
            plan.wanted = [window(stage, source, frozenset([cluster]))]
            await act(stage, desk)
            (opened,) = desk.open_windows
            lease = opened.lease
            assert lease is not None
            desk._take_again(opened, lease)
            assert opened.lease is lease
            assert lease._pool._running[source].carrier.listeners.pop() is lease.listener
            desk._take_again(opened, lease)
            assert opened.lease is not lease
            assert opened.lease is not None
            assert not opened.lease.dropped
            assert not lease.dropped, "it was let go"
            await until(lambda: opened.chunks > 0)


async def test_a_lasting_loss_is_in_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        station.status = 503
        async with relaying(stage, station.url, area) as (desk, plan, source):
            plan.wanted = [window(stage, source, frozenset([cluster]))]
            await act(stage, desk)
            await until(lambda: (state := desk.state_of(source)) is not None and state.state == "lost")
            await desk._tell_lasting_losses()
            stage.clock.advance(seconds=11)
            await desk._tell_lasting_losses()
            await desk._tell_lasting_losses()
            station.status = 200
            await until(lambda: (state := desk.state_of(source)) is not None and state.state == "sounding")
            await desk._tell_lasting_losses()
        query = select(Audit.action).where(col(Audit.subject) == source).order_by(col(Audit.seq))
        async with stage.base.db.read() as session:
            found = await session.exec(query)
            assert list(found) == ["source.create", "source.lost", "source.back"]


@pytest.mark.slow
async def test_a_real_mp3_station_through_the_real_encoder() -> None:
    sound = b"".join(encode_mp3(chime("opening")))
    async with radio() as station:
        station.block, station.every = sound, 0.5
        media = RunClock(SystemClock())
        subject = Carrier(
            lambda: station.url, policy=LAN, encoder=StreamEncoder, media=media, clock=SystemClock(), start=media.now()
        )
        chunks: list[Chunk] = []
        subject.listeners.append(chunks.append)
        task = asyncio.create_task(subject.run(), name="carrier")
        try:
            await until(lambda: len(chunks) >= 2, within=60)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert all(len(chunk.packets) == 50 for chunk in chunks)
        assert max(len(packet) for chunk in chunks for packet in chunk.packets) > 40
