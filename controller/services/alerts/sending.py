"""An alert's decisions carried out: journalled with their orders in one line, sent, followed on a board.

Rules kept here:

1. Everything is read from memory; the journal's line is the only wait.
2. A decision and its orders are recorded together or not at all; a board exists before the first answer can come.
3. Silence first: a cancel message that the disk refuses does not keep the alert sounding.
4. Silence is told for a day to boxes that were away, which is as long as anything they may have got can sound.
5. What an alert takes the place of ends in the same line of the journal: both happened, or neither.

Not here: who may (:mod:`…alerts.gate`), the steps (:mod:`…alerts.desk`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from controller.services.alerts.giving import LEAD, Orders, Sounding, content_of, orders_of
from controller.services.alerts.model import (
    CADENCE,
    DEFAULT_VALID,
    FAREWELL,
    MAX_LIFE,
    VOICE_LIFE,
    Alert,
    AlertKind,
    AlertState,
    AlertStep,
    Category,
    Farewell,
    Message,
    Repetition,
    Step,
)
from controller.services.alerts.register import AlertRegister, Used, decision
from controller.services.alerts.sounding import approved
from controller.services.alerts.templates import TemplateBook
from controller.services.alerts.watch import BoardRoom
from controller.services.context import Actor, Clock
from controller.services.directory import Directory
from controller.services.dispatch import Courier, Sheet
from controller.services.errors import BusyError, ConflictError, ServiceError
from controller.services.order_rules import OrderMemory, Start
from protocol.documents import WithdrawOrder
from schedules.ladder import Priority
from schedules.model import Approval

_log = structlog.get_logger(__name__)

_SILENCE_LIFE: Final = MAX_LIFE
_TWICE: Final = Repetition(2, timedelta(seconds=5))
_CANCELLED: Final = "Lời hủy: "  # a cluster that says so must not seem to sound the alert itself
_CLEARED: Final = "Báo an toàn: "


class _Billing(Protocol):
    @property
    def id(self) -> str: ...


class VoiceSession(Protocol):
    """A live session, as far as an alert must name it."""

    @property
    def billing(self) -> _Billing:
        """What it is announced as."""
        ...

    @property
    def stream_ids(self) -> frozenset[int]:
        """What boxes call its sound."""
        ...


class Voice(Protocol):
    """The live desk, as far as an emergency's voice goes."""

    async def start_emergency(
        self, actor: Actor, *, clusters: Collection[str], title: str, alert_id: str, max_duration: timedelta
    ) -> VoiceSession:
        """Open a voice of class 90."""
        ...

    def end_of_alert(self, alert_id: str) -> None:
        """The alert is over: so is its voice."""
        ...


@dataclass(frozen=True, slots=True)
class Act:
    """One step somebody takes. ``key`` makes it repeatable, ``digest`` says what was asked."""

    step: AlertStep
    actor: Actor
    key: str | None = None
    digest: str = ""


