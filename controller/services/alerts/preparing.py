"""The speech of text alerts, made beside the desk's work: what was composed is armed, or failed, when it is spoken.

Rules kept here:

1. At most :data:`PREPARING` alerts wait; the next one is refused before it is composed.
2. An alert that is cancelled meanwhile is not spoken to its end: its child processes end at once, and what they had
   made is removed.
3. What became of the speech is recorded in the alert's turn, and only while the alert still waits for it.

Not here: words and sound (:mod:`…alerts.composing`), confirming (:mod:`…alerts.desk`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from controller.services.alerts.composing import Composer, Content
from controller.services.alerts.giving import LEAD
from controller.services.alerts.model import Alert, AlertState
from controller.services.alerts.places import Places
from controller.services.alerts.register import AlertRegister
from controller.services.alerts.sending import Act, AlertSender
from controller.services.context import Actor, Clock
from controller.services.endings import unless_ended
from controller.services.errors import BusyError, ServiceError
from schedules.instants import frames_of

#: Alerts whose speech may wait to be made.
PREPARING: Final = 20
_WORKERS: Final = 2

_log = structlog.get_logger(__name__)


class Preparer:
    """Speaks alerts in the order they came. ``turn``: of an alert; ``arm``: lets a spoken one wait for its person."""

    def __init__(
        self,
        *,
        composer: Composer,
        register: AlertRegister,
        sender: AlertSender,
        turn: Callable[[str], asyncio.Lock],
        arm: Callable[[Alert], Alert],
        clock: Clock,
    ) -> None:
        self._composer = composer
        self._register = register
        self._sender = sender
        self._turn = turn
        self._arm = arm
        self._clock = clock
        self._waiting: asyncio.Queue[str] = asyncio.Queue(PREPARING)
        self._speaking: dict[str, asyncio.Task[tuple[Act, Alert]]] = {}

    def require_place(self) -> None:
        """Refuse when too much waits already.

        Raises:
            BusyError: ``too_many_preparing``.
        """
        if self._waiting.full():
            raise BusyError("too many alerts are being prepared; try again in a moment", code="too_many_preparing")

    async def put(self, alert_id: str) -> None:
        """It was composed: speak it."""
        await self._waiting.put(alert_id)  # bounded: the workers give every speech up after a while

    def cancel(self, alert_id: str) -> None:
        """Nobody wants it any more. One that still waits is passed over when its turn comes."""
        if alert_id in self._speaking:
            self._speaking[alert_id].cancel()

    async def run(self) -> None:
        """Speak until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(_WORKERS):
                group.create_task(self._work(), name=f"alert-speech-{number}")

    async def _work(self) -> None:
        while True:
            alert_id = await self._waiting.get()
            alert = self._register.alerts.get(alert_id)
            if alert is None or alert.state is not AlertState.COMPOSED:
                continue
            speaking = self._speaking[alert_id] = asyncio.create_task(self._speak(alert), name=f"speech of {alert_id}")
            try:
                spoken = await unless_ended(speaking)
            finally:
                del self._speaking[alert_id]
            if spoken is None:
                continue
            try:
                await self._record(*spoken)
            except BusyError as error:  # the disk: a person composes it again
                _log.error("alert_not_armed", alert=alert_id, why=error.detail)

    async def _record(self, act: Act, ready: Alert) -> None:
        async with self._turn(ready.id):
            if self._register.get(ready.id).state is not AlertState.COMPOSED:
                return  # somebody cancelled it meanwhile
            await self._sender.record(act, self._arm(ready) if act.step == "arm" else ready)

    async def _speak(self, alert: Alert) -> tuple[Act, Alert]:
        actor = Actor(alert.composed.by.user_id, alert.composed.by.name)
        try:
            message, twin = await self._composer.speak(alert.draft, alert.title)
            content = Content(alert.title, alert.category, alert.repetition, message, twin)
            found = Places(alert.clusters)
            length = self._composer.require_playable(content, found, alert.draft, self._clock.now() + LEAD)
        except ServiceError as error:
            failed = replace(alert, state=AlertState.EXPIRED, fault=f"{error.code}: {error.detail}")
            return Act("fail", actor), failed
        except OSError as error:
            _log.error("alert_not_spoken", alert=alert.id, why=str(error))
            fault = "storage_failing: its speech could not be stored; use a template, or free the disk"
            return Act("fail", actor), replace(alert, state=AlertState.EXPIRED, fault=fault)
        return Act("arm", actor), replace(alert, message=message, twin=twin, length=frames_of(length))
