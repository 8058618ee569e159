"""The live desk: rights, quiet hours, one voice in a place, hard stop, STOP, a speaker who is lost, what is kept."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import pytest
from sqlmodel import col, select

from audio.codec import OggOpusReader
from audio.errors import StreamError
from audio.stream import Level, SpeechFormat, SpeechPacket
from controller.feeds import AddressPolicy
from controller.services.context import Actor, Role, RoleGrant, RunClock, SystemClock
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError, ServiceError
from controller.services.live import (
    InputKind,
    LiveDesk,
    LiveRequest,
    LiveSession,
    LiveState,
    LiveTimes,
    Means,
    Studio,
)
from controller.services.live import desk as desk_module
from controller.services.orders import Scope
from controller.services.streams import StreamOpener
from controller.store.errors import JournalError
from controller.store.tables import Audit
from protocol.bundle import Bundle, unpack
from protocol.keys import Role as KeyRole
from schedules.ladder import Priority
from tests.unit.controller.air_kit import ADMIN, Stage, open_stage, stream_open, until
from tests.unit.controller.test_relays import PacketForBlock, Radio, radio

OPERATOR = Actor("us_oper", "Hồ Văn", (RoleGrant(Role.OPERATOR, None),))
EDITOR = Actor("us_edit", "biên tập", (RoleGrant(Role.EDITOR, None),))
CHIME = 10
TIMES = LiveTimes(speaker=timedelta(seconds=60), opening_us=60_000, look_s=0.02)
#: A real packet of Opus: 20 ms of silence.
PACKET = b"\xf8\xff\xfe"


class FakeSpeech:
    """Speaks the encoder's part: a packet for each frame, ten for a chime. ``not_audio`` for rubbish."""

    made: list[FakeSpeech] = []  # noqa: RUF012 - the test's own memory

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.formats: list[SpeechFormat] = []
        self.bends: list[int] = []
        self._index = 0
        FakeSpeech.made.append(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def tell_format(self, what: SpeechFormat) -> None:
        self.formats.append(what)

    def speech(self, data: bytes) -> bool:
        if data == b"rubbish":
            self._queue.put_nowait(StreamError("no speech", code="not_audio"))
            return True
        self._put(own=False)
        level = -20.0 if data == b"word" else -90.0
        self._queue.put_nowait(Level(level + 6, level))
        return True

    def chime(self, which: Literal["before", "after"]) -> None:
        for _ in range(CHIME):
            self._put(own=True)

    def bend(self, ppm: int) -> None:
        self.bends.append(ppm)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[SpeechPacket | Level]:
        while (made := await self._queue.get()) is not None:
            if isinstance(made, StreamError):
                raise made
            yield made

    def _put(self, *, own: bool) -> None:
        self._queue.put_nowait(SpeechPacket(self._index, PACKET, own))
        self._index += 960


@dataclass
class Person:
    """Somebody at a microphone; keeps what they are told."""

    told: list[dict[str, Any]] = field(default_factory=list)
    dismissed: str = ""

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    def dismiss(self, code: str, words: str) -> None:
        assert words
        self.dismissed = code

    def codes(self, kind: str) -> list[str]:
        return [one["code"] for one in self.told if one["type"] == kind]


@asynccontextmanager
async def live(stage: Stage, times: LiveTimes = TIMES) -> AsyncIterator[LiveDesk]:
    FakeSpeech.made.clear()
    media = RunClock(SystemClock())
    opener = StreamOpener(
        journal=stage.base.journal,
        signers=stage.base.vault,
        gateway=stage.gateway,
        directory=stage.base.directory,
        media=media,
        clock=stage.clock,
    )
    desk = LiveDesk(
        means=Means(opener, media, stage.clock, FakeSpeech, times),
        studio=Studio(AddressPolicy(allow_private=True), PacketForBlock, stage.air.catalogue),
        tapes=stage.air.tapes,
        directory=stage.base.directory,
        db=stage.base.db,
    )
    stage.air.orders.stop_listeners.append(desk.stopped)
    task = asyncio.create_task(desk.run(), name="live")
    await asyncio.sleep(0)
    try:
        yield desk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def district(folder: Path) -> AsyncIterator[tuple[Stage, LiveDesk, str, list[str]]]:
    async with open_stage(folder, tasks=False) as stage, live(stage) as desk:
        area = await stage.area()
        clusters = [await stage.cluster(area, name) for name in "AB"]
        yield stage, desk, area, clusters


async def on_air(session: LiveSession) -> Person:
    person = Person()
    session.attach(person, SpeechFormat("pcm"))
    await until(lambda: session.state is LiveState.ON_AIR)
    return person


def sent(stage: Stage, stream: int | None = None) -> list[Bundle]:
    chosen = stage.gateway.opened[-1] if stream is None else stream
    return [unpack(data) for name, data, _ in stage.gateway.bundles if name == chosen]


async def test_a_session_from_chime_to_chime(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, desk, area, clusters):
        session = await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,)), "Thông báo"))
        envelope, targets = stage.gateway.streams[stage.gateway.opened[0]]
        said = stream_open(envelope)
        assert (said.priority, set(said.targets.clusters), len(targets)) == (Priority.COMMUNE_LIVE, set(clusters), 2)
        assert said.key_id == stage.base.vault.key(KeyRole.LIVE).key_id
        assert session.view().state is LiveState.WAITING
        person = await on_air(session)
        for _ in range(20):
            session.hear(b"word", 20_000)
            await asyncio.sleep(0.02)
        view = session.view()
        assert (view.rms_db, view.agents, view.speaker) == (-20.0, 2, "Hồ Văn")
        desk.stop(OPERATOR, session.billing.id)
        desk.stop(OPERATOR, session.billing.id)
        await until(lambda: session.state is LiveState.ENDED and not stage.gateway.streams)
        assert person.dismissed == "ended_by_speaker"
        states = [one["state"] for one in person.told if one["type"] == "state"]
        assert states == ["waiting", "chime", "on_air", "closing", "ended"]
        bundles = sent(stage)
        assert bundles[-1].end
        assert [one.seq for one in bundles] == list(range(1, len(bundles) + 1))
        for before, after in itertools.pairwise(bundles):
            assert after.play_at >= before.play_at + before.samples * 1_000_000 // 48_000
        await stage.air.tapes.flush()
        row, path = await stage.air.tapes.get(ADMIN, session.view().tape_id or "")
        assert (row.state, row.subject) == ("whole", session.billing.id)
        assert row.frames == sum(one.samples for one in bundles)
        with OggOpusReader(path) as reader:
            assert reader.frames == row.frames - 312
        await until_audited(stage, session.billing.id, ["live.start", "live.stop", "live.stop", "live.end"])


