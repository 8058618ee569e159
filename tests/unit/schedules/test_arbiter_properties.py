"""What holds for any plan, any order of events, and any way of cutting time into pieces."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.airtime import quiet_at
from schedules.arbiter import (
    Event,
    EventKind,
    Phase,
    PlayNow,
    Presence,
    Situation,
    State,
    Stop,
    Withdraw,
    advance,
    timeline,
)
from schedules.instants import frames_of
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Item, Overrun, QuietHours, Recorded
from tests.unit.schedules.scenario import (
    DAY,
    JOIN,
    SETTINGS,
    SKIP,
    amplifier,
    at,
    clip,
    item,
    live,
    relay,
    situation,
    within,
)

END = 200

minutes = st.integers(0, END - 20)
lengths = st.integers(1, 40)
classes = st.sampled_from([p for p in Priority if p is not Priority.STOP])
lates = st.sampled_from([JOIN, SKIP, within(3), within(30)])
afters = st.sampled_from(list(AfterPreempt))


@st.composite
def items(draw: st.DrawFn, name: str) -> Item:
    if draw(st.integers(0, 4)) == 0:
        fallback = draw(st.sampled_from([(), (clip("song", 2),)]))
        return relay(name, draw(minutes), draw(lengths), late=draw(lates), after=draw(afters), fallback=fallback)
    return item(
        name,
        draw(minutes),
        draw(lengths),
        draw(classes),
        late=draw(lates),
        after=draw(afters),
        overrun=draw(st.sampled_from(list(Overrun))),
        slot=draw(st.none() | st.integers(1, 40)),
        delay=draw(st.integers(0, 60)),
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    plan = [draw(items(f"rule{number}")) for number in range(draw(st.integers(0, 6)))]
    windows = [one for one in plan if not isinstance(one.content, Recorded)]
    sources = []
    for number in range(draw(st.integers(0, 3))):
        bound = draw(st.sampled_from([None, *windows]))
        begin = draw(minutes)
        priority = Priority.RELAY if bound else draw(classes)
        healthy = draw(st.sampled_from([True, True, True, False]))
        sources.append(live(number + 1, begin, begin + draw(lengths), priority, of=bound, healthy=healthy))
    orders: list[Stop | Withdraw | PlayNow] = [Stop(at(m)) for m in draw(st.lists(minutes, max_size=1))]
    if draw(st.booleans()) and plan:
        one = draw(st.sampled_from(plan))
        orders.append(Withdraw(at(draw(minutes)), one.rule_id, draw(st.sampled_from([None, one.recurrence]))))
    if draw(st.booleans()):
        minute = draw(minutes)
        orders.append(PlayNow(at(minute), item("now", minute, draw(lengths), draw(classes))))
    missing = {c.sha256 for one in plan for c in one.content.clips if draw(st.integers(0, 7)) == 0}
    # 07:00 is the day's first minute; quiet hours fall into the middle of it, so that everything meets them.
    quiet = draw(st.sampled_from([None, QuietHours(time(8, 30), time(9, 10))]))
    power = draw(st.sampled_from([amplifier(0, 0), amplifier(1, 2)]))
    return situation(
        *plan,
        settings=replace(SETTINGS, quiet_hours=quiet, amplifier=power, duck_db=draw(st.sampled_from([None, -20.0]))),
        live=tuple(sources),
        orders=tuple(orders),
        missing=frozenset(missing),
        ready_from=at(draw(st.sampled_from([0, 0, 0, 17]))),
        time_trusted=draw(st.sampled_from([True, True, True, True, False])),
    )


def walk(of: Situation, stops: Sequence[float], state: State | None = None) -> tuple[State, list[Event]]:
    state = state or State.initial()
    events: list[Event] = []
    for minute in stops:
        state, decision = advance(state, of, at(minute))
        events += decision.events
    return state, events


@settings(max_examples=120, deadline=None)
@given(situations(), st.lists(st.floats(0, END, allow_nan=False), max_size=8))
def test_it_does_not_matter_in_how_many_steps_time_is_taken(of: Situation, stops: list[float]) -> None:
    once = walk(of, [END])
    assert walk(of, [*sorted(stops), END]) == once


@settings(max_examples=60, deadline=None)
@given(situations(), situations(), st.integers(0, END), st.lists(st.integers(0, END), max_size=6))
def test_nor_when_the_inputs_change_in_between(one: Situation, two: Situation, change: int, stops: list[int]) -> None:
    two = replace(two, ready_from=one.ready_from)
    before = [minute for minute in sorted(stops) if minute <= change]
    after = [minute for minute in sorted(stops) if minute > change]
    assert change_walk(one, two, change, before, after) == change_walk(one, two, change, [], [])


@settings(max_examples=80, deadline=None)
@given(situations(), st.lists(st.floats(0, END, allow_nan=False), max_size=8))
def test_nor_whether_the_inputs_are_said_to_be_the_same(of: Situation, stops: list[float]) -> None:
    state, plain, told, said = State.initial(), State.initial(), [], []
    for minute in [*sorted(stops), END]:
        plain, decision = advance(plain, of, at(minute))
        told.append(decision)
        state, decision = advance(state, of, at(minute), before=of)
        said.append(decision)
    assert (state, said) == (plain, told)


def change_walk(
    one: Situation, two: Situation, change: int, before: list[int], after: list[int]
) -> tuple[State, list[Event]]:
    state, first = walk(one, before)
    state, decision = advance(state, two, at(change), before=one)
    state, rest = walk(two, [*after, END], state)
    return state, [*first, *decision.events, *rest]


@settings(max_examples=60, deadline=None)
@given(situations())
def test_until_is_right_and_upcoming_comes_true(of: Situation) -> None:
    state, decision = advance(State.initial(), of, DAY)
    for _ in range(200):
        until = decision.until
        if until is None:
            break
        _, just_before = advance(state, of, until - timedelta(microseconds=1))
        assert just_before.events == ()
        assert (just_before.sounding, just_before.amplifier) == (decision.sounding, decision.amplifier)
        expected, previous, then = decision.upcoming, decision.sounding, decision.then
        state, decision = advance(state, of, until)
        is_due = expected is not None and expected.since <= until
        if expected is not None and expected.since == until:
            assert then == state
        if is_due or (decision.sounding is not None and previous is None):
            assert decision.sounding == expected
    else:
        raise AssertionError("it never comes to rest")


@settings(max_examples=60, deadline=None)
@given(situations())
def test_each_occurrence_ends_at_most_once_and_says_nothing_afterwards(of: Situation) -> None:
    _, events = walk(of, [END * 3])
    ended = Counter(event.occurrence_id for event in events if event.outcome is not None)
    assert all(count == 1 for count in ended.values())
    over: set[str] = set()
    for event in events:
        assert event.occurrence_id not in over
        if event.outcome is not None:
            over.add(event.occurrence_id)
    if of.time_trusted:
        due = {e.occurrence_id for e in of.agenda.entries if e.item.expires > of.ready_from}
        assert due <= set(ended)


@settings(max_examples=60, deadline=None)
@given(situations())
def test_the_highest_class_that_is_able_sounds(of: Situation) -> None:
    state, decision = advance(State.initial(), of, of.ready_from)
    while decision.until is not None:
        sounding = decision.sounding
        for key, progress in state.played.items():
            entry = of.agenda.by_id.get(key)
            waits = progress.phase in (Phase.WAITING, Phase.PAUSED) and entry is not None and entry.total is not None
            if waits and entry is not None and of.time_trusted:
                assert sounding is not None
                assert sounding.priority >= entry.item.priority
        state, decision = advance(state, of, decision.until)


@settings(max_examples=60, deadline=None)
@given(situations())
def test_never_two_at_once(of: Situation) -> None:
    """By the events alone: one starts only when none is on air, and only that one is silenced or ends."""
    on_air: str | None = None
    soft: set[str] = set()  # what a live announcement speaks over
    for event in walk(of, [END * 3])[1]:
        if event.kind in (EventKind.STARTED, EventKind.RESUMED):
            assert on_air in (None, event.occurrence_id)
            on_air = event.occurrence_id
        elif event.kind is EventKind.DUCKED:
            assert of.settings.duck_db is not None
            assert event.priority is not None
            assert event.priority <= Priority.RELAY
            soft.add(event.occurrence_id)
        elif event.kind is EventKind.PREEMPTED:
            assert event.occurrence_id in {on_air, *soft}
        if event.kind in (EventKind.STARTED, EventKind.RESUMED, EventKind.PREEMPTED) or event.outcome is not None:
            soft.discard(event.occurrence_id)
        gone = event.kind in (EventKind.PREEMPTED, EventKind.DUCKED) or event.outcome is not None
        if gone and event.occurrence_id == on_air:
            on_air = None


@settings(max_examples=60, deadline=None)
@given(situations())
def test_what_runs_on_beneath_is_lower_and_keeps_its_line(of: Situation) -> None:
    state, decision = advance(State.initial(), of, of.ready_from)
    while decision.until is not None:
        under = {one.occurrence_id: one for one in decision.beneath}
        for one in decision.beneath:
            assert decision.sounding is not None
            assert (one.priority, one.occurrence_id) <= (decision.sounding.priority, one.occurrence_id)
            assert one.occurrence_id != decision.sounding.occurrence_id
            assert (one.presence is Presence.DUCKED) <= (decision.sounding.priority is Priority.COMMUNE_LIVE)
        state, decision = advance(state, of, decision.until)
        after = decision.sounding
        if after is not None and after.occurrence_id in under and after.stream_id is None:
            assert after.line == under[after.occurrence_id].line


@settings(max_examples=60, deadline=None)
@given(situations())
def test_what_is_silenced_is_not_heard_and_what_is_ducked_is(of: Situation) -> None:
    """The frames of each ending against the time between the events that turn it on and off."""
    since: dict[str, datetime] = {}
    heard: Counter[str] = Counter()
    for event in walk(of, [END * 3])[1]:
        key = event.occurrence_id
        if key in since:
            heard[key] += frames_of(event.at - since.pop(key))
        if event.kind in (EventKind.STARTED, EventKind.RESUMED, EventKind.DUCKED):
            since[key] = event.at
        if event.outcome is not None:
            assert abs(event.frames - heard[key]) <= END  # each stretch rounds down by less than a sample


@settings(max_examples=60, deadline=None)
@given(situations())
def test_below_80_nothing_sounds_in_quiet_hours(of: Situation) -> None:
    for span in timeline(of, at(0), at(END)):
        if span.sounding.priority < Priority.EMERGENCY_STORED:
            assert not quiet_at(of.settings, span.begin)
            assert not quiet_at(of.settings, span.begin + (span.end - span.begin) / 2)


@settings(max_examples=60, deadline=None)
@given(situations())
def test_spans_never_overlap_and_lie_within_their_items(of: Situation) -> None:
    spans = timeline(of, at(0), at(END))
    for one, two in pairwise(spans):
        assert one.begin < one.end <= two.begin
    for span in spans:
        if span.sounding.item is not None:
            assert span.sounding.item.start <= span.begin
            assert span.end <= span.sounding.item.expires


@settings(max_examples=60, deadline=None)
@given(situations(), st.integers(0, END), st.integers(0, 60))
def test_a_reboot_repeats_nothing(of: Situation, off: int, pause: int) -> None:
    state, before = walk(of, [off])
    saved = State.from_plain(state.to_plain())
    assert saved == state
    back = of.updated(ready_from=max(of.ready_from, at(off + pause)))
    _, after = walk(back, [END * 3], saved)
    over = {event.occurrence_id for event in before if event.outcome is not None}
    assert not over & {event.occurrence_id for event in after}
    ended = Counter(event.occurrence_id for event in [*before, *after] if event.outcome is not None)
    assert all(count == 1 for count in ended.values())


@settings(max_examples=30, deadline=None)
@given(situations())
def test_the_decision_is_a_pure_function(of: Situation) -> None:
    assert advance(State.initial(), of, at(50)) == advance(State.initial(), of, at(50))
