"""The true state of clusters: what is shown, when it is not believed any more, and why something sounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from controller.services.alerts.register import AlertRegister
from controller.services.cluster_states import ClusterStates, StateKind
from controller.services.context import Actor, Role, RoleGrant
from controller.services.directory import Directory
from controller.services.dispatch import Courier, Sent
from controller.services.entries import AgentEntry, AreaEntry, ClusterEntry
from controller.services.fleet import FleetService
from controller.services.live import LiveDesk
from controller.services.planning import Planner
from controller.services.play_records import PlayRecordBook
from controller.services.ports import Briefing
from controller.services.reasons import ReasonKind, Reasons
from controller.store import Database
from protocol.documents import Command, PlayOrder, Targets
from protocol.messages import Ack, Hello, Status
from protocol.telemetry import ClockState, Fault, Health, MuteBy, MuteState, OutputState, SoundingState
from schedules.instants import Frames, MonoUs
from schedules.ladder import Priority
from schedules.model import Approval, Clip, Item, Recorded, occurrence_id

BEGIN = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
ADMIN = Actor("us_admin", "admin", (RoleGrant(Role.ADMIN, None),))
CLIP = Clip("a" * 64, Frames(48_000), Approval("x", BEGIN))


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.at, self.mono = BEGIN, 1_000_000_000

    def now(self) -> datetime:
        return self.at

    def mono_us(self) -> MonoUs:
        return MonoUs(self.mono)

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.mono += int(seconds * 1e6)


class Silent:
    """Nothing to tell a box."""

    async def briefing(self, agent_id: str) -> Briefing:
        return Briefing(None, None)

    async def answered(self, agent_id: str, ack: Ack) -> None: ...


class Plans:
    """What is planned."""

    def __init__(self) -> None:
        self.items: dict[str, tuple[Item, ...]] = {}

    def items_of(self, cluster_id: str) -> tuple[Item, ...]:
        return self.items.get(cluster_id, ())


class Orders:
    """What is followed."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

        self.stops: list[tuple[datetime, frozenset[str] | None]] = []

    def followed(self) -> list[Sent]:
        return self.sent

    def stopped_since(self, instant: datetime) -> frozenset[str] | None:
        found = [clusters for at, clusters in self.stops if at >= instant]
        return None if None in found else frozenset().union(*(each for each in found if each is not None))


class NoLive:
    """Nobody speaks."""

    def carrying(self, stream_id: int) -> None:
        del stream_id


class House:
    """States without a network or a database."""

    def __init__(self) -> None:
        self.clock, self.directory = HandClock(), Directory()
        self.directory.put_area(AreaEntry("ar_a", None, "A", "xã"))
        self.directory.put_cluster(ClusterEntry("cl_a", "ar_a", "1"))
        self.fleet = FleetService(
            cast("Database", None),
            self.directory,
            self.clock,
            PlayRecordBook(cast("Database", None), self.clock),
            Silent(),
        )
        self.plans, self.orders, self.register = Plans(), Orders(), AlertRegister()
        self.reasons = Reasons(
            cast("Planner", self.plans),
            cast("Courier", self.orders),
            self.register,
            cast("LiveDesk", NoLive()),
            self.clock,
        )
        self.states = ClusterStates(self.directory, self.fleet, self.reasons, self.clock)

    def agent(self, letter: str) -> str:
        self.directory.put_agent(AgentEntry(letter * 32, b"", "cl_a", "approved"))
        return letter * 32

    async def here(self, agent_id: str) -> None:
        await self.fleet.connected(agent_id, Hello(agent_id=agent_id, public_key="00" * 32, nonce="00" * 32))

    async def says(self, agent_id: str, *, faults: tuple[str, ...] = (), **more: Any) -> None:
        health = Health(uptime_s=1, clock=ClockState.READY, output=OutputState.OK)
        said = tuple(Fault(code=code, since=self.clock.at) for code in faults)
        await self.fleet.status(agent_id, Status(at=self.clock.at, health=health, faults=said, **more))

    def sounding(self, rule_id: str, recurrence: datetime, priority: Priority = Priority.PROGRAMME) -> SoundingState:
        name = occurrence_id(rule_id, recurrence, "cl_a")
        return SoundingState(occurrence_id=name, title="Bản tin", priority=int(priority), since=self.clock.at)

    def kind(self) -> StateKind:
        return self.states.of(self.directory.clusters["cl_a"]).kind

    def why(self) -> tuple[ReasonKind, str | None]:
        reason = self.states.of(self.directory.clusters["cl_a"]).reason
        assert reason is not None
        return reason.kind, reason.id


@pytest.fixture
def house() -> House:
    return House()


async def test_what_is_not_known_is_unknown(house: House) -> None:
    assert house.kind() is StateKind.NO_BOX
    agent_id = house.agent("a")
    assert house.kind() is StateKind.NEVER_SEEN
    await house.here(agent_id)
    assert house.kind() is StateKind.UNKNOWN
    await house.says(agent_id)
    assert house.kind() is StateKind.IDLE
    await house.says(agent_id, sounding=house.sounding("pr_1", BEGIN))
    assert house.kind() is StateKind.PLAYING
    house.clock.advance(30)
    assert house.kind() is StateKind.PLAYING
    house.clock.advance(0.1)
    state = house.states.of(house.directory.clusters["cl_a"])
    assert (state.kind, state.sounding, state.told) == (StateKind.UNKNOWN, None, None)
    assert state.as_dict()["clock"] is None
    house.clock.advance(60)
    assert house.kind() is StateKind.OFFLINE
    house.directory.put_cluster(ClusterEntry("cl_a", "ar_a", "1", state="disabled"))
    assert house.kind() is StateKind.DISABLED


