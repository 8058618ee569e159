"""The live desk: who speaks where, now.

Rules kept here:

1. Class 50 needs the right to go live over every place, and no quiet hours from now to the hard stop (agents check
   again). Class 90 is started by the alerts' service alone, after two people confirmed; it crosses quiet hours.
2. One session of class 50 in a cluster at a time: the second is refused and told who speaks. Of emergencies the
   newest sounds; the agents see to that.
3. A session stops 10 minutes after it went on air unless extended, by 10 minutes each time, 2 hours at most.
4. STOP ends sessions where it was ordered, at once. Its order reached the agents before.
5. Everything is in the audit log; the stream itself also in the orders' journal. A busy database delays the log, not
   the voice.
6. At most :data:`MOST` sessions of class 50 are open, and as many emergencies: announcements never keep an emergency
   from being spoken. :data:`REMEMBERED` ended ones can still be looked at.

Not here: what a session does (:mod:`controller.services.live.session`), sockets (:mod:`controller.api`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from controller.feeds import AddressPolicy, FeedRefusedError
from controller.services.carrier import Carrier, EncoderFactory
from controller.services.catalogue import Catalogue
from controller.services.chunks import Chunk, SourceKind
from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.live.means import Billing, Feed, Means
from controller.services.live.model import HARD_STOP, LONGEST, InputKind, LiveRequest, LiveState
from controller.services.live.session import AFTER_HARD_STOP, LiveSession
from controller.services.orders import Scope
from controller.services.relay_pacing import Pace
from controller.services.streams import StreamPlan
from controller.services.tapes import TapeLabel, Tapes
from controller.store import Database, StoreBusyError
from controller.store.actions import AuditAction
from controller.store.errors import JournalError
from controller.store.ids import new_id
from schedules.airtime import overlaps_quiet
from schedules.instants import MediaUs
from schedules.ladder import Priority

MOST: Final = 32
REMEMBERED: Final = 100
#: A stream is opened before its speaker is there.
_BEFORE: Final = timedelta(minutes=2)
_AUDIT_TRIES: Final = 5
_AUDIT_PAUSE_S: Final = 2.0
#: How long a shutdown waits for the audit log; shorter than its owner waits for the desk.
_LAST_WORDS_S: Final = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Studio:
    """Where addresses are fetched from."""

    policy: AddressPolicy
    encoder: EncoderFactory
    catalogue: Catalogue


class AddressFeed:
    """An address or a station on air: a carrier of its own, since it may have to be heard sooner than a relay."""

    def __init__(self, url: str, means: Means, studio: Studio) -> None:
        self._url = url
        self._m = means
        self._studio = studio
        self._carrier: Carrier | None = None

    @property
    def trouble(self) -> tuple[str, datetime] | None:
        """Why nothing comes, and since when."""
        state = None if self._carrier is None else self._carrier.state
        if state is None or state.state == "sounding":
            return None
        return state.code or state.state, state.since

    @property
    def sounds(self) -> bool | None:
        """See the port."""
        known = {"sounding": True, "lost": False}
        return None if self._carrier is None else known.get(self._carrier.state.state)

    def begin(self, start: MediaUs) -> None:
        """See the port."""
        if self._carrier is not None:
            self._carrier.begin(start)

    async def __call__(self, listener: Callable[[Chunk], None]) -> None:
        """See the port."""
        lead = self._m.opener.leads.lead_us((), SourceKind.LIVE)
        self._carrier = Carrier(
            lambda: self._url,
            policy=self._studio.policy,
            encoder=self._studio.encoder,
            media=self._m.media,
            clock=self._m.clock,
            start=self._m.media.now(),
            pace=Pace.of(SourceKind.LIVE, max(lead, 1_000_000)),
            once=True,
            held=True,
        )
        self._carrier.listeners.append(listener)
        await self._carrier.run()


class LiveDesk:
    """Use-cases of live sound. :meth:`run` owns the sessions."""

    def __init__(self, *, means: Means, studio: Studio, tapes: Tapes, directory: Directory, db: Database) -> None:
        self._m = means
        self._studio = studio
        self._tapes = tapes
        self._directory = directory
        self._db = db
        self._sessions: OrderedDict[str, LiveSession] = OrderedDict()
        self._lives: set[asyncio.Task[None]] = set()
        self._writing: set[asyncio.Task[None]] = set()  # into the audit log
        self._running = False
        #: Told of every session that begins, changes its state, or lasts longer. Quick, and never raising.
        self.listeners: list[Callable[[LiveSession], None]] = []
        self._turn = asyncio.Lock()  # between "nobody speaks there" and "now somebody does"

    async def run(self) -> None:
        """Own the sessions until cancelled; then they end (agents' streams end with the timeline anyway).

        How each ended is written down before this returns: the database is closed next.
        """
        self._running = True
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._running = False
            await _end(self._lives)
            if self._writing:
                await asyncio.wait(self._writing, timeout=_LAST_WORDS_S)
                await _end(self._writing)

    # --- use-cases -------------------------------------------------------------------------------------------------

    async def start(self, actor: Actor, request: LiveRequest) -> LiveSession:
        """Open a session of class 50. A spoken one waits for its microphone.

        Raises:
            ForbiddenError: the right to go live is missing somewhere.
            InvalidError: ``no_target``, ``quiet_hours``, ``bad_duration``, ``bad_url``, ``address_refused`` …
            ConflictError: ``live_busy``: somebody speaks there.
            BusyError: ``too_many_sessions``, ``not_opened``.
            NotFoundError: an area, cluster or source does not exist.
        """
        clusters = self._places(actor, request.scope)
        if not timedelta(0) < request.duration <= LONGEST:
            raise InvalidError("a session may last up to two hours", code="bad_duration")
        feed = self._feed(actor, request)
        now = self._m.clock.now()
        self._refuse_in_quiet_hours(clusters, now, now + request.duration)
        title = request.title or f"Trực tiếp: {actor.name}"
        billing = Billing(
            id=new_id("lv"),
            title=title,
            priority=Priority.COMMUNE_LIVE,
            input=request.input,
            actor=actor,
            clusters=clusters,
            chime_before=request.chime_before,
            chime_after=request.chime_after,
            duration=request.duration,
        )
        async with self._turn:
            self._refuse_where_taken(clusters)
            return await self._open(billing, feed)

    async def start_emergency(
        self, actor: Actor, *, clusters: Collection[str], title: str, alert_id: str, max_duration: timedelta = HARD_STOP
    ) -> LiveSession:
        """Open a live voice of class 90. Called by the alerts' service alone, once two people have confirmed.

        Raises:
            InvalidError: ``no_target``, ``bad_duration``.
            BusyError: ``too_many_sessions``, ``not_opened``.
        """
        if not clusters:
            raise InvalidError("no active cluster is meant", code="no_target")
        if not timedelta(0) < max_duration <= LONGEST:
            raise InvalidError("a session may last up to two hours", code="bad_duration")
        billing = Billing(
            id=new_id("lv"),
            title=title,
            priority=Priority.EMERGENCY_LIVE,
            input=InputKind.MICROPHONE,
            actor=actor,
            clusters=frozenset(clusters),
            chime_before=True,
            chime_after=True,
            duration=max_duration,
            alert_id=alert_id,
        )
        return await self._open(billing, None)

    async def extend(self, actor: Actor, session_id: str, by: timedelta = HARD_STOP) -> LiveSession:
        """Let a session last longer.

        Raises:
            InvalidError: ``too_long``, ``quiet_hours``, ``not_on_air``.
            NotFoundError, ForbiddenError: it is not there, or not theirs.
            BusyError: ``not_extended``.
        """
        session = self._theirs(actor, session_id)
        over = session.state in (LiveState.CLOSING, LiveState.ENDED)
        if session.ends is None or session.on_air is None or over:
            raise InvalidError("the session is not on air", code="not_on_air")
        ends = session.ends + by
        if not timedelta(0) < by <= LONGEST or ends > session.on_air + LONGEST:
            raise InvalidError("a session lasts two hours at most; start another", code="too_long")
        if session.billing.priority < Priority.EMERGENCY_STORED:
            self._refuse_in_quiet_hours(session.view().clusters, session.ends, ends)
        try:
            await session.extend(ends)
        except JournalError as error:
            raise BusyError("the orders' journal cannot be written; try again", code="not_extended") from error
        self._audit(actor, "live.extend", session, {"ends": ends.isoformat()})
        return session

    def stop(self, actor: Actor, session_id: str) -> LiveSession:
        """End a session, with its closing chime. Ending it twice is no error.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not theirs.
        """
        session = self._theirs(actor, session_id, Permission.STOP)
        session.stop("ended_by_desk" if actor.user_id != session.billing.actor.user_id else "ended_by_speaker")
        self._audit(actor, "live.stop", session, {})
        return session

    def end_of_alert(self, alert_id: str) -> None:
        """The alert was cancelled: its voice ends."""
        for session in self._open_sessions():
            if session.billing.alert_id == alert_id:
                session.stop("alert_cancelled")

    def stopped(self, clusters: frozenset[str] | None, _issued: datetime) -> None:
        """A STOP order was given (for :attr:`controller.services.orders.OrderDesk.stop_listeners`)."""
        for session in self._open_sessions():
            session.silence(clusters)

    # --- looking ---------------------------------------------------------------------------------------------------

    def sessions(self, actor: Actor) -> list[LiveSession]:
        """Sessions the actor may know of, newest first; ended ones for a while."""
        return [one for one in reversed(self._sessions.values()) if self._may(actor, one, Permission.READ)]

    def find(self, session_id: str) -> LiveSession | None:
        """One session, if it is remembered."""
        return self._sessions.get(session_id)

    def get(self, actor: Actor, session_id: str) -> LiveSession:
        """One session.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFoundError("there is no such session; it may have ended a while ago")
        if not self._may(actor, session, Permission.READ):
            raise ForbiddenError("you need the right 'read' over its clusters")
        return session

    def unreached(self, session: LiveSession) -> frozenset[str]:
        """Clusters of the session none of whose boxes takes part: every line there is too slow for live sound."""
        left_out = frozenset[str]().union(*(stream.left_out for stream in session.streams))
        taking = frozenset[str]().union(*(stream.agents for stream in session.streams))

        def clusters(agents: frozenset[str]) -> frozenset[str]:
            found = (self._directory.agents.get(each) for each in agents)
            return frozenset(one.cluster_id for one in found if one is not None and one.cluster_id is not None)

        return clusters(left_out) - clusters(taking)

    def carrying(self, stream_id: int) -> LiveSession | None:
        """The session whose sound travels in a stream."""
        for session in reversed(self._sessions.values()):
            if any(stream.stream_id == stream_id for stream in session.streams):
                return session
        return None

    def microphone(self, actor: Actor, session_id: str) -> LiveSession:
        """The session whose microphone the actor is about to open: their own.

        Raises:
            NotFoundError: there is no such session.
            ForbiddenError: it is another's (``not_your_session``), or the right to go live was taken away.
            ConflictError: ``session_ended``, ``no_microphone``.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise NotFoundError("there is no such session; start one")
        if session.billing.actor.user_id != actor.user_id:
            raise ForbiddenError("only who started a session speaks in it", code="not_your_session")
        if session.billing.alert_id is None and not self._may(actor, session, Permission.GO_LIVE):
            raise ForbiddenError("you need the right 'go_live' over its clusters")
        if session.state in (LiveState.CLOSING, LiveState.ENDED):
            raise ConflictError("the session is over; start another", code="session_ended")
        if not session.billing.input.spoken:
            raise ConflictError("this session takes its sound from an address", code="no_microphone")
        return session

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _open(self, billing: Billing, feed: Feed | None) -> LiveSession:
        alike = [one for one in self._open_sessions() if one.billing.priority == billing.priority]
        if not self._running or len(alike) >= MOST:
            raise BusyError(f"{MOST} sessions are open; end one first", code="too_many_sessions")
        plan = StreamPlan(
            priority=billing.priority,
            clusters=billing.clusters,
            title=billing.title,
            not_after=self._m.clock.now() + _BEFORE + billing.duration + AFTER_HARD_STOP,
            actor=billing.actor.audit_name,
            kind=billing.input.source_kind,
            details={"session": billing.id, "alert": billing.alert_id},
        )
        try:
            streams = await self._m.opener.open(plan)
        except JournalError as error:
            raise BusyError("the orders' journal cannot be written; try again", code="not_opened") from error
        label = TapeLabel(
            kind="live",
            title=billing.title,
            priority=int(billing.priority),
            clusters=billing.clusters,
            subject=billing.id,
            actor=billing.actor.audit_name,
        )
        session = LiveSession(billing, self._m, streams, self._tapes.begin(label), feed)
        self._sessions[billing.id] = session
        session.listeners = self.listeners
        while len(self._sessions) > REMEMBERED:
            oldest = next((key for key, one in self._sessions.items() if one.state is LiveState.ENDED), None)
            if oldest is None:
                break
            del self._sessions[oldest]
        _own(self._lives, self._life(session), f"live-{billing.id}")
        for listener in self.listeners:
            listener(session)
        self._audit(billing.actor, "live.start", session, {"title": billing.title, "input": billing.input.value})
        return session

    async def _life(self, session: LiveSession) -> None:
        try:
            await session.run()
        except Exception:  # noqa: BLE001 - one session's fault must not end the others'
            _log.exception("live_session_broke", session=session.billing.id)
        finally:
            view = session.view()
            lasted = None if view.on_air is None or view.ended is None else (view.ended - view.on_air).total_seconds()
            self._audit(session.billing.actor, "live.end", session, {"code": view.code, "on_air_s": lasted})

    def _places(self, actor: Actor, scope: Scope) -> frozenset[str]:
        """The active clusters that are meant, after checking the right over every part of them."""
        if scope.everywhere:
            self._directory.require(actor, Permission.GO_LIVE, None)
            found = frozenset(self._directory.clusters)
        else:
            for area_id in scope.areas:
                self._directory.area(area_id)
                self._directory.require(actor, Permission.GO_LIVE, area_id)
            named = self._directory.clusters_of_zones(scope.zones).union(scope.clusters)
            for cluster_id in named:
                self._directory.require_cluster(actor, Permission.GO_LIVE, cluster_id)
            found = self._directory.clusters_of(areas=scope.areas, clusters=named)
        active = frozenset(one for one in found if self._directory.clusters[one].active)
        if not active:
            raise InvalidError(
                "say where: an area, a zone, clusters, or everywhere (none is active there)", code="no_target"
            )
        return active

    def _refuse_where_taken(self, clusters: frozenset[str]) -> None:
        for session in self._open_sessions():
            both = session.view().clusters & clusters
            if both and session.billing.priority == Priority.COMMUNE_LIVE:
                names = ", ".join(sorted(self._directory.clusters[one].name for one in both)[:3])
                raise ConflictError(
                    f"{session.billing.actor.name} speaks there ({names}): {session.billing.title}", code="live_busy"
                )

    def _refuse_in_quiet_hours(self, clusters: Collection[str], begin: datetime, end: datetime) -> None:
        quiet = [
            self._directory.clusters[one].name
            for one in sorted(clusters)
            if overlaps_quiet(self._directory.effective_settings(one), begin, end)
        ]
        if quiet:
            names = ", ".join(quiet[:5]) + (" …" if len(quiet) > 5 else "")  # noqa: PLR2004 - enough to see where
            raise InvalidError(
                f"it would sound in quiet hours at {len(quiet)} clusters ({names}); only emergencies may",
                code="quiet_hours",
            )

    def _feed(self, actor: Actor, request: LiveRequest) -> Feed | None:
        """How the controller fetches the sound by itself; None when it comes over a microphone's connection."""
        if request.input.spoken:
            return None
        if request.input is InputKind.SOURCE:
            source = self._studio.catalogue.source(request.address)
            self._directory.require(actor, Permission.READ, source.area_id)
            url = source.url
        else:
            url = request.address
        try:
            self._studio.policy.check(url)
        except FeedRefusedError as error:
            raise InvalidError(str(error), code=error.code) from error
        return AddressFeed(url, self._m, self._studio)

    def _theirs(self, actor: Actor, session_id: str, permission: Permission = Permission.GO_LIVE) -> LiveSession:
        session = self.get(actor, session_id)
        own = session.billing.actor.user_id == actor.user_id
        if not own and not self._may(actor, session, permission):
            raise ForbiddenError(f"you need the right '{permission}' over all of its clusters")
        return session

    def _may(self, actor: Actor, session: LiveSession, permission: Permission) -> bool:
        areas = {
            self._directory.clusters[one].area_id for one in session.billing.clusters if one in self._directory.clusters
        }
        some = any(self._directory.allows(actor, permission, area) for area in areas)
        if permission is Permission.READ:
            return some or session.billing.actor.user_id == actor.user_id
        return bool(areas) and all(self._directory.allows(actor, permission, area) for area in areas)

    def _open_sessions(self) -> list[LiveSession]:
        return [one for one in self._sessions.values() if one.state is not LiveState.ENDED]

    def _audit(self, actor: Actor, action: AuditAction, session: LiveSession, details: dict[str, object]) -> None:
        told = {"clusters": len(session.billing.clusters), "class": int(session.billing.priority), **details}
        writing = self._write_audit(actor, action, session.billing.id, told)
        _own(self._writing, writing, f"{action}-{session.billing.id}")

    async def _write_audit(self, actor: Actor, action: AuditAction, subject: str, details: dict[str, object]) -> None:
        for _ in range(_AUDIT_TRIES):
            try:
                async with self._db.transaction(actor) as tx:
                    tx.audit(action, subject, details)
            except StoreBusyError:
                await asyncio.sleep(_AUDIT_PAUSE_S)
            else:
                return
        _log.error("live_not_audited", action=action, session=subject)


def _own(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str) -> None:
    task = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    ending = tuple(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
