"""The agents' side of the controller, whole: listener, sessions, fan-out, downloads, enrolment, advertisement.

1. An order is written to all its targets in one pass without waiting (:meth:`Gateway.send_command`): no database, no
   task, no queue unless a connection is behind.
2. Every two seconds the connections that take nothing are looked for, and closed; nobody else notices them.
3. An agent that is revoked (or moved to another cluster) loses its connections at once; it is told why.

Implements :class:`controller.services.ports.AgentGateway`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from controller.gateway.advert import PATH, Advertisement, Advertiser
from controller.gateway.control import ControlDesk
from controller.gateway.counts import GatewayCounts
from controller.gateway.door import Door
from controller.gateway.enrol import EnrolDesk
from controller.gateway.fanout import Fanout, OpenStream
from controller.gateway.frames import text_frame
from controller.gateway.limits import GatewayLimits
from controller.gateway.links import CLOSE_REFUSED, CLOSE_RESTART, CLOSE_TOO_SLOW, Link
from controller.gateway.media import ContentSource, MediaRoom
from controller.gateway.offers import kind_of_envelope, offer
from controller.gateway.ports import IdentitySource
from controller.gateway.roster import Roster, Session
from controller.gateway.streams import StreamDesk
from controller.gateway.taps import TapDesk
from controller.gateway.tickets import TicketOffice
from controller.keys.certificates import CertificatePair
from controller.services.context import Clock
from controller.services.directory import Change, Directory
from controller.services.enrolment import EnrolmentService
from controller.services.keeping import Keeper
from controller.services.ports import FleetEvents, MediaClock
from protocol.codec import decode as decode_document
from protocol.documents import DocumentKind, StreamOpen
from protocol.envelope import open_envelope
from protocol.errors import MalformedError
from protocol.keys import root_fingerprint
from protocol.messages import Refused, StreamClose, encode
from schedules.instants import MediaUs
from schedules.ladder import Priority

_log = structlog.get_logger(__name__)

#: How often connections that take nothing are looked for, in seconds.
_SWEEP_S = 2.0
_SWEPT_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Where to listen and how to be found.

    ``advertise_on``: addresses of this machine to advertise on; None = every real interface, () = not at all.
    ``shown_certificate``: SHA-256 of the certificate agents see when a proxy ends TLS; None = our own.
    """

    host: str = "0.0.0.0"  # noqa: S104 - agents come from everywhere; TLS is on unless this is loopback
    port: int = 8471
    tls: CertificatePair | None = None
    shown_certificate: bytes | None = None
    advertise_on: tuple[str, ...] | None = None
    limits: GatewayLimits = field(default_factory=GatewayLimits)


