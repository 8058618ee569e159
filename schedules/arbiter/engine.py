"""The function itself (being built: the signatures are final)."""

from __future__ import annotations

from datetime import datetime

from schedules.arbiter.decision import Decision, Span
from schedules.arbiter.situation import Situation
from schedules.arbiter.state import State


def advance(
    state: State, situation: Situation, now: datetime, *, before: Situation | None = None
) -> tuple[State, Decision]:
    """The state and the decision at ``now``."""
    raise NotImplementedError


def timeline(situation: Situation, start: datetime, end: datetime, *, state: State | None = None) -> tuple[Span, ...]:
    """What sounds between two instants if no input changes."""
    raise NotImplementedError
