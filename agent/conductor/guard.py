"""Five distinct starts within a minute: the agent holds and alarms.

A district heard its sirens 15 times in a night because nothing at the siren found that odd. Here the fifth
distinct start within a minute is refused (``start_flood``), and so is every further one until a minute has seen
fewer than five. STOP is no start. Repeating or resuming what already started is not a distinct start.
"""

from __future__ import annotations

from collections import OrderedDict

from schedules.instants import MonoUs

#: Distinct starts within :data:`WINDOW_US` at which the agent holds.
LIMIT = 5
WINDOW_US = 60_000_000

_REMEMBERED = 1024


class StartGuard:
    """Counts distinct starts."""

    def __init__(self) -> None:
        self._starts: OrderedDict[str, MonoUs] = OrderedDict()
        self._refused: OrderedDict[str, MonoUs] = OrderedDict()

    def allow(self, identity: str, now: MonoUs) -> bool:
        """Whether ``identity`` (an occurrence or a stream) may start at ``now``. A refusal is for good."""
        if identity in self._refused:
            return False
        if identity in self._starts:
            return True
        if self._in_window(now) + 1 >= LIMIT:
            self._refused[identity] = now
            _bound(self._refused)
            return False
        self._starts[identity] = now
        _bound(self._starts)
        return True

    def holding(self, now: MonoUs) -> bool:
        """A start was refused within the last minute."""
        return any(now - at < WINDOW_US for at in self._refused.values())

    def _in_window(self, now: MonoUs) -> int:
        started = sum(1 for at in self._starts.values() if now - at < WINDOW_US)
        # What was refused counts as an attempt: a flood does not wear the guard down.
        return started + sum(1 for at in self._refused.values() if now - at < WINDOW_US)


def _bound(table: OrderedDict[str, MonoUs]) -> None:
    while len(table) > _REMEMBERED:
        table.popitem(last=False)
