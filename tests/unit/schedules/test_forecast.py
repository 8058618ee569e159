"""The grid people look at is what the compiler plans, and says what the compiler leaves out."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.airtime import overlaps_quiet
from schedules.compiler import compile_plan, forecast, kinds_of
from schedules.rules import RecordedContent, RelayContent, Rule
from tests.unit.schedules.test_compiler import FIRST, PLACES, cluster, grids, ref, rule

BEGIN = datetime.combine(FIRST, time(), UTC)


def test_what_becomes_of_it_at_every_cluster() -> None:
    places = [cluster("a"), cluster("b", "bru"), cluster("c", quiet=None), cluster("d")]
    late = rule("late", "21:29", "FREQ=DAILY", ref("vi", "vi", 120), targets=("a", "b", "c", "x"))
    found, too_many = forecast(late, kinds_of(places), BEGIN, BEGIN + timedelta(days=1))
    assert not too_many
    (one,) = found
    assert (set(one.sounds), set(one.quiet), set(one.lacking)) == ({"c"}, {"a"}, {"b"})
    assert one.end - one.start == timedelta(seconds=120)


def test_what_began_before_the_window_and_still_sounds_is_in_it() -> None:
    relay = rule(
        "relay", "05:00", "FREQ=DAILY", content=RelayContent("so_vov"), slot=timedelta(hours=2), targets=("a",)
    )  # 05:00 in Vietnam is 22:00 UTC
    at = datetime(2026, 8, 30, 23, 0, tzinfo=UTC)
    found, _ = forecast(relay, kinds_of([cluster("a")]), at, at + timedelta(minutes=1))
    assert [each.start for each in found] == [at - timedelta(hours=1)]
    found, _ = forecast(relay, kinds_of([cluster("a")]), at + timedelta(hours=1), at + timedelta(hours=2))
    assert found == ()


def test_a_rule_without_content_has_its_times() -> None:
    hole = rule("hole", content=RecordedContent(()), targets=("a",))
    (one,), _ = forecast(hole, kinds_of([cluster("a")]), BEGIN, BEGIN + timedelta(days=1))
    assert (one.end, set(one.sounds), set(one.lacking)) == (one.start, set(), {"a"})


def moved(one: Rule, hours: int, number: int) -> Rule:
    """The rule with one of its occurrences moved by so many hours."""
    found, _ = forecast(one, kinds_of(PLACES), BEGIN, BEGIN + timedelta(days=3))
    if not found:
        return one
    old = found[number % len(found)].recurrence
    return Rule(**{name: getattr(one, name) for name in one.__dataclass_fields__ if name != "moved"},
                moved=((old, old + timedelta(hours=hours)),))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(grids(), st.integers(-30, 30), st.integers(0, 9))
def test_what_is_shown_to_sound_is_what_is_planned(rules: list[Rule], hours: int, number: int) -> None:
    rules = [moved(each, hours, number) for each in rules]
    begin, end = BEGIN + timedelta(days=1), BEGIN + timedelta(days=3)
    plan = compile_plan(rules, PLACES, first_day=FIRST - timedelta(days=2), days=10)
    shown = {
        (each.id, one.recurrence, one.start, cluster_id)
        for each in rules
        for one in forecast(each, kinds_of(PLACES), begin, end)[0]
        for cluster_id in one.sounds
        if begin <= one.start < end
    }
    planned = {
        (item.rule_id, item.recurrence, item.start, cluster_id)
        for cluster_id, days in plan.days.items()
        for day in days
        for item in day.items
        if begin <= item.start < end
    }
    assert shown == planned
    by_id = {place.cluster_id: place for place in PLACES}
    for each in rules:
        for one in forecast(each, kinds_of(PLACES), begin, end)[0]:
            for cluster_id in one.quiet:
                assert overlaps_quiet(by_id[cluster_id], one.start, one.end)
            assert one.sounds | one.quiet | one.lacking == each.targets & by_id.keys()


def test_kinds_gather_clusters_that_sound_alike() -> None:
    kinds = kinds_of([cluster("a"), cluster("b"), cluster("c", "bru")])
    assert sorted(sorted(kind.clusters) for kind in kinds) == [["a", "b"], ["c"]]
