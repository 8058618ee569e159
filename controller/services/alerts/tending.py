"""What happens to alerts by itself: codes expire, soundings end, STOP ends them, a restart finds them again.

Rules kept here:

1. Every second: an alert nobody confirmed in time is ``expired``; one whose last order has expired is ``expired``, or
   ``missed`` when no cluster sounded. A disk that refuses to record that is asked again the next second.
2. A STOP over all of its clusters ends an alert (``cancelled``, reason STOP). A live voice's alert lasts as long as its
   session: it ends when the speaker does, at the session's hard stop, and with a restart.
3. At start: alerts from the database and then from the journal, boards from what was written down and what the courier
   has taken up again, notices of alerts that were given alone, the duplicate rule.

Not here: the steps people take (:mod:`…alerts.desk`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from controller.services.alerts.books import AlertBooks
from controller.services.alerts.desk import AlertDesk
from controller.services.alerts.model import (
    NOT_CONFIRMED,
    RESTARTED,
    STOP,
    Alert,
    AlertKind,
    AlertState,
    Person,
    Step,
)
from controller.services.alerts.register import PREFIX
from controller.services.alerts.sending import Act, same_start
from controller.services.alerts.stock import AlertStock
from controller.services.context import SYSTEM, Clock
from controller.services.errors import BusyError
from controller.services.order_rules import REPEAT_WINDOW, OrderMemory
from controller.store.journal import JournalEntry

_SYSTEM: Final = Person(SYSTEM.user_id, SYSTEM.name)
#: Codes of a live session that ended (:meth:`controller.services.live.desk.LiveDesk.stop` and ``LiveSession.silence``).
_BY_SPEAKER: Final = "ended_by_speaker"
_STOPPED: Final = "stopped"

_log = structlog.get_logger(__name__)


class AlertTender:
    """Looks after alerts."""

    def __init__(
        self, desk: AlertDesk, books: AlertBooks, stock: AlertStock, memory: OrderMemory, clock: Clock
    ) -> None:
        self._desk = desk
        self._books = books
        self._stock = stock
        self._memory = memory
        self._clock = clock
        self._ending: dict[str, tuple[Alert, Alert]] = {}  # as it was looked at, and what is to become of it

    async def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Take everything up again (at start, after the courier has)."""
        now, register = self._clock.now(), self._desk.register
        journalled = [entry for entry in entries if entry.kind.startswith(PREFIX)]
        register.restore(journalled, await self._books.rows(now), now)
        for alert in list(register.alerts.values()):
            if alert.state is AlertState.COMPOSED:
                fault = "interrupted: the controller was restarted; compose it again"
                self._ending[alert.id] = (alert, replace(alert, state=AlertState.EXPIRED, fault=fault))
            if alert.given is None or alert.start is None:
                continue
            await self._reopen(alert.id, alert.rules, alert.clusters, alert.start, alert.expires or alert.start)
            told = alert.farewell
            if told is not None:
                await self._reopen(told.rule, (told.rule,), alert.remaining, told.start, told.expires)
            if alert.state.given and alert.draft.kind is AlertKind.VOICE:
                self._ending[alert.id] = (alert, self._unvoiced(alert, RESTARTED, now))
            if alert.state.given and now - alert.given.at < REPEAT_WINDOW:
                self._memory.started(same_start(alert), alert.id, alert.given.at)
            if alert.solo:
                self._desk.tell_superiors(alert)  # a notice that is there already is not made again
        self._desk.boards.recall()
        await self._stock.refresh()

    async def tick(self) -> None:
        """Look at the time."""
        now = self._clock.now()
        for alert in list(self._desk.register.alerts.values()):
            over = self._over(alert, now)
            if over is not None:
                self._ending.setdefault(alert.id, (alert, over))
            told = self._desk.farewell(alert)
            if told is not None and not told.closed and now >= told.expires:
                told.close(now)
        for alert_id in list(self._ending):
            turn = self._desk.turn(alert_id)
            if turn.locked():
                continue  # a step that somebody takes right now comes first; the next look says
            async with turn:
                await self._end(alert_id)
        await self._stock.refresh()
        await self._books.write(self._clock.now())

    def stopped(self, clusters: frozenset[str] | None, at: datetime) -> None:
        """STOP was ordered (for :attr:`controller.services.orders.OrderDesk.stop_listeners`)."""
        self._desk.boards.stopped(clusters, at)
        for alert in self._desk.register.alerts.values():
            if alert.state.given and (clusters is None or alert.remaining <= clusters):
                over = replace(alert, state=AlertState.CANCELLED, ended=Step(_SYSTEM, at, STOP))
                self._ending[alert.id] = (alert, over)

    def voice_changed(self, alert_id: str, on_air: datetime | None, ends: datetime | None) -> None:
        """The live session of an alert began, or lasts longer."""
        if on_air is not None:
            self._desk.boards.begin(alert_id, on_air)
        alert = self._desk.register.alerts.get(alert_id)
        if alert is None or not alert.state.given or alert.expires is None or ends is None or ends <= alert.expires:
            return
        self._desk.register.put(replace(alert, expires=ends))
        self._desk.boards.prolong(alert_id, (), ends)

    def voice_ended(self, alert_id: str, code: str) -> None:
        """The live session of an alert is over, for the reason that the code says."""
        alert, now = self._desk.register.alerts.get(alert_id), self._clock.now()
        if alert is None or not alert.state.given:
            return
        if code == _STOPPED:
            over = replace(alert, state=AlertState.CANCELLED, ended=Step(_SYSTEM, now, STOP))
        else:
            over = self._unvoiced(alert, code, now)
        self._ending.setdefault(alert_id, (alert, over))

    def _unvoiced(self, alert: Alert, code: str, now: datetime) -> Alert:
        """A live voice's alert after its voice."""
        board = self._desk.boards.get(alert.id)
        state = AlertState.EXPIRED if board is None or board.sounded() > 0 else AlertState.MISSED
        by = alert.composed.by if code == _BY_SPEAKER else _SYSTEM
        return replace(alert, state=state, ended=Step(by, now, code))

    async def _reopen(
        self, name: str, rules: Iterable[str], clusters: Iterable[str], start: datetime, expires: datetime
    ) -> None:
        board = self._desk.boards.open(name, rules, clusters, start, expires)
        board.restore(await self._books.rungs(name))

    async def _end(self, alert_id: str) -> None:
        seen, over = self._ending[alert_id]
        current = self._desk.register.alerts.get(alert_id)
        if current is None or _standing(current) != _standing(seen):
            del self._ending[alert_id]  # somebody ended, confirmed or extended it meanwhile
            return
        over = replace(current, state=over.state, ended=over.ended, fault=over.fault)
        try:
            await self._desk.sender.record(Act("stop" if over.stopped else "expire", SYSTEM), over)
        except BusyError as error:
            _log.warning("alert_end_not_recorded", alert=alert_id, why=error.detail)
            return
        self._ending.pop(alert_id, None)
        board = self._desk.boards.get(alert_id)
        if board is not None:
            board.close(self._clock.now())
        if over.state is AlertState.CANCELLED:
            for listener in self._desk.on_cancelled:
                listener(over)

    def _over(self, alert: Alert, now: datetime) -> Alert | None:
        if alert.state is AlertState.ARMED and alert.code_expires is not None and now >= alert.code_expires:
            return replace(alert, state=AlertState.EXPIRED, ended=Step(_SYSTEM, now, NOT_CONFIRMED))
        if alert.state.given and alert.expires is not None and now >= alert.expires:
            board = self._desk.boards.get(alert.id)
            heard = board is None or board.sounded() > 0
            state = AlertState.EXPIRED if heard else AlertState.MISSED
            return replace(alert, state=state, ended=Step(_SYSTEM, now, ""))
        return None


def _standing(alert: Alert) -> tuple[AlertState, tuple[str, ...], datetime | None]:
    return alert.state, alert.rules, alert.expires
