"""What an agent must refuse, from strangers and from one who holds the real keys: it reports, and is silent."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audio.pcm import Samples, write_wav
from controller.cli.client import ApiError
from controller.keys import KeyVault
from protocol.documents import DocumentKind, PlayOrder, StopOrder
from protocol.keys import Role, SigningKey
from protocol.messages import Ack, AckOutcome, PlanOffer
from schedules.model import LateKind, QuietHours
from tests.system.boxes import (
    Box,
    delivered,
    no_traceback,
    online,
    provision,
    recorded,
    schedule,
    seconds_of,
    tone_part,
    wait_records,
)
from tests.system.desk import ZONE, Desk, rows, soon
from tests.system.processes import wait_until
from tests.system.pulse_hall import pink_noise
from tests.unit.agent.desk import bulletin
from tests.unit.agent.small_controller import Keys, SmallController

pytestmark = [pytest.mark.system, pytest.mark.slow]

START_S = 0.050
GOOD_HZ, ALTERED_HZ = 440, 1500


async def test_another_root_on_the_same_port_and_altered_media_are_refused(tmp_path: Path) -> None:
    """The sound on the card is changed; then somebody else answers where the controller was. The bulletin is right."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    keys = Keys()
    box = Box(tmp_path, "box")
    try:
        async with SmallController(tmp_path / "first", keys) as first:
            card = tmp_path / "card.json"
            card.write_bytes(first.provisioning().to_bytes())
            box.start("--provisioning", card)
            agent_id = await first.session_of()
            await first.send_settings(agent_id)
            begin = soon(13)
            clip = first.sound(2, GOOD_HZ)
            await first.send_plan(agent_id, bulletin(clip, begin))
            await first.until(lambda: first.served[clip.sha256] == 1)
            stored = box.data / "media" / clip.sha256
            await asyncio.to_thread(wait_until, stored.exists, 5, "the sound is on the disk")
            await asyncio.to_thread(box.wait, _whole, 5, "knows its sound")
            first.sound(2, ALTERED_HZ)
            stored.write_bytes((tmp_path / "first" / f"tone-{ALTERED_HZ}-2.opus").read_bytes())
            await first.until(lambda: first.served[clip.sha256] == 2, 12)
            await first.until(lambda: "media_altered" in first.events())
            await asyncio.to_thread(wait_until, stored.exists, 5, "the sound is on the disk again")
            known = first.agents
        async with SmallController(tmp_path / "second", Keys(), port=first.port) as stranger:
            stranger.agents = known
            await asyncio.to_thread(box.wait, _refuses, 12, "refuses the stranger")
            assert stranger.connections > 0
            assert stranger.sessions == {}
            await asyncio.sleep(max(0.0, begin.timestamp() + 3 - time.time()))
        _judge_the_bulletin(box, begin.timestamp())
        async with SmallController(tmp_path / "first", keys, port=first.port) as back:
            back.agents = known
            await back.until(lambda: bool(back.records), 25)
            await back.until(lambda: "wrong_root" in back.events())
            (record,) = back.records.values()
            assert (record.outcome, back.repeats) == ("played", 0)
        no_traceback(box.said())
    finally:
        box.close()


def _whole(said: dict[str, dict[str, dict[str, int]]]) -> bool:
    plan = said.get("status", {}).get("plan", {})
    return plan.get("clips_cached") == plan.get("clips_needed") == 1


def _refuses(said: dict[str, list[dict[str, str]]]) -> bool:
    return any(fault["code"] == "controller_refused" for fault in said["faults"])


def _judge_the_bulletin(box: Box, begin: float) -> None:
    samples, times = box.ear.sound()
    loud = times[abs(samples) > 0.02]
    assert abs(loud[0] - begin) < START_S
    assert tone_part(box.ear.window(begin + 0.2, begin + 1.8), GOOD_HZ) > 0.9
    assert tone_part(box.ear.window(begin + 0.2, begin + 1.8), ALTERED_HZ) < 0.01


