"""What happens to the past when the clock turns out to have been wrong.

Rules kept here:

1. When time becomes trusted, what began in untrusted time moves onto the new clock and goes on sounding undisturbed;
   the situation's ``ready_from`` says where on the new clock that is.
2. When a trusted clock is put back, nothing is forgotten (an ended occurrence stays ended) and what sounds goes on. A
   jitter of up to :data:`JITTER` is no step: time then stands still until it has caught up.
3. An order or a birth date from a wrong future never reaches into the right present.

Not here: absences (a clock put forward is told by raising ``ready_from``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from schedules.arbiter.situation import Situation
from schedules.arbiter.state import Phase, Progress, State

#: Backward movements of wall time up to this are waited out.
JITTER = timedelta(seconds=5)


def rebased(state: State, situation: Situation, now: datetime) -> State:
    """The state on the clock that ``now`` is read from."""
    target = _target(state, situation, now)
    if target is None or state.at is None or target == state.at:
        return state
    shift = target - state.at
    trusted = state.trusted_at
    played = {
        key: _shifted(progress, shift) if _began_since(progress, trusted) else progress
        for key, progress in state.played.items()
    }
    return replace(
        state,
        at=target,
        born=target if trusted is None else state.born,
        silent_since=None,
        stopped_at=None if state.stopped_at is None else min(state.stopped_at, target),
        played=played,
    )


def _target(state: State, situation: Situation, now: datetime) -> datetime | None:
    """Where the state's instant lies on the present clock; None when the clock is the same."""
    if state.at is None or not situation.time_trusted:
        return None
    if state.trusted_at != state.at:
        newer = state.trusted_at is None or situation.ready_from > state.trusted_at
        return situation.ready_from if newer else None
    return now if now < state.at - JITTER else None


def _began_since(progress: Progress, trusted_at: datetime | None) -> bool:
    if progress.phase is Phase.DONE:
        return False
    return progress.phase.is_heard or trusted_at is None or progress.anchor_at > trusted_at


def _shifted(progress: Progress, shift: timedelta) -> Progress:
    return replace(
        progress,
        anchor_at=progress.anchor_at + shift,
        since=None if progress.since is None else progress.since + shift,
        first=None if progress.first is None else progress.first + shift,
    )