class AlertSender:
    """Carries decisions out."""

    def __init__(
        self,
        *,
        register: AlertRegister,
        boards: BoardRoom,
        book: TemplateBook,
        courier: Courier,
        directory: Directory,
        memory: OrderMemory,
        clock: Clock,
    ) -> None:
        self._register = register
        self._boards = boards
        self._book = book
        self._courier = courier
        self._directory = directory
        self._memory = memory
        self._clock = clock
        self.voice: Voice | None = None

    async def record(self, act: Act, alert: Alert) -> None:
        """Journal a decision that sends nothing.

        Raises:
            BusyError: ``not_recorded``.
        """
        note = decision(act.step, alert, act.actor, key=act.key, digest=act.digest)
        await self._courier.note([note], actor=act.actor.audit_name)
        self._done(act, alert)

    def require_new(self, alert: Alert) -> None:
        """Refuse what was started there a moment ago.

        Raises:
            ConflictError: ``duplicate_order``.
        """
        earlier = self._memory.duplicate_of(same_start(alert), self._clock.now())
        if earlier is not None and not alert.draft.again:
            raise ConflictError(
                f"the same was started there less than 3 minutes ago ({earlier}); say 'again' if you mean it",
                code="duplicate_order",
            )

    async def sound(self, act: Act, alert: Alert, replaced: Sequence[Alert] = ()) -> Alert:
        """Let a decided alert (``given`` is set) sound, in the place of earlier ones where it does.

        Raises:
            BusyError: ``not_recorded``; nothing was sent.
            ConflictError: ``no_live_desk``.
        """
        now = self._clock.now()
        alert = replace(alert, start=now + LEAD)
        if alert.message is None:
            alert = await self._speak_live(act, alert)
        else:
            approval = Approval(act.actor.name, now)
            twin = None if alert.twin is None else approved(alert.twin, approval)
            alert = replace(alert, message=approved(alert.message, approval), twin=twin, rules=(f"{alert.id}_1",))
            orders = orders_of(self._sounding(alert, alert.rules[0], alert.message, alert.repetition))
            alert = replace(alert, expires=orders.expires)
            await self._send(act, alert, orders, replaced)
        self._memory.started(same_start(alert), alert.id, self._clock.now())
        return alert

    async def extend(self, act: Act, alert: Alert, until: datetime) -> Alert:
        """Let a sounding alert go on.

        While it still repeats and a day has not passed since its start, the same order with a later end takes the place
        of the first one; otherwise it is a new order that begins at once.

        Raises:
            BusyError: ``not_recorded``; nothing was sent.
        """
        assert alert.start is not None  # noqa: S101 - it was given
        now = self._clock.now()
        repetition = replace(alert.repetition, every=alert.repetition.every or CADENCE, until=until)
        goes_on = alert.repetition.every is not None and until <= alert.start + MAX_LIFE
        goes_on = goes_on and alert.expires is not None and now < alert.expires
        rules = alert.rules if goes_on else (*alert.rules, f"{alert.id}_{len(alert.rules) + 1}")
        alert = replace(alert, repetition=repetition, rules=rules, start=alert.start if goes_on else now + LEAD)
        orders = orders_of(self._sounding(alert, rules[-1], alert.message, repetition))
        alert = replace(alert, expires=orders.expires)
        await self._send(act, alert, orders)
        return alert

    async def silence(self, act: Act, alert: Alert) -> Alert:
        """End an alert that was given (``ended`` is set): silence, then its twin, or the all-clear (step ``clear``).

        Returns the alert with its farewell, whose board is under the rule of the farewell.

        Raises:
            ConflictError: ``no_all_clear``; nothing was done.
            BusyError: ``not_recorded``: it is silent, but no message went out.
        """
        message = self._all_clear() if act.step == "clear" else alert.twin
        silence = _silence(alert, alert.remaining)
        now = self._clock.now()
        self._courier.retire_rules(frozenset(alert.rules))
        if self.voice is not None and alert.draft.kind is AlertKind.VOICE:
            self.voice.end_of_alert(alert.id)
        if message is not None:
            alert = await self._silence_and_tell(act, alert, message, silence)
        elif silence:
            await self._dispatch(act, alert, silence, _SILENCE_LIFE)
        else:
            await self.record(act, alert)
        self._memory.silenced(alert.remaining, now)
        self._boards.silenced(alert.id, alert.remaining, now)
        return alert

    async def _silence_and_tell(self, act: Act, alert: Alert, message: Message, silence: tuple[Sheet, ...]) -> Alert:
        now, rule = self._clock.now(), alert.id + FAREWELL
        said = approved(message, Approval(act.actor.name, now))
        last = replace(alert, start=now + LEAD)
        title = (_CLEARED if act.step == "clear" else _CANCELLED) + alert.title
        orders = orders_of(replace(self._sounding(last, rule, said, _TWICE), title=title, valid=DEFAULT_VALID))
        words = next((each.text for each in message.spoken), "")
        alert = replace(alert, farewell=Farewell(rule, now + LEAD, orders.expires, words))
        self._boards.open(rule, (rule,), alert.remaining, now + LEAD, orders.expires)
        try:
            await self._dispatch(act, alert, (*silence, *orders.sheets), orders.expires - now)
        except BusyError:
            self._boards.drop(rule)
            if silence:  # rule 3
                await self._courier.give_all(silence, actor=act.actor.audit_name, life=_SILENCE_LIFE)
            raise
        return alert

    async def _speak_live(self, act: Act, alert: Alert) -> Alert:
        if self.voice is None:
            raise ConflictError("there is no live desk here", code="no_live_desk")
        now = self._clock.now()
        ends = now + VOICE_LIFE
        alert = replace(alert, expires=ends)
        await self.record(act, alert)
        self._boards.open(alert.id, (), alert.clusters, ends, ends)  # nobody is late before somebody speaks
        speaker = self._composer_of(alert) or act.actor  # who asked for the microphone speaks
        try:
            session = await self.voice.start_emergency(
                speaker, clusters=alert.clusters, title=alert.title, alert_id=alert.id, max_duration=VOICE_LIFE
            )
        except ServiceError as error:
            await self._unspoken(act, alert, error, now)
            raise
        except Exception as error:
            _log.exception("an emergency voice could not be opened", alert=alert.id)
            fault = BusyError("the live desk failed; the log says why", code="voice_failed")
            await self._unspoken(act, alert, fault, now)
            raise fault from error
        self._boards.follow_streams(alert.id, session.stream_ids)
        alert = replace(alert, voice=session.billing.id)
        self._register.put(alert)
        return alert

    async def _unspoken(self, act: Act, alert: Alert, error: ServiceError, now: datetime) -> None:
        """It was confirmed and nobody can speak: never left to look as if it sounded."""
        ended = Step(alert.composed.by, now, error.detail)
        failed = replace(alert, state=AlertState.EXPIRED, ended=ended, fault=f"{error.code}: {error.detail}")
        await self.record(Act("fail", act.actor), failed)

    def _composer_of(self, alert: Alert) -> Actor | None:
        user = self._directory.users.get(alert.composed.by.user_id)
        return None if user is None else Actor(user.id, user.name, user.grants)

    def _all_clear(self) -> Message:
        ready = next((each for each in self._book.in_use() if each.spec.category is Category.ALL_CLEAR), None)
        if ready is None:
            raise ConflictError("no all-clear template is active; cancel it instead", code="no_all_clear")
        return ready.message

    def _sounding(self, alert: Alert, rule: str, message: Message | None, repetition: Repetition) -> Sounding:
        assert message is not None  # noqa: S101 - the callers looked
        assert alert.start is not None  # noqa: S101 - it is being given
        known = self._directory.clusters
        return Sounding(
            rule_id=rule,
            title=alert.title,
            priority=Priority.EMERGENCY_STORED,
            message=message,
            languages={each: known[each].languages for each in alert.remaining if each in known},
            repetition=repetition,
            start=alert.start,
            valid=alert.draft.valid,
        )

    async def _send(self, act: Act, alert: Alert, orders: Orders, replaced: Sequence[Alert] = ()) -> None:
        assert alert.start is not None  # noqa: S101 - it is being given
        fresh = self._boards.get(alert.id) is None
        if fresh:
            self._boards.open(alert.id, alert.rules, alert.clusters, alert.start, orders.expires)
        try:
            await self._dispatch(act, alert, orders.sheets, orders.expires - self._clock.now(), replaced)
        except BusyError:
            if fresh:
                self._boards.drop(alert.id)
            raise
        self._boards.prolong(alert.id, alert.rules, orders.expires)

    async def _dispatch(
        self, act: Act, alert: Alert, sheets: tuple[Sheet, ...], life: timedelta, replaced: Sequence[Alert] = ()
    ) -> None:
        now = self._clock.now()
        ends = [_given_way(old, alert, now) for old in replaced]
        places = [alert.clusters & old.remaining for old in replaced]
        silence = [sheet for old, where in zip(replaced, places, strict=True) for sheet in _silence(old, where)]
        await self._courier.give_all(
            (*silence, *sheets),
            actor=act.actor.audit_name,
            life=max(life, timedelta(minutes=1)),
            details={"alert": alert.id},
            idempotency_key=act.key,
            notes=[
                decision(act.step, alert, act.actor, key=act.key, digest=act.digest),
                *(decision("replace", over, act.actor, by=alert.id) for over in ends),
            ],
        )
        for over, where in zip(ends, places, strict=True):
            self._courier.retire_rules(frozenset(over.rules), where)
            self._memory.silenced(where, now)
            self._boards.silenced(over.id, where, now)
            self._register.put(over)
        self._done(act, alert)

    def _done(self, act: Act, alert: Alert) -> None:
        self._register.put(alert)
        self._register.use(act.actor, act.key, Used(alert.id, act.step, self._clock.now(), act.digest))


def _silence(alert: Alert, where: frozenset[str]) -> tuple[Sheet, ...]:
    return tuple(Sheet(WithdrawOrder(rule), where, _SILENCE_LIFE) for rule in alert.rules)


def _given_way(old: Alert, new: Alert, now: datetime) -> Alert:
    """An alert as it is after a later one took its place."""
    old = replace(old, taken=old.taken | (old.clusters & new.clusters), successor=new.id)
    if old.remaining or new.given is None:
        return old
    return replace(old, state=AlertState.REPLACED, ended=Step(new.given.by, now, new.title))


def same_start(alert: Alert) -> Start:
    """What the duplicate rule compares."""
    content = ("voice",) if alert.message is None else content_of(alert.message, alert.repetition.times)
    return Start(alert.priority, content, alert.clusters)
