"""The control connection: who is it, what must it know, what does it say.

1. hello, challenge, auth within ten seconds; only an agent the directory knows as approved, with the very key it
   enrolled with, gets a session. The newest connection of an agent replaces the older one.
2. Clock questions are answered ahead of everything (:mod:`controller.gateway.questions`); reports go to the
   use-cases through a bounded inbox (:mod:`controller.gateway.inbox`); nothing here waits for a database.
3. What an agent must know (plan, settings, orders it missed) is asked for once the session stands, and again until the
   answer comes: a locked database delays the briefing, never the session.
4. Whoever sends too much, or nonsense, is told why and cut off; no other session notices.

Not here: sound (:mod:`controller.gateway.fanout`), enrolment (:mod:`controller.gateway.enrol`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from functools import partial

import structlog
from aiohttp import web

from controller.gateway.admission import Throttle
from controller.gateway.counts import GatewayCounts
from controller.gateway.dialogue import LinkEndedError, open_socket, read, refuse, say
from controller.gateway.fanout import Fanout
from controller.gateway.frames import text_frame
from controller.gateway.front import Front
from controller.gateway.inbox import Inbox
from controller.gateway.limits import GatewayLimits
from controller.gateway.links import CLOSE_REFUSED, ControlLink
from controller.gateway.offers import offer
from controller.gateway.ports import IdentitySource
from controller.gateway.questions import Shortcut, reply_text
from controller.gateway.roster import Roster, Session
from controller.gateway.taps import TapDesk
from controller.gateway.tickets import TicketOffice
from controller.gateway.wall_quality import WallQuality
from controller.services.context import Clock
from controller.services.directory import Directory
from controller.services.errors import ServiceError
from controller.services.ports import Briefing, FleetEvents, MediaClock
from controller.store import StoreError
from protocol.documents import DocumentKind
from protocol.errors import HandshakeError, MalformedError, ProtocolError
from protocol.handshake import ControllerHandshake, Peer
from protocol.messages import (
    Ack,
    Auth,
    Bye,
    Event,
    Hello,
    Listening,
    Progress,
    Records,
    RecordsAck,
    Refused,
    Status,
    Welcome,
    encode,
)
from protocol.messages import Clock as ClockQuestion
from schedules.instants import to_unix_us

_log = structlog.get_logger(__name__)

#: A briefing that failed is tried again after this many seconds, and given this long.
_BRIEFING_RETRY_S = 5.0
_BRIEFING_S = 30.0
#: One report may keep its worker this long before it is given up (the agent sends records again).
_REPORT_S = 30.0


class ControlDesk:
    """``GET /agent/v1/control``."""

    def __init__(
        self,
        *,
        limits: GatewayLimits,
        directory: Directory,
        events: FleetEvents,
        identity: IdentitySource,
        media: MediaClock,
        clock: Clock,
        roster: Roster,
        fanout: Fanout,
        tickets: TicketOffice,
        taps: TapDesk,
        counts: GatewayCounts,
        certificate: Callable[[], bytes],
    ) -> None:
        self._limits = limits
        self._directory = directory
        self._events = events
        self._identity = identity
        self._media = media
        self._clock = clock
        self._roster = roster
        self._fanout = fanout
        self._tickets = tickets
        self._taps = taps
        self._counts = counts
        self._certificate = certificate
        self._quality = WallQuality()

    async def serve(self, request: web.Request, front: Front) -> web.StreamResponse:
        """One connection from hello to goodbye."""
        ws = open_socket(ping_s=self._limits.ping_s)
        await ws.prepare(request)
        front.shortcut = Shortcut()
        try:
            async with asyncio.timeout(self._limits.handshake_s):
                peer, hello = await self._prove(ws)
        except ProtocolError as error:
            self._counts.handshakes_refused += 1
            _log.info("agent_refused", address=front.address, code=error.code, detail=error.detail)
            await refuse(ws, error)
        except TimeoutError:
            self._counts.handshakes_refused += 1
            await refuse(ws, Refused(code="handshake_timeout", detail="hello and auth took too long"))
        except LinkEndedError:
            self._counts.handshakes_refused += 1
        else:
            front.prove()
            await self._attend(ws, front, peer, hello)
        return ws

    async def _prove(self, ws: web.WebSocketResponse) -> tuple[Peer, Hello]:
        """The handshake.

        Raises:
            ProtocolError: the agent is not who it says, is not approved, or talks nonsense.
        """
        hello = await read(ws)
        if not isinstance(hello, Hello):
            raise HandshakeError("out_of_order", "a conversation begins with hello")
        identity = self._identity.link_identity()
        handshake = ControllerHandshake(
            identity.key,
            root_public=identity.root_public,
            key_set=identity.key_set,
            certificate=self._certificate(),
            nonce=secrets.token_bytes(32),
            root_chain=identity.root_chain,
        )
        await asyncio.sleep(0)  # signing is work: in a storm of agents, whatever else is due goes first
        await say(ws, handshake.on_hello(hello))
        auth = await read(ws)
        if not isinstance(auth, Auth):
            raise HandshakeError("out_of_order", "auth must follow the challenge")
        peer = handshake.on_auth(auth)
        self._check_enrolled(peer)
        return peer, hello

    def _check_enrolled(self, peer: Peer) -> None:
        entry = self._directory.agents.get(peer.agent_id)
        if entry is None or entry.public_key != peer.public_key:
            raise HandshakeError("not_enrolled", "this controller does not know the agent; enrol it")
        if entry.state == "revoked":
            raise HandshakeError("revoked", "this agent was revoked")
        if not entry.approved or entry.cluster_id is None:
            raise HandshakeError("not_approved", "this agent waits for approval")

    async def _attend(self, ws: web.WebSocketResponse, front: Front, peer: Peer, hello: Hello) -> None:
        """A session: welcome, briefing, messages, goodbye."""
        cluster_id = self._directory.agents[peer.agent_id].cluster_id or ""
        link = ControlLink(front, self._limits, self._media.now)
        session = Session(
            peer.agent_id, cluster_id, front.address, link, self._tickets.issue(peer.agent_id), self._media.now()
        )
        link.order(text_frame(encode(self._welcome(session))))
        if self._roster.enter(session, self._media.now() / 1e6):
            self._counts.flapping += 1
        self._taps.left(session.agent_id)  # a newer session knows nothing of what an older one was asked
        self._fanout.attach(session.agent_id, link, control=True)
        for stream in self._fanout.targeting(session.agent_id):
            link.order(stream.announcement)
        self._counts.sessions_begun += 1
        inbox = Inbox(self._limits.inbox)
        throttle = Throttle(self._limits.messages_per_s, self._limits.messages_burst)
        if front.shortcut is not None:
            front.shortcut.answer = partial(self._answer_at_once, link, throttle)
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(self._brief(session, hello), name=f"brief-{session.agent_id[:8]}"),
                    tasks.create_task(self._work(session, inbox), name=f"inbox-{session.agent_id[:8]}"),
                ]
                try:
                    await self._listen(ws, session, inbox, throttle)
                finally:
                    for helper in helpers:
                        helper.cancel()
        finally:
            self._counts.dropped += inbox.dropped + link.outbox.dropped
            await self._depart(session)

    def _welcome(self, session: Session) -> Welcome:
        return Welcome(
            session=secrets.token_hex(16),
            agent_id=session.agent_id,
            cluster_id=session.cluster_id,
            timeline=self._media.timeline,
            media_ticket=session.ticket,
            heartbeat_s=self._limits.heartbeat_s,
        )

    async def _depart(self, session: Session) -> None:
        session.link.release()
        self._fanout.detach(session.agent_id, session.link)
        self._tickets.session_ended(session.ticket, self._media.now() / 1e6)
        if session.stream is not None:
            session.stream.close(CLOSE_REFUSED, "its control connection is gone")
        if self._roster.leave(session):
            self._taps.left(session.agent_id)
            with contextlib.suppress(ServiceError, StoreError):  # memory is up to date; the row follows later
                await self._events.disconnected(session.agent_id)

    async def _listen(self, ws: web.WebSocketResponse, session: Session, inbox: Inbox, throttle: Throttle) -> None:
        """Read until the end. Never waits for anything but the agent."""
        while session.link.closed_for is None:
            try:
                message = await read(ws)
            except LinkEndedError as error:
                _log.debug("agent_left", agent_id=session.agent_id, why=str(error))
                return
            except MalformedError as error:
                self._cut_off(session, error.code, error.detail)
                return
            self._counts.messages += 1
            if not throttle.take(self._media.now() / 1e6):
                self._cut_off(session, "too_many_messages", f"more than {self._limits.messages_per_s:.0f} a second")
                return
            if isinstance(message, ClockQuestion):
                self._answer_clock(session.link, message.t0)
            elif isinstance(message, Progress):
                self._events.progress(session.agent_id, message)  # from memory, ahead of whatever waits for a disk
            elif isinstance(message, Listening):
                self._taps.said(session.agent_id, message)
            elif isinstance(message, Bye):
                return
            elif isinstance(message, Status | Ack | Records | Event):
                inbox.put(message)

    def _answer_at_once(self, link: ControlLink, throttle: Throttle, t0: int) -> bool:
        """A question that the shortcut took; False: it goes the long way, where floods are cut off."""
        if link.closed_for is not None or not throttle.take(self._media.now() / 1e6):
            return False
        self._counts.messages += 1
        self._answer_clock(link, t0)
        return True

    def _answer_clock(self, link: ControlLink, t0: int) -> None:
        arrived = link.received_us
        self._counts.clock_replies += 1

        def reply() -> bytes:
            # The stamp is taken as late as it can be: the few microseconds of formatting are the same for every
            # exchange, and far below what a network adds.
            now = self._clock.now()
            utc_us, quality = to_unix_us(now), self._quality.at(now, arrived).value
            return text_frame(reply_text(t0, arrived, self._media.now(), self._media.timeline, utc_us, quality))

        link.clock(reply)

    def _cut_off(self, session: Session, code: str, detail: str) -> None:
        self._counts.cut_off += 1
        _log.info("agent_cut_off", agent_id=session.agent_id, code=code, detail=detail)
        session.link.order(text_frame(encode(Refused(code=code, detail=detail))))
        session.link.close(CLOSE_REFUSED, code)

    async def _brief(self, session: Session, hello: Hello) -> None:
        """Ask what the agent must be told and queue it; again, until it worked."""
        while True:
            try:
                async with asyncio.timeout(_BRIEFING_S):
                    briefing = await self._events.connected(session.agent_id, hello)
            except (ServiceError, StoreError, TimeoutError) as error:
                _log.warning("briefing_failed", agent_id=session.agent_id, reason=str(error) or type(error).__name__)
                await asyncio.sleep(_BRIEFING_RETRY_S)
                continue
            self._hand_over(session.link, briefing)
            return

    def _hand_over(self, link: ControlLink, briefing: Briefing) -> None:
        if briefing.key_set is not None:
            link.order(offer(briefing.key_set))
        for command in briefing.commands:
            link.order(offer(command))
        for stream_id, opening in briefing.streams:
            if stream_id not in self._fanout.streams:  # open ones were announced when the session began
                link.order(offer(opening))
        if briefing.settings is not None:
            link.document(DocumentKind.SETTINGS, offer(briefing.settings))
        if briefing.plan is not None:
            link.document(DocumentKind.PLAN, offer(briefing.plan))

    async def _work(self, session: Session, inbox: Inbox) -> None:
        """Give reports to the use-cases, one after the other."""
        while True:
            report = await inbox.get()
            try:
                async with asyncio.timeout(_REPORT_S):
                    await self._report(session, report)
            except (ServiceError, StoreError, TimeoutError) as error:
                _log.warning(
                    "report_failed",
                    agent_id=session.agent_id,
                    kind=report.type,
                    reason=str(error) or type(error).__name__,
                )

    async def _report(self, session: Session, report: Status | Ack | Records | Event) -> None:
        agent_id = session.agent_id
        match report:
            case Status():
                await self._events.status(agent_id, report)
            case Ack():
                await self._events.ack(agent_id, report)
            case Event():
                await self._events.event(agent_id, report)
            case Records():
                self._counts.records += len(report.records)
                up_to = await self._events.records(agent_id, report.journal, report.records)
                if up_to > 0:
                    session.link.order(text_frame(encode(RecordsAck(journal=report.journal, up_to=up_to))))
