"""Orders of the duty officer: STOP, withdraw, play now. What agents act on at once.

Rules kept here:

1. STOP asks no database, no approval and no confirmation; giving it twice is not an error.
2. Play now sounds approved recordings only, in no quiet hours, and not twice by accident
   (:mod:`controller.services.order_rules`).
3. All clusters of a play-now order start together, :data:`LEAD` after the order was signed.
4. A withdrawal first changes the programme in the database, so that no later plan brings it back, then tells agents.
5. Keeping places mute, emergencies included, is the duty officer's; the crew at a pole has
   :mod:`controller.services.hold_desk`.

Not here: numbers, signatures and delivery (:mod:`controller.services.dispatch`), the volume
(:meth:`controller.services.clusters.ClusterService.set_volume`).
"""

from __future__ import annotations

import math
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from controller.services.catalogue import Catalogue
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.dispatch import Courier, Dispatched, Sheet, command_of
from controller.services.errors import ConflictError, InvalidError, NotFoundError, TooManyError
from controller.services.holds import Hold, Holds
from controller.services.order_rules import OrderMemory, Start
from controller.services.programme_model import ChimeKind, TargetSpec
from controller.services.programmes import ProgrammeService
from controller.services.rulebook import Rulebook
from controller.store.journal import JournalEntry
from protocol.documents import PlayOrder, ReleaseOrder, StopOrder, WithdrawOrder
from schedules.airtime import overlaps_quiet
from schedules.compiler import lay_out
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Item, LateKind, LatePolicy, Overrun, Recorded
from schedules.rules import DEFAULT_GAP, MAX_REPEAT, RecordedContent

#: From the signature to the first sample: the time an agent's own start needs, and a slow link's.
LEAD: Final = timedelta(seconds=1.5)
#: How long a STOP or a withdrawal is kept for agents that are away; the longest a command may live.
SILENCE_LIFE: Final = timedelta(hours=24)
#: How long a play-now order waits for a cluster that is away or must fetch the sound first.
DEFAULT_WITHIN: Final = timedelta(minutes=5)
MAX_WITHIN: Final = timedelta(hours=2)
#: Classes an operator may sound at once. Emergencies and drills have steps of their own.
PLAYABLE: Final = frozenset({Priority.PRIORITY_BULLETIN, Priority.COMMUNE_LIVE, Priority.PROGRAMME})
_RULE_PREFIX: Final = "now_"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an order holds: everywhere, or areas, zones and clusters."""

    everywhere: bool = False
    areas: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """What to play now, where, and how."""

    recordings: tuple[str, ...]
    scope: Scope
    priority: Priority = Priority.COMMUNE_LIVE
    title: str = ""
    repeat: int = 1
    gap: timedelta = DEFAULT_GAP
    chime_before: ChimeKind | None = None
    chime_after: ChimeKind | None = None
    within: timedelta = DEFAULT_WITHIN
    again: bool = False


@dataclass(frozen=True, slots=True)
class PlayReview:
    """What a play-now order would do."""

    clusters: tuple[str, ...]  # that would sound it, online or not
    uncovered: tuple[str, ...]
    length: timedelta


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a play-now order: one order, with commands for each group of languages."""

    rule_id: str  # what a withdrawal names
    start: datetime
    length: timedelta
    orders: tuple[Dispatched, ...]
    uncovered: tuple[str, ...]  # clusters that speak none of the recordings' languages


@dataclass(frozen=True, slots=True)
class _Intent:
    """A play-now order that may be given. ``groups``: what clusters of equal languages hear."""

    content: RecordedContent
    targets: frozenset[str]
    groups: list[tuple[Recorded, frozenset[str]]]
    uncovered: frozenset[str]
    now: datetime
    start: datetime


StopListener = Callable[[frozenset[str] | None, datetime], None]


