"""A year of a real weekly grid, through recurrence, compiler and arbiter."""

import time as clock
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta

from schedules.arbiter import Situation, State, advance, timeline
from schedules.arbiter.state import RETENTION
from schedules.compiler import compile_plan
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Approval, ClusterSettings, Item, QuietHours
from schedules.recurrence import Recurrence
from schedules.rules import RecordedContent, RecordingRef, RelayContent, Rule

ZONE = "Asia/Ho_Chi_Minh"
SETTINGS = ClusterSettings("cl_tarut00002", ZONE, quiet_hours=QuietHours(time(21, 30), time(4, 45)))
TARGETS = frozenset({SETTINGS.cluster_id})
FIRST = date(2026, 1, 1)
BEGIN = datetime(2025, 12, 31, 17, tzinfo=UTC)


def rule(name: str, local: str, rrule: str, minutes: int, priority: Priority = Priority.PROGRAMME) -> Rule:
    recurrence = Recurrence(datetime.combine(FIRST, time.fromisoformat(local)), ZONE, rrule)
    if priority is Priority.RELAY:
        content: RelayContent | RecordedContent = RelayContent("so_voice00001")
        return Rule(name, name, priority, recurrence, content, TARGETS, slot=timedelta(minutes=minutes))
    approval = Approval("us_chair00001", BEGIN)
    sound = RecordingRef(name.ljust(64, "0"), Frames(minutes * 60 * 48_000), None, approval)
    return Rule(name, name, priority, recurrence, RecordedContent((sound,)), TARGETS)


GRID = (
    rule("relay-morning", "05:00", "FREQ=DAILY", 30, Priority.RELAY),
    rule("bulletin", "05:31", "FREQ=DAILY", 9),
    rule("commune", "06:10", "FREQ=WEEKLY;BYDAY=MO,WE,FR", 8),
    rule("noon", "11:30", "FREQ=DAILY;INTERVAL=2", 10),
    rule("market", "16:30", "FREQ=MONTHLY;BYDAY=1SU,3SU", 12),
    rule("priority", "16:35", "FREQ=MONTHLY;BYMONTHDAY=-1", 4, Priority.PRIORITY_BULLETIN),
    rule("evening", "19:00", "FREQ=DAILY", 15),
    rule("leap", "07:30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", 5),
    rule("night", "21:25", "FREQ=WEEKLY;BYDAY=SA", 10),  # touches quiet hours: never compiled
)


def year() -> tuple[Item, ...]:
    """Every item of 2026, compiled in the windows an agent gets."""
    items: dict[tuple[str, datetime], Item] = {}
    for week in range(0, 371, 7):
        plan = compile_plan(GRID, [SETTINGS], first_day=FIRST + timedelta(days=week), days=7)
        for day in plan.days[SETTINGS.cluster_id]:
            items |= {(one.rule_id, one.recurrence): one for one in day.items}
    return tuple(items.values())


def test_a_year_plays_as_the_grid_says() -> None:
    items = year()
    begun = clock.monotonic()
    spans = timeline(Situation(SETTINGS, items, ready_from=BEGIN), BEGIN, BEGIN + timedelta(days=365))
    # A generous bound on a shared machine: it takes a third of a second when alone.
    assert clock.monotonic() - begun < 10
    played = Counter(span.sounding.item.rule_id for span in spans if span.sounding.item is not None)
    assert played["bulletin"] == 365
    assert played["commune"] == 156  # 52 weeks of three, and 2026 ends on a Thursday
    assert played["noon"] == 183
    assert played["market"] == 24
    assert played["priority"] == 12
    assert played["evening"] == 365
    assert (played["leap"], played["night"], played["relay-morning"]) == (0, 0, 0)  # no stream, no relay
    bulletins = {span.begin.astimezone(UTC).time() for span in spans if span.sounding.priority is Priority.PROGRAMME}
    assert time(22, 31) in bulletins  # 05:31 in Việt Nam


def test_the_memory_of_a_year_stays_small() -> None:
    """Called at every change, week by week, with the plan an agent has; ended occurrences are forgotten in time."""
    items = sorted(year(), key=lambda one: one.start)
    state, ended = State.initial(), Counter[str]()
    for week in range(0, 365, 7):
        begin = BEGIN + timedelta(days=week)
        near = tuple(one for one in items if begin - timedelta(days=1) <= one.start < begin + timedelta(days=8))
        situation = Situation(SETTINGS, near, ready_from=BEGIN)
        until: datetime | None = begin
        while until is not None and until < begin + timedelta(days=7):
            state, decision = advance(state, situation, until)
            ended.update(event.occurrence_id for event in decision.events if event.outcome is not None)
            until = decision.until
    assert len(ended) == sum(
        one.start < BEGIN + timedelta(days=371) for one in items if one.start < begin + timedelta(7)
    )
    assert set(ended.values()) == {1}
    assert state.at is not None
    assert len(state.played) < 6 * (RETENTION.days + 10)