async def test_time_quiet_hours_and_replays_with_the_real_keys(tmp_path: Path) -> None:
    """A box boots in 1970 without its controller; later somebody with the controller's own keys asks for too much."""
    noise = pink_noise(2)
    box, desk = Box(tmp_path, "box"), Desk(tmp_path)
    async with AsyncExitStack() as stack:
        stack.callback(box.close)
        stack.callback(desk.close)
        begun = time.monotonic()
        desk.start()
        pace = time.monotonic() - begun  # how fast this machine is just now: usually three seconds
        cluster = await asyncio.to_thread(boots_in_1970, desk, box, noise, tmp_path, pace)
        quiet_hours_are_refused_at_the_desk(desk)
        box.stop()
        desk.close()
        keys = real_keys(desk)
        impostor = await stack.enter_async_context(SmallController(tmp_path, keys))
        agent_id = _only(desk, "SELECT id FROM agent")
        impostor.agents = {agent_id: cluster}
        for kind, table in (("plan", "planissue"), ("settings", "delivery"), ("command", "commandrow")):
            impostor._seq[kind] = int(_only(desk, f"SELECT coalesce(max(seq), 0) FROM {table}")) + 100  # noqa: S608
        box.start("--controller", impostor.url)
        assert await impostor.session_of() == agent_id
        await asyncio.to_thread(box.wait, _knows_the_time, 10, "knows the time")
        await replays_are_refused(impostor, desk, box, agent_id)
        await quiet_hours_are_refused_by_the_agent(impostor, box, agent_id)
    no_traceback(box.said())


def boots_in_1970(desk: Desk, box: Box, noise: Samples, folder: Path, pace: float) -> str:
    """Silent while nobody vouches for its clock; on time once it has met its controller."""
    area = desk.area()
    cluster = desk.cluster(area, "Cụm")
    (card,) = provision(desk, [cluster], folder / "cards")
    box.start("--provisioning", card)
    write_wav(folder / "noise.wav", noise)
    content = recorded(desk.recording(area, folder / "noise.wav"))
    online(desk, 1)
    begin = soon(10).timestamp()
    late = begin + max(14, round(4 * pace))
    missed = schedule(desk, area, [cluster], begin, content=content, late={"kind": "skip"})
    rule = schedule(desk, area, [cluster], late, content=content)
    delivered(rule, [box])
    time.sleep(0.5)  # the second programme's plan may come a moment after the first one's
    box.stop()
    desk.close()
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    past = {"LD_PRELOAD": str(library), "FAKETIME": "@1970-01-02 00:00:00", "DONT_FAKE_MONOTONIC": "1"}
    box.start(env=past)
    said = box.wait(lambda said: said["state"] == "working", 30, "works in 1970")
    assert "time_untrusted" in {fault["code"] for fault in said["faults"]}
    assert "1970-01-0" in box.said()
    time.sleep(max(0.0, begin + 2.5 - time.time()))
    assert "time_untrusted" in box.faults()
    assert box.ear.last_sound() == 0, "what is planned stays silent without trusted time"
    desk.start()
    box.stop()  # booted once more, so that the test need not sit out the pause between two tries to connect
    box.start(env=past)
    box.wait(lambda said: said["connected"] and not said["faults"], 60, "met its controller")
    assert time.time() < late - 1, "too late to show anything"
    time.sleep(max(0.0, late + 2.5 - time.time()))
    at, like = box.ear.find(noise, late - 1, late + 3)
    assert like > 0.7
    assert abs(at - late) < START_S
    (played,) = wait_records(desk, rule, 1)
    assert played["outcome"] == "played"
    assert abs(seconds_of(played["started"]) - late) < START_S
    (silent,) = wait_records(desk, missed, 1)
    assert (silent["outcome"], silent["frames"]) == ("skipped", 0)
    return cluster


def quiet_hours_are_refused_at_the_desk(desk: Desk) -> None:
    now = datetime.now(ZONE)
    begin, end = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (-1, 2))
    area = desk.area("Húc Nghì", quiet_hours={"begin": begin, "end": end})
    cluster = desk.cluster(area, "Húc Nghì 1")
    recording = _only(desk, "SELECT id FROM recording")
    with pytest.raises(ApiError) as refused:
        schedule(desk, area, [cluster], time.time() + 600, content=recorded(recording))
    assert refused.value.code == "quiet_hours"
    assert "quiet" in str(refused.value).lower()


