"""A controller's agent side on loopback, and small agents made of the protocol package. Real sockets, real database."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from sqlalchemy import create_engine

from controller.gateway import Gateway, GatewayConfig, GatewayLimits, VaultIdentity
from controller.keys import KeyVault
from controller.keys.certificates import CertificatePair, ensure_certificate
from controller.services.context import Actor, Role, RoleGrant, SystemClock
from controller.services.context import Clock as ClockPort
from controller.services.directory import Directory
from controller.services.enrolment import EnrolmentService
from controller.services.entries import AgentEntry, AreaEntry, ClusterEntry
from controller.services.fleet import FleetService
from controller.services.play_records import PlayRecordBook
from controller.services.ports import Briefing
from controller.store import Database, sqlite_url, tables
from controller.supervisor import Supervisor
from protocol.codec import seal_document
from protocol.documents import Command, StopOrder, StreamOpen, Targets
from protocol.handshake import AgentHandshake
from protocol.keys import Role as KeyRole
from protocol.keys import SigningKey, agent_id_of
from protocol.link import NO_CERTIFICATE
from protocol.messages import (
    Ack,
    Challenge,
    Clock,
    Hello,
    Message,
    Refused,
    Status,
    Welcome,
    decode,
    encode,
)
from protocol.telemetry import ClockState, Health, OutputState, PlayOutcome, PlayRecord
from protocol.trust import TrustedState
from schedules.instants import MediaUs
from schedules.ladder import Priority

M = TypeVar("M")
ADMIN = Actor("us_admin", "admin", (RoleGrant(Role.ADMIN, None),))
VIEWER = Actor("us_viewer", "viewer", (RoleGrant(Role.VIEWER, None),))
JOURNAL = "ab" * 16


class LoopMedia:
    """A media timeline on the machine's monotonic clock; ``ahead`` moves it."""

    timeline = 0xFEEDFACECAFEBEEF

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.ahead = 0

    def now(self) -> MediaUs:
        return MediaUs(self._clock.mono_us() + self.ahead)


class Shelf:
    """Content in a folder and in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.documents: dict[str, bytes] = {}

    def put_media(self, body: bytes) -> str:
        sha256 = hashlib.sha256(body).hexdigest()
        (self._folder / sha256).write_bytes(body)
        return sha256

    def put_document(self, body: bytes) -> str:
        sha256 = hashlib.sha256(body).hexdigest()
        self.documents[sha256] = body
        return sha256

    def media_path(self, sha256: str) -> Path | None:
        return self._folder / sha256

    async def document(self, sha256: str) -> bytes | None:
        return self.documents.get(sha256)


@dataclass
class Desk:
    """Planning and orders, in memory."""

    briefings: dict[str, Briefing] = field(default_factory=dict)
    acks: list[tuple[str, Ack]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def briefing(self, agent_id: str) -> Briefing:
        if self.failures:
            raise self.failures.pop(0)
        return self.briefings.get(agent_id, Briefing())

    async def answered(self, agent_id: str, ack: Ack) -> None:
        self.acks.append((agent_id, ack))


@dataclass
class World:
    """One controller's agent side."""

    db: Database
    directory: Directory
    clock: SystemClock
    vault: KeyVault
    media: LoopMedia
    shelf: Shelf
    desk: Desk
    fleet: FleetService
    enrolment: EnrolmentService
    gateway: Gateway
    tls: CertificatePair | None
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.gateway.port}/agent/v1"

    @property
    def certificate(self) -> bytes:
        return NO_CERTIFICATE if self.tls is None else bytes.fromhex(self.tls.fingerprint())

    @property
    def ssl(self) -> ssl.SSLContext | bool:
        if self.tls is None:
            return True
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    async def approved(self, cluster_id: str = "cl_a") -> SmallAgent:
        """An agent that is enrolled already."""
        agent = SmallAgent(self, SigningKey.generate())
        async with self.db.telemetry() as session:
            row = tables.Agent(
                id=agent.id,
                public_key=agent.key.public.hex(),
                cluster_id=cluster_id,
                state="approved",
                enrolled_at=self.clock.now(),
            )
            session.add(row)
        self.directory.put_agent(AgentEntry.of(row))
        return agent

    async def online(self, count: int = 1, cluster_id: str = "cl_a") -> list[SmallAgent]:
        """Agents that are connected."""
        agents = [await self.approved(cluster_id) for _ in range(count)]
        await asyncio.gather(*(agent.connect() for agent in agents))
        return agents

    def command(self, targets: Targets | None = None, *, seq: int = 1) -> bytes:
        """A sealed STOP."""
        now = self.clock.now()
        order = Command(
            self.vault.term,
            seq,
            now,
            now + timedelta(minutes=30),
            secrets.token_hex(16),
            targets or Targets(everyone=True),
            StopOrder(),
        )
        return seal_document(order, self.vault.key(KeyRole.PLAN))

    def opening(
        self, stream: int, agents: Sequence[str], *, priority: Priority = Priority.RELAY, seq: int = 1
    ) -> bytes:
        """A sealed stream open."""
        now = self.clock.now()
        key = self.vault.key(KeyRole.EMERGENCY if priority >= Priority.EMERGENCY_STORED else KeyRole.LIVE)
        opened = StreamOpen(
            stream,
            self.media.timeline,
            priority,
            key.key_id,
            now,
            now + timedelta(minutes=10),
            Targets(agents=tuple(agents)),
            "live",
            self.vault.term,
            seq,
        )
        return seal_document(opened, key)


