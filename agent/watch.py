"""What is wrong right now, as a set of codes with words, and what happened, as events that do not flood.

Rules kept here:

1. A fault has a code, is raised and cleared by its owner, and is on every status message while it lasts.
2. An event is one thing that happened (a refusal, an altered sound). The same code with the same detail is told
   at most once in :data:`REPEAT_US`; what was held back is counted and told with the next one.
3. At most :data:`EVENTS_WAITING` events wait for a connection; beyond it the oldest are dropped and counted.
   Events are telemetry and stay in RAM; what sounded or did not is in the journal, which loses nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from agent.clocks import Clock

#: The same event again within this time is only counted.
REPEAT_US = 60_000_000

EVENTS_WAITING = 256
_CODES_REMEMBERED = 256
_DETAIL_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Happening:
    """One event on its way to the controller."""

    code: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """A fault that lasts."""

    code: str
    words: str
    since: datetime


class Watch:
    """The faults and events of one agent."""

    def __init__(self, clock: Clock, wall: Callable[[], datetime], *, name: str = "") -> None:
        """``wall`` gives the best wall time there is, for stamping."""
        self._clock = clock
        self._wall = wall
        self._log = structlog.get_logger("agent").bind(**({"agent": name} if name else {}))
        self._faults: dict[str, Standing] = {}
        self._waiting: deque[Happening] = deque(maxlen=EVENTS_WAITING)
        self._recent: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._listeners: list[Callable[[], None]] = []
        #: Events lost to the bound.
        self.dropped = 0

    # -- faults -------------------------------------------------------------------------------------------

    @property
    def faults(self) -> tuple[Standing, ...]:
        """What is wrong now, in the order it went wrong."""
        return tuple(self._faults.values())

    def has(self, code: str) -> bool:
        """Whether a fault stands."""
        return code in self._faults

    def raise_fault(self, code: str, words: str) -> None:
        """It is wrong (still)."""
        before = self._faults.get(code)
        since = self._wall() if before is None else before.since
        self._faults[code] = Standing(code, words[:_DETAIL_LIMIT], since)
        if before is None:
            self._log.warning("fault", code=code, words=words)
            self._tell()

    def clear_fault(self, code: str) -> None:
        """It is right (again)."""
        if self._faults.pop(code, None) is not None:
            self._log.info("fault cleared", code=code)
            self._tell()

    def set_fault(self, code: str, words: str | None) -> None:
        """Raise with ``words``, clear with None."""
        if words is None:
            self.clear_fault(code)
        else:
            self.raise_fault(code, words)

    # -- events -------------------------------------------------------------------------------------------

    def report(self, code: str, detail: str) -> None:
        """Something happened that the controller must hear of."""
        detail = detail[:_DETAIL_LIMIT]
        now = self._clock.mono_us()
        told_at, held = self._recent.pop((code, detail), (None, 0))
        if told_at is not None and now - told_at < REPEAT_US:
            self._remember((code, detail), (told_at, held + 1))
            return
        self._remember((code, detail), (now, 0))
        words = f"{detail} (and {held} times more)" if held else detail
        self._log.warning("event", code=code, detail=words)
        if len(self._waiting) == EVENTS_WAITING:
            self.dropped += 1
        self._waiting.append(Happening(code, words, self._wall()))
        self._tell()

    def take(self) -> Happening | None:
        """The oldest event that waits, which is now the caller's."""
        return self._waiting.popleft() if self._waiting else None

    def give_back(self, happening: Happening) -> None:
        """It could not be sent."""
        if len(self._waiting) < EVENTS_WAITING:
            self._waiting.appendleft(happening)
        else:
            self.dropped += 1

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every raise, clear and report."""
        self._listeners.append(listener)

    def off_change(self, listener: Callable[[], None]) -> None:
        """Do not call ``listener`` any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def _remember(self, key: tuple[str, str], value: tuple[int, int]) -> None:
        self._recent[key] = value
        while len(self._recent) > _CODES_REMEMBERED:
            self._recent.popitem(last=False)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()
