"""The hub of changes: gathering, resuming, rights at the moment of telling, and the words of its events."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.services.context import Actor, Role, RoleGrant
from controller.services.directory import Directory
from controller.services.entries import AreaEntry
from controller.services.errors import TooManyError
from controller.services.news import EVERYONE, Audience, NewsHub, Press, Topic
from controller.services.news import hub as hub_module

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)
ADMIN = Actor("us_admin", "admin", (RoleGrant(Role.ADMIN, None),))
OF_A = Actor("us_a", "a", (RoleGrant(Role.VIEWER, "ar_a"),))
OF_B = Actor("us_b", "b", (RoleGrant(Role.VIEWER, "ar_b"),))
IN_A, IN_B = Audience(frozenset({"ar_a"})), Audience(frozenset({"ar_b"}))


class Hand:
    """Monotonic time, moved by hand."""

    def __init__(self) -> None:
        self.us = 1_000_000_000

    def __call__(self) -> int:
        return self.us

    def advance(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)


class Newsroom:
    """A hub with its press, over two communes of one district."""

    def __init__(self) -> None:
        self.now = Hand()
        self.hub = NewsHub(self.now)
        self.directory = Directory()
        self.directory.put_area(AreaEntry("ar_d", None, "Huyện", "huyện"))
        self.directory.put_area(AreaEntry("ar_a", "ar_d", "A", "xã"))
        self.directory.put_area(AreaEntry("ar_b", "ar_d", "B", "xã"))
        self.press = Press(self.hub, self.directory, self.now)

    def printed(self, after: int, actor: Actor) -> list[dict[str, Any]]:
        return events(self.press.print(self.hub.since(after), actor))


@pytest.fixture
def room() -> Newsroom:
    return Newsroom()


def events(text: str) -> list[dict[str, Any]]:
    """What a browser makes of it."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def test_the_first_change_leaves_at_once_and_a_crowd_is_one_event(room: Newsroom) -> None:
    room.hub.open("us_admin")
    room.hub.tell(Topic.BOX, "cl_0", IN_A)
    assert room.hub.flush() is None
    assert room.hub.seq == 1
    for number in range(1_500):
        room.hub.tell(Topic.BOX, f"cl_{number}", IN_A)
        room.hub.tell(Topic.BOX, f"cl_{number}", IN_A)
    room.hub.tell(Topic.ALERT, "al_1", IN_A)
    assert room.hub.flush() == pytest.approx(0.2)  # the alert left, the boxes wait
    assert room.hub.seq == 2
    room.now.advance(0.2)
    assert room.hub.flush() is None
    box = [event["data"] for event in room.printed(2, ADMIN)]
    assert [event["topic"] for event in box] == ["box"]
    assert len(box[0]["ids"]) == 1_500


async def test_readers_are_woken_and_wait_no_longer_than_they_want(room: Newsroom) -> None:
    reader = room.hub.open("us_admin")
    assert (await reader.next(0.001)).empty
    waiting = asyncio.create_task(reader.next(30))
    await asyncio.sleep(0)
    room.hub.tell(Topic.AREA, "ar_a", IN_A)
    room.hub.flush()
    batch = await waiting
    assert [topic for topic, _ in batch.changes] == [Topic.AREA]
    reader.close()
    reader.close()
    assert room.hub.readers == 0
    assert (await reader.next(30)).empty


async def test_the_task_lets_changes_leave_by_itself(room: Newsroom) -> None:
    reader = room.hub.open("us_admin")
    task = asyncio.create_task(room.hub.run())
    room.hub.tell(Topic.AREA, "ar_a", IN_A)
    assert not (await reader.next(5)).empty
    room.hub.tell(Topic.AREA, "ar_b", IN_B)
    room.now.advance(0.2)
    room.hub.tell(Topic.CLUSTER, "cl_1", IN_B)  # wakes it
    assert {topic for topic, _ in (await reader.next(5)).changes} == {Topic.AREA, Topic.CLUSTER}
    task.cancel()


def test_everybody_is_told_what_they_may_read_when_it_is_told(room: Newsroom) -> None:
    room.hub.open("us_admin")
    room.hub.tell(Topic.CLUSTER, "cl_a", IN_A)
    room.hub.tell(Topic.CLUSTER, "cl_b", IN_B)
    room.hub.tell(Topic.DRILL, "dr_1", Audience(frozenset({"ar_a", "ar_b"}), whole=True))
    room.hub.tell(Topic.NOTICE, "no_1", Audience(users=frozenset({"us_a"})))
    room.hub.tell(Topic.TEMPLATE, "at_1", EVERYONE)
    room.hub.tell(Topic.ORDER, "gone", Audience())
    room.hub.flush()

    def seen(actor: Actor) -> dict[str, list[str]]:
        return {event["data"]["topic"]: event["data"]["ids"] for event in room.printed(0, actor)}

    assert seen(OF_A) == {"cluster": ["cl_a"], "notice": ["no_1"], "template": ["at_1"]}
    assert seen(OF_B) == {"cluster": ["cl_b"], "template": ["at_1"]}
    assert seen(ADMIN) == {
        "cluster": ["cl_a", "cl_b"], "drill": ["dr_1"], "template": ["at_1"], "order": ["gone"],
    }  # fmt: skip
    room.now.advance(1)
    room.directory.put_area(AreaEntry("ar_b", "ar_a", "B", "xã"))  # B now lies in A
    assert seen(OF_A)["cluster"] == ["cl_a", "cl_b"]