class SmallAgent:
    """The least an agent does: prove itself, talk, listen."""

    def __init__(self, world: World, key: SigningKey, certificate: bytes | None = None) -> None:
        self.world = world
        self.key = key
        self.id = agent_id_of(key.public)
        self.certificate = world.certificate if certificate is None else certificate
        self.control: aiohttp.ClientWebSocketResponse
        self.stream: aiohttp.ClientWebSocketResponse
        self.welcome: Welcome

    async def connect(self) -> None:
        answer = await self.shake_hands()
        assert isinstance(answer, Welcome), answer
        self.welcome = answer

    async def shake_hands(self) -> Message:
        """Hello to welcome (or refused)."""
        world = self.world
        trust = TrustedState(self.id, world.vault.root_public)
        self.control = await world.http.ws_connect(f"{world.url}/control", ssl=world.ssl)
        handshake = AgentHandshake(
            self.key, trust, certificate=world.certificate, nonce=secrets.token_bytes(32), software="test 1"
        )
        await self.say(handshake.hello())
        challenge = decode(await self.control.receive_str(timeout=5))
        if not isinstance(challenge, Challenge):
            return challenge
        proof = handshake.on_challenge(challenge, now=world.clock.now())
        await self.say(proof.auth.model_copy(update={"certificate": self.certificate.hex()}))
        return decode(await self.control.receive_str(timeout=5))

    async def open_stream(self) -> None:
        """Open the media connection."""
        world = self.world
        self.stream = await world.http.ws_connect(
            f"{world.url}/stream", params={"ticket": self.welcome.media_ticket}, ssl=world.ssl
        )
        await eventually(lambda: self.session.stream is not None)

    @property
    def session(self) -> Any:
        return self.world.gateway.roster.sessions[self.id]

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.welcome.media_ticket}"}

    async def say(self, message: Message) -> None:
        await self.control.send_str(encode(message))

    async def hear(self, kind: type[M]) -> M:
        """The next message of a kind; others are passed over, a refusal or the end is an error."""
        while True:
            frame = await self.control.receive(timeout=5)
            assert frame.type is aiohttp.WSMsgType.TEXT, frame
            message = decode(frame.data)
            if isinstance(message, kind):
                return message
            assert not isinstance(message, Refused), message

    async def end(self) -> tuple[Refused | None, int | None]:
        """Wait for the connection to close: the refusal, if one came, and the close code."""
        refused = None
        while True:
            frame = await self.control.receive(timeout=5)
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return refused, self.control.close_code
            message = decode(frame.data)
            refused = message if isinstance(message, Refused) else refused

    def status(self, **more: Any) -> Status:
        health = Health(uptime_s=1, clock=ClockState.READY, output=OutputState.OK)
        return Status(at=self.world.clock.now(), health=health, **more)

    async def ask_time(self, t0: int = 7) -> None:
        await self.say(Clock(t0=t0))

    def hello(self) -> Hello:
        return Hello(agent_id=self.id, public_key=self.key.public.hex(), nonce="00" * 32)