async def until_audited(stage: Stage, subject: str, actions: list[str]) -> None:
    query = select(Audit.action).where(col(Audit.subject) == subject).order_by(col(Audit.seq))
    found: list[str] = []
    for _ in range(100):
        async with stage.base.db.read() as session:
            found = list(await session.exec(query))
        if sorted(found) == sorted(actions):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def test_who_may_not_speak_where(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, desk, area, clusters):
        asked: list[tuple[Actor, LiveRequest, type[ServiceError], str]] = [
            (EDITOR, LiveRequest(Scope(areas=(area,))), ForbiddenError, "forbidden"),
            (OPERATOR, LiveRequest(Scope()), InvalidError, "no_target"),
            (OPERATOR, LiveRequest(Scope(areas=(area,)), duration=timedelta(hours=3)), InvalidError, "bad_duration"),
            (
                OPERATOR,
                LiveRequest(Scope(areas=(area,)), input=InputKind.URL, address="http://169.254.169.254/x"),
                InvalidError,
                "address_refused",
            ),
        ]
        for actor, request, error, code in asked:
            with pytest.raises(error) as caught:
                await desk.start(actor, request)
            assert caught.value.code == code
        first = await desk.start(OPERATOR, LiveRequest(Scope(clusters=(clusters[0],)), "Một"))
        with pytest.raises(ConflictError, match="Hồ Văn speaks there"):
            await desk.start(ADMIN, LiveRequest(Scope(areas=(area,))))
        await desk.start(ADMIN, LiveRequest(Scope(clusters=(clusters[1],))))
        with pytest.raises(ForbiddenError) as refused:
            desk.microphone(ADMIN, first.billing.id)
        assert refused.value.code == "not_your_session"
        with pytest.raises(ForbiddenError):
            desk.stop(EDITOR, first.billing.id)
        stage.clock.at = datetime(2026, 11, 20, 14, 25, tzinfo=UTC)  # 21:25 there; quiet from 21:30
        desk.stop(OPERATOR, first.billing.id)
        await until(lambda: first.state is LiveState.ENDED)
        with pytest.raises(InvalidError) as quiet:
            await desk.start(OPERATOR, LiveRequest(Scope(clusters=(clusters[0],))))
        assert quiet.value.code == "quiet_hours"
        alarm = await desk.start_emergency(
            OPERATOR, clusters=clusters, title="Lũ quét", alert_id="al_1", max_duration=timedelta(minutes=20)
        )
        said = stream_open(stage.gateway.streams[stage.gateway.opened[-1]][0])
        assert said.priority == Priority.EMERGENCY_LIVE
        assert said.key_id == stage.base.vault.key(KeyRole.EMERGENCY).key_id
        desk.end_of_alert("al_1")
        await until(lambda: alarm.state is LiveState.ENDED)


