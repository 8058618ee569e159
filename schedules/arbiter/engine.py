"""The function itself: a state and a situation go in, the next state and a decision come out.

Not here: the run it makes (:mod:`schedules.arbiter.run`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from schedules.arbiter.decision import Decision, Sounding, Span
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
        before: the inputs that held until ``now``, when they have changed; the state is then taken to ``now`` under
            them first, and to the new ones at that very instant.

    Returns:
        The next state and the decision, whose events tell all that happened on the way.
    """
    if before is None:
        return _advance(state, situation, now)
    middle, first = _advance(state, before, now)
    end, second = _advance(middle, situation, now)
    joined = first.events + second.events
    return end, replace(second, events=joined)


def _advance(state: State, situation: Situation, now: datetime) -> tuple[State, Decision]:
    if now < situation.ready_from:
        first = _begun(state, situation, situation.ready_from)
        return state, Decision(None, first.sounding or _upcoming(first, None)[0], amplifier=False, until=first.now)
    run = _begun(state, situation, now)
    run.to(max(now, run.now))
    return run.freeze(), _decision(run, situation)


def _begun(state: State, situation: Situation, now: datetime) -> Run:
    run = Run(rebased(state, situation, now), situation)
    run.begin()
    return run


def _decision(run: Run, situation: Situation) -> Decision:
    now, current = run.now, run.sounding
    upcoming, under = _upcoming(run, current)
    lead, tail = situation.settings.amplifier.lead, situation.settings.amplifier.tail
    warm_from = None if upcoming is None else upcoming.since - lead
    warm_until = None if run.silent_since is None else run.silent_since + tail
    amplifier = (
        current is not None
        or (warm_from is not None and warm_from <= now)
        or (warm_until is not None and now < warm_until)
    )
    instants = (run.next_change(), warm_from, warm_until)
    until = min((instant for instant in instants if instant is not None and instant > now), default=None)
    return Decision(current, upcoming, amplifier, until, run.events, run.beneath, under)


def _upcoming(run: Run, current: Sounding | None) -> tuple[Sounding | None, tuple[Sounding, ...]]:
    """What starts next if no input changes, and what runs on beneath it then."""
    future = run.fork()
    for _ in range(LOOK_AHEAD_STEPS):
        change = future.next_change()
        if change is None:
            return None, ()
        future.step(change)
        found = future.sounding
        if found is not None and (current is None or _key(found) != _key(current)):
            return found, future.beneath
        if found is None:
            current = None
    return None, ()


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
