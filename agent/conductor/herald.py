"""Tells at once what becomes of an emergency or a drill: started, finished, refused, muted. And of a silent test.

Rules kept here:

1. Class 70 and above only, and only what was ordered or opened; the rest has its play record and the status.
2. Each stage of an occurrence is told once in the life of this process. What cannot be sent waits, at most
   :data:`WAITING`; beyond it the oldest goes, because the play record is what is kept.

Not here: the records (:mod:`agent.conductor.plays`), the wire (:mod:`agent.link.session`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime

from agent.conductor.orders import Reference
from protocol.messages import Check, Progress, ProgressStage
from protocol.telemetry import PlayOutcome, PlayRecord
from schedules.arbiter import Sounding
from schedules.ladder import Priority

WAITING = 64
_REMEMBERED = 512

#: Rule, recurrence, stream.
Key = tuple[str | None, datetime | None, int | None]


class Herald:
    """One agent's. ``reference`` names the order behind an occurrence or a stream; None for what nobody ordered."""

    def __init__(self, reference: Callable[[Key], Reference | None]) -> None:
        self._reference = reference
        self._known: OrderedDict[Key, Reference] = OrderedDict()
        self._said: OrderedDict[tuple[Key, ProgressStage], None] = OrderedDict()
        self._waiting: deque[Progress] = deque(maxlen=WAITING)
        #: Told when there is something to send.
        self.news: Callable[[], None] = lambda: None

    def started(self, sounding: Sounding, at: datetime, error_us: int | None) -> None:
        """Its first sample was heard."""
        self._sound(sounding, ProgressStage.STARTED, at, start_error_us=error_us)

    def muted(self, sounding: Sounding, at: datetime) -> None:
        """It would sound, and this box is mute."""
        self._sound(sounding, ProgressStage.MUTED, at, code="muted")

    def over(self, record: PlayRecord, at: datetime) -> None:
        """It is over, and this is its record."""
        bound = record.rule_id is not None
        key = (record.rule_id, record.recurrence, None if bound else record.stream)
        name = self._name(key) if record.priority >= Priority.DRILL else None
        if name is None:
            return
        refused = record.outcome is PlayOutcome.REFUSED
        code = record.code or (None if record.outcome is PlayOutcome.PLAYED else record.outcome.value)
        stage = ProgressStage.REFUSED if refused else ProgressStage.FINISHED
        self._say(key, name, stage, at, code=code)

    def tested(self, name: Reference, checks: tuple[Check, ...], at: datetime) -> None:
        """A silent test was done."""
        failed = next((check.name for check in checks if not check.ok), None)
        self._tell(
            Progress(term=name.term, seq=name.seq, stage=ProgressStage.TESTED, at=at, code=failed, checks=checks)
        )

    def _name(self, key: Key) -> Reference | None:
        """The order behind it, also after it was forgotten."""
        name = self._reference(key)
        if name is None:
            return self._known.get(key)
        self._known[key] = name
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return name

    # -- sending ------------------------------------------------------------------------------------------

    def take(self) -> Progress | None:
        """The oldest that waits, which is now the caller's."""
        return self._waiting.popleft() if self._waiting else None

    def give_back(self, progress: Progress) -> None:
        """It could not be sent."""
        if len(self._waiting) < WAITING:
            self._waiting.appendleft(progress)

    def _sound(
        self,
        sounding: Sounding,
        stage: ProgressStage,
        at: datetime,
        *,
        start_error_us: int | None = None,
        code: str | None = None,
    ) -> None:
        key = _key(sounding)
        name = self._name(key) if sounding.priority >= Priority.DRILL else None
        if name is not None:
            self._say(key, name, stage, at, start_error_us=start_error_us, code=code)

    def _say(
        self,
        key: Key,
        name: Reference,
        stage: ProgressStage,
        at: datetime,
        *,
        start_error_us: int | None = None,
        code: str | None = None,
    ) -> None:
        if (key, stage) in self._said:
            return
        self._said[key, stage] = None
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        rule_id, recurrence, stream = key
        self._tell(
            Progress(
                term=name.term,
                seq=name.seq,
                rule_id=rule_id,
                recurrence=recurrence,
                stream=stream,
                stage=stage,
                at=at,
                start_error_us=start_error_us,
                code=code,
            )
        )

    def _tell(self, progress: Progress) -> None:
        self._waiting.append(progress)
        self.news()


def _key(sounding: Sounding) -> Key:
    if sounding.item is not None:
        return sounding.item.rule_id, sounding.item.recurrence, None
    return None, None, sounding.stream_id