async def test_the_hard_stop_is_warned_of_extended_and_bounded(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, desk, area, _):
        session = await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,))))
        with pytest.raises(InvalidError) as early:
            await desk.extend(OPERATOR, session.billing.id)
        assert early.value.code == "not_on_air"
        person = await on_air(session)
        stage.clock.advance(minutes=9, seconds=1)
        await until(lambda: "time" in person.codes("warning"))
        stream = stage.gateway.opened[0]
        before = stream_open(stage.gateway.streams[stream][0])
        await desk.extend(OPERATOR, session.billing.id)
        after = stream_open(stage.gateway.streams[stream][0])
        assert after.seq > before.seq
        assert after.not_after > before.not_after
        stage.clock.advance(minutes=2)
        await asyncio.sleep(0.1)
        assert session.state is LiveState.ON_AIR
        with pytest.raises(InvalidError) as long:
            await desk.extend(OPERATOR, session.billing.id, timedelta(hours=2))
        assert long.value.code == "too_long"
        stage.clock.advance(minutes=9)
        await until(lambda: session.state is LiveState.ENDED)
        assert person.dismissed == "time_is_up"


async def test_a_lost_speaker_is_silence_until_he_is_back_or_given_up(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, desk, area, _):
        session = await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,))))
        person = await on_air(session)
        session.detach(person)
        assert session.view().state is LiveState.ABSENT
        count = len(sent(stage))
        await until(lambda: len(sent(stage)) > count + 3)
        again = Person()
        session.attach(again, SpeechFormat("opus"))
        assert session.state is LiveState.ON_AIR
        assert FakeSpeech.made[0].formats[-1].codec == "opus"
        other = Person()
        session.attach(other, SpeechFormat("pcm"))
        assert again.dismissed == "replaced"
        session.detach(again)  # the older connection's end says nothing about the newer one
        assert session.state is LiveState.ON_AIR
        stage.clock.advance(seconds=61)
        await until(lambda: other.codes("warning") == ["silence"])
        session.hear(b"word", 20_000)
        await until(lambda: session.view().silent_s == 0.0)
        session.detach(other)
        stage.clock.advance(seconds=11)
        await until(lambda: session.state is LiveState.ENDED)
        assert session.view().code == "speaker_gone"
        with pytest.raises(ConflictError) as over:
            desk.microphone(OPERATOR, session.billing.id)
        assert over.value.code == "session_ended"


async def test_stop_silences_a_part_or_all_without_a_chime(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, desk, area, clusters):
        session = await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,))))
        person = await on_air(session)
        stream = stage.gateway.opened[0]
        await stage.air.orders.stop(ADMIN, Scope(clusters=(clusters[0],)))
        await until(lambda: stage.gateway.streams[stream][1] == {stage.agent_of(clusters[1])})
        assert session.state is LiveState.ON_AIR
        await stage.air.orders.stop(ADMIN, Scope(everywhere=True))
        count = len(stage.gateway.bundles)
        await until(lambda: session.state is LiveState.ENDED and not stage.gateway.streams)
        assert person.dismissed == "stopped"
        assert len(stage.gateway.bundles) == count, "nothing was sent after the order"


async def test_nobody_comes_and_rubbish(tmp_path: Path) -> None:
    impatient = LiveTimes(speaker=timedelta(seconds=0.1), opening_us=60_000, look_s=0.02)
    async with open_stage(tmp_path, tasks=False) as stage, live(stage, impatient) as desk:
        area = await stage.area()
        await stage.cluster(area, "A")
        lonely = await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,))))
        await until(lambda: lonely.state is LiveState.ENDED)
        assert (lonely.view().code, lonely.view().tape_id) == ("nobody_spoke", None)
        session = await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,)), chime_before=False))
        await on_air(session)
        session.hear(b"rubbish", 20_000)
        await until(lambda: session.state is LiveState.ENDED)
        assert session.view().code == "not_audio"
        assert {one.state for one in desk.sessions(OPERATOR)} == {LiveState.ENDED}


