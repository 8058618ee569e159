"""The alert desk: review, compose, confirm or override, extend, cancel.

Rules kept here:

1. Composing freezes clusters and bytes; confirming takes another person with the right over every target, or the
   composer alone with a reason that every superior is told.
2. From the confirmation on nothing waits: rights, targets, sound and the duplicate rule are read from memory, the
   decision and its orders are one line of the journal, and after that line every byte goes out.
3. What could not be recorded was not sent (``not_recorded``); what was answered with success is recorded.
4. The steps of one alert happen one after the other: two confirmations at once are one order, and a repeated request
   (same person, same step) gets the same answer.
5. Cancelling is one person's step: it silences first, then the twin that was confirmed with the alert goes out.
6. An alert that takes the place of others ends them where it sounds, in the same decision (model, rule 3). That needs
   no further right: whoever may let it sound there may.

Not here: rights (:mod:`…alerts.gate`), sound (:mod:`…alerts.composing`, made by :mod:`…alerts.preparing`), time passing
(:mod:`…alerts.tending`), the wires (:mod:`controller.services.dispatch`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from controller.services.alerts import places
from controller.services.alerts.board import Board
from controller.services.alerts.composing import Composer, Content, default_cancel
from controller.services.alerts.gate import Gate, code_hash, new_code
from controller.services.alerts.giving import LEAD
from controller.services.alerts.model import (
    MAX_LIFE,
    TOKEN_LIFE,
    Alert,
    AlertDraft,
    AlertKind,
    AlertState,
    AlertStep,
    Message,
    Origin,
    Person,
    Step,
    Words,
)
from controller.services.alerts.notices import NoticeBook
from controller.services.alerts.places import Places
from controller.services.alerts.preparing import Preparer
from controller.services.alerts.records import DRAFTS
from controller.services.alerts.register import AlertRegister, Used
from controller.services.alerts.review import Asked, Facts, Replaced, Review, make_review
from controller.services.alerts.sending import Act, AlertSender
from controller.services.alerts.templates import TemplateBook
from controller.services.alerts.watch import BoardRoom
from controller.services.context import SYSTEM, Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, ForbiddenError, InvalidError
from controller.store.ids import new_id
from schedules.instants import frames_of
from schedules.ladder import Priority

#: Told of an alert right after its orders are on their way (issued, extended), or after its cancel twin is (cancelled).
AlertListener = Callable[[Alert], None]


@dataclass(frozen=True, slots=True)
class Composed:
    """An alert that waits for its second person. ``code`` is shown to the composer once ('' when asked again later)."""

    alert: Alert
    code: str


@dataclass(frozen=True, slots=True)
class Looked:
    """A draft as it was looked at."""

    places: Places
    content: Content
    review: Review


class AlertDesk:
    """Use-cases of alerts. The ``on_…`` lists hold listeners: quick, never raising."""

    def __init__(
        self,
        *,
        composer: Composer,
        book: TemplateBook,
        register: AlertRegister,
        boards: BoardRoom,
        notices: NoticeBook,
        sender: AlertSender,
        directory: Directory,
        facts: Facts,
        stocked: Callable[[Message], Callable[[str], bool]],
        clock: Clock,
    ) -> None:
        self._composer = composer
        self._book = book
        self.register = register
        self.boards = boards
        self.notices = notices
        self.sender = sender
        self._directory = directory
        self._facts = facts
        self._stocked = stocked
        self._clock = clock
        self._gate = Gate(directory)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._codes: dict[str, str] = {}
        self._preparer = Preparer(
            composer=composer,
            register=register,
            sender=sender,
            turn=self.turn,
            arm=lambda spoken: self._armed(spoken, self._codes[spoken.id]),
            clock=clock,
        )
        self.on_issued: list[AlertListener] = []
        self.on_extended: list[AlertListener] = []
        self.on_cancelled: list[AlertListener] = []

    def turn(self, name: str) -> asyncio.Lock:
        """Whose turn it is with an alert: every step of it, and its end by the clock, happens while this is held."""
        lock = self._turns.get(name)
        if lock is None:
            lock = self._turns[name] = asyncio.Lock()
        return lock

    # --- looking -----------------------------------------------------------------------------------------------

    def alerts(self, actor: Actor) -> list[Alert]:
        """Alerts the actor may know of, newest first."""
        return [alert for alert in self.register.newest_first() if self._may_read(actor, alert)]

    def get(self, actor: Actor, alert_id: str) -> Alert:
        """One alert.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        alert = self.register.get(alert_id)
        if not self._may_read(actor, alert):
            raise ForbiddenError("none of your areas is concerned by this alert")
        return alert

    def code_of(self, actor: Actor, alert: Alert) -> str | None:
        """The code, for the composer alone and while the alert waits (forgotten by a restart)."""
        mine = actor.user_id == alert.composed.by.user_id and alert.state.waiting
        return self._codes.get(alert.id) if mine else None

    def recorded(self, actor: Actor, key: str) -> Used | None:
        """What this person's idempotency key stands for; None: nothing was recorded under it."""
        return self.register.used(actor, key)

    def farewell(self, alert: Alert) -> Board | None:
        """The board of what told people that an alert is over; None when nothing did."""
        return None if alert.farewell is None else self.boards.get(alert.farewell.rule)

    def board(self, alert_id: str) -> Board | None:
        """The board of an alert that was given."""
        return self.boards.get(alert_id)

    def review(self, actor: Actor, draft: AlertDraft) -> Review:
        """What it would do, in words and numbers. Changes nothing.

        Raises:
            InvalidError, NotFoundError, ConflictError, ForbiddenError: it could not be composed like this.
        """
        return self._look(self._gate.now(actor), draft).review

    def review_of(self, alert: Alert) -> Review:
        """What the second person sees: the alert as it was frozen, the fleet as it is now."""
        clusters = frozenset(each for each in alert.clusters if each in self._directory.clusters)
        found = Places(clusters, alert.draft.where.scope.everywhere)
        return self._review(
            Asked(
                found,
                alert.title,
                alert.message,
                alert.repetition,
                self._clock.now() + LEAD,
                _unspoken(alert.draft),
                alert.twin,
                _uncancelled(alert.draft, alert.title),
                self._replaced(alert.draft, clusters),
            )
        )

    # --- steps -------------------------------------------------------------------------------------------------

    async def compose(self, actor: Actor, draft: AlertDraft, *, idempotency_key: str | None = None) -> Composed:
        """Freeze a draft and arm it (words to be spoken are spoken first; it is armed when they are).

        Raises:
            InvalidError, NotFoundError, ForbiddenError: what is wrong with it.
            ConflictError: ``idempotency_key_reused``, ``template_not_active``.
            TooManyError: ``too_many_alerts``.
            BusyError: ``not_recorded``, ``too_many_preparing``.
        """
        actor, now = self._gate.now(actor), self._clock.now()
        digest = _digest(draft)
        if idempotency_key is None:
            return await self._compose(Act("compose", actor, None, digest), draft, now)
        async with self.turn(f"{actor.user_id} {idempotency_key}"):  # a double click is one alert
            known = self.register.replay(actor, idempotency_key, "compose", digest)
            if known is not None:
                return Composed(known, self.code_of(actor, known) or "")
            return await self._compose(Act("compose", actor, idempotency_key, digest), draft, now)

    async def _compose(self, act: Act, draft: AlertDraft, now: datetime) -> Composed:
        actor = act.actor
        looked = self._look(actor, draft)
        self._gate.admit_composed(actor, now)
        alert = self._composed(actor, draft, looked, now)
        if looked.content.to_speak:
            self._preparer.require_place()
        code = new_code()
        if not looked.content.to_speak:
            alert = self._armed(alert, code)
        await self.sender.record(act, alert)
        self._remember(alert.id, code)
        if looked.content.to_speak:
            await self._preparer.put(alert.id)
        return Composed(alert, code)

    def _remember(self, alert_id: str, code: str) -> None:
        alerts = self.register.alerts
        waiting = {each: kept for each, kept in self._codes.items() if each in alerts and alerts[each].state.waiting}
        self._codes = {**waiting, alert_id: code}

    async def confirm(self, actor: Actor, alert_id: str, code: str, *, idempotency_key: str | None = None) -> Alert:
        """The second person says yes: it sounds.

        Raises:
            NotFoundError: there is no such alert.
            ForbiddenError: ``same_person``, ``wrong_code``, ``composer_lost_right``, or the right is missing.
            ConflictError: ``code_expired``, ``duplicate_order``, or it is not waiting any more.
            TooManyError: ``too_many_alerts``, ``too_many_codes``.
            BusyError: ``not_recorded``; nothing was sent.
        """
        async with self.turn(alert_id):
            actor, alert, now = self._gate.now(actor), self.register.get(alert_id), self._clock.now()
            if self._done_by(actor, alert, idempotency_key, "confirm"):
                return self.register.get(alert_id)
            self._gate.require_second(actor, alert)
            self._gate.require_armed(alert, now)
            self._gate.require_code(actor, alert, code, now)
            given = await self._give(Act("confirm", actor, idempotency_key), alert, "")
        _tell(self.on_issued, given)
        return given

    async def override(self, actor: Actor, alert_id: str, reason: str, *, idempotency_key: str | None = None) -> Alert:
        """The composer alone, with a reason: it sounds, and every superior is told.

        Raises:
            InvalidError: ``no_reason``.
            NotFoundError, ForbiddenError, ConflictError, TooManyError, BusyError: as :meth:`confirm`.
        """
        if len(reason.strip()) < 3:  # noqa: PLR2004 - a word at least
            raise InvalidError("say why nobody else can confirm it", code="no_reason")
        async with self.turn(alert_id):
            actor, alert, now = self._gate.now(actor), self.register.get(alert_id), self._clock.now()
            if self._done_by(actor, alert, idempotency_key, "override"):
                return self.register.get(alert_id)
            self._gate.require_alone(actor, alert)
            self._gate.require_armed(alert, now)
            given = await self._give(Act("override", actor, idempotency_key), alert, reason.strip())
        self.tell_superiors(given)
        _tell(self.on_issued, given)
        return given

    async def extend(
        self, actor: Actor, alert_id: str, until: datetime, *, idempotency_key: str | None = None
    ) -> Alert:
        """Let it go on until then: at its cadence, or every two hours if it had none.

        Raises:
            InvalidError: ``bad_until``, or ``not_later``: that would shorten it.
            ConflictError: it is over, or a live voice (extend the session).
            NotFoundError, ForbiddenError, BusyError: as :meth:`confirm`.
        """
        async with self.turn(alert_id):
            actor, alert, now = self._gate.now(actor), self.register.get(alert_id), self._clock.now()
            digest = until.isoformat()
            replayed = self.register.replay(actor, idempotency_key, "extend", digest, alert_id=alert_id)
            if replayed is not None:
                return replayed
            self._gate.require(actor, Permission.EMERGENCY_CONFIRM, alert)
            if not alert.state.given or alert.message is None or alert.start is None:
                raise ConflictError(f"this alert is {alert.state} and cannot be extended", code="not_sounding")
            if not now < until <= now + MAX_LIFE:
                raise InvalidError("extend it to a time within the next 24 hours", code="bad_until")
            held = alert.repetition.until or (alert.start + MAX_LIFE if alert.repetition.every is not None else None)
            if held is not None and until <= held:
                raise InvalidError("it repeats at least until then already", code="not_later")
            extended = await self.sender.extend(Act("extend", actor, idempotency_key, digest), alert, until)
        _tell(self.on_extended, extended)
        return extended

    async def cancel(
        self,
        actor: Actor,
        alert_id: str,
        *,
        all_clear: bool = False,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Alert:
        """Silence it, and send its cancel twin (or the all-clear template) to the same clusters. One person's step.

        What a STOP ended had no end that people heard: it may be cancelled, or cleared, once more.

        Raises:
            ConflictError: ``no_all_clear`` template is active; it is over already.
            BusyError: ``not_recorded``: it was silenced all the same, but no message went out.
            NotFoundError, ForbiddenError: it is not there, or no right to compose or confirm there.
        """
        async with self.turn(alert_id):
            actor, alert = self._gate.now(actor), self.register.get(alert_id)
            ended = AlertState.CLEARED if all_clear else AlertState.CANCELLED
            step: AlertStep = "clear" if all_clear else "cancel"
            replayed = self.register.replay(actor, idempotency_key, step, alert_id=alert_id)
            if replayed is not None or (alert.state is ended and not alert.stopped):
                return replayed or alert
            self._gate.require_either(actor, alert)
            over = replace(alert, state=ended, ended=Step(_person(actor), self._clock.now(), reason.strip()))
            if alert.state.waiting:
                await self.sender.record(Act(step, actor, idempotency_key), over)
                self._preparer.cancel(alert_id)
                return over
            if not alert.state.given and not alert.stopped:
                raise ConflictError(f"this alert is {alert.state} already", code=f"alert_{alert.state}")
            over = await self.sender.silence(Act(step, actor, idempotency_key), over)
        _tell(self.on_cancelled, over)
        return over

    async def issue_automatic(self, draft: AlertDraft, policy_name: str) -> Alert:
        """Send at once, by a policy that was approved beforehand. Templates only; every superior is told.

        Raises:
            InvalidError: ``not_a_template``, and what is wrong with the draft.
            ConflictError: ``duplicate_order``, ``template_not_active``.
            BusyError: ``not_recorded``.
        """
        if draft.kind is not AlertKind.TEMPLATE:
            raise InvalidError("only templates are sent without people", code="not_a_template")
        if draft.origin.kind != "policy":
            draft = replace(draft, origin=Origin("policy", policy_name, draft.origin.summary))
        looked = self._look(SYSTEM, draft)
        alert = self._armed(self._composed(SYSTEM, draft, looked, self._clock.now()), new_code())
        await self.sender.record(Act("compose", SYSTEM), alert)
        async with self.turn(alert.id):
            given = await self._give(Act("confirm", SYSTEM), alert, f"policy {policy_name}")
        self.tell_superiors(given)
        _tell(self.on_issued, given)
        return given

    async def run(self) -> None:
        """Make the speech of text alerts until cancelled."""
        await self._preparer.run()

    def tell_superiors(self, alert: Alert) -> None:
        """Notices about an alert that one person, or a policy, gave alone."""
        if alert.given is None:
            return
        by = alert.given.by
        user = self._directory.users.get(by.user_id)
        called = f"{user.display_name} ({by.name})" if user is not None and user.display_name else by.name
        who = "Chính sách tự động" if alert.draft.origin.kind == "policy" else called
        text = (
            f"{who} đã tự phát cảnh báo “{alert.title}” tại {len(alert.clusters)} cụm loa lúc "
            f"{self._local(alert.given.at)} mà không có người thứ hai xác nhận. "
            f"Lý do: {alert.given.reason}"
        )
        told = self.notices.superiors(alert.clusters, besides=alert.given.by.user_id)
        self.notices.post(told, "alert_alone", alert.id, text)

    # --- inside ------------------------------------------------------------------------------------------------

    def _look(self, actor: Actor, draft: AlertDraft) -> Looked:
        found = places.resolve(self._directory, draft.where)
        places.require(self._directory, actor, Permission.EMERGENCY_COMPOSE, draft.where, found.clusters)
        now = self._clock.now()
        self._require_replaceable(actor, draft)
        content = self._composer.content(draft, now)
        self._composer.require_playable(content, found, draft, now + LEAD)
        asked = Asked(
            found,
            content.title,
            content.message,
            content.repetition,
            now + LEAD,
            _unspoken(draft),
            content.twin,
            _uncancelled(draft, content.title),
            self._replaced(draft, found.clusters),
        )
        return Looked(found, content, self._review(asked))

    def _review(self, asked: Asked) -> Review:
        stocked = (lambda _: True) if asked.message is None else self._stocked(asked.message)
        return make_review(replace(self._facts, stocked=stocked), asked)

    def _composed(self, actor: Actor, draft: AlertDraft, looked: Looked, now: datetime) -> Alert:
        content = looked.content
        voice = draft.kind is AlertKind.VOICE
        return Alert(
            id=new_id("al"),
            title=content.title,
            category=content.category,
            priority=Priority.EMERGENCY_LIVE if voice else Priority.EMERGENCY_STORED,
            draft=draft,
            clusters=looked.places.clusters,
            message=content.message,
            twin=content.twin,
            repetition=content.repetition,
            state=AlertState.COMPOSED,
            composed=Step(_person(actor), now),
            template_version=content.template_version,
            length=frames_of(looked.review.length),
        )

    def _armed(self, alert: Alert, code: str) -> Alert:
        return replace(
            alert,
            state=AlertState.ARMED,
            code_sha256=code_hash(alert.id, code),
            code_expires=self._clock.now() + TOKEN_LIFE,
        )

    def _done_by(self, actor: Actor, alert: Alert, key: str | None, step: str) -> bool:
        """Whether this very person took this very step before: a double click, a retry, another tab."""
        if self.register.replay(actor, key, step, alert_id=alert.id) is not None:
            return True
        return alert.given is not None and alert.given.by.user_id == actor.user_id

    async def _give(self, act: Act, alert: Alert, reason: str) -> Alert:
        now = self._clock.now()
        known = self._directory.clusters
        clusters = frozenset(each for each in alert.clusters if each in known and known[each].active)
        if not clusters:
            raise ConflictError("none of its clusters is in use any more", code="no_target")
        if alert.draft.kind is AlertKind.TEMPLATE and alert.draft.template is not None:
            self._book.ready(alert.draft.template)  # rejected or retired meanwhile: refuse
        state = AlertState.OVERRIDDEN if act.step == "override" else AlertState.CONFIRMED
        given = replace(alert, state=state, given=Step(_person(act.actor), now, reason), clusters=clusters)
        self.sender.require_new(given)
        self._gate.admit_given(act.actor, now)
        async with AsyncExitStack() as turns:  # earlier alerts only: nobody waits in a circle
            for name in alert.draft.replaces:
                await turns.enter_async_context(self.turn(name))
            return await self.sender.sound(act, given, [each.alert for each in self._replaced(alert.draft, clusters)])

    def _require_replaceable(self, actor: Actor, draft: AlertDraft) -> None:
        for name in draft.replaces:
            spoken_live = self.get(actor, name).draft.kind is AlertKind.VOICE
            if spoken_live or draft.kind is AlertKind.VOICE:
                raise InvalidError("a live voice and a message do not replace each other", code="not_replaceable")

    def _replaced(self, draft: AlertDraft, clusters: frozenset[str]) -> tuple[Replaced, ...]:
        """What would end where the draft sounds, of what still holds."""
        named = [self.register.alerts[each] for each in dict.fromkeys(draft.replaces) if each in self.register.alerts]
        standing = [each for each in named if each.state.given and each.remaining & clusters]
        return tuple(Replaced(each, each.remaining & clusters, each.remaining - clusters) for each in standing)

    def _local(self, at: datetime) -> str:
        zone = ZoneInfo(self._directory.house_timezone())
        return at.astimezone(zone).strftime("%H:%M:%S ngày %d/%m/%Y")

    def _may_read(self, actor: Actor, alert: Alert) -> bool:
        return any(
            self._directory.allows(actor, Permission.READ, area_id)
            for area_id in places.areas_of(self._directory, alert.clusters)
        )


def _unspoken(draft: AlertDraft) -> tuple[Words, ...]:
    return draft.words if draft.kind is AlertKind.TEXT else ()


def _uncancelled(draft: AlertDraft, title: str) -> tuple[Words, ...]:
    return draft.cancel_words or default_cancel(title, draft.words) if draft.kind is AlertKind.TEXT else ()


def _person(actor: Actor) -> Person:
    return Person(actor.user_id, actor.name)


def _digest(draft: AlertDraft) -> str:
    return hashlib.sha256(repr(sorted(DRAFTS.dump(draft).items())).encode()).hexdigest()


def _tell(listeners: list[AlertListener], alert: Alert) -> None:
    for listener in listeners:
        listener(alert)