async def test_mute_and_faults_are_shown_and_the_best_box_counts(house: House) -> None:
    first, second = house.agent("a"), house.agent("b")
    await house.here(first)
    await house.here(second)
    muted = MuteState(by=MuteBy.TECHNICIAN, since=BEGIN, until=BEGIN + timedelta(seconds=20))
    await house.says(first, muted=muted)
    assert house.kind() is StateKind.MUTED
    assert house.states.of(house.directory.clusters["cl_a"]).as_dict()["muted"]["by"] == "technician"
    for _ in range(3):
        await house.says(second, faults=("output_failed",))
    assert house.kind() is StateKind.FAULTY
    assert house.states.of(house.directory.clusters["cl_a"]).faults == ("output_failed",)
    house.clock.advance(21)  # the mute is over, and the report not too old
    assert house.kind() is StateKind.IDLE


def item(rule_id: str, start: datetime, priority: Priority) -> Item:
    return Item(
        rule_id=rule_id, recurrence=start, title="Bản tin", priority=priority, start=start,
        expires=start + timedelta(hours=1), content=Recorded((CLIP,)),
    )  # fmt: skip


async def test_why_it_sounds(house: House) -> None:
    agent_id = house.agent("a")
    await house.here(agent_id)
    await house.says(agent_id, sounding=house.sounding("pr_1", BEGIN))
    assert house.why() == (ReasonKind.PROGRAMME, None)  # of no plan that is remembered here
    house.plans.items["cl_a"] = (item("pr_0", BEGIN, Priority.PROGRAMME), item("pr_1", BEGIN, Priority.PROGRAMME))
    house.clock.advance(31)  # looked for again
    await house.says(agent_id, sounding=house.sounding("pr_1", BEGIN))
    assert house.why() == (ReasonKind.PROGRAMME, "pr_1")
    order = PlayOrder(item("now_1", BEGIN, Priority.PROGRAMME))
    command = Command(1, 1, BEGIN, BEGIN + timedelta(hours=1), "0" * 32, Targets(everyone=True), order)
    house.orders.sent.append(Sent(command, b"", None))
    await house.says(agent_id, sounding=house.sounding("now_1", BEGIN))
    assert house.why() == (ReasonKind.ORDER, "now_1")
    assert house.states.of(house.directory.clusters["cl_a"]).as_dict()["sounding"]["recurrence"] is None


async def test_silent_in_the_middle_of_the_plan_because_of_a_stop(house: House) -> None:
    agent_id = house.agent("a")
    await house.here(agent_id)
    house.plans.items["cl_a"] = (item("pr_0", BEGIN, Priority.PROGRAMME),)
    length = house.plans.items["cl_a"][0].nominal_end - BEGIN

    async def cut_off() -> Any:
        await house.says(agent_id)
        return house.states.of(house.directory.clusters["cl_a"]).as_dict()["cut_off"]

    assert await cut_off() is None
    house.orders.stops.append((BEGIN - timedelta(seconds=1), None))  # what began since goes on
    house.orders.stops.append((BEGIN, frozenset({"cl_b"})))  # elsewhere
    before = house.states.of(house.directory.clusters["cl_a"]).mark
    assert await cut_off() is None
    house.orders.stops.append((BEGIN, frozenset({"cl_a"})))
    house.clock.at += length / 2
    house.clock.mono += 1_000_000
    assert await cut_off() == {"title": "Bản tin", "until": (BEGIN + length).isoformat().replace("+00:00", "Z")}
    assert house.states.of(house.directory.clusters["cl_a"]).mark != before, "people are told"
    house.clock.at += length / 2
    house.clock.mono += 1_000_000
    assert await cut_off() is None, "it would be over by now"


async def test_a_round_of_a_repeated_order_is_that_order(house: House) -> None:
    agent_id, every = house.agent("a"), timedelta(hours=2)
    await house.here(agent_id)
    order = PlayOrder(item("dr_1", BEGIN, Priority.DRILL), every, BEGIN + timedelta(hours=20))
    command = Command(1, 1, BEGIN, BEGIN + timedelta(hours=24), "0" * 32, Targets(clusters=("cl_a",)), order)
    house.orders.sent.append(Sent(command, b"", frozenset({"cl_a"})))
    house.clock.advance(4 * 3600 + 3)
    await house.says(agent_id, sounding=house.sounding("dr_1", BEGIN + 2 * every, Priority.DRILL))
    assert house.why() == (ReasonKind.DRILL, "dr_1")


async def test_only_what_may_be_read(house: House) -> None:
    house.directory.put_area(AreaEntry("ar_b", None, "B", "xã"))
    house.directory.put_cluster(ClusterEntry("cl_b", "ar_b", "1"))
    of_b = Actor("us_b", "b", (RoleGrant(Role.VIEWER, "ar_b"),))
    assert [state.cluster.id for state in house.states.readable(of_b)] == ["cl_b"]
    assert [state.cluster.id for state in house.states.readable(ADMIN, "ar_a")] == ["cl_a"]
    assert house.states.some(["cl_a", "cl_none"])[0].cluster.id == "cl_a"