async def test_an_address_goes_on_air_between_two_chimes(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station, live(stage) as desk:
        area = await stage.area()
        await stage.cluster(area, "A")
        request = LiveRequest(Scope(areas=(area,)), input=InputKind.URL, address=station.url)
        session = await desk.start(OPERATOR, request)
        with pytest.raises(ConflictError) as spoken:
            desk.microphone(OPERATOR, session.billing.id)
        assert spoken.value.code == "no_microphone"
        await until(lambda: session.state is LiveState.ON_AIR)
        await until(lambda: len(sent(stage)) >= CHIME // 10 + 4)
        await until(lambda: session.view().rms_db is not None)
        assert (session.view().peak_db, session.view().rms_db) == (-6.0, -20.0), "how loud the address is"
        desk.stop(OPERATOR, session.billing.id)
        await until(lambda: session.state is LiveState.ENDED and not stage.gateway.streams)
        assert station.listeners == 0
        assert session.view().code == "ended_by_speaker"
        bundles = sent(stage)
        assert bundles[-1].end
        kinds = [key for key, _ in itertools.groupby(one == PACKET for each in bundles for one in each.packets)]
        assert kinds == [True, False, True], "a chime, the address, a chime"
        for before, after in itertools.pairwise(bundles):
            assert after.play_at >= before.play_at + before.samples * 1_000_000 // 48_000


async def test_a_file_at_an_address_is_heard_once_and_ends_the_session(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station, live(stage) as desk:
        area = await stage.area()
        await stage.cluster(area, "A")
        address = station.url.replace("/live", "/file")
        request = LiveRequest(Scope(areas=(area,)), input=InputKind.URL, address=address, chime_before=False)
        session = await desk.start(OPERATOR, request)
        await until(lambda: session.state is LiveState.ENDED and not stage.gateway.streams)
        assert (session.view().code, station.connections) == ("source_ended", 1)
        packets = [one for each in sent(stage) for one in each.packets]
        assert [one for one in packets if one != PACKET] == [n.to_bytes(4, "big") for n in range(20)]
        assert packets[-CHIME:] == [PACKET] * CHIME, "then the closing chime"


async def test_of_several_who_start_at_once_one_speaks(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, desk, area, _):
        requests = (desk.start(OPERATOR, LiveRequest(Scope(areas=(area,)))) for _ in range(5))
        answers = await asyncio.gather(*requests, return_exceptions=True)
        refused = [one.code for one in answers if isinstance(one, ConflictError)]
        assert (refused, len(stage.gateway.streams)) == (["live_busy"] * 4, 1)


async def test_announcements_do_not_use_up_the_room_of_emergencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "MOST", 1)
    async with district(tmp_path) as (_, desk, __, clusters):
        await desk.start(OPERATOR, LiveRequest(Scope(clusters=(clusters[0],))))
        with pytest.raises(BusyError) as full:
            await desk.start(OPERATOR, LiveRequest(Scope(clusters=(clusters[1],))))
        assert full.value.code == "too_many_sessions"
        alarm = await desk.start_emergency(OPERATOR, clusters=clusters, title="Lũ quét", alert_id="al_1")
        assert alarm.state is LiveState.WAITING


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda station: setattr(station, "url", "http://127.0.0.1:1/x"), "source_unreachable"),
        (lambda station: setattr(station, "block", b"<html>".ljust(200)), "not_audio"),
        (lambda station: station.cut.set(), "source_ended"),
    ],
)
async def test_an_address_that_lies_puts_nothing_on_air(
    tmp_path: Path, spoil: Callable[[Radio], None], code: str
) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station, live(stage) as desk:
        spoil(station)
        area = await stage.area()
        await stage.cluster(area, "A")
        request = LiveRequest(Scope(areas=(area,)), input=InputKind.URL, address=station.url)
        session = await desk.start(OPERATOR, request)
        await until(lambda: session.state is LiveState.ENDED and not stage.gateway.streams)
        assert (session.view().code, session.on_air) == (code, None)
        assert sum(len(each.packets) for each in sent(stage)) == 0, "no chime"


async def test_an_address_that_is_lost_on_air_is_said_and_given_up(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage, radio() as station, live(stage) as desk:
        area = await stage.area()
        await stage.cluster(area, "A")
        request = LiveRequest(Scope(areas=(area,)), input=InputKind.URL, address=station.url)
        session = await desk.start(OPERATOR, request)
        await until(lambda: session.state is LiveState.ON_AIR)
        station.cut.set()
        await until(lambda: session.view().code == "source_ended")
        assert session.state is LiveState.ON_AIR
        stage.clock.advance(seconds=61)
        await until(lambda: session.state is LiveState.ENDED)


async def test_a_journal_that_cannot_be_written_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with district(tmp_path) as (stage, desk, area, _):

        async def refuse(**_: object) -> None:
            raise JournalError("the disk is full")

        monkeypatch.setattr(stage.base.journal, "append", refuse)
        with pytest.raises(ServiceError) as caught:
            await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,))))
        assert caught.value.code == "not_opened"
        assert stage.gateway.streams == {}


async def test_clusters_that_only_slow_lines_lead_to_are_named(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, desk, area, clusters):
        session = await desk.start(OPERATOR, LiveRequest(Scope(areas=(area,))))
        assert desk.unreached(session) == frozenset()
        slow = stage.agent_of(clusters[0])
        for stream in session.streams:
            stream.agents, stream.left_out = stream.agents - {slow}, frozenset({slow})
        assert desk.unreached(session) == {clusters[0]}
        spare = await stage.agent(clusters[0])
        session.streams[0].agents |= {spare}
        assert desk.unreached(session) == frozenset(), "its other box takes part"
