"""The arbiter: one pure function from (plan, live sources, orders, now) to what a cluster sounds.

The agent plays by it, the console previews by it, reports judge by it. It reads no clock and does no I/O.

How to use it: keep a :class:`State`; call :func:`advance` at ``Decision.until`` and whenever an input changes. A
situation holds from the state's instant on, so give the one of the last call as ``before``: when inputs have changed
the state is taken to ``now`` under the old ones first. Splitting an advance into smaller ones changes nothing.
"""

from schedules.arbiter.decision import Decision, Event, EventKind, Line, Presence, Sounding, Span
from schedules.arbiter.engine import advance, timeline
from schedules.arbiter.outcome import Outcome
from schedules.arbiter.situation import LiveSource, Order, PlayNow, Situation, Stop, Withdraw
from schedules.arbiter.state import RETENTION, Phase, Progress, State

__all__ = [
    "RETENTION",
    "Decision",
    "Event",
    "EventKind",
    "Line",
    "LiveSource",
    "Order",
    "Outcome",
    "Phase",
    "PlayNow",
    "Presence",
    "Progress",
    "Situation",
    "Sounding",
    "Span",
    "State",
    "Stop",
    "Withdraw",
    "advance",
    "timeline",
]
