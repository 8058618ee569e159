"""Rules × clusters → plans: what is laid out, what is shared, what is taken over, what is left out."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.airtime import may_sound
from schedules.compiler import CompiledPlan, compile_plan, lay_out, recompile
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Approval, Clip, ClusterSettings, Item, Overrun, QuietHours, Recorded, Relay
from schedules.recurrence import Recurrence, zone_of
from schedules.rules import RecordedContent, RecordingRef, RelayContent, Rule

HCM = "Asia/Ho_Chi_Minh"
FIRST = date(2026, 8, 30)  # a Sunday
APPROVAL = Approval("us_chair00001", datetime(2026, 8, 1, tzinfo=UTC))
CHIME = Clip("c" * 64, Frames(48_000))
NIGHT = QuietHours(time(21, 30), time(4, 45))


def cluster(name: str, *languages: str, timezone: str = HCM, quiet: QuietHours | None = NIGHT) -> ClusterSettings:
    return ClusterSettings(name, timezone, quiet_hours=quiet, languages=languages or ("vi",))


def ref(name: str, language: str | None = None, seconds: int = 60) -> RecordingRef:
    return RecordingRef(name.ljust(64, "0"), Frames(seconds * 48_000), language, APPROVAL)


def rule(
    name: str,
    local: str = "05:30",
    rrule: str | None = "FREQ=DAILY",
    *recordings: RecordingRef,
    targets: Iterable[str] = ("a", "b", "c"),
    **more: Any,
) -> Rule:
    start = datetime.combine(date(2026, 8, 1), time.fromisoformat(local))
    content = more.pop("content", RecordedContent(recordings or (ref(name),)))
    recurrence = more.pop("recurrence", Recurrence(start, HCM, rrule))
    return Rule(name, name, more.pop("priority", Priority.PROGRAMME), recurrence, content, frozenset(targets), **more)


def items(plan: CompiledPlan, name: str = "a") -> list[Item]:
    return [item for day in plan.days[name] for item in day.items]


def starts(plan: CompiledPlan, name: str = "a") -> list[str]:
    return [item.start.strftime("%d %H:%M") for item in items(plan, name)]


def codes(plan: CompiledPlan) -> list[tuple[str, str]]:
    return [(problem.rule_id, problem.code) for problem in plan.problems]


# -- the sound -----------------------------------------------------------------------------------------------------


def test_repetitions_gaps_and_chimes() -> None:
    content = RecordedContent((ref("x"), ref("y")), repeat=2, gap=timedelta(seconds=30), chime_before=CHIME)
    sound = lay_out(replace(content, chime_after=CHIME), ("vi",))
    assert sound is not None
    names = [piece.sha256[0] if isinstance(piece, Clip) else piece.frames for piece in sound.pieces]
    assert names == ["c", "x", "y", 30 * 48_000, "x", "y", "c"]
    assert sound.duration == timedelta(seconds=2 + 240 + 30)


def test_languages_follow_the_clusters_order_and_music_stays_in_its_place() -> None:
    recordings = (ref("intro"), ref("vn", "vi"), ref("bru", "bru"), ref("pako", "pako"), ref("outro"))

    def order(*languages: str) -> list[str]:
        sound = lay_out(RecordedContent(recordings), languages)
        return [] if sound is None else [clip.sha256.rstrip("0") for clip in sound.clips]

    assert order("vi") == ["intro", "vn", "outro"]
    assert order("bru", "vi") == ["intro", "bru", "vn", "outro"]
    assert order("vi", "pako") == ["intro", "vn", "pako", "outro"]
    assert lay_out(RecordedContent((ref("vn", "vi"),)), ("bru",)) is None


def test_an_item_carries_the_rules_policies_and_times() -> None:
    one = rule("r", max_delay=timedelta(minutes=7), slot=timedelta(seconds=40), overrun=Overrun.CUT_WITH_FADE)
    item = items(compile_plan([one], [cluster("a")], first_day=FIRST, days=1))[0]
    assert item.start == datetime(2026, 8, 29, 22, 30, tzinfo=UTC)
    assert item.recurrence == item.start
    assert item.slot_end == item.start + timedelta(seconds=40)
    assert item.expires == item.start + timedelta(seconds=40) + timedelta(minutes=7)
    assert isinstance(item.content, Recorded)
    assert item.content.clips[0].approval == APPROVAL


def test_a_relay_becomes_a_window() -> None:
    one = rule("r", content=RelayContent("so_1"), slot=timedelta(minutes=30), priority=Priority.RELAY)
    item = items(compile_plan([one], [cluster("a")], first_day=FIRST, days=1))[0]
    assert item.content == Relay("so_1")
    assert item.nominal_end - item.start == timedelta(minutes=30)


# -- the days ------------------------------------------------------------------------------------------------------


def test_every_cluster_has_every_day_by_its_own_clock() -> None:
    late = rule("late", "23:30", "FREQ=DAILY", ref("x", seconds=7200), priority=Priority.DRILL)
    places = [cluster("a", quiet=None), cluster("b", quiet=None, timezone="Pacific/Kiritimati")]
    plan = compile_plan([late], places, first_day=FIRST, days=3)
    for name in ("a", "b"):
        assert [day.date for day in plan.days[name]] == [FIRST, FIRST + timedelta(1), FIRST + timedelta(2)]
    assert starts(plan) == ["30 16:30", "31 16:30", "01 16:30"]
    # 23:30 in Việt Nam is 06:30 of the next day there.
    assert starts(plan, "b") == ["29 16:30", "30 16:30", "31 16:30"]


def test_moved_occurrences_leave_and_enter_the_window() -> None:
    there = datetime(2026, 8, 30, 22, 30, tzinfo=UTC)  # Monday 05:30, by the rule
    into = datetime(2026, 9, 19, 22, 30, tzinfo=UTC)
    moved = ((there, there + timedelta(hours=5)), (into, datetime(2026, 9, 1, 10, tzinfo=UTC)))
    plan = compile_plan([rule("r", moved=moved)], [cluster("a")], first_day=FIRST, days=3)
    assert starts(plan) == ["29 22:30", "31 03:30", "31 22:30", "01 10:00"]
    assert [item.recurrence for item in items(plan)][1] == there
    assert items(plan)[3].recurrence == into


def test_exceptions_are_left_out() -> None:
    recurrence = Recurrence(datetime(2026, 8, 1, 5, 30), HCM, "FREQ=DAILY", (date(2026, 8, 31),))  # noqa: DTZ001
    plan = compile_plan([rule("r", recurrence=recurrence)], [cluster("a")], first_day=FIRST, days=3)
    assert starts(plan) == ["29 22:30", "31 22:30"]


# -- what is shared and taken over -----------------------------------------------------------------------------------


def test_equal_days_are_one_object() -> None:
    places = [cluster("a"), cluster("b"), cluster("c", "bru", "vi")]
    only_c = rule("only-c", "09:00", "FREQ=WEEKLY;BYDAY=MO", targets=["c"])
    plan = compile_plan([rule("r"), only_c], places, first_day=FIRST, days=3)
    assert plan.days["a"] is plan.days["b"]
    assert plan.days["c"][0] is plan.days["a"][0]  # Sunday: the same programme, though c speaks more
    assert plan.days["c"][1] is not plan.days["a"][1]


def test_days_that_did_not_change_are_the_same_objects_afterwards() -> None:
    places = [cluster("a"), cluster("b")]
    daily, weekly = rule("daily"), rule("weekly", "09:00", "FREQ=WEEKLY;BYDAY=MO", targets=["a"])
    before = compile_plan([daily, weekly], places, first_day=FIRST, days=7)
    later = replace(weekly, recurrence=replace(weekly.recurrence, dtstart=datetime(2026, 8, 1, 9, 5)))  # noqa: DTZ001
    after = recompile(before, [daily, later], places)
    same = [one is two for one, two in zip(before.days["a"], after.days["a"], strict=True)]
    assert same == [True, False, True, True, True, True, True]
    assert before.days["b"] is after.days["b"]
    moved_on = recompile(after, [daily, later], places, first_day=FIRST + timedelta(days=1))
    assert all(one is two for one, two in zip(after.days["a"][1:], moved_on.days["a"], strict=False))


def test_the_order_of_the_input_does_not_matter() -> None:
    rules = [rule("x"), rule("y", "06:00"), rule("z", "07:00", targets=["b"])]
    places = [cluster("a"), cluster("b"), cluster("c", "bru")]
    one = compile_plan(rules, places, first_day=FIRST)
    two = compile_plan(rules[::-1], places[::-1], first_day=FIRST)
    assert one == two
    assert list(one.days) == list(two.days)


# -- problems ------------------------------------------------------------------------------------------------------


def test_nothing_that_touches_quiet_hours_is_compiled() -> None:
    night = rule("night", "21:29", "FREQ=DAILY", ref("x", seconds=90))
    emergency = rule("siren", "21:29", "FREQ=DAILY", ref("y", seconds=90), priority=Priority.EMERGENCY_STORED)
    plan = compile_plan([night, emergency], [cluster("a"), cluster("b", quiet=None)], first_day=FIRST, days=1)
    assert [item.rule_id for item in items(plan)] == ["siren"]
    assert [item.rule_id for item in items(plan, "b")] == ["night", "siren"]
    assert ("night", "quiet_hours") in codes(plan)
    assert next(p for p in plan.problems if p.code == "quiet_hours").cluster_id == "a"


def test_nothing_without_approval_is_compiled() -> None:
    bare = replace(ref("x"), approval=None)
    plan = compile_plan([rule("r", "05:30", "FREQ=DAILY", bare)], [cluster("a")], first_day=FIRST)
    assert items(plan) == []
    assert codes(plan) == [("r", "not_approved")]


def test_a_cluster_whose_language_is_missing_gets_nothing_and_it_is_said() -> None:
    plan = compile_plan(
        [rule("r", "05:30", "FREQ=DAILY", ref("x", "vi"))], [cluster("a"), cluster("b", "bru")], first_day=FIRST, days=1
    )
    assert (len(items(plan)), len(items(plan, "b"))) == (1, 0)
    problem = plan.problems[0]
    assert (problem.code, problem.cluster_id, problem.warning) == ("language_uncovered", "b", True)


def test_overlaps_too_often_and_nobody_to_reach() -> None:
    one, two = rule("one", "05:30", "FREQ=DAILY", ref("x", seconds=600)), rule("two", "05:35")
    often = rule("often", "05:30", "FREQ=MINUTELY", priority=Priority.FILLER)
    nobody = rule("nobody", targets=["elsewhere"])
    plan = compile_plan([one, two, often, nobody], [cluster("a")], first_day=FIRST, days=1)
    assert codes(plan) == [
        ("nobody", "no_target"),
        ("often", "too_often"),
        ("two", "overlap"),
    ]


@pytest.mark.parametrize("days", [0, 36])
def test_a_horizon_has_bounds(days: int) -> None:
    with pytest.raises(ValueError, match="1 to 35"):
        compile_plan([], [], first_day=FIRST, days=days)


# -- properties ----------------------------------------------------------------------------------------------------

PLACES = [
    cluster("a"),
    cluster("b", "bru", "vi"),
    cluster("c", quiet=None),
    cluster("d", timezone="America/New_York"),
]


@st.composite
def grids(draw: st.DrawFn) -> list[Rule]:
    made = []
    for number in range(draw(st.integers(0, 5))):
        local = f"{draw(st.integers(0, 23)):02}:{draw(st.sampled_from(['00', '30']))}"
        rrule = draw(st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,SA", "FREQ=HOURLY;INTERVAL=5", None]))
        language = draw(st.sampled_from([None, "vi", "bru"]))
        targets = draw(st.sets(st.sampled_from(["a", "b", "c", "d", "x"])))
        priority = draw(st.sampled_from([Priority.PROGRAMME, Priority.DRILL, Priority.EMERGENCY_STORED]))
        sound = ref(f"sound{number}", language, draw(st.integers(1, 4000)))
        made.append(rule(f"rule{number}", local, rrule, sound, targets=targets, priority=priority))
    return made


@settings(max_examples=60, deadline=None)
@given(grids(), grids(), st.integers(0, 2), st.integers(1, 4))
def test_compiling_again_equals_compiling_from_nothing(one: list[Rule], two: list[Rule], later: int, days: int) -> None:
    before = compile_plan(one, PLACES, first_day=FIRST)
    first = FIRST + timedelta(days=later)
    places = PLACES[: 4 - later]
    assert recompile(before, two, places, first_day=first, days=days) == compile_plan(
        two, places, first_day=first, days=days
    )
    assert before == compile_plan(one, PLACES, first_day=FIRST)  # nothing of it was disturbed


@settings(max_examples=40, deadline=None)
@given(grids())
def test_plans_hold_only_what_may_sound_on_its_day_in_order(rules: list[Rule]) -> None:
    plan = compile_plan(rules, PLACES, first_day=FIRST)
    for place in PLACES:
        for day in plan.days[place.cluster_id]:
            assert list(day.items) == sorted(day.items, key=lambda i: (i.start, i.recurrence, i.rule_id))
            for item in day.items:
                assert may_sound(place, item.priority, item.start, item.nominal_end)
                assert item.start.astimezone(zone_of(place.timezone)).date() == day.date
