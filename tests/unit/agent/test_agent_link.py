"""A whole agent against a small controller, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest

from agent.app import Agent
from protocol.documents import DocumentKind, PlayOrder, StopOrder
from protocol.keys import SigningKey
from protocol.messages import AckOutcome, CommandOffer, PlanOffer, UtcQuality
from protocol.telemetry import PlayOutcome
from schedules.instants import MediaUs
from schedules.ladder import Priority
from schedules.model import Item, LateKind
from tests.unit.agent.desk import ShiftedClock, bulletin, eventually, running_agent, soon
from tests.unit.agent.small_controller import Keys, SmallController

pytestmark = pytest.mark.slow


async def enrolled(controller: SmallController) -> str:
    agent_id = await controller.session_of()
    await controller.send_settings(agent_id)
    await controller.until(lambda: any(ack.document is DocumentKind.SETTINGS for ack in controller.acks()))
    return agent_id


async def planned(controller: SmallController, agent: Agent, *items: Item) -> str:
    """Enrolled, with settings and a plan accepted and all sounds here."""
    agent_id = await enrolled(controller)
    await controller.send_plan(agent_id, *items)
    await eventually(lambda: agent.cluster is not None and agent.cluster.conductor.needed and not _missing(agent))
    return agent_id


def _missing(agent: Agent) -> frozenset[str]:
    assert agent.cluster is not None
    return agent.cluster.conductor.missing


def played(controller: SmallController) -> list[PlayOutcome]:
    return [record.outcome for record in controller.records.values()]


async def test_enrols_fetches_plays_on_time_and_says_so(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        agent_id = await enrolled(controller)
        await controller.send_plan(agent_id, bulletin(controller.sound(1.5), soon(3)))
        await controller.until(lambda: bool(controller.records), 12)
        (record,) = controller.records.values()
        assert record.outcome is PlayOutcome.PLAYED
        assert record.start_error_us is not None
        assert abs(record.start_error_us) < 50_000
        assert agent.cluster is not None
        assert agent.cluster.wall.trusted
        outcomes = {ack.document: ack.outcome for ack in controller.acks()}
        assert outcomes == {DocumentKind.SETTINGS: AckOutcome.ACCEPTED, DocumentKind.PLAN: AckOutcome.ACCEPTED}
        sounding = [status.sounding for status in controller.statuses() if status.sounding is not None]
        assert [one.title for one in sounding][:1] == ["bulletin a"]
        assert agent.supervisor.crashes == {}


async def test_plays_and_reports_later_when_the_controller_dies_after_the_plan(tmp_path: Path) -> None:
    keys = Keys()
    first = SmallController(tmp_path, keys)
    async with first:
        provisioning = first.provisioning()
        context = running_agent(tmp_path / "agent", provisioning)
        agent = await context.__aenter__()
        start = soon(3)
        await planned(first, agent, bulletin(first.sound(0.6), start))
    try:
        await asyncio.sleep(max(0.0, (start - soon(0)).total_seconds()) + 1.0)
        assert agent.cluster is not None
        assert not agent.cluster.connected
        second = SmallController(tmp_path, keys, port=first.port)
        second.agents = first.agents
        async with second:
            await second.until(lambda: bool(second.records), 15)
            await asyncio.sleep(0.3)
            assert played(second) == [PlayOutcome.PLAYED]
            assert second.repeats == 0
            assert first.records == {}
    finally:
        await context.__aexit__(None, None, None)


async def test_records_arrive_once_although_an_acknowledgement_is_lost(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        controller.ack_records = False
        provisioning = controller.provisioning()
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            await planned(controller, agent, bulletin(controller.sound(0.5), soon(2.5)))
            await controller.until(lambda: bool(controller.records), 12)
        controller.ack_records = True
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            await controller.until(lambda: controller.repeats == 1)
            assert len(controller.records) == 1  # the same journal, the same number: one record
            await eventually(lambda: agent.cluster is not None)
        controller.repeats = 0
        async with running_agent(tmp_path / "agent", provisioning):
            await controller.session_of()
            await asyncio.sleep(0.5)
            assert controller.repeats == 0


async def test_boots_into_its_plan_without_any_controller(tmp_path: Path) -> None:
    start = soon(6)
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            await planned(controller, agent, bulletin(controller.sound(1.0), start))
    clock = ShiftedClock()
    async with running_agent(tmp_path / "agent", provisioning, clock=clock) as agent:
        await eventually(lambda: agent.cluster is not None)
        assert agent.cluster is not None
        assert not agent.cluster.wall.trusted  # nobody vouches for the time since this boot
        await eventually(lambda: agent.watch.has("time_untrusted"))
        await asyncio.sleep(max(0.0, (start - soon(0)).total_seconds()) + 0.5)
        assert agent.cluster.conductor.heard() is None
    async with SmallController(tmp_path, controller.keys, port=controller.port) as again:
        again.agents = controller.agents
        async with running_agent(tmp_path / "agent", provisioning):
            await again.until(lambda: bool(again.records), 15)
            (record,) = again.records.values()
            assert record.outcome in (PlayOutcome.PARTIAL, PlayOutcome.MISSED, PlayOutcome.SKIPPED)


async def test_an_order_that_came_before_the_time_waits_for_it(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        controller.quality = UtcQuality.UNKNOWN
        async with running_agent(tmp_path / "agent", controller.provisioning()) as agent:
            agent_id = await enrolled(controller)
            assert agent.cluster is not None
            item = bulletin(controller.sound(0.5), soon(0))
            order = controller.command(PlayOrder(item))
            await controller.send_command(agent_id, order)
            await controller.send_command(agent_id, order)
            await controller.send_settings(agent_id)
            await controller.until(lambda: len(controller.acks()) == 2)
            assert not agent.cluster.wall.trusted
            assert all(ack.document is DocumentKind.SETTINGS for ack in controller.acks())
            controller.quality = UtcQuality.SYNCHRONISED
            await controller.until(lambda: len(controller.acks()) == 3, 25)
            assert (controller.acks()[-1].document, controller.acks()[-1].outcome) == (
                DocumentKind.COMMAND,
                AckOutcome.ACCEPTED,
            )


async def test_stop_is_silence_at_once_and_twice(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        agent_id = await planned(controller, agent, bulletin(controller.sound(20.0), soon(2.5)))
        assert agent.cluster is not None
        conductor = agent.cluster.conductor
        await eventually(lambda: conductor.heard() is not None)
        loop = asyncio.get_running_loop()
        sent = loop.time()
        await controller.send_command(agent_id, controller.command(StopOrder()))
        await eventually(lambda: conductor.idle)
        assert loop.time() - sent < 0.5
        await controller.send_command(agent_id, controller.command(StopOrder()))
        await controller.until(lambda: len([a for a in controller.acks() if a.document is DocumentKind.COMMAND]) == 2)
        await controller.until(lambda: bool(controller.records))
        assert played(controller) == [PlayOutcome.STOPPED]


async def test_what_is_not_ours_is_refused_reported_and_never_sounds(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
        stranger = Keys()
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            agent_id = await enrolled(controller)
            await eventually(lambda: agent.cluster is not None and agent.cluster.wall.trusted)
            one = bulletin(controller.sound(0.5), soon(600))
            good = controller.plan(agent_id, (one,))
            older = good
            newer = controller.plan(agent_id, (one,))
            now = soon(0)
            bad = {
                "unknown_key": SmallControllerSeal(controller, stranger).plan(agent_id, (one,)),
                "wrong_target": controller.plan(agent_id, (one,), agent_id="f" * 32),
                "expired": controller.plan(
                    agent_id, (one,), issued=now - timedelta(days=9), expires=now - timedelta(days=1)
                ),
                "bad_signature": _altered(controller.plan(agent_id, (one,))),
                "term_not_rooted": controller.plan(agent_id, (one,), term=2),
            }
            for envelope in bad.values():
                await controller.send(agent_id, PlanOffer(envelope=envelope.decode()))
            await controller.send(agent_id, PlanOffer(envelope=newer.decode()))
            await controller.until(lambda: _accepted(controller, DocumentKind.PLAN) == 1)
            await controller.send(agent_id, PlanOffer(envelope=older.decode()))
            await controller.until(lambda: "older_version" in controller.events())
            codes = {ack.code for ack in controller.acks() if ack.outcome is AckOutcome.REFUSED}
            assert codes == {*bad, "older_version"}
            assert set(controller.events()) >= codes
            assert agent.cluster is not None
            assert agent.cluster.clerk.in_force.plan is not None
            stop = controller.command(StopOrder())
            await controller.send_command(agent_id, stop)
            await controller.until(lambda: _accepted(controller, DocumentKind.COMMAND) == 1)
        controller.received.clear()
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            agent_id = await controller.session_of()
            await controller.send(agent_id, PlanOffer(envelope=older.decode()))
            stale = controller.command(StopOrder(), seq=1, nonce="0" * 32)
            await controller.send(agent_id, CommandOffer(envelope=stale.decode()))
            await controller.until(lambda: {"older_version", "replayed"} <= set(controller.events()))


class SmallControllerSeal:
    """Documents of ``like``, sealed by somebody else."""

    def __init__(self, like: SmallController, keys: Keys) -> None:
        self._like = like
        self._keys = keys

    def plan(self, agent_id: str, items: tuple[Item, ...]) -> bytes:
        own, self._like.keys = self._like.keys, self._keys
        try:
            return self._like.plan(agent_id, items)
        finally:
            self._like.keys = own


def _altered(envelope: bytes) -> bytes:
    value = json.loads(envelope)
    body = base64.b64decode(value["payload"]).replace(b"plan", b"plAn").replace(b"cl_", b"cx_")
    value["payload"] = base64.b64encode(body).decode()
    return json.dumps(value).encode()


def _accepted(controller: SmallController, kind: DocumentKind) -> int:
    return sum(ack.document is kind and ack.outcome is AckOutcome.ACCEPTED for ack in controller.acks())


async def test_a_controller_with_another_root_is_refused(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
        async with running_agent(tmp_path / "agent", provisioning):
            await enrolled(controller)
    rogue = SmallController(tmp_path, Keys(), port=controller.port)
    rogue.agents = controller.agents
    async with rogue, running_agent(tmp_path / "agent", provisioning) as agent:
        await rogue.until(lambda: rogue.connections >= 2)
        assert rogue.sessions == {}
        assert agent.watch.has("controller_refused")
        assert agent.watch.take() is not None


async def test_a_rogue_controller_never_sees_the_token(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller:
        provisioning = controller.provisioning()
    async with SmallController(tmp_path, Keys(), port=controller.port) as rogue:
        rogue.tokens = dict.fromkeys(provisioning.tokens, "cl_rogue")
        async with running_agent(tmp_path / "agent", provisioning) as agent:
            await eventually(lambda: agent.watch.has("not_enrolled"))
            assert rogue.tokens  # nobody took one
            assert agent.cluster is None


async def test_enrols_by_eight_digits_and_two_people(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller=controller.url) as agent,
    ):
        await controller.until(lambda: bool(controller.waiting))
        await eventually(lambda: agent.digits is not None)
        assert agent.digits == controller.waiting[0].digits
        assert agent.state == "waiting"
        controller.approve.set()
        assert not agent.confirm("0000 0000") or agent.digits == "0000 0000"
        await asyncio.sleep(0.2)
        assert agent.cluster is None  # the desk alone is not enough
        assert agent.digits is not None
        assert agent.confirm(agent.digits.replace(" ", ""))
        await controller.session_of()


async def test_a_broken_download_goes_on_where_it_ended(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        clip = controller.sound(3.0)
        half = len(controller.content[clip.sha256]) // 2
        agent_id = await enrolled(controller)
        envelope = controller.plan(agent_id, (bulletin(clip, soon(300)),))
        await controller.send(agent_id, PlanOffer(envelope=envelope.decode()))
        await controller.until(lambda: _accepted(controller, DocumentKind.PLAN) == 1)
        controller.cut_downloads_at = half
        await eventually(lambda: controller.ranges == [] and agent.cluster is not None)
        await eventually(lambda: not _missing(agent))
        assert controller.ranges in ([f"bytes={half}-"], [])


async def test_a_sound_with_other_bytes_is_never_kept(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        clip = controller.sound(0.5)
        controller.content[clip.sha256] = controller.content[clip.sha256][:-1] + b"X"
        agent_id = await enrolled(controller)
        await controller.send_plan(agent_id, bulletin(clip, soon(2)))
        await controller.until(lambda: "media_altered" in controller.events())
        assert agent.cluster is not None
        assert _missing(agent) == {clip.sha256}
        await asyncio.sleep(2.5)
        assert agent.cluster.conductor.heard() is None


async def test_a_sound_altered_on_the_disk_is_fetched_again(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        clip = controller.sound(0.5)
        start = soon(11)  # hashed again within eight seconds of the start
        await planned(controller, agent, bulletin(clip, start))
        path = tmp_path / "agent" / "media" / clip.sha256
        body = bytearray(path.read_bytes())
        body[len(body) // 2] ^= 1
        path.write_bytes(body)
        await controller.until(lambda: "media_altered" in controller.events(), 10)
        await controller.until(lambda: bool(controller.records), 10)
        assert controller.served[clip.sha256] == 2
        assert played(controller) == [PlayOutcome.PLAYED]


async def test_a_live_stream_sounds_and_forged_bundles_do_not(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        agent_id = await enrolled(controller)
        await eventually(lambda: agent.cluster is not None and agent.cluster.wall.trusted)
        await asyncio.sleep(2.2)  # the clock has had its bursts
        await controller.send_open(agent_id, controller.stream_open(7, Priority.COMMUNE_LIVE))
        await controller.until(lambda: agent_id in controller.streams)
        begin = MediaUs(controller.media_now() + 1_500_000)
        forged = controller.bundles(7, begin=begin, count=2, key=SigningKey.generate())
        for frame in [*forged, *controller.bundles(7, begin=begin, count=10)]:
            await controller.streams[agent_id].send_bytes(frame)
        await controller.until(lambda: bool(controller.records), 12)
        (record,) = controller.records.values()
        assert record.stream == 7
        told = [one.sounding for one in controller.statuses() if one.sounding is not None]
        assert {(one.stream, one.title) for one in told} == {(7, "live")}, "by its name, as a programme would be"
        assert record.frames == pytest.approx(10 * 9600, abs=2000)
        assert "bundle_unknown_key" in controller.events()


async def test_a_bundle_of_class_80_comes_over_the_control_connection(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        agent_id = await enrolled(controller)
        await eventually(lambda: agent.cluster is not None and agent.cluster.wall.trusted)
        begin = MediaUs(controller.media_now() + 1_500_000)
        frames = controller.bundles(9, begin=begin, count=5)
        await controller.sessions[agent_id].ws.send_bytes(frames[0])  # overtakes its open
        await controller.send_open(agent_id, controller.stream_open(9, Priority.EMERGENCY_LIVE))
        for frame in frames[1:]:
            await controller.sessions[agent_id].ws.send_bytes(frame)
        await controller.until(lambda: bool(controller.records), 12)
        (record,) = controller.records.values()
        assert record.priority == Priority.EMERGENCY_LIVE
        assert record.frames == pytest.approx(5 * 9600, abs=2000)


async def test_a_wrong_clock_of_the_box_does_not_matter_once_the_controller_spoke(tmp_path: Path) -> None:
    clock = ShiftedClock(timedelta(days=-20_000))
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning(), clock=clock) as agent,
    ):
        agent_id = await enrolled(controller)
        await controller.send_plan(agent_id, bulletin(controller.sound(0.5), soon(3), late=LateKind.SKIP))
        await controller.until(lambda: bool(controller.records), 12)
        (record,) = controller.records.values()
        assert record.outcome is PlayOutcome.PLAYED
        assert record.start_error_us is not None
        assert abs(record.start_error_us) < 50_000
        assert agent.cluster is not None


async def test_malformed_messages_end_the_session_and_not_the_agent(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()) as agent,
    ):
        agent_id = await enrolled(controller)
        await controller.sessions[agent_id].ws.send_str('{"type": "plan", "envelope": 7}')
        await controller.until(lambda: controller.connections >= 2)
        await controller.session_of()
        await controller.sessions[agent_id].ws.send_str('{"type": "of_a_later_version", "x": 1}')
        await controller.sessions[agent_id].ws.send_bytes(b"\x01" * 100)
        await controller.until(lambda: "bundle_bad_bundle" in controller.events())
        assert agent.supervisor.crashes == {}