def _knows_the_time(said: dict[str, list[dict[str, str]]]) -> bool:
    return all(fault["code"] != "time_untrusted" for fault in said["faults"])


def real_keys(desk: Desk) -> Keys:
    """What a thief of the controller's disk would hold."""
    vault = KeyVault.read(desk.data / "keys")
    root = SigningKey.from_seed(bytes.fromhex((desk.data / "keys" / "root.key").read_text()))
    return Keys(root, vault.key(Role.PLAN), vault.term, vault.key_set.version, vault.key_set_envelope)


async def replays_are_refused(impostor: SmallController, desk: Desk, box: Box, agent_id: str) -> None:
    issued = rows(desk, "SELECT envelope FROM planissue ORDER BY seq")
    assert len(issued) > 1
    await impostor.send(agent_id, PlanOffer(envelope=issued[0][0].decode()))
    assert (await answer(impostor, DocumentKind.PLAN)).code == "older_version"
    played = impostor.command(PlayOrder(bulletin(impostor.sound(1, GOOD_HZ), soon(1), name="once")))
    await impostor.send_command(agent_id, played)
    assert (await answer(impostor, DocumentKind.COMMAND)).code is None
    await impostor.until(lambda: any(one.title == "bulletin once" for one in impostor.records.values()), 12)
    assert tone_part(box.ear.window(box.ear.last_sound() - 0.8, box.ear.last_sound() - 0.2), GOOD_HZ) > 0.9
    older = impostor.command(StopOrder(), seq=impostor.next_seq("command") - 1)
    box.crash()
    await impostor.until(lambda: not impostor.sessions)
    box.start("--controller", impostor.url)
    await impostor.session_of()
    impostor.received.clear()
    await impostor.send_command(agent_id, played)
    assert (await answer(impostor, DocumentKind.COMMAND)).code in {"already_have", "replayed"}
    await impostor.send_command(agent_id, older)
    assert (await answer(impostor, DocumentKind.COMMAND)).code == "replayed"
    await impostor.send(agent_id, PlanOffer(envelope=issued[0][0].decode()))
    assert (await answer(impostor, DocumentKind.PLAN)).code == "older_version"
    await impostor.until(lambda: {"replayed", "older_version"} <= set(impostor.events()))
    assert box.ear.last_sound() == 0, "it does not sound again"
    assert len([one for one in impostor.records.values() if one.title == "bulletin once"]) == 1


async def quiet_hours_are_refused_by_the_agent(impostor: SmallController, box: Box, agent_id: str) -> None:
    """The plan is signed, newer, meant for this box, and wrong: a programme in the night."""
    now = datetime.now(ZONE)
    night = QuietHours((now - timedelta(hours=1)).time(), (now + timedelta(hours=2)).time())
    await impostor.send_settings(agent_id, quiet_hours=night)
    assert (await answer(impostor, DocumentKind.SETTINGS)).outcome is AckOutcome.ACCEPTED
    begin = soon(4)
    await impostor.send_plan(agent_id, bulletin(impostor.sound(2, GOOD_HZ), begin, late=LateKind.JOIN))
    assert (await answer(impostor, DocumentKind.PLAN)).outcome is AckOutcome.ACCEPTED
    await impostor.until(lambda: any(one.title == "bulletin a" for one in impostor.records.values()), 12)
    (record,) = [one for one in impostor.records.values() if one.title == "bulletin a"]
    assert (record.outcome, record.code, record.frames) == ("refused", "quiet_hours", 0)
    await impostor.until(lambda: "quiet_hours" in impostor.events())
    await asyncio.sleep(max(0.0, begin.timestamp() + 1 - datetime.now(UTC).timestamp()))
    assert box.ear.last_sound() == 0


async def answer(controller: SmallController, kind: DocumentKind) -> Ack:
    """The next answer about such a document."""

    def fitting() -> list[Ack]:
        return [ack for ack in controller.acks() if ack.document is kind]

    await controller.until(lambda: bool(fitting()))
    ack = fitting()[0]
    controller.received.remove(ack)
    return ack


def _only(desk: Desk, query: str) -> str:
    ((value,),) = rows(desk, query)
    return str(value)
