"""Plans: each agent its own, verified by what agents verify with; the same bytes until something changes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from controller.services.catalogue import RecordingEntry
from controller.services.clusters import ClusterService
from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import ConflictError, ForbiddenError, NotFoundError
from controller.services.orders import Scope
from controller.services.programme_model import RecordedSpec, RelaySpec, TargetSpec
from controller.services.upcoming import Upcoming
from controller.services.zones import ZoneService
from controller.store import tables
from protocol.documents import body_sha256, decode_day
from protocol.envelope import open_envelope
from protocol.errors import AlreadyHaveError, TrustError
from schedules.ladder import Priority
from schedules.model import Relay
from schedules.recurrence import Recurrence
from tests.unit.controller.air_kit import ADMIN, TOMORROW_5, Stage, open_stage, plan, settings, until

ZONE = "Asia/Ho_Chi_Minh"
FIRST = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


async def put_on_the_grid(stage: Stage, area: str, data: bytes = b"0123456789") -> RecordingEntry:
    recording = await stage.recording(area, data)
    await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
    return recording


async def test_an_agent_gets_its_own_plan_which_it_believes(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area, other = await stage.area("here"), await stage.area("there")
        cluster, far = await stage.cluster(area, "A"), await stage.cluster(other, "B")
        recording = await put_on_the_grid(stage, area)
        await stage.air.planner.compile()
        agent = stage.agent_of(cluster)
        documents = await stage.air.planner.documents_for(agent)
        assert documents is not None
        trust = stage.trusting(agent)
        told = trust.verify_settings(documents[0], now=stage.clock.now())
        trust.commit(told)
        assert told.document.cluster == stage.base.directory.effective_settings(cluster)
        manifest = trust.verify_plan(documents[1], now=stage.clock.now()).document
        assert manifest.settings_sha256 == body_sha256(open_envelope(documents[0]).payload)
        assert manifest.cluster_id == cluster
        assert [str(day.date) for day in manifest.days] == [f"2026-11-{day}" for day in range(21, 27)]
        body = await stage.air.planner.document(manifest.days[0].sha256)
        assert body is not None
        assert (hashlib.sha256(body).hexdigest(), len(body)) == (manifest.days[0].sha256, manifest.days[0].size)
        (item,) = decode_day(body).items
        assert item.start == FIRST
        assert [clip.sha256 for clip in item.content.clips] == [recording.sha256]
        assert item.content.clips[0].approval == recording.approval
        assert stage.air.planner.clips_for(agent) == {recording.sha256}
        theirs = await stage.air.planner.documents_for(stage.agent_of(far))
        assert theirs is not None
        assert plan(theirs[1]).days == ()
        with pytest.raises(TrustError) as caught:
            trust.verify_plan(theirs[1], now=stage.clock.now())
        assert caught.value.code == "wrong_target"


async def test_strangers_and_clusters_out_of_use_get_nothing(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        assert await stage.air.planner.documents_for("ff" * 16) is None
        assert await stage.air.planner.document("00" * 32) is None
        assert stage.air.planner.clips_for("ff" * 16) == frozenset()


async def test_a_programme_sounds_where_its_zone_is_each_day(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        first, second = await stage.cluster(area, "A"), await stage.cluster(area, "B")
        base, air = stage.base, stage.air
        zones = ZoneService(base.db, base.directory, base.clock)
        zones.used_by.append(air.catalogue.programmes_in)
        zone = await zones.create(ADMIN, name="Ven sông", area_id=area, clusters=[first])
        recording = await stage.recording(area, b"0123456789")
        spec = stage.bulletin(area, recording.id, targets=TargetSpec(zones=(zone.id,)))
        made, _ = await air.programmes.create(ADMIN, spec)
        assert air.catalogue.programmes[made.id].spec == spec

        async def sounding() -> set[str]:
            told = {each: await air.planner.documents_for(stage.agent_of(each)) for each in (first, second)}
            return {each for each, documents in told.items() if documents is not None and plan(documents[1]).days}

        await air.planner.compile()
        assert await sounding() == {first}
        compiled = air.planner.compiled_at
        stage.clock.advance(seconds=1)
        await zones.change(ADMIN, zone.id, {"clusters": [second]})
        await until(lambda: air.planner.compiled_at != compiled)  # by itself
        assert await sounding() == {second}
        for attempt in (zones.delete(ADMIN, zone.id), zones.change(ADMIN, zone.id, {"area_id": await stage.area("x")})):
            with pytest.raises(ConflictError) as refused:
                await attempt
            assert refused.value.code == "zone_in_use"

        with pytest.raises(NotFoundError) as unknown:
            await air.programmes.create(ADMIN, replace(spec, targets=TargetSpec(zones=("zn_nowhere",))))
        assert unknown.value.code == "zone_not_found"
        elsewhere = await stage.area("Xã khác")
        stranger = Actor("us_x", "la", (RoleGrant(Role.EDITOR, elsewhere),))
        with pytest.raises(ForbiddenError):
            await air.programmes.create(stranger, replace(spec, area_id=elsewhere))
        await air.programmes.withdraw(ADMIN, made.id)
        await zones.delete(ADMIN, zone.id)


async def test_what_a_stop_ended_does_not_come_next(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        here, there = await stage.cluster(area, "A"), await stage.cluster(area, "B")
        await put_on_the_grid(stage, area, b"x" * 100)  # 100 s, daily
        await stage.air.planner.compile()
        ahead = Upcoming(stage.air.planner, stage.air.courier)
        stage.clock.at = FIRST + timedelta(seconds=20)
        days = [item.start for item in ahead.of(here, stage.clock.now())]
        assert days[0] == FIRST
        await stage.air.orders.stop(ADMIN, Scope(clusters=(here,)))
        assert [item.start for item in ahead.of(here, stage.clock.now())] == days[1:]
        assert [item.start for item in ahead.of(there, stage.clock.now())] == days
        await stage.air.orders.stop(ADMIN, Scope(everywhere=True))
        assert [item.start for item in ahead.of(there, stage.clock.now())] == days[1:]


async def test_clusters_with_the_same_programme_share_their_days(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        same = [await stage.cluster(area, name) for name in "ABC"]
        bru = await stage.cluster(area, "D", ["vi", "bru"])
        recording = await stage.recording(area, b"vi")
        second = await stage.recording(area, b"bru", "bru")
        content = RecordedSpec((recording.id, second.id), chime_before="opening")
        await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id, content=content))
        await stage.air.planner.compile()
        envelopes = [await stage.air.planner.documents_for(stage.agent_of(each)) for each in [*same, bru]]
        days = [plan(each[1]).days for each in envelopes if each is not None]
        assert days[0] == days[1] == days[2] != days[3]
        clips = stage.air.planner.clips_for(stage.agent_of(bru))
        assert clips == {recording.sha256, second.sha256, stage.air.chimes["opening"].sha256}


async def replan(stage: Stage) -> list[tuple[str, tuple[bytes, ...]]]:
    """One round of the planner; returns what was offered in it."""
    stage.gateway.plans.clear()
    await stage.air.planner.compile()
    await stage.air.planner.offer()
    return list(stage.gateway.plans)


async def test_a_change_reaches_who_is_online_and_nobody_twice(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area, other = await stage.area("here"), await stage.area("there")
        cluster, far = await stage.cluster(area, "A"), await stage.cluster(other, "B")
        agent, stranger = stage.agent_of(cluster), stage.agent_of(far)
        away = await stage.agent(cluster)
        stage.gateway.present |= {agent, stranger}
        assert {who: len(told) for who, told in await replan(stage)} == {agent: 2, stranger: 2}
        assert await replan(stage) == []
        await put_on_the_grid(stage, area)
        ((who, told),) = await replan(stage)
        assert (who, len(told), len(plan(told[0]).days)) == (agent, 1, 6)  # settings did not change
        assert await replan(stage) == []
        theirs = await stage.air.planner.documents_for(away)
        assert theirs is not None
        assert plan(theirs[1]).days == plan(told[0]).days


async def test_the_volume_is_new_settings_at_once(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        stage.gateway.present.add(stage.agent_of(cluster))
        await replan(stage)
        service = ClusterService(stage.base.db, stage.base.directory, stage.clock)
        await service.set_volume(ADMIN, cluster, {Priority.PROGRAMME: -6.0})
        ((_, envelopes),) = await replan(stage)
        assert settings(envelopes[0]).cluster.gain_db(Priority.PROGRAMME) == -6.0
        assert plan(envelopes[1]).settings_sha256 == body_sha256(open_envelope(envelopes[0]).payload)


async def test_the_planner_follows_changes_by_itself(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        agent = stage.agent_of(await stage.cluster(area, "A"))
        stage.gateway.present.add(agent)
        await put_on_the_grid(stage, area)
        await until(lambda: any(plan(told[-1]).days for _, told in stage.gateway.plans))
        assert stage.air.planner.fault is None


async def test_a_restart_offers_the_very_same_bytes(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        await put_on_the_grid(stage, area)
        agent = stage.agent_of(cluster)
        await stage.air.planner.compile()
        before = await stage.air.planner.documents_for(agent)
        stage.air.planner.answered(agent, 1, plan(before[1]).seq if before else 0, accepted=True)
        await until(lambda: not stage.air.planner._issuer.waiting)
        trust = stage.trusting(agent)
        assert before is not None
        for verified in (trust.verify_settings(before[0], now=None), trust.verify_plan(before[1], now=None)):
            trust.commit(verified)
    async with open_stage(tmp_path, tasks=False) as stage:
        after = await stage.air.planner.documents_for(agent)
        assert after == before
        assert stage.air.planner._issuer.acknowledged[agent].accepted
        with pytest.raises(AlreadyHaveError):
            trust.verify_plan(after[1], now=None)
        stage.clock.advance(days=4)  # more than half of the plan's life: made anew, with a higher number
        await stage.air.planner.compile()
        renewed = await stage.air.planner.documents_for(agent)
        assert renewed is not None
        assert plan(renewed[1]).seq > plan(before[1]).seq
        assert renewed[0] == before[0]
        assert trust.verify_plan(renewed[1], now=stage.clock.now()).document.days


async def test_rotated_keys_make_everything_anew(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        agent = stage.agent_of(cluster)
        await stage.air.planner.compile()
        before = await stage.air.planner.documents_for(agent)
        stage.base.vault.rotate(now=stage.clock.now())
        after = await stage.air.planner.documents_for(agent)
        assert before is not None
        assert after is not None
        assert settings(after[0]).seq > settings(before[0]).seq
        trust = stage.trusting(agent)
        trust.commit(trust.verify_settings(after[0], now=stage.clock.now()))
        trust.verify_plan(after[1], now=stage.clock.now())


async def test_a_voided_approval_takes_the_item_out_of_the_plan_and_says_why(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        recording = await put_on_the_grid(stage, area)
        (programme,) = stage.air.catalogue.programmes.values()
        await stage.air.planner.compile()
        assert stage.air.planner.items_of(cluster)
        assert recording.sha256 is not None
        await stage.air.recordings.decide(ADMIN, recording.id, recording.sha256, approved=False, reason="old")
        await stage.air.planner.compile()
        assert stage.air.planner.items_of(cluster) == ()
        assert [gap.code for gap in stage.air.planner.gaps_of(programme.id)] == ["not_approved"]


async def test_the_plan_rolls_on_when_a_day_begins(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        await put_on_the_grid(stage, area)
        await stage.air.planner.compile()
        midnight = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)  # 00:00 in Vietnam
        (roll,) = stage.air.planner.due(stage.clock.now(), midnight + timedelta(seconds=1))
        assert (roll.name, roll.at) == ("plan.roll", midnight)
        last = stage.air.planner.items_of(cluster)[-1].start
        stage.clock.at = midnight + timedelta(seconds=1)
        await stage.air.planner.compile()
        assert stage.air.planner.items_of(cluster)[-1].start == last + timedelta(days=1)
        assert stage.air.planner.due(stage.clock.now(), stage.clock.now() + timedelta(hours=1)) == []


async def test_relays_are_windows_grouped_over_clusters(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        clusters = frozenset([await stage.cluster(area, name) for name in "AB"])
        source = await stage.air.sources.create(ADMIN, area_id=area, title="VOV1", url="http://127.0.0.1:9/vov")
        spec = stage.bulletin(
            area,
            "",
            priority=Priority.RELAY,
            content=RelaySpec(source.id),
            slot=timedelta(minutes=30),
            recurrence=Recurrence(TOMORROW_5, ZONE),
            targets=TargetSpec(areas=(area,)),
        )
        entry, _ = await stage.air.programmes.create(ADMIN, spec)
        await stage.air.planner.compile()
        (window,) = stage.air.planner.windows(FIRST, FIRST + timedelta(hours=1))
        assert (window.rule_id, window.source_id, window.clusters) == (entry.id, source.id, clusters)
        assert (window.start, window.end) == (FIRST, FIRST + timedelta(minutes=30))
        assert stage.air.planner.windows(window.end, window.end + timedelta(days=3)) == ()
        (item,) = stage.air.planner.items_of(min(clusters))
        assert isinstance(item.content, Relay)


async def test_an_old_day_is_still_served_after_a_change(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        await put_on_the_grid(stage, area)
        await until(lambda: stage.air.planner.items_of(cluster))
        before = await stage.air.planner.documents_for(stage.agent_of(cluster))
        assert before is not None
        old = plan(before[1]).days[0].sha256
        (programme,) = stage.air.catalogue.programmes.values()
        await until(lambda: not stage.air.planner._issuer.waiting)
        await stage.air.programmes.withdraw(ADMIN, programme.id)
        await until(lambda: not stage.air.planner.items_of(cluster))
        assert await stage.air.planner.document(old) is not None


async def test_rules_are_made_again_only_where_something_changed(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area, other = await stage.area("here"), await stage.area("there")
        await stage.cluster(area, "A")
        await stage.cluster(other, "B")
        await put_on_the_grid(stage, area)
        await put_on_the_grid(stage, other, b"another")
        book = stage.air.planner._rulebook
        before, _ = book.rules(stage.air.catalogue.active_programmes())
        await stage.cluster(other, "C")
        after, _ = book.rules(stage.air.catalogue.active_programmes())
        assert [old is new for old, new in zip(before, after, strict=True)] == [
            False,
            False,
        ]  # places were looked up anew
        (changed,) = [new for old, new in zip(before, after, strict=True) if old != new]
        assert len(changed.targets) == 2
        again, _ = book.rules(stage.air.catalogue.active_programmes())
        assert all(old is new for old, new in zip(after, again, strict=True))


async def test_a_write_that_was_committed_and_cancelled_is_not_written_twice(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        agent = stage.agent_of(cluster)
        stage.gateway.present.add(agent)
        stage.air.planner.poke()
        issuer = stage.air.planner._issuer
        await until(lambda: issuer.of(agent) is not None and not issuer.waiting)
        issue = issuer.of(agent)
        assert issue is not None
        issuer._behind.issues.append(issue)  # as the cancelled flush puts it back
        issuer._behind.again = True
        await issuer.flush()
        async with stage.base.db.read() as session:
            rows = (await session.exec(select(tables.PlanIssue).where(tables.PlanIssue.agent_id == agent))).all()
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})
        assert issue.plan.seq in {row.seq for row in rows}


async def test_what_expired_long_ago_is_removed_and_the_last_issue_stays(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        await put_on_the_grid(stage, area)
        issuer = stage.air.planner._issuer
        for _ in range(3):
            await stage.air.planner.compile()
            await stage.air.planner.documents_for(stage.agent_of(cluster))
            await issuer.flush()
            stage.clock.advance(days=40)
        await issuer.prune(frozenset(stage.air.planner._plan.bodies if stage.air.planner._plan else ()))
        async with stage.base.db.read() as session:
            kept = (await session.exec(select(tables.PlanIssue))).all()
            documents = {row.sha256 for row in await session.exec(select(tables.Document))}
        assert len(kept) == 1
        assert set(kept[-1].days.values()) <= documents
        last = issuer.of(stage.agent_of(cluster))
        assert last is not None
        assert last.plan.settings_sha256 in documents