class OrderDesk:
    """Gives orders. ``stop_listeners`` hear of every STOP (the relay desk saves the traffic)."""

    def __init__(
        self,
        *,
        courier: Courier,
        directory: Directory,
        catalogue: Catalogue,
        rulebook: Rulebook,
        programmes: ProgrammeService,
        clock: Clock,
        memory: OrderMemory | None = None,
    ) -> None:
        self._courier = courier
        self._directory = directory
        self._catalogue = catalogue
        self._rulebook = rulebook
        self._programmes = programmes
        self._clock = clock
        self._memory = memory or OrderMemory()
        self.holds = Holds()
        self.stop_listeners: list[StopListener] = []

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """Take up again the holds that the journal knows of (at start)."""
        for entry in entries:
            command = command_of(entry) if entry.kind in {"stop", "release"} else None
            if command is None:
                continue
            clusters = None if command.targets.everyone else frozenset(command.targets.clusters)
            if isinstance(command.order, StopOrder) and command.order.hold is not None:
                crew = entry.body.get("details", {}).get("crew") is True
                made = Hold(command.issued, command.issued + command.order.hold, entry.actor, crew)
                self.holds.placed(self._all(clusters), made)
            elif isinstance(command.order, ReleaseOrder):
                self.holds.lifted(self._all(clusters))

    async def stop(
        self, actor: Actor, scope: Scope, *, hold: timedelta | None = None, idempotency_key: str | None = None
    ) -> Dispatched:
        """Silence everything that sounds or waits there, for good. Later items go on normally.

        With a ``hold`` the boxes there are mute for so long (at most a day), EMERGENCIES INCLUDED: for the siren that
        will not end. That takes the right to confirm emergencies as well.

        Raises:
            ForbiddenError: the right to stop (or to hold) is missing somewhere in the scope.
            NotFoundError: an area or cluster does not exist.
            InvalidError: no place is named.
        """
        clusters = self._places(actor, Permission.STOP, scope)
        if hold is not None:
            self._places(actor, Permission.EMERGENCY_CONFIRM, scope)
        return await self.silence(actor, clusters, hold, _scope_details(scope), idempotency_key)

    async def release(self, actor: Actor, scope: Scope, *, idempotency_key: str | None = None) -> Dispatched:
        """End the mute of a STOP with a hold. A mute that somebody set at a box itself stays.

        Raises:
            ForbiddenError: the right is missing somewhere in the scope.
            NotFoundError: an area or cluster does not exist.
            InvalidError: no place is named.
        """
        clusters = self._places(actor, Permission.EMERGENCY_CONFIRM, scope)
        return await self.let_sound(actor, clusters, _scope_details(scope), idempotency_key)

    async def silence(
        self,
        actor: Actor,
        clusters: frozenset[str] | None,
        hold: timedelta | None,
        details: Mapping[str, object],
        idempotency_key: str | None,
    ) -> Dispatched:
        """Give a STOP whose right was asked for. ``details`` go to the audit log; ``crew``: the hold is the crew's."""
        if hold is not None:
            details = {**details, "hold_s": int(hold.total_seconds())}
        dispatched = await self._courier.give(
            StopOrder(hold),
            clusters,
            actor=actor.audit_name,
            life=SILENCE_LIFE,
            details=details,
            idempotency_key=idempotency_key,
        )
        self._memory.silenced(clusters, dispatched.issued)
        self._courier.retire(clusters, dispatched.issued)
        if hold is not None:
            made = Hold(dispatched.issued, dispatched.issued + hold, actor.audit_name, crew=details.get("crew") is True)
            self.holds.placed(self._all(clusters), made)
        for listener in self.stop_listeners:
            listener(clusters, dispatched.issued)
        return dispatched

    async def let_sound(
        self, actor: Actor, clusters: frozenset[str] | None, details: Mapping[str, object], idempotency_key: str | None
    ) -> Dispatched:
        """Give a release whose right was asked for."""
        dispatched = await self._courier.give(
            ReleaseOrder(),
            clusters,
            actor=actor.audit_name,
            life=SILENCE_LIFE,
            details=details,
            idempotency_key=idempotency_key,
        )
        self.holds.lifted(self._all(clusters))
        return dispatched

    async def withdraw(
        self, actor: Actor, rule_id: str, recurrence: datetime | None = None, *, idempotency_key: str | None = None
    ) -> Dispatched | None:
        """Take a programme, one of its occurrences, or a play-now order off the air and out of the plans.

        Returns the order to the agents; None when no cluster is concerned.

        Raises:
            NotFoundError: there is no such programme, occurrence or play-now order.
            ForbiddenError: the right is missing.
        """
        if rule_id.startswith(_RULE_PREFIX):
            clusters = self._clusters_of_play(actor, rule_id)
        else:
            clusters = await self._programmes.withdraw(actor, rule_id, recurrence)
        if not clusters:
            return None
        dispatched = await self._courier.give(
            WithdrawOrder(rule_id, recurrence),
            clusters,
            actor=actor.audit_name,
            life=SILENCE_LIFE,
            details={"rule": rule_id},
            idempotency_key=idempotency_key,
        )
        self._memory.silenced(clusters, dispatched.issued)
        if recurrence is None:
            self._courier.retire_rules(frozenset({rule_id}))
        return dispatched

    async def play(self, actor: Actor, request: PlayRequest, *, idempotency_key: str | None = None) -> Played:
        """Sound approved recordings at once (*Phát ngay*).

        Raises:
            InvalidError: ``not_approved``, ``quiet_hours``, ``no_target``, ``priority_not_allowed`` and the like.
            ConflictError: ``duplicate_order``.
            TooManyError: ``too_many_orders``.
            BusyError: ``not_recorded``.
            ForbiddenError, NotFoundError: as for :meth:`stop`.
        """
        intent = self._intent(actor, request)
        content, now, start = intent.content, intent.now, intent.start
        same = Start(request.priority, tuple(ref.sha256 for ref in content.recordings) * request.repeat, intent.targets)
        self._admit(actor, same, request, now)
        rule_id = _RULE_PREFIX + secrets.token_hex(6)
        title = self._title(request)
        order = await self._courier.give_all(
            [Sheet(PlayOrder(_item(request, title, rule_id, start, sound)), group) for sound, group in intent.groups],
            actor=actor.audit_name,
            life=request.within,
            details={
                "title": title,
                "recordings": list(request.recordings),
                "rule": rule_id,
                "again": request.again,
                **_scope_details(request.scope),
            },
            idempotency_key=idempotency_key,
        )
        self._memory.started(same, rule_id, now)
        length = max(sound.duration for sound, _ in intent.groups)
        return Played(rule_id, start, length, (order,), tuple(sorted(intent.uncovered)))

    def recent(self, actor: Actor) -> list[Dispatched]:
        """The orders of the last day that were for a place the actor may read, newest first."""
        return [order for order in self._courier.recent() if self._readable(actor, order)]

    def order(self, actor: Actor, name: str) -> Dispatched:
        """One order.

        Raises:
            NotFoundError: there is none with this name in memory, or none that the actor may read.
        """
        order = self._courier.order(name)
        if order is None or not self._readable(actor, order):
            raise NotFoundError("there is no such order in memory; the audit log has the older ones")
        return order

    def review(self, actor: Actor, request: PlayRequest) -> PlayReview:
        """What :meth:`play` would do now. Changes nothing.

        Raises:
            InvalidError, ForbiddenError, NotFoundError: as :meth:`play`.
        """
        intent = self._intent(actor, request)
        return PlayReview(
            clusters=tuple(sorted(intent.targets - intent.uncovered)),
            uncovered=tuple(sorted(intent.uncovered)),
            length=max(sound.duration for sound, _ in intent.groups),
        )

    def _all(self, clusters: frozenset[str] | None) -> frozenset[str]:
        return frozenset(self._directory.clusters) if clusters is None else clusters

    def _intent(self, actor: Actor, request: PlayRequest) -> _Intent:
        clusters = self._places(actor, Permission.PLAY_NOW, request.scope)
        targets = self._rulebook.clusters(TargetSpec(clusters=tuple(clusters or self._directory.clusters)))
        content = self._content(request, targets)
        now = self._clock.now()
        start = now + LEAD
        groups = self._by_languages(content, targets, start)
        if not groups:
            raise InvalidError("no cluster there speaks the recording's language", code="language_uncovered")
        covered = frozenset(cluster for _, group in groups for cluster in group)
        return _Intent(content, targets, groups, targets - covered, now, start)

    def _readable(self, actor: Actor, order: Dispatched) -> bool:
        """Whether some place it was for is one the actor may read. An order for everyone was for them, too."""
        clusters = [part.clusters for part in order.parts]
        if None in clusters:
            return True
        known = {cluster for part in clusters if part is not None for cluster in part} & self._directory.clusters.keys()
        areas = {self._directory.clusters[cluster].area_id for cluster in known}
        return actor.may_everywhere(Permission.READ) or any(
            self._directory.allows(actor, Permission.READ, area_id) for area_id in areas
        )

    def _places(self, actor: Actor, permission: Permission, scope: Scope) -> frozenset[str] | None:
        """The clusters a scope means (None: all), after checking the right over every part of it."""
        if scope.everywhere:
            self._directory.require_everywhere(actor, permission)
            return None
        if not scope.areas and not scope.clusters and not scope.zones:
            raise InvalidError("say where: an area, a zone, clusters, or everywhere", code="no_target")
        for area_id in scope.areas:
            self._directory.area(area_id)
            self._directory.require(actor, permission, area_id)
        named = self._directory.clusters_of_zones(scope.zones).union(scope.clusters)
        for cluster_id in named:
            self._directory.require_cluster(actor, permission, cluster_id)
        found = self._directory.clusters_of(areas=scope.areas, clusters=named)
        if not found:
            raise InvalidError("there is no cluster there", code="no_target")
        return found

    def _content(self, request: PlayRequest, targets: frozenset[str]) -> RecordedContent:
        if request.priority not in PLAYABLE:
            raise InvalidError(
                "play now is for priority bulletins (60), announcements (50) and programmes (40)",
                code="priority_not_allowed",
            )
        if not targets:
            raise InvalidError("no active cluster is meant", code="no_target")
        if not 1 <= request.repeat <= MAX_REPEAT:
            raise InvalidError(f"it may be repeated 1 to {MAX_REPEAT} times", code="bad_repeat")
        if not timedelta(0) < request.within <= MAX_WITHIN:
            raise InvalidError("an order may wait 1 second to 2 hours", code="bad_within")
        refs, gaps = self._rulebook.references(request.recordings)
        if gaps or not refs:
            first = gaps[0] if gaps else None
            raise InvalidError(
                first.message if first else "say what to play", code=first.code if first else "no_content"
            )
        try:
            return RecordedContent(
                refs,
                request.repeat,
                request.gap,
                self._rulebook.chime(request.chime_before),
                self._rulebook.chime(request.chime_after),
            )
        except ValueError as error:
            raise InvalidError(str(error), code="contradiction") from error

    def _by_languages(
        self, content: RecordedContent, targets: frozenset[str], start: datetime
    ) -> list[tuple[Recorded, frozenset[str]]]:
        """What each group of clusters hears; groups share their languages."""
        by_languages: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for cluster_id in targets:
            by_languages[self._directory.clusters[cluster_id].languages].add(cluster_id)
        groups: list[tuple[Recorded, frozenset[str]]] = []
        for languages, clusters in sorted(by_languages.items()):
            sound = lay_out(content, languages)
            if sound is None:
                continue
            self._refuse_in_quiet_hours(clusters, start, start + sound.duration)
            groups.append((sound, frozenset(clusters)))
        return groups

    def _refuse_in_quiet_hours(self, clusters: set[str], start: datetime, end: datetime) -> None:
        quiet = [
            self._directory.clusters[each].name
            for each in sorted(clusters)
            if overlaps_quiet(self._directory.effective_settings(each), start, end)
        ]
        if quiet:
            names = ", ".join(quiet[:5]) + (" …" if len(quiet) > 5 else "")  # noqa: PLR2004 - enough to see where
            raise InvalidError(
                f"it would sound in quiet hours at {len(quiet)} clusters ({names}); only emergencies may",
                code="quiet_hours",
            )

    def _admit(self, actor: Actor, same: Start, request: PlayRequest, now: datetime) -> None:
        earlier = self._memory.duplicate_of(same, now)
        if earlier is not None and not request.again:
            raise ConflictError(
                f"the same was started there less than 3 minutes ago ({earlier}); say 'again' if you mean it",
                code="duplicate_order",
            )
        wait = self._memory.admit(actor.user_id, now)
        if wait is not None:
            raise TooManyError(
                "too many start orders in a minute; STOP is always possible",
                retry_after=math.ceil(wait.total_seconds()),
                code="too_many_orders",
            )

    def _title(self, request: PlayRequest) -> str:
        return request.title or " + ".join(self._catalogue.recording(each).title for each in request.recordings)[:200]

    def _clusters_of_play(self, actor: Actor, rule_id: str) -> frozenset[str]:
        clusters: set[str] = set()
        for dispatched in self._courier.recent():
            for part in dispatched.parts:
                order = part.command.order
                if isinstance(order, PlayOrder) and order.item.rule_id == rule_id:
                    clusters |= part.clusters or frozenset()
        if not clusters:
            raise InvalidError(f"there is no play-now order {rule_id!r} that could be withdrawn", code="unknown_order")
        for cluster_id in clusters:
            self._directory.require_cluster(actor, Permission.STOP, cluster_id)
        return frozenset(clusters)


def _item(request: PlayRequest, title: str, rule_id: str, start: datetime, sound: Recorded) -> Item:
    return Item(
        rule_id=rule_id,
        recurrence=start,
        title=title,
        priority=request.priority,
        start=start,
        expires=start + sound.duration + request.within,
        content=sound,
        late=LatePolicy(LateKind.PLAY_FULL, request.within),
        after_preempt=AfterPreempt.RESUME,
        overrun=Overrun.LET_FINISH,
    )


def _scope_details(scope: Scope) -> dict[str, object]:
    if scope.everywhere:
        return {"where": "everywhere"}
    zones = {"zones": list(scope.zones)} if scope.zones else {}
    return {"areas": list(scope.areas), "clusters": list(scope.clusters), **zones}