def test_a_thing_that_moved_concerns_both_places(room: Newsroom) -> None:
    room.hub.open("us_admin")
    room.hub.tell(Topic.CLUSTER, "cl_a", IN_A)
    room.hub.tell(Topic.CLUSTER, "cl_a", IN_B)
    room.hub.flush()
    for actor in (OF_A, OF_B):
        assert room.printed(0, actor)[0]["data"]["ids"] == ["cl_a"]


def test_only_the_last_event_of_a_batch_carries_the_number(room: Newsroom) -> None:
    room.hub.open("us_admin")
    room.hub.tell(Topic.AREA, "ar_a", IN_A)
    room.hub.tell(Topic.CLUSTER, "cl_a", IN_A)
    room.hub.flush()
    first, last = room.printed(0, ADMIN)
    assert "id" not in first
    assert last["id"] == f"{room.hub.run_id}.2"
    assert room.press.place(last["id"]) == 2
    assert room.press.place("another.2") is None
    assert room.press.place(f"{room.hub.run_id}.²") is None
    assert events(room.press.heartbeat(2)) == []
    assert room.press.heartbeat(2).endswith(f"id: {room.hub.run_id}.2\n\n")


def test_who_was_away_a_moment_reads_on_and_who_was_away_long_loads_afresh(room: Newsroom) -> None:
    reader = room.hub.open("us_admin")
    room.hub.tell(Topic.AREA, "ar_a", IN_A)
    room.hub.flush()
    reader.close()
    room.hub.tell(Topic.AREA, "ar_b", IN_B)  # nobody reads, and somebody did a moment ago
    room.now.advance(0.3)
    room.hub.flush()
    assert room.printed(1, ADMIN)[0]["data"]["ids"] == ["ar_b"]
    room.now.advance(400)
    room.hub.tell(Topic.AREA, "ar_a", IN_A)  # nobody has watched for minutes: it costs nothing
    assert room.hub.flush() is None
    room.hub.open("us_admin", after=2)
    assert [event["event"] for event in room.printed(2, ADMIN)] == ["resync"]
    assert [event["event"] for event in room.printed(99, ADMIN)] == ["resync"]


def test_a_slow_reader_falls_out_of_the_ring_and_is_told_so(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "ENTRIES", 10)
    room.hub.open("us_admin")
    for number in range(30):
        room.hub.tell(Topic.AREA, f"ar_{number}", IN_A)
        room.hub.flush()
        room.now.advance(0.2)
    assert room.hub.since(5).lost
    assert len(room.hub.since(20).changes[0][1]) == 10
    assert room.printed(room.hub.seq, ADMIN) == []


def test_places_are_bounded_and_taken_from_who_is_gone(room: Newsroom) -> None:
    there = {"yes": True}
    for _ in range(hub_module.PER_USER):
        room.hub.open("us_admin", alive=lambda: there["yes"])
    with pytest.raises(TooManyError) as refused:
        room.hub.open("us_admin")
    assert refused.value.code == "too_many_streams"
    room.hub.open("us_other")
    there["yes"] = False
    room.hub.open("us_admin")
    assert room.hub.readers == 2
    room.hub.close()
    assert room.hub.readers == 0
    with pytest.raises(TooManyError):
        room.hub.open("us_admin")


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("tell"), st.sampled_from(list(Topic)[:4]), st.integers(0, 5)),
            st.tuples(st.just("wait"), st.just(Topic.BOX), st.integers(1, 400)),
        ),
        max_size=60,
    ),
    st.integers(0, 60),
)
def test_whoever_reads_from_anywhere_learns_everything_that_changed_since(
    steps: list[tuple[str, Topic, int]], at: int
) -> None:
    room = Newsroom()
    room.hub.open("us_admin")
    place = 0
    missed: set[tuple[Topic, str]] = set()
    for number, (what, topic, amount) in enumerate(steps):
        if number == at:
            room.now.advance(1)
            room.hub.flush()
            place, missed = room.hub.seq, set()
        if what == "tell":
            room.hub.tell(topic, str(amount), IN_A)
            missed.add((topic, str(amount)))
        else:
            room.now.advance(amount / 1000)
        room.hub.flush()
    room.now.advance(1)
    room.hub.flush()
    told = {
        (Topic(event["data"]["topic"]), each) for event in room.printed(place, OF_A) for each in event["data"]["ids"]
    }
    assert told == missed
