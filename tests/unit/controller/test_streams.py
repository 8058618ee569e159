"""Live streams: the right key for each class, groups of clusters, stragglers, extension, a regular end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.services.chunks import PACKET_US, Chunk, SourceKind
from controller.services.context import RunClock, SystemClock
from controller.services.streams import FixedLeads, Leads, StreamOpener, StreamPlan
from protocol.bundle import unpack
from protocol.keys import Role
from protocol.limits import MAX_STREAM_LIFE
from schedules.instants import MediaUs
from schedules.ladder import Priority
from tests.unit.controller.air_kit import Stage, open_stage, stream_open

PACKET = b"\xf8\xff\xfe"


def opener_of(stage: Stage, leads: Leads | None = None) -> tuple[StreamOpener, RunClock]:
    media = RunClock(SystemClock())
    opener = StreamOpener(
        journal=stage.base.journal,
        signers=stage.base.vault,
        gateway=stage.gateway,
        directory=stage.base.directory,
        media=media,
        clock=stage.clock,
        leads=leads,
    )
    return opener, media


def plan(stage: Stage, clusters: Iterable[str], **more: Any) -> StreamPlan:
    said: dict[str, Any] = {
        "priority": Priority.COMMUNE_LIVE,
        "clusters": frozenset(clusters),
        "title": "Thông báo",
        "not_after": stage.clock.now() + timedelta(minutes=10),
        "actor": "us_admin admin",
        "kind": SourceKind.MICROPHONE,
    }
    return StreamPlan(**(said | more))


@pytest.mark.parametrize(
    ("priority", "role"),
    [
        (Priority.EMERGENCY_LIVE, Role.EMERGENCY),
        (Priority.EMERGENCY_STORED, Role.EMERGENCY),
        (Priority.COMMUNE_LIVE, Role.LIVE),
        (Priority.RELAY, Role.LIVE),
    ],
)
async def test_the_class_decides_the_key_and_agents_let_it_through(
    tmp_path: Path, priority: Priority, role: Role
) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        opener, media = opener_of(stage)
        (stream,) = await opener.open(plan(stage, [cluster], priority=priority))
        assert stream.document.key_id == stage.base.vault.key(role).key_id
        opener.publish([stream], Chunk(media.now(), (PACKET,) * 5, discontinuity=False))
        trust = stage.trusting(stage.agent_of(cluster))
        verified = trust.verify_stream_open(stream.envelope, now=stage.clock.now())
        ((_, data, _),) = stage.gateway.bundles
        bundle = trust.gate(verified.document).accept(data, now=stage.clock.now())
        assert (bundle.samples, bundle.discontinuity, bundle.seq) == (4_800, True, 1)


async def test_a_drill_is_no_stream(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        with pytest.raises(ValueError, match="drill"):
            await opener_of(stage)[0].open(plan(stage, [cluster], priority=Priority.DRILL))
        assert stage.gateway.streams == {}


async def test_the_same_bytes_go_to_every_agent_of_a_stream(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        clusters = [await stage.cluster(area, name) for name in "ABC"]
        opener, media = opener_of(stage)
        streams = await opener.open(plan(stage, clusters))
        for number in range(3):
            at = MediaUs(media.now() + number * 5 * PACKET_US)
            opener.publish(streams, Chunk(at, (PACKET,) * 5, discontinuity=False))
        assert len(stage.gateway.bundles) == 3, "one publication for a stream, whatever the number of its agents"
        assert [unpack(data).sample_index for _, data, _ in stage.gateway.bundles] == [0, 4_800, 9_600]


async def test_an_extension_has_a_higher_number_and_a_later_end_within_the_cap(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        opener, _ = opener_of(stage)
        long = stage.clock.now() + timedelta(hours=13)
        streams = await opener.open(plan(stage, [cluster], not_after=long))
        first = streams[0].document
        assert first.not_after == stage.clock.now() + MAX_STREAM_LIFE
        trust = stage.trusting(stage.agent_of(cluster))
        verified = trust.verify_stream_open(streams[0].envelope, now=stage.clock.now())
        trust.commit(verified)
        gate = trust.gate(verified.document)
        stage.clock.advance(hours=2)
        await opener.extend(streams, long, actor="system loa")
        later = stream_open(stage.gateway.streams[first.stream][0])
        assert (later.not_after, later.stream) == (long, first.stream)
        gate.extend(trust.verify_stream_open(streams[0].envelope, now=stage.clock.now()).document)


async def test_a_regular_end_is_marked_and_everything_sounds_before_it_closes(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        opener, media = opener_of(stage)
        streams = await opener.open(plan(stage, [cluster]))
        chunk = Chunk(MediaUs(media.now() + 300_000), (PACKET,) * 5, discontinuity=False)
        opener.publish(streams, chunk)
        ending = asyncio.create_task(opener.end(streams))
        await asyncio.sleep(0.05)
        last = unpack(stage.gateway.bundles[-1][1])
        assert (last.end, last.packets, last.play_at) == (True, (), chunk.ends)
        assert stage.gateway.streams, "it still sounds"
        await ending
        assert media.now() >= chunk.ends
        assert stage.gateway.streams == {}


class Slow(FixedLeads):
    """One agent is beyond the cap."""

    def __init__(self) -> None:
        self.slow: frozenset[str] = frozenset()

    def left_out(self, agents: Iterable[str], kind: SourceKind) -> frozenset[str]:
        return self.slow & frozenset(agents)


async def test_of_an_emergency_nobody_is_left_out(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        leads = Slow()
        leads.slow = frozenset([stage.agent_of(cluster)])
        opener, _ = opener_of(stage, leads)
        (stream,) = await opener.open(plan(stage, [cluster], priority=Priority.EMERGENCY_LIVE))
        assert (stream.agents, stream.left_out) == (leads.slow, frozenset())


async def test_stragglers_are_left_out_and_taken_back(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        clusters = [await stage.cluster(area, name) for name in "AB"]
        leads = Slow()
        leads.slow = frozenset([stage.agent_of(clusters[0])])
        opener, _ = opener_of(stage, leads)
        streams = await opener.open(plan(stage, clusters))
        assert (len(streams[0].agents), streams[0].left_out) == (1, leads.slow)
        assert not opener.stale(streams, frozenset(clusters), SourceKind.MICROPHONE)
        leads.slow = frozenset()
        assert opener.stale(streams, frozenset(clusters), SourceKind.MICROPHONE)
        await opener.retarget(streams, frozenset(clusters), SourceKind.MICROPHONE)
        assert len(stage.gateway.streams[streams[0].stream_id][1]) == 2
        await opener.retarget(streams, frozenset(), SourceKind.MICROPHONE)
        assert (streams, stage.gateway.streams) == ([], {})
