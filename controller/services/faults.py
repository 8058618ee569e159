"""Faults of one agent: when a reading becomes a fault, when it is over, and when it is not worth an alarm any more.

1. A fault is raised after three readings in a row that say so, and cleared after three that do not: with a heartbeat
   of 20 s that is 60 s, within the 100 s of EN 54-16.
2. What the controller knows by itself (offline, two boxes with one key) is set and cleared at once.
3. A fault that was raised or cleared five times in ten minutes is *flapping*: it stays raised, marked so, until it has
   been of one mind for ten minutes. People are told once, not five times.
4. A box cannot fill the book: at most 64 codes are kept, new ones beyond are ignored until others are cleared.

Pure: ``now`` is an argument. Not here: who is told (:mod:`controller.services.fleet`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: Readings in a row that raise or clear a fault.
READINGS = 3
#: Changes within the window that make a fault a flapping one.
FLIPS = 5
WINDOW = timedelta(minutes=10)
_CODES = 64


@dataclass(frozen=True, slots=True)
class Fault:
    """A raised fault."""

    code: str
    detail: str
    since: datetime
    flapping: bool


@dataclass(slots=True)
class _Line:
    """What is known of one code."""

    detail: str = ""
    raised_at: datetime | None = None
    against: int = 0  # readings in a row that contradict the present state
    flips: deque[datetime] = field(default_factory=lambda: deque(maxlen=FLIPS))

    def flapping(self, now: datetime) -> bool:
        return len(self.flips) == FLIPS and now - self.flips[0] <= WINDOW

    def quiet(self, now: datetime) -> bool:
        return not self.flips or now - self.flips[-1] > WINDOW


@dataclass(slots=True)
class FaultBook:
    """The faults of one agent."""

    _lines: dict[str, _Line] = field(default_factory=dict)
    _locked: set[str] = field(default_factory=set)

    def reading(self, present: Mapping[str, str], now: datetime) -> tuple[str, ...]:
        """Take one reading (code to detail); returns the codes whose visible state changed."""
        changed = []
        for code in {*present, *(code for code, line in self._lines.items() if not code.startswith("link_"))}:
            line = self._line(code)
            if line is None:
                continue
            says = code in present
            if says:
                line.detail = present[code]
            if says == (line.raised_at is not None):
                line.against = 0
            else:
                line.against += 1
                if line.against >= READINGS and self._flip(code, line, now):
                    changed.append(code)
        self._tidy(now)
        return tuple(changed)

    def put(self, code: str, detail: str, now: datetime, *, raised: bool) -> bool:
        """Set or clear a fault the controller itself knows of (code ``link_…``). True: it changed."""
        if not raised and code not in self._lines:  # thousands of well boxes are looked at every few seconds
            return False
        line = self._line(code)
        if line is None:
            return False
        line.detail = detail
        changed = raised != (line.raised_at is not None) and self._flip(code, line, now)
        self._tidy(now)
        return changed

    def active(self, now: datetime) -> tuple[Fault, ...]:
        """The raised faults, oldest first."""
        found = [
            Fault(code, line.detail, line.raised_at or line.flips[-1], code in self._locked)
            for code, line in self._lines.items()
            if line.raised_at is not None or (code in self._locked and not line.quiet(now))
        ]
        return tuple(sorted(found, key=lambda fault: fault.since))

    def _line(self, code: str) -> _Line | None:
        if code not in self._lines and len(self._lines) >= _CODES:
            return None
        return self._lines.setdefault(code, _Line())

    def _flip(self, code: str, line: _Line, now: datetime) -> bool:
        """Change the state; returns whether anyone needs to hear of it."""
        line.against = 0
        line.raised_at = now if line.raised_at is None else None
        line.flips.append(now)
        if code in self._locked:
            return False
        if line.flapping(now):
            self._locked.add(code)
        return True

    def _tidy(self, now: datetime) -> None:
        for code, line in list(self._lines.items()):
            if code in self._locked and line.quiet(now):
                self._locked.discard(code)
            if line.raised_at is None and line.against == 0 and line.quiet(now):
                del self._lines[code]