def record(seq: int, outcome: PlayOutcome = PlayOutcome.PLAYED) -> PlayRecord:
    at = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
    return PlayRecord(
        seq=seq,
        occurrence_id=hashlib.sha256(str(seq).encode()).hexdigest(),
        rule_id="pr_a",
        recurrence=at,
        title="Bản tin",
        priority=40,
        outcome=outcome,
        planned_start=at,
        started=at,
        ended=at + timedelta(minutes=5),
        start_error_us=120,
        frames=14_400_000,
    )


async def eventually(condition: Callable[[], bool], *, within: float = 5.0) -> None:
    """Wait for something that the other side of a socket brings about."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the other side is a socket, it sets no event
            await asyncio.sleep(0.002)


@cache
def empty_database() -> bytes:
    """A SQLite file with all tables, made once (migrations have tests of their own)."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        tables.Table.metadata.create_all(connection)
        held = connection.connection.driver_connection
        assert isinstance(held, sqlite3.Connection)
        content = held.serialize()
    engine.dispose()
    return content


async def make_database(folder: Path, clock: ClockPort, **more: Any) -> Database:
    """A database with all tables."""
    file = folder / "loa.db"
    file.write_bytes(empty_database())
    return Database(sqlite_url(str(file)), now=clock.now, **more)


async def furnish(db: Database, directory: Directory, clock: ClockPort) -> None:
    """Two communes, a cluster in each."""
    async with db.telemetry() as session:
        for letter in "ab":
            session.add(tables.Area(id=f"ar_{letter}", name=f"Xã {letter}", kind="xã", created_at=clock.now()))
            directory.put_area(AreaEntry(f"ar_{letter}", None, f"Xã {letter}", "xã"))
        await session.flush()
        for letter in "ab":
            row = tables.Cluster(
                id=f"cl_{letter}", area_id=f"ar_{letter}", name=f"Cụm {letter}", created_at=clock.now()
            )
            session.add(row)
            directory.put_cluster(ClusterEntry(f"cl_{letter}", f"ar_{letter}", f"Cụm {letter}"))


@asynccontextmanager
async def world_in(folder: Path, *, secure: bool = False, limits: GatewayLimits | None = None) -> AsyncIterator[World]:
    """A running agent side, with two clusters, cl_a and cl_b."""
    clock, media, directory, desk = SystemClock(), LoopMedia(), Directory(), Desk()
    db = await make_database(folder, clock)
    await furnish(db, directory, clock)
    vault = KeyVault.open(folder / "keys", now=clock.now())
    content = folder / "media"
    content.mkdir()
    shelf = Shelf(content)
    records = PlayRecordBook(db, clock)
    fleet = FleetService(db, directory, clock, records, desk)
    enrolment = EnrolmentService(db, directory, clock, root_fingerprint=vault.root_fingerprint)
    tls = ensure_certificate(folder / "tls", "agent", ["127.0.0.1"], now=clock.now()) if secure else None
    gateway = Gateway(
        GatewayConfig("127.0.0.1", 0, tls, advertise_on=(), limits=limits or GatewayLimits()),
        directory=directory,
        events=fleet,
        enrolment=enrolment,
        identity=VaultIdentity(vault),
        content=shelf,
        media=media,
        clock=clock,
    )
    keeper = Supervisor()
    records.open(keeper)
    enrolment.open(keeper)
    await fleet.open(keeper)
    await gateway.open(keeper)
    connector = aiohttp.TCPConnector(limit=0, ssl=True)
    try:
        async with aiohttp.ClientSession(connector=connector) as http:
            yield World(db, directory, clock, vault, media, shelf, desk, fleet, enrolment, gateway, tls, http)
    finally:
        await gateway.close()
        await keeper.close()
        enrolment.close()
        await fleet.close()
        records.close()
        assert set(keeper.states().values()) == {"running"}
        await db.close()
