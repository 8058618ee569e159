"""Orders: STOP without a database, play now without accidents, every order journalled, delivered and kept once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    ServiceError,
    TooManyError,
)
from controller.services.hold_desk import CREW_HOLD
from controller.services.holds import Hold
from controller.services.order_rules import STARTS_PER_MINUTE, OrderMemory, Start
from controller.services.orders import LEAD, PlayRequest, Scope
from controller.store import tables
from protocol.documents import PlayOrder, ReleaseOrder, StopOrder, WithdrawOrder
from schedules.ladder import Priority
from schedules.model import LateKind
from tests.unit.controller.air_kit import ADMIN, Stage, command, open_stage, until
from tests.unit.controller.desk import START
from tests.unit.controller.staff import open_staff

EVERYWHERE = Scope(everywhere=True)


@asynccontextmanager
async def locked(database: Path) -> AsyncIterator[None]:
    """Another process holds the database (a connection of its own, in a thread of its own)."""

    def hold() -> sqlite3.Connection:
        connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN EXCLUSIVE")
        return connection

    connection = await asyncio.to_thread(hold)
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def orders_kept(stage: Stage) -> list[tables.CommandRow]:
    async with stage.base.db.read() as session:
        return list(await session.exec(select(tables.CommandRow).order_by(col(tables.CommandRow.id))))


async def deliveries(stage: Stage) -> list[tables.Delivery]:
    async with stage.base.db.read() as session:
        return list(await session.exec(select(tables.Delivery).order_by(col(tables.Delivery.id))))


async def test_stop_is_believed_by_the_agents_it_is_for_and_by_no_other(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        here, there = await stage.area("here"), await stage.area("there")
        cluster, far = await stage.cluster(here, "A"), await stage.cluster(there, "B")
        near, other = stage.agent_of(cluster), stage.agent_of(far)
        stage.gateway.present |= {near, other}
        order = await stage.air.orders.stop(ADMIN, Scope(areas=(here,)))
        ((envelope, targets),) = stage.gateway.commands
        assert targets == {near}
        assert (order.agents, order.online, order.durable) == (1, 1, True)
        verified = stage.trusting(near).verify_command(envelope, now=stage.clock.now())
        assert isinstance(verified.document.order, StopOrder)
        with pytest.raises(Exception, match="wrong_target"):
            stage.trusting(other).verify_command(envelope, now=stage.clock.now())


async def test_everywhere_is_for_whoever_has_the_right_at_every_cluster_there_is(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        district = await stage.area("district")
        await stage.cluster(await stage.area("commune", district), "A")
        officer = Actor("us_officer", "officer", (RoleGrant(Role.DUTY_OFFICER, district),))
        order = await stage.air.orders.stop(officer, EVERYWHERE)
        assert order.agents == 1
        await stage.cluster(await stage.area("elsewhere"), "B")
        with pytest.raises(ForbiddenError, match="whole installation"):
            await stage.air.orders.stop(officer, EVERYWHERE)


async def test_a_hold_takes_more_than_the_right_to_stop_and_is_released(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        operator = Actor("us_operator", "operator", (RoleGrant(Role.OPERATOR, None),))
        await stage.air.orders.stop(operator, EVERYWHERE)
        for refused in (stage.air.orders.stop(operator, EVERYWHERE, hold=timedelta(hours=1)),
                        stage.air.orders.release(operator, EVERYWHERE)):  # fmt: skip
            with pytest.raises(ForbiddenError):
                await refused
        duty = Actor("us_duty", "duty", (RoleGrant(Role.DUTY_OFFICER, None),))
        await stage.air.orders.stop(duty, EVERYWHERE, hold=timedelta(hours=1))
        await stage.air.orders.release(duty, EVERYWHERE)
        given = [command(envelope).order for envelope, _ in stage.gateway.commands]
        assert given == [StopOrder(), StopOrder(timedelta(hours=1)), ReleaseOrder()]
        trust = stage.trusting(stage.agent_of(cluster))
        for envelope, _ in stage.gateway.commands:
            trust.commit(trust.verify_command(envelope, now=stage.clock.now()))


async def test_the_crew_keeps_one_cluster_at_a_time_silent_and_its_superiors_know(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area, holds = await stage.area(), stage.air.holds
        technician = Actor("us_tech", "hoàng", (RoleGrant(Role.TECHNICIAN, area),))
        duty = Actor("us_duty", "duty", (RoleGrant(Role.DUTY_OFFICER, None),))
        here, beside = await stage.cluster(area, "A"), await stage.cluster(area, "B")
        far = await stage.cluster(await stage.area("A Vao"), "C")
        told: list[tuple[str, Hold]] = []
        holds.listeners.append(lambda *said: told.append(said))
        hour = timedelta(hours=1)
        given = await holds.hold(technician, here, hour)
        assert command(stage.gateway.commands[-1][0]).order == StopOrder(hour)
        assert [(cluster, hold.until - given.issued, hold.name) for cluster, hold in told] == [(here, hour, "hoàng")]
        assert (holds.silent(here), set(holds.held(technician))) == (True, {here})
        for refused, code in (
            (holds.hold(technician, beside, hour), "hold_elsewhere"),
            (holds.hold(technician, here, CREW_HOLD + hour), "hold_too_long"),
            (holds.hold(technician, far, hour), "forbidden"),
            (holds.release(technician, far), "forbidden"),
            (stage.air.orders.stop(technician, Scope(clusters=(here,)), hold=hour), "forbidden"),
            (stage.air.orders.release(technician, Scope(areas=(area,))), "forbidden"),
        ):
            with pytest.raises(ServiceError) as caught:
                await refused
            assert caught.value.code == code
        await holds.release(technician, here)
        await holds.hold(technician, beside, hour)
        await stage.air.orders.stop(duty, Scope(areas=(area,)), hold=12 * hour)
        for refused in (holds.release(technician, here), holds.hold(technician, beside, timedelta(minutes=1))):
            with pytest.raises(ConflictError) as conflict:
                await refused
            assert conflict.value.code == "held_by_duty"
        stage.clock.at += 2 * hour  # a restart knows whose each of them is
    async with open_stage(tmp_path, clock=stage.clock, tasks=False) as again:
        known = again.air.holds.held(ADMIN)
        assert {cluster: (hold.name, hold.crew) for cluster, hold in known.items()} == {
            here: ("duty", False),
            beside: ("duty", False),
        }
        await again.air.holds.release(duty, here)
        await again.air.orders.release(duty, EVERYWHERE)
        assert again.air.holds.held(ADMIN) == {}


async def test_stop_is_never_a_duplicate(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        trust = stage.trusting(stage.agent_of(cluster))
        for _ in range(3):
            await stage.air.orders.stop(ADMIN, EVERYWHERE)
        numbers = []
        for envelope, _ in stage.gateway.commands:
            verified = trust.verify_command(envelope, now=stage.clock.now())
            trust.commit(verified)
            numbers.append(verified.document.seq)
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 3


async def test_stop_works_over_http_while_another_process_holds_the_database(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        await staff.made("/api/v1/clusters", {"name": "A", "area_id": area})
        loop = asyncio.get_running_loop()
        async with locked(tmp_path / "loa.db"):
            for body in ({"everywhere": True}, {"areas": [area]}):
                begun = loop.time()
                status, order = await staff.call("POST", "/api/v1/orders/stop", body)
                assert (status, order["kind"], order["durable"]) == (200, "stop", True)
                assert loop.time() - begun < 1.0
        air = staff.running.air
        await until(lambda: air.ledger.behind == 0)
        status, audit = await staff.call("GET", "/api/v1/audit?action=order.stop")
        assert status == 200
        assert [entry["actor"].split()[1] for entry in audit["items"]] == ["admin", "admin"]
        assert audit["items"][0]["subject"] == order["name"]


async def test_every_order_is_kept_once_with_its_answers(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        agent = stage.agent_of(cluster)
        stage.gateway.present.add(agent)
        async with locked(tmp_path / "loa.db"):
            order = await stage.air.orders.stop(ADMIN, EVERYWHERE, idempotency_key="k1")
            said = order.parts[0].command
            stage.air.courier.answered(agent, said.term, said.seq, accepted=True)
            assert stage.air.courier.order(order.name) is order
        await until(lambda: stage.air.ledger.behind == 0 and not stage.air.ledger._answers)
        (row,) = await orders_kept(stage)
        assert (row.kind, row.seq, row.idempotency_key, row.actor) == ("stop", said.seq, "k1", "us_admin admin")
        (delivery,) = await deliveries(stage)
        assert (delivery.agent_id, delivery.state) == (agent, "accepted")
    async with open_stage(tmp_path) as stage:
        await until(lambda: stage.air.ledger._drained is not None)
        assert len(await orders_kept(stage)) == 1
        assert stage.air.courier.pending_for(agent) == ()  # it answered before the restart


async def test_who_was_away_is_told_when_it_comes_until_the_order_expires(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        cluster, other = await stage.cluster(area, "A"), await stage.cluster(area, "B")
        agent = stage.agent_of(cluster)
        await stage.air.orders.stop(ADMIN, Scope(clusters=(cluster,)))
        await stage.air.orders.stop(ADMIN, Scope(clusters=(other,)))
        sent = [envelope for envelope, _ in stage.gateway.commands]
    async with open_stage(tmp_path, tasks=False) as stage:  # and the controller was restarted meanwhile
        assert stage.air.courier.pending_for(agent) == (sent[0],)  # the very bytes
        said = command(sent[0])
        stage.air.courier.answered(agent, said.term, said.seq, accepted=True)
        assert stage.air.courier.pending_for(agent) == ()
        stage.clock.advance(hours=25)
        assert stage.air.courier.pending_for(stage.agent_of(other)) == ()


async def test_rights_and_places(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        here, there = await stage.area("here"), await stage.area("there")
        near = await stage.cluster(here, "A")
        await stage.cluster(await stage.area("far"), "B")
        operator = Actor("us_o", "o", (RoleGrant(Role.OPERATOR, here),))
        viewer = Actor("us_v", "v", (RoleGrant(Role.VIEWER, None),))
        assert await stage.air.orders.stop(operator, Scope(clusters=(near,)))
        for actor, scope in ((operator, EVERYWHERE), (operator, Scope(areas=(there,))), (viewer, Scope(areas=(here,)))):
            with pytest.raises(ForbiddenError):
                await stage.air.orders.stop(actor, scope)
        for scope in (Scope(areas=("ar_x",)), Scope(clusters=("cl_x",))):
            with pytest.raises(NotFoundError):
                await stage.air.orders.stop(ADMIN, scope)
        for scope in (Scope(), Scope(areas=(there,))):
            with pytest.raises(InvalidError) as caught:
                await stage.air.orders.stop(ADMIN, scope)
            assert caught.value.code == "no_target"
        assert len(stage.gateway.commands) == 1


async def test_play_now_starts_every_cluster_together_each_in_its_languages(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        vi, bru = await stage.cluster(area, "A"), await stage.cluster(area, "B", ["vi", "bru"])
        await stage.cluster(area, "C", ["en"])
        first, second = await stage.recording(area, b"vi"), await stage.recording(area, b"bru", "bru")
        request = PlayRequest((first.id, second.id), Scope(areas=(area,)), chime_before="opening")
        played = await stage.air.orders.play(ADMIN, request)
        assert played.start == stage.clock.now() + LEAD
        assert len(played.uncovered) == 1
        heard = {}
        for envelope, targets in stage.gateway.commands:
            (agent,) = targets
            order = stage.trusting(agent).verify_command(envelope, now=stage.clock.now()).document.order
            assert isinstance(order, PlayOrder)
            assert order.item.start == played.start
            assert order.item.late.kind is LateKind.PLAY_FULL
            assert order.item.priority is Priority.COMMUNE_LIVE
            heard[agent] = [clip.sha256 for clip in order.item.content.clips]
        chime = stage.air.chimes["opening"].sha256
        assert heard[stage.agent_of(vi)] == [chime, first.sha256]
        assert heard[stage.agent_of(bru)] == [chime, first.sha256, second.sha256]


async def test_a_review_says_what_playing_would_do_and_does_nothing(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        english = await stage.cluster(area, "C", ["en"])
        recording = await stage.recording(area, b"12345")
        request = PlayRequest((recording.id,), Scope(areas=(area,)), repeat=2, gap=timedelta(seconds=30))
        for _ in range(STARTS_PER_MINUTE + 1):  # looking is not counted
            review = stage.air.orders.review(ADMIN, request)
        assert (review.clusters, review.uncovered) == ((cluster,), (english,))
        assert review.length == timedelta(seconds=40)
        assert stage.gateway.commands == []


async def test_the_same_within_three_minutes_is_a_duplicate_unless_meant(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        recording = await stage.recording(area)
        request = PlayRequest((recording.id,), Scope(areas=(area,)))
        again = PlayRequest((recording.id,), Scope(areas=(area,)), again=True)
        await stage.air.orders.play(ADMIN, request)
        stage.clock.advance(seconds=179)
        with pytest.raises(ConflictError) as caught:
            await stage.air.orders.play(ADMIN, request)
        assert caught.value.code == "duplicate_order"
        await stage.air.orders.play(ADMIN, again)
        await stage.air.orders.stop(ADMIN, EVERYWHERE)
        await stage.air.orders.play(ADMIN, request)  # a STOP came between
        stage.clock.advance(seconds=180)
        await stage.air.orders.play(ADMIN, request)


async def test_play_now_keeps_the_rules_of_the_air(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        approved = await stage.recording(area, b"good")
        draft = await stage.recording(area, b"draft", approved=False)
        scope = Scope(areas=(area,))
        cases = [
            (PlayRequest((draft.id,), scope), "not_approved"),
            (PlayRequest(("rc_x",), scope), "unknown_recording"),
            (PlayRequest((approved.id,), scope, priority=Priority.EMERGENCY_STORED), "priority_not_allowed"),
            (PlayRequest((approved.id,), scope, repeat=0), "bad_repeat"),
            (PlayRequest((approved.id,), scope, within=timedelta(days=3)), "bad_within"),
        ]
        for request, code in cases:
            with pytest.raises(InvalidError) as caught:
                await stage.air.orders.play(ADMIN, request)
            assert caught.value.code == code
            with pytest.raises(InvalidError) as caught:
                stage.air.orders.review(ADMIN, request)
            assert caught.value.code == code
        stage.clock.at = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)  # 23:00 in Vietnam
        with pytest.raises(InvalidError) as caught:
            await stage.air.orders.play(ADMIN, PlayRequest((approved.id,), scope))
        assert caught.value.code == "quiet_hours"
        assert stage.gateway.commands == []


async def test_a_withdrawal_leaves_the_plan_first_and_then_the_air(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        recording = await stage.recording(area)
        entry, _ = await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
        at = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
        assert await stage.air.orders.withdraw(ADMIN, entry.id, at)
        assert command(stage.gateway.commands[-1][0]).order == WithdrawOrder(entry.id, at)
        assert await stage.air.orders.withdraw(ADMIN, entry.id)
        assert command(stage.gateway.commands[-1][0]).order == WithdrawOrder(entry.id)
        await stage.air.planner.compile()
        assert stage.air.planner.items_of(cluster) == ()
        played = await stage.air.orders.play(ADMIN, PlayRequest((recording.id,), Scope(clusters=(cluster,))))
        assert await stage.air.orders.withdraw(ADMIN, played.rule_id)
        said = command(stage.gateway.commands[-1][0])
        assert said.order == WithdrawOrder(played.rule_id)
        assert said.targets.clusters == (cluster,)
        with pytest.raises(InvalidError):
            await stage.air.orders.withdraw(ADMIN, "now_unknown")


async def test_many_clusters_become_several_commands_of_one_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.services.dispatch.TARGETS_A_COMMAND", 2)
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        clusters = {await stage.cluster(area, name) for name in "ABCDE"}
        order = await stage.air.orders.stop(ADMIN, Scope(areas=(area,)))
        assert [len(part.command.targets.clusters) for part in order.parts] == [2, 2, 1]
        assert {each for part in order.parts for each in part.command.targets.clusters} == clusters
        assert order.agents == 5


def test_an_account_gives_so_many_starts_a_minute_and_memory_is_bounded() -> None:
    memory, now = OrderMemory(), START
    for _ in range(STARTS_PER_MINUTE):
        assert memory.admit("us_1", now) is None
        now += timedelta(seconds=1)
    wait = memory.admit("us_1", now)
    assert wait == timedelta(seconds=60 - STARTS_PER_MINUTE)
    assert memory.admit("us_2", now) is None
    assert memory.admit("us_1", now + wait) is None


async def test_too_many_starts_are_told_to_wait_and_stop_still_goes(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        recording = await stage.recording(area)
        request = PlayRequest((recording.id,), Scope(areas=(area,)), again=True)
        for _ in range(STARTS_PER_MINUTE):
            await stage.air.orders.play(ADMIN, request)
        with pytest.raises(TooManyError) as caught:
            await stage.air.orders.play(ADMIN, request)
        assert caught.value.code == "too_many_orders"
        assert await stage.air.orders.stop(ADMIN, EVERYWHERE)


def test_a_stop_elsewhere_does_not_excuse_a_duplicate() -> None:
    memory = OrderMemory()
    start = Start(Priority.PROGRAMME, ("aa",), frozenset({"cl_1", "cl_2"}))
    memory.started(start, "one", START)
    memory.silenced(frozenset({"cl_9"}), START + timedelta(seconds=1))
    assert memory.duplicate_of(start, START + timedelta(seconds=2)) == "one"
    memory.silenced(frozenset({"cl_2"}), START + timedelta(seconds=3))
    assert memory.duplicate_of(start, START + timedelta(seconds=4)) is None
    louder = Start(Priority.PRIORITY_BULLETIN, ("aa",), start.clusters)
    assert memory.duplicate_of(louder, START + timedelta(seconds=2)) is None


async def test_an_idempotency_key_acts_once(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        await staff.made("/api/v1/clusters", {"name": "A", "area_id": area})
        answers = [
            await staff.call("POST", "/api/v1/orders/stop", {"areas": [area]}, headers={"Idempotency-Key": "once"})
            for _ in range(3)
        ]
        assert len({answer["name"] for _, answer in answers}) == 1
        status, listed = await staff.call("GET", "/api/v1/orders")
        assert status == 200
        assert len(listed["items"]) == 1
