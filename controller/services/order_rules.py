"""Which start order is a duplicate, and how many an account may give. Pure; ``now`` is an argument.

Rules kept here:

1. A start of equal class, content and targets within :data:`REPEAT_WINDOW` is a duplicate, unless it says ``again`` or
   a STOP or withdrawal that touched one of its clusters came between. STOP is never a duplicate.
2. One account gives at most :data:`STARTS_PER_MINUTE` start orders a minute. STOP and withdrawals do not count, and
   emergencies have a count of their own: bulletins never use it up.
3. Memory is bounded: what is older than the windows is forgotten.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from schedules.ladder import Priority

#: DESIGN, section 5 (a municipal standard asks 30 to 300 s).
REPEAT_WINDOW: Final = timedelta(seconds=180)
STARTS_PER_MINUTE: Final = 20
_MINUTE: Final = timedelta(minutes=1)
_MAX_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class Start:
    """What makes two start orders the same."""

    priority: Priority
    content: tuple[str, ...]  # hashes of what sounds, and how often
    clusters: frozenset[str]


class Rate:
    """How many an account gave within the last minute."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_account: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def wait(self, account: str, now: datetime) -> timedelta | None:
        """How long the account must wait, when it gave too many. Counts nothing."""
        given = self._by_account[account]
        while given and now - given[0] >= _MINUTE:
            given.popleft()
        return _MINUTE - (now - given[0]) if len(given) >= self._limit else None

    def admit(self, account: str, now: datetime) -> timedelta | None:
        """Count one; returns how long the account must wait when it gave too many."""
        wait = self.wait(account, now)
        if wait is None:
            self._by_account[account].append(now)
        return wait


class OrderMemory:
    """What was started and stopped a moment ago."""

    def __init__(self) -> None:
        self._starts: deque[tuple[datetime, Start, str]] = deque(maxlen=_MAX_KEPT)
        self._silenced: deque[tuple[datetime, frozenset[str] | None]] = deque(maxlen=_MAX_KEPT)
        self._rate = Rate(STARTS_PER_MINUTE)

    def duplicate_of(self, start: Start, now: datetime) -> str | None:
        """The name of the order that ``start`` would repeat, if there is one."""
        for at, earlier, name in reversed(self._starts):
            if now - at >= REPEAT_WINDOW:
                return None
            if earlier == start and not self._silenced_since(at, start.clusters):
                return name
        return None

    def started(self, start: Start, name: str, now: datetime) -> None:
        """Remember a start."""
        self._starts.append((now, start, name))

    def silenced(self, clusters: frozenset[str] | None, now: datetime) -> None:
        """Remember a STOP or a withdrawal; None means everywhere."""
        self._silenced.append((now, clusters))

    def admit(self, account: str, now: datetime) -> timedelta | None:
        """Count a start of an account; returns how long it must wait when it gave too many."""
        return self._rate.admit(account, now)

    def _silenced_since(self, at: datetime, clusters: frozenset[str]) -> bool:
        return any(when >= at and (where is None or where & clusters) for when, where in self._silenced)
