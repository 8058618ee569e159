"""What was refused at the staff's door: failed sign-ins, forged requests. Counted, logged, and shown to administrators.

Rules kept here:

1. Everything is counted. Of one code at most :data:`NOTED` within :data:`WINDOW` are written down as security events:
   a stranger must not be able to fill the disk. What was left out is said in the next one.
2. They wait in memory, at most :data:`WAITING`, until the database takes them; then the oldest are dropped.

Not here: what agents refuse (:mod:`controller.services.fleet`), which stands in the same list.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from datetime import datetime, timedelta
from typing import Final

import structlog

from controller.services.context import Clock
from controller.store import Database, StoreError, tables

NOTED: Final = 20
WINDOW: Final = timedelta(minutes=10)
WAITING: Final = 500
#: How often they are written down, in seconds.
WRITE_S: Final = 5.0

_log = structlog.get_logger(__name__)


class DoorWatch:
    """Takes note of what honest people do not send."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._recent: defaultdict[str, deque[datetime]] = defaultdict(lambda: deque(maxlen=NOTED))
        self._left_out: Counter[str] = Counter()
        self._turn = asyncio.Lock()
        self._waiting: deque[tuple[str, str, datetime]] = deque(maxlen=WAITING)
        #: How often each code was refused since the start.
        self.refused: Counter[str] = Counter()

    def note(self, code: str, detail: str) -> None:
        """Something was refused; ``code`` is one of ours, ``detail`` may hold what a stranger sent."""
        now = self._clock.now()
        self.refused[code] += 1
        _log.warning("refused at the door", code=code, detail=detail[:200])
        recent = self._recent[code]
        if len(recent) == NOTED and now - recent[0] < WINDOW:
            self._left_out[code] += 1
            return
        recent.append(now)
        more = self._left_out.pop(code, 0)
        self._waiting.append((code, detail[:200] + (f" (and {more} more before it)" if more else ""), now))

    async def write(self) -> None:
        """Write down what waits; what a busy database refuses is written next time.

        Called once more before the end, it waits for a round that is under way, so that none is cut off in the middle.
        """
        async with self._turn:
            await self._write()

    async def _write(self) -> None:
        events = list(self._waiting)
        if not events:
            return
        try:
            async with self._db.telemetry() as session:
                session.add_all([tables.SecurityEvent(code=code, detail=detail, at=at) for code, detail, at in events])
        except StoreError as error:
            _log.warning("security events were not written down", reason=str(error))
            return
        while self._waiting and self._waiting[0] in events:
            self._waiting.popleft()
