"""Who may try the loudspeakers, with what, where and when; and the order that does it, signed with the drill key.

Rules kept here:

1. The right is DRILL over every place that is meant. One person is enough: a drill says that it is one.
2. What sounds stands between two notices that the system puts there (:mod:`controller.services.drills.notices`); nobody
   can leave them out, and a box refuses it without them.
3. Audible ones keep civil hours: no part of it may lie in the quiet hours of any cluster meant. Class 70 never wakes
   anybody, and the boxes refuse it too.
4. One audible drill at a place at a time. It expires two minutes after its end: nobody hears a drill late.
5. A silent test makes no sound; it may be ordered at any hour, and whoever has not answered after a minute is missing.
   That of one cluster is also for who looks after its boxes (:meth:`DrillDesk.prove`).

Not here: facts and rows (:mod:`controller.services.drills.books`), when the regular ones are due
(:mod:`controller.services.drills.calendar`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from controller.services.alerts.model import Message, SpokenClip, Where, Words
from controller.services.alerts.places import require, resolve
from controller.services.alerts.sounding import BREATH, Group, groups
from controller.services.alerts.speech import Speaker
from controller.services.alerts.templates import TemplateBook
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.dispatch import Courier, Dispatched, Sheet
from controller.services.drills.books import DrillBook
from controller.services.drills.model import Drill, DrillDraft, DrillKind, Result
from controller.services.drills.notices import TEST_WORDS, DrillNotices
from controller.services.errors import BusyError, ConflictError, InvalidError
from controller.services.orders import Scope
from controller.store import StoreBusyError
from controller.store.ids import new_id
from protocol.documents import PlayOrder, SilentTestOrder, WithdrawOrder
from schedules.airtime import overlaps_quiet
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Item, LateKind, LatePolicy, Pause, Piece, Recorded

#: From the order to the first sample: everybody begins together.
LEAD: Final = timedelta(seconds=2)
#: A sound that was not in the cache may come so late, and no later.
SLACK: Final = timedelta(minutes=2)
#: How long a silent test waits for boxes that are away: those that come within it prove themselves too.
SILENT_LIFE: Final = timedelta(minutes=30)
MAX_TIMES: Final = 3
_GAP: Final = timedelta(seconds=3)
_PREFIX: Final = "DIỄN TẬP: "
_log = structlog.get_logger(__name__)
_TITLES: Final = {DrillKind.TEST: "Kiểm tra định kỳ", DrillKind.SILENT: "Kiểm tra không tiếng"}


class DrillDesk:
    """The desk of drills and tests."""

    def __init__(
        self,
        *,
        book: DrillBook,
        notices: DrillNotices,
        templates: TemplateBook,
        speaker: Speaker,
        courier: Courier,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self.book = book
        self.notices = notices
        self._templates = templates
        self._speaker = speaker
        self._courier = courier
        self._directory = directory
        self._clock = clock
        self._turn = asyncio.Lock()
        #: Told of every drill and test after it was ordered, and after it was cancelled. They must be quick.
        self.listeners: list[Callable[[Drill], None]] = []

    def drills(self, actor: Actor) -> list[Drill]:
        """Those somebody may see, newest first."""
        return [drill for drill in self.book.all() if self._readable(actor, drill)]

    def get(self, actor: Actor, drill_id: str) -> Drill:
        """One drill.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        drill = self.book.get(drill_id)
        for cluster_id in drill.clusters & self._directory.clusters.keys():
            self._directory.require(actor, Permission.READ, self._directory.clusters[cluster_id].area_id)
        return drill

    async def start(self, actor: Actor, draft: DrillDraft) -> Drill:
        """Try it now.

        Raises:
            InvalidError: ``no_target``, ``no_content``, ``too_often``, or what the speaker says.
            ForbiddenError: no right to drill somewhere.
            ConflictError: ``quiet_hours``, ``drill_running``, ``no_notice``.
            BusyError: ``not_recorded``: nothing was ordered.
        """
        places = resolve(self._directory, draft.where)
        require(self._directory, actor, Permission.DRILL, draft.where, places.clusters)
        if draft.kind is DrillKind.SILENT:
            return await self._order(actor, draft, places.clusters, None)
        if not 1 <= draft.times <= MAX_TIMES:
            raise InvalidError(f"a drill is heard at most {MAX_TIMES} times in a row", code="too_often")
        if not self.notices.languages(()):
            raise ConflictError("the drill notice is not made yet; try again in a minute", code="no_notice")
        self._require_alone(places.clusters)
        message = await self._message(draft)
        async with self._turn:  # a second click waits, and then finds the first drill on
            clusters = places.clusters & self._directory.clusters.keys()  # those that are still there
            self._require_alone(clusters)
            return await self._order(actor, draft, clusters, message)

    async def prove(self, actor: Actor, cluster_id: str) -> Drill:
        """Let the boxes of one cluster test themselves; nothing sounds. Also for who looks after them.

        Raises:
            NotFoundError: there is no such cluster.
            ForbiddenError: neither the right to drill nor that over its boxes is held there.
            InvalidError: ``no_target``: it is switched off.
            BusyError: ``not_recorded``.
        """
        area_id = self._directory.cluster(cluster_id).area_id
        self._directory.require_any(actor, (Permission.AGENT_CONTROL, Permission.DRILL), area_id)
        draft = DrillDraft(Where(Scope(clusters=(cluster_id,))), DrillKind.SILENT)
        return await self._order(actor, draft, resolve(self._directory, draft.where).clusters, None)

    async def cancel(self, actor: Actor, drill_id: str) -> Drill:
        """End a drill that sounds.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not theirs to end.
            BusyError: the database is locked; it is silent all the same.
        """
        drill = self.book.get(drill_id)
        for cluster_id in drill.clusters & self._directory.clusters.keys():
            self._directory.require(actor, Permission.DRILL, self._directory.clusters[cluster_id].area_id)
        if drill.kind is not DrillKind.SILENT and not drill.over(self._clock.now()):
            self._courier.retire_rules(frozenset({drill.id}))
            await self._courier.give(
                WithdrawOrder(drill.id), drill.clusters, actor=actor.audit_name, life=timedelta(hours=1)
            )
        await self.book.cancelled(actor, drill)
        self._tell(drill)
        return drill

    # --- inside ------------------------------------------------------------------------------------------------

    def _readable(self, actor: Actor, drill: Drill) -> bool:
        known = drill.clusters & self._directory.clusters.keys()
        areas = {self._directory.clusters[each].area_id for each in known}
        return all(self._directory.allows(actor, Permission.READ, area_id) for area_id in areas)

    def _require_alone(self, clusters: frozenset[str]) -> None:
        now = self._clock.now()
        for other in self.book.all():
            if other.kind is not DrillKind.SILENT and not other.over(now) and other.clusters & clusters:
                raise ConflictError(f"the drill {other.title!r} ({other.id}) is on there", code="drill_running")

    async def _message(self, draft: DrillDraft) -> Message:
        if draft.kind is DrillKind.TEST:
            languages = [
                "vi",
                *(each for each in TEST_WORDS if each != "vi" and each in self.notices.languages([each])),
            ]
            return Message(None, await self._spoken([Words(each, TEST_WORDS[each]) for each in languages]))
        if draft.template is not None:
            return self._templates.ready(draft.template).message
        if not draft.words:
            raise InvalidError("say what the drill says: a template, or words", code="no_content")
        return Message(None, await self._spoken(draft.words))

    async def _spoken(self, words: list[Words] | tuple[Words, ...]) -> tuple[SpokenClip, ...]:
        return tuple([await self._speaker.speak(each) for each in words])

    def _sounds(self, message: Message, draft: DrillDraft, clusters: frozenset[str]) -> tuple[Group, ...]:
        languages = {each: self._directory.clusters[each].languages for each in clusters}
        return tuple(
            Group(group.spoken, self._marked(group), group.clusters)
            for group in groups(message, languages, times=draft.times, gap=_GAP)
        )

    def _marked(self, group: Group) -> Recorded:
        """The sound between its notices, in the languages it is heard in."""
        spoken = self.notices.languages(each.language for each in group.spoken)
        around: list[Piece] = []
        for language in spoken:
            around += [Pause(BREATH), self.notices.clip(language)] if around else [self.notices.clip(language)]
        return Recorded((*around, Pause(BREATH), *group.sound.pieces, Pause(BREATH), *around))

    async def _order(self, actor: Actor, draft: DrillDraft, clusters: frozenset[str], message: Message | None) -> Drill:
        start = self._clock.now() + LEAD
        drill_id = new_id("dr")
        sounds = () if message is None else self._sounds(message, draft, clusters)
        length = max((group.sound.duration for group in sounds), default=timedelta(0))
        expires = start + (length + SLACK if sounds else SILENT_LIFE)
        drill = Drill(
            id=drill_id,
            kind=draft.kind,
            title=self._title(draft) or drill_id,
            clusters=clusters,
            words={} if message is None else {each.language: each.text for each in message.spoken},
            started_by=actor.name,
            start=start,
            expires=expires,
            results={
                agent_id: Result(agent_id, cluster_id)
                for cluster_id in sorted(clusters)
                for agent_id in self._directory.agents_of([cluster_id])
            },
        )
        if sounds:
            self._require_civil(clusters, start, start + length)
        sheets = [Sheet(PlayOrder(_item(drill, group)), group.clusters) for group in sounds]
        sheets = sheets or [Sheet(SilentTestOrder(), clusters)]
        try:
            await self.book.begin(actor, drill)
        except StoreBusyError as error:
            raise BusyError("the database is locked; try the drill again", code="not_recorded") from error
        try:
            given = await self._courier.give_all(
                sheets, actor=actor.audit_name, life=expires - self._clock.now(), details={"drill": drill_id}
            )
        except BusyError:
            drill.cancelled_at = self._clock.now()  # it never was: nothing stands in the next one's way
            raise
        await self._followed(drill, given)
        self._tell(drill)
        return drill

    def _title(self, draft: DrillDraft) -> str:
        drilled = "" if draft.template is None else self._templates.ready(draft.template).spec.title
        return draft.title or _TITLES.get(draft.kind, drilled)

    def _tell(self, drill: Drill) -> None:
        for listener in self.listeners:
            try:
                listener(drill)
            except Exception:  # noqa: BLE001 - who only listens must not undo what was ordered
                _log.exception("drill_listener_failed", drill=drill.id)

    async def _followed(self, drill: Drill, given: Dispatched) -> None:
        for part in given.parts:
            for agent_id, (state, code) in part.states.items():
                self.book.delivered(drill, agent_id, state, code)
        try:
            await self.book.ordered(drill, ((part.command.term, part.command.seq) for part in given.parts))
        except StoreBusyError:  # it is on its way: saying "not recorded" now would make somebody start it twice
            _log.warning("drill_numbers_not_kept", drill=drill.id)

    def _require_civil(self, clusters: frozenset[str], start: datetime, end: datetime) -> None:
        for cluster_id in sorted(clusters):
            if overlaps_quiet(self._directory.effective_settings(cluster_id), start, end):
                name = self._directory.cluster(cluster_id).name
                raise ConflictError(f"it would sound in the quiet hours of {name!r}: wait", code="quiet_hours")


def _item(drill: Drill, group: Group) -> Item:
    return Item(
        rule_id=drill.id,
        recurrence=drill.start,
        title=f"{_PREFIX}{drill.title}",
        priority=Priority.DRILL,
        start=drill.start,
        expires=drill.expires,
        content=group.sound,
        late=LatePolicy(LateKind.PLAY_FULL, SLACK),
        after_preempt=AfterPreempt.SKIP,  # after a real emergency nobody wants to hear the rest of a drill
    )
