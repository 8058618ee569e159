"""The function itself: a state and a situation go in, the next state and a decision come out.

Not here: the run it makes (:mod:`schedules.arbiter.run`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from schedules.arbiter.decision import Decision, Event, Sounding, Span
from schedules.arbiter.rebase import rebased
from schedules.arbiter.run import Run
from schedules.arbiter.situation import Situation
from schedules.arbiter.state import State

#: How many changes the search for what comes next looks through. Each either starts or ends something, or nothing; a
#: plan has far fewer between two sounds.
LOOK_AHEAD_STEPS = 64

#: A preview begins this long before its first instant, so that what is on air then is on air for the right reason.
WARM_UP = timedelta(hours=13)


def advance(
    state: State, situation: Situation, now: datetime, *, before: Situation | None = None
) -> tuple[State, Decision]:
    """Take a state to ``now``, and decide.

    Args:
        state: what the last call returned, or :meth:`State.initial`.
        situation: the inputs; they hold from the state's instant on.
        now: aware UTC. Earlier than the state's instant by more than five seconds, it is a clock put back.
        before: the inputs of the last call, which held until ``now``. If others hold now, the state is taken to
            ``now`` under them first, and to the new ones at that very instant; if not, it saves a look.

    Returns:
        The next state and the decision, whose events tell all that happened on the way.
    """
    if before is None:
        return _decided(state, _begun(state, situation, max(now, situation.ready_from)), now, ())
    if before is situation:
        return _decided(state, _resumed(state, situation, now), now, ())
    middle, events = _taken(state, before, now)
    return _decided(middle, _begun(middle, situation, max(now, situation.ready_from)), now, events)


def _begun(state: State, situation: Situation, now: datetime) -> Run:
    """A run under inputs that the state has not met yet."""
    run = Run(rebased(state, situation, now), situation)
    run.begin()
    return run


def _resumed(state: State, situation: Situation, now: datetime) -> Run:
    """A run under the very inputs that brought the state to its instant: there is nothing to look at there again."""
    if state.at is None or state.at < situation.ready_from or rebased(state, situation, now) is not state:
        return _begun(state, situation, max(now, situation.ready_from))
    return Run(state, situation)


def _taken(state: State, situation: Situation, now: datetime) -> tuple[State, tuple[Event, ...]]:
    """The state at ``now`` under the inputs that brought it here, and what happened on the way."""
    if now < situation.ready_from:
        return state, ()
    run = _resumed(state, situation, now)
    run.to(max(now, run.now))
    return run.freeze(), run.events


def _decided(state: State, run: Run, now: datetime, events: tuple[Event, ...]) -> tuple[State, Decision]:
    if now < run.situation.ready_from:
        begun = run.freeze()
        if run.sounding is not None:
            first = _Upcoming(run.sounding, (), begun)
        else:
            first = _upcoming(begun, run.situation, None)
        return state, Decision(None, first.sounding, amplifier=False, until=run.now, events=events, then=first.state)
    run.to(max(now, run.now))
    reached = run.freeze()
    return reached, _decision(run, reached, events)


def _decision(run: Run, reached: State, events: tuple[Event, ...]) -> Decision:
    now, current = run.now, run.sounding
    after = _upcoming(reached, run.situation, current)
    upcoming = after.sounding
    lead, tail = run.situation.settings.amplifier.lead, run.situation.settings.amplifier.tail
    warm_from = None if upcoming is None else upcoming.since - lead
    warm_until = None if run.silent_since is None else run.silent_since + tail
    amplifier = (
        current is not None
        or (warm_from is not None and warm_from <= now)
        or (warm_until is not None and now < warm_until)
    )
    instants = (run.next_change(), warm_from, warm_until)
    until = min((instant for instant in instants if instant is not None and instant > now), default=None)
    return Decision(current, upcoming, amplifier, until, events + run.events, run.beneath, after.beneath, after.state)


class _Upcoming(NamedTuple):
    """What starts next if no input changes, what runs on beneath it, and the state at that instant."""

    sounding: Sounding | None = None
    beneath: tuple[Sounding, ...] = ()
    state: State | None = None


def _upcoming(state: State, situation: Situation, current: Sounding | None) -> _Upcoming:
    future = Run(state, situation)
    for _ in range(LOOK_AHEAD_STEPS):
        change = future.next_change()
        if change is None:
            break
        future.step(change)
        found = future.sounding
        if found is not None and (current is None or _key(found) != _key(current)):
            return _Upcoming(found, future.beneath, future.freeze())
        if found is None:
            current = None
    return _Upcoming()


def _key(sounding: Sounding) -> tuple[str, datetime, int | None]:
    return sounding.occurrence_id, sounding.since, sounding.stream_id


def timeline(situation: Situation, start: datetime, end: datetime, *, state: State | None = None) -> tuple[Span, ...]:
    """What sounds between two instants if no input changes, by the very code that the agent plays by.

    Args:
        situation: the inputs. Without ``state`` the agent is taken to have been up since long before ``start``.
        start: first instant, aware UTC.
        end: last instant (exclusive).
        state: the past of a real agent.
    """
    if state is None:
        situation = situation.updated(ready_from=min(situation.ready_from, start - WARM_UP))
    run = _begun(state or State.initial(), situation, start)
    spans: list[Span] = []
    while run.now < end:
        begin, current = run.now, run.sounding
        change = run.next_change()
        finish = end if change is None else min(change, end)
        if current is not None and finish > start:
            _append(spans, Span(max(begin, start), finish, current))
        if change is None or change >= end:
            break
        run.step(change)
    return tuple(spans)


def _append(spans: list[Span], span: Span) -> None:
    if spans and spans[-1].end == span.begin and _key(spans[-1].sounding) == _key(span.sounding):
        span = Span(spans.pop().begin, span.end, span.sounding)
    spans.append(span)