class Gateway:
    """See the module."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        directory: Directory,
        events: FleetEvents,
        enrolment: EnrolmentService,
        identity: IdentitySource,
        content: ContentSource,
        media: MediaClock,
        clock: Clock,
    ) -> None:
        limits = config.limits
        self.counts = GatewayCounts()
        self.roster = Roster(limits)
        self.fanout = Fanout(media.now)
        self.taps = TapDesk(self.roster, self.counts)
        self._config = config
        self._directory = directory
        self._identity = identity
        self._media = media
        self._tickets = TicketOffice(limits)
        self._advertiser = Advertiser(config.advertise_on)
        self.control = ControlDesk(
            limits=limits,
            directory=directory,
            events=events,
            identity=identity,
            media=media,
            clock=clock,
            roster=self.roster,
            fanout=self.fanout,
            tickets=self._tickets,
            taps=self.taps,
            counts=self.counts,
            certificate=lambda: self._certificate,
        )
        self.streams = StreamDesk(
            limits=limits,
            roster=self.roster,
            fanout=self.fanout,
            owner_of=self._owner_of,
            media_us=media.now,
            taps=self.taps,
            counts=self.counts,
        )
        self.media_room = MediaRoom(content, owner_of=self._owner_of, limits=limits)
        self.enrol = EnrolDesk(
            limits=limits, enrolment=enrolment, identity=identity, certificate=lambda: self._certificate
        )
        self.door = Door(
            (
                (f"{PATH}/control", self.control.serve),
                (f"{PATH}/stream", self.streams.serve),
                (f"{PATH}/enrol", self.enrol.serve),
                (f"{PATH}/media/{{sha256}}", self.media_room.recording),
                (f"{PATH}/documents/{{sha256}}", self.media_room.document),
            ),
            limits=limits,
            now_us=media.now,
            tls=config.tls,
        )
        self._certificate = config.shown_certificate or self.door.certificate_sha256
        directory.subscribe(self._on_change)

    # --- life -------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port the listener is on (useful when 0 was asked for)."""
        return self.door.port

    @property
    def fault(self) -> str | None:
        """What is wrong with being found, or None."""
        return self._advertiser.fault

    async def open(self, keeper: Keeper) -> None:
        """Listen and advertise.

        Raises:
            ListenError: the listener cannot be opened as configured.
        """
        await self.door.open(self._config.host, self._config.port)
        root = root_fingerprint(self._identity.link_identity().root_public)
        self._advertiser.open(Advertisement(self._config.host, self.port, root, self.door.secure), keeper)
        keeper.every("gateway-sweeper", _SWEEP_S, self.sweep)

    async def close(self) -> None:
        """Tell every agent to come back later, and let go of everything."""
        for session in list(self.roster.sessions.values()):
            session.link.close(CLOSE_RESTART, "the controller restarts")
            if session.stream is not None:
                session.stream.close(CLOSE_RESTART, "the controller restarts")
        self.fanout.stop()
        await self._advertiser.close()
        await self.door.close()

    # --- AgentGateway -----------------------------------------------------------------------------------------

    def online(self) -> frozenset[str]:
        """Ids of the agents with a live control connection."""
        return self.roster.online()

    async def send_command(self, envelope: bytes, targets: frozenset[str]) -> int:
        """Write a signed order to every target that is online, now; returns how many that were.

        Raises:
            ProtocolError: it is not an envelope.
        """
        return self._send(offer(envelope), targets)

    async def offer_plan(self, agent_id: str, envelopes: Sequence[bytes]) -> bool:
        """Queue settings and plan for one agent, behind orders and sound; False when it is not online.

        Raises:
            ProtocolError: one is not an envelope.
        """
        session = self.roster.sessions.get(agent_id)
        if session is None:
            return False
        for envelope in envelopes:
            session.link.document(kind_of_envelope(envelope), offer(envelope))
        return True

    async def send_key_set(self, envelope: bytes) -> int:
        """Send a new key set to every agent; returns how many were online."""
        return self._send(offer(envelope), self.online())

    async def open_stream(self, stream_id: int, envelope: bytes, targets: frozenset[str]) -> int:
        """Announce a live stream (or its extension); who connects later hears of it then. Returns how many heard now.

        Raises:
            ProtocolError: the envelope is not a stream open, or of another stream.
        """
        document = decode_document(DocumentKind.STREAM_OPEN, open_envelope(envelope).payload)
        if not isinstance(document, StreamOpen) or document.stream != stream_id:
            raise MalformedError("bad_envelope", f"the envelope does not open stream {stream_id}")
        frame = offer(envelope)
        on_control = document.priority >= Priority.EMERGENCY_STORED
        stream = OpenStream(stream_id, targets, on_control, frame)
        self.fanout.open(stream)
        for agent_id in targets & self.online():
            session = self.roster.sessions[agent_id]
            carrier = session.link if on_control else session.stream
            if carrier is not None:
                stream.join(agent_id, carrier)
        return self._send(frame, targets)

    def publish(self, stream_id: int, bundle: bytes, play_at: MediaUs) -> None:
        """Write one signed bundle to every connection of the stream; never waits.

        Raises:
            UnknownStreamError: the stream is not open.
        """
        self.fanout.publish(stream_id, bundle, play_at)

    async def close_stream(self, stream_id: int) -> None:
        """End a stream: what waits of it is discarded, the targets are told.

        Raises:
            UnknownStreamError: the stream is not open.
        """
        stream = self.fanout.close(stream_id)
        self._send(text_frame(encode(StreamClose(stream=stream_id))), stream.targets)
        for agent_id in stream.targets & self.online():
            self.streams.dismiss(self.roster.sessions[agent_id])

    async def disconnect(self, agent_id: str, code: str) -> None:
        """Cut an agent off: told why, its connections closed, its tickets void."""
        self._cut_off(agent_id, code)

    # --- inside -----------------------------------------------------------------------------------------------

    def _send(self, frame: bytes, targets: frozenset[str]) -> int:
        sessions = self.roster.sessions
        sent = 0
        for agent_id in targets:
            session = sessions.get(agent_id)
            if session is not None:
                session.link.order(frame)
                sent += 1
        self.counts.commands_sent += sent
        return sent

    def _owner_of(self, ticket: str) -> str | None:
        return self._tickets.owner(ticket, self._media.now() / 1e6)

    def _on_change(self, change: Change) -> None:
        """The directory changed: whoever is no longer approved for its session's cluster goes."""
        if change.kind != "agent":
            return
        session = self.roster.sessions.get(change.id)
        entry = self._directory.agents.get(change.id)
        if entry is None or entry.state == "revoked":
            self._cut_off(change.id, "revoked")
        elif session is not None and (not entry.approved or entry.cluster_id != session.cluster_id):
            self._cut_off(change.id, "reassigned")

    def _cut_off(self, agent_id: str, code: str) -> None:
        self._tickets.revoke(agent_id)
        session = self.roster.sessions.get(agent_id)
        if session is None:
            return
        session.link.order(text_frame(encode(Refused(code=code, detail="see the controller's agent list"))))
        session.link.close(CLOSE_REFUSED, code)
        if session.stream is not None:
            session.stream.close(CLOSE_REFUSED, code)

    async def sweep(self) -> None:
        """Close what has been stuck for too long."""
        longest = int(self._config.limits.stalled_s * 1e6)
        now = self._media.now()
        for number, session in enumerate(list(self.roster.sessions.values()), 1):
            if number % _SWEPT_AT_ONCE == 0:
                await asyncio.sleep(0)
            self._check_stall(session, session.link, now, longest)
            if session.stream is not None:
                self._check_stall(session, session.stream, now, longest)

    def _check_stall(self, session: Session, link: Link, now: int, longest: int) -> None:
        if link.closed_for is None and link.stalled_for_us(now) > longest:
            self.counts.stalled += 1
            _log.info("agent_stalled", agent_id=session.agent_id)
            link.close(CLOSE_TOO_SLOW, "slow: nothing was taken for too long; connect again")
