"""The working copy of a state: who is on their way, who is on air, who is done, and what was said about it.

Rules kept here: a done occurrence is never touched again; each ends with exactly one event that carries an outcome.

Not here: when that happens (:mod:`schedules.arbiter.run`, :mod:`schedules.arbiter.air`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time

from schedules.arbiter.decision import Event, EventKind
from schedules.arbiter.policy import Ending
from schedules.arbiter.situation import Entry, LiveSource, Situation, Stop, Withdraw
from schedules.arbiter.state import RETENTION, Phase, Progress, State
from schedules.instants import NO_FRAMES

Subject = Entry | LiveSource


class Ledger:
    """A state that may be changed, under one situation."""

    def __init__(self, state: State, situation: Situation) -> None:
        self.situation = situation
        self.at = state.at
        self.born = state.born
        self.trusted_at = state.trusted_at
        self.on_air = state.on_air
        self.silent_since = state.silent_since
        self.told_untrusted = state.untrusted_told
        self.events: list[Event] = []
        self.played: Mapping[str, Progress] = state.played
        self.active = set(state.active)
        self.live = {source.occurrence_id: source for source in situation.live if source.rule_id is None}
        self.ordered = situation.ordered
        self._stopped_at = state.stopped_at
        self._withdrawn: Mapping[tuple[str, datetime | None], datetime] = state.withdrawn
        self._own: dict[str, Progress] | None = None  # a copy of what was played, made at the first change
        self._forgotten_on = None if state.at is None else state.at.date()

    def freeze(self) -> State:
        """The state as a value. What is long over is forgotten, unless the plan still holds it."""
        if self.at is not None and self.situation.time_trusted:
            self.trusted_at = self.at
            if self.at.date() != self._forgotten_on:
                self._forget()
        state = State(
            at=self.at,
            trusted_at=self.trusted_at,
            born=self.born,
            on_air=self.on_air,
            silent_since=self.silent_since,
            stopped_at=self._stopped_at,
            withdrawn=self._withdrawn,
            played=self.played,
            untrusted_told=self.told_untrusted,
        )
        self._own = None  # the value owns it now
        return state.with_active(frozenset(self.active))

    def _forget(self) -> None:
        """Once a day, and by the day, so that it does not matter at which instants we are asked."""
        assert self.at is not None  # noqa: S101 - its caller has looked
        self._forgotten_on = self.at.date()
        before = datetime.combine(self._forgotten_on, time(), UTC) - RETENTION
        plan = self.situation.agenda.by_id
        old = [key for key, progress in self.played.items() if progress.expires < before and key not in plan]
        for key in old:
            if key not in self.active:
                del self._writable()[key]
        if self._withdrawn:
            self._withdrawn = {what: at for what, at in self._withdrawn.items() if at >= before}

    def _writable(self) -> dict[str, Progress]:
        if self._own is None:
            self._own = dict(self.played)
            self.played = self._own
        return self._own

    def subject(self, key: str) -> Subject | None:
        """What the key stands for in the present situation; None when it is no longer there."""
        return self.ordered.get(key) or self.situation.agenda.by_id.get(key) or self.live.get(key)

    def is_open(self, key: str) -> bool:
        """Whether nothing has been decided about it yet."""
        progress = self.played.get(key)
        return progress is None or progress.phase is Phase.HELD

    # -- orders ----------------------------------------------------------------------------------------------

    def take_orders(self, now: datetime) -> None:
        """Orders hold from their instant on, also after the situation has lost them."""
        for order in self.situation.orders:
            if order.at > now:
                continue
            if isinstance(order, Stop):
                self._stopped_at = order.at if self._stopped_at is None else max(self._stopped_at, order.at)
            elif isinstance(order, Withdraw):
                what = (order.rule_id, order.recurrence)
                if what not in self._withdrawn:
                    self._withdrawn = {**self._withdrawn, what: order.at}

    def is_stopped(self, began: datetime) -> bool:
        """Whether a STOP holds for what was due, or opened, at ``began``."""
        return self._stopped_at is not None and began <= self._stopped_at

    def is_withdrawn(self, entry: Entry) -> bool:
        """Whether a withdrawal holds for the item."""
        rule = entry.item.rule_id
        return (rule, entry.item.recurrence) in self._withdrawn or (rule, None) in self._withdrawn

    # -- changes ---------------------------------------------------------------------------------------------

    def put(self, key: str, progress: Progress) -> None:
        """Note how far it is."""
        self._writable()[key] = progress
        self.active.add(key)

    def drop(self, key: str) -> None:
        """Forget what was never heard, so that it is admitted anew."""
        del self._writable()[key]
        self.active.discard(key)

    def apply(self, key: str, subject: Subject | None, progress: Progress, result: Progress | Ending) -> None:
        """Note what a policy said."""
        if isinstance(result, Progress):
            self.put(key, result)
        else:
            self.end(key, subject, progress, result)

    def end(self, key: str, subject: Subject | None, progress: Progress, ending: Ending) -> None:
        """It is over, once and for all."""
        now = self._now
        heard = progress.heard_until(now)
        done = replace(
            progress,
            phase=Phase.DONE,
            heard=heard,
            since=None,
            moving=False,
            stream_id=None,
            interrupted=False,
            outcome=ending.outcome,
            code=ending.code,
        )
        self.tell(ending.kind, key, subject, done, code=ending.code, stream_id=progress.stream_id)
        self._writable()[key] = done
        self.active.discard(key)
        if key == self.on_air:
            self.on_air, self.silent_since = None, now

    def tell(
        self,
        kind: EventKind,
        key: str,
        subject: Subject | None,
        progress: Progress,
        *,
        code: str = "",
        stream_id: int | None = None,
    ) -> None:
        """Say what happened."""
        now, begins = self._now, kind in (EventKind.STARTED, EventKind.RESUMED)
        planned, rule_id, recurrence, title, priority = None, None, None, "", None
        if isinstance(subject, LiveSource):
            planned, priority, stream_id = subject.opened_at, subject.priority, subject.stream_id
        elif subject is not None:
            item = subject.item
            planned, rule_id, recurrence = item.start, item.rule_id, item.recurrence
            title, priority = item.title, item.priority
        event = Event(
            kind,
            key,
            now,
            code,
            planned_start=planned,
            rule_id=rule_id,
            recurrence=recurrence,
            title=title,
            priority=priority,
            stream_id=stream_id,
            offset=progress.position(now) if begins else NO_FRAMES,
            frames=progress.heard,
            outcome=progress.outcome,
        )
        self.events.append(event)

    @property
    def _now(self) -> datetime:
        if self.at is None:
            raise RuntimeError("a ledger is written only once its time has begun")
        return self.at
