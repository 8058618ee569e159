"""A controller that fits in a test: real sockets on loopback, real signatures, what an agent needs and no more."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from aiohttp import WSMsgType, web

from audio.codec import OggOpusWriter, OpusEncoder
from protocol.bundle import Bundle, pack
from protocol.codec import seal_document
from protocol.documents import (
    Command,
    DayDocument,
    DayReference,
    Document,
    KeySet,
    OnlineKey,
    Order,
    PlanManifest,
    Settings,
    StockClip,
    StockKind,
    StreamOpen,
    Targets,
    body_sha256,
    encode_day,
)
from protocol.enrolment import ControllerCode, Provisioning
from protocol.errors import ProtocolError
from protocol.handshake import ControllerHandshake, refusal
from protocol.keys import Role, SigningKey, fingerprint
from protocol.limits import MAX_FRAME
from protocol.link import NO_CERTIFICATE
from protocol.messages import (
    Ack,
    Auth,
    Clock,
    CommandOffer,
    EnrolCommit,
    Enrolled,
    EnrolReveal,
    EnrolToken,
    Event,
    Hello,
    KeySetOffer,
    Message,
    PlanOffer,
    Records,
    RecordsAck,
    Refused,
    SettingsOffer,
    Status,
    StreamOpenOffer,
    UtcQuality,
    Welcome,
    decode,
    encode,
)
from protocol.telemetry import PlayRecord
from protocol.timeline import Timeline
from schedules.instants import SAMPLE_RATE, Frames, MediaUs, MonoUs, to_unix_us
from schedules.ladder import Priority
from schedules.model import Approval, Clip, ClusterSettings, Item

CLUSTER = "cl_krongklang"
T = TypeVar("T", bound=Message)


def mono() -> MonoUs:
    return MonoUs(time.monotonic_ns() // 1000)


def utc() -> datetime:
    return datetime.now(UTC)


@dataclass
class Keys:
    """One controller's keys: a root and an online key for everything."""

    root: SigningKey = field(default_factory=SigningKey.generate)
    online: SigningKey = field(default_factory=SigningKey.generate)
    term: int = 1
    version: int = 1
    sealed: bytes = b""

    def key_set(self) -> bytes:
        """The same bytes for the same version, as a controller keeps them."""
        if not self.sealed:
            self.sealed = self._seal()
        return self.sealed

    def _seal(self) -> bytes:
        now = utc()
        keys = (OnlineKey.of(self.online.public, frozenset(Role), now - timedelta(days=30), now + timedelta(days=400)),)
        document = KeySet(fingerprint(self.root.public), self.term, self.version, now, now + timedelta(days=400), keys)
        return seal_document(document, self.root)


@dataclass
class Session:
    agent_id: str
    ws: web.WebSocketResponse


class SmallController:
    """``async with SmallController(...) as controller``; then :attr:`url`."""

    def __init__(self, folder: Path, keys: Keys | None = None, *, port: int = 0) -> None:
        self.folder = folder
        self.keys = keys or Keys()
        self.sealed_keys = self.keys.key_set()
        self.port = port
        self.timeline = Timeline(secrets.randbits(63) + 1, mono())
        self.quality = UtcQuality.SYNCHRONISED
        self.tokens: dict[str, str] = {}
        self.agents: dict[str, str] = {}
        self.sessions: dict[str, Session] = {}
        self.streams: dict[str, web.WebSocketResponse] = {}
        self.received: list[Message] = []
        self.records: dict[tuple[str, str, int], PlayRecord] = {}
        self.repeats = 0
        self.ack_records = True
        self.content: dict[str, bytes] = {}
        self.served: Counter[str] = Counter()
        self.stock: tuple[StockClip, ...] = ()
        self.ranges: list[str] = []
        self.on_session: list[Callable[[Session], list[Message]]] = []
        self.waiting: list[ControllerCode] = []
        self.approve = asyncio.Event()
        self.cut_downloads_at: int | None = None
        self.connections = 0
        self._seq = Counter[str]()
        self._news = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._day_seq = 0

    # -- life ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/agent/v1/control", self._control)
        app.router.add_get("/agent/v1/stream", self._stream)
        app.router.add_get("/agent/v1/enrol", self._enrol)
        app.router.add_get("/agent/v1/media/{sha}", self._content)
        app.router.add_get("/agent/v1/documents/{sha}", self._content)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in tuple(self.sessions.values()):
            await session.ws.close()
        for ws in tuple(self.streams.values()):
            await ws.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def provisioning(self, count: int = 1, *, with_url: bool = True) -> Provisioning:
        tokens = tuple(secrets.token_urlsafe(24) for _ in range(count))
        for number, token in enumerate(tokens):
            self.tokens[token] = CLUSTER if number == 0 else f"{CLUSTER}{number}"
        return Provisioning(self.url if with_url else None, fingerprint(self.keys.root.public), tokens)

    # -- making things ------------------------------------------------------------------------------------

    def next_seq(self, kind: str) -> int:
        self._seq[kind] += 1
        return self._seq[kind]

    def seal(self, document: Document) -> bytes:
        return seal_document(document, self.keys.online)

    def sound(self, seconds: float, hz: float = 440) -> Clip:
        """A real Ogg Opus file, served by hash."""
        path = self.folder / f"tone-{hz}-{seconds}.opus"
        frames = int(seconds * SAMPLE_RATE)
        with OggOpusWriter(path) as writer:
            writer.write((0.2 * np.sin(2 * np.pi * hz * np.arange(frames) / SAMPLE_RATE)).astype(np.float32))
        body = path.read_bytes()
        sha256 = hashlib.sha256(body).hexdigest()
        self.content[sha256] = body
        return Clip(sha256, Frames(frames), Approval("us_chair", utc()))

    def stocked(self, clip: Clip, kind: StockKind = StockKind.TEMPLATE) -> Clip:
        """The next settings name it as stock."""
        self.stock += (StockClip(clip.sha256, clip.frames, len(self.content[clip.sha256]), kind),)
        return clip

    def settings(self, agent_id: str, /, **changes: Any) -> bytes:
        base: dict[str, Any] = {
            "cluster_id": self.agents[agent_id],
            "timezone": "Asia/Ho_Chi_Minh",
            "quiet_hours": None,
        }
        now = utc()
        cluster = ClusterSettings(**(base | changes))
        return self.seal(
            Settings(
                agent_id, self.keys.term, self.next_seq("settings"), now, now + timedelta(days=400), cluster, self.stock
            )
        )

    def plan(self, agent_id: str, items: tuple[Item, ...], /, **changes: Any) -> bytes:
        body = encode_day(DayDocument(date(2026, 11, 23), items))
        sha256 = hashlib.sha256(body).hexdigest()
        self.content[sha256] = body
        now = utc()
        manifest = PlanManifest(
            agent_id=agent_id,
            cluster_id=self.agents[agent_id],
            term=self.keys.term,
            seq=self.next_seq("plan"),
            issued=now,
            expires=now + timedelta(days=7),
            settings_sha256=body_sha256(b""),
            days=(DayReference(date(2026, 11, 23), sha256, len(body)),),
        )
        return self.seal(replace(manifest, **changes))

    def command(self, order: Order, **changes: Any) -> bytes:
        now = utc()
        command = Command(
            term=self.keys.term,
            seq=self.next_seq("command"),
            issued=now,
            expires=now + timedelta(minutes=10),
            nonce=secrets.token_hex(16),
            targets=Targets(everyone=True),
            order=order,
        )
        return self.seal(replace(command, **changes))

    def stream_open(self, stream: int, priority: Priority, **changes: Any) -> bytes:
        now = utc()
        opened = StreamOpen(
            stream=stream,
            timeline=self.timeline.id,
            priority=priority,
            key_id=self.keys.online.key_id,
            opened=now,
            not_after=now + timedelta(minutes=10),
            targets=Targets(everyone=True),
            title="live",
            term=self.keys.term,
            seq=self.next_seq("stream_open"),
        )
        return self.seal(replace(opened, **changes))

    def bundles(self, stream: int, *, begin: MediaUs, count: int, key: SigningKey | None = None) -> list[bytes]:
        """``count`` bundles of 200 ms of a tone, from ``begin`` on."""
        encoder = OpusEncoder()
        frames = []
        for number in range(count):
            wave = 0.2 * np.sin(2 * np.pi * 440 * (np.arange(9600) + number * 9600) / SAMPLE_RATE)
            packets = tuple(encoder.encode(wave.astype(np.float32)[i * 960 : (i + 1) * 960]) for i in range(10))
            bundle = Bundle(
                key_id=(key or self.keys.online).key_id,
                timeline=self.timeline.id,
                stream=stream,
                seq=number,
                lead_ms=500,
                frame_samples=960,
                play_at=MediaUs(begin + number * 200_000),
                sample_index=number * 9600,
                packets=packets,
                end=number == count - 1,
            )
            frames.append(pack(bundle, key or self.keys.online))
        return frames

    def media_now(self) -> MediaUs:
        return self.timeline.media(mono())

    # -- talking ------------------------------------------------------------------------------------------

    async def send(self, agent_id: str, message: Message) -> None:
        await self.sessions[agent_id].ws.send_str(encode(message))

    async def send_plan(self, agent_id: str, *items: Item) -> bytes:
        envelope = self.plan(agent_id, items)
        await self.send(agent_id, PlanOffer(envelope=envelope.decode()))
        return envelope

    async def send_command(self, agent_id: str, envelope: bytes) -> None:
        await self.send(agent_id, CommandOffer(envelope=envelope.decode()))

    async def send_settings(self, agent_id: str, **changes: Any) -> None:
        await self.send(agent_id, SettingsOffer(envelope=self.settings(agent_id, **changes).decode()))

    async def send_key_set(self, agent_id: str) -> None:
        await self.send(agent_id, KeySetOffer(envelope=self.sealed_keys.decode()))

    async def send_open(self, agent_id: str, envelope: bytes) -> None:
        await self.send(agent_id, StreamOpenOffer(envelope=envelope.decode()))

    async def until(self, what: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(what)

    async def tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def session_of(self, within_s: float = 10.0) -> str:
        await self.until(lambda: bool(self.sessions), within_s)
        return next(iter(self.sessions))

    def acks(self) -> list[Ack]:
        return self.of(Ack)

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in self.received if isinstance(message, kind)]

    def events(self) -> list[str]:
        return [event.code for event in self.of(Event)]

    def statuses(self) -> list[Status]:
        return self.of(Status)

    # -- answering ----------------------------------------------------------------------------------------

    def _handshake(self) -> ControllerHandshake:
        return ControllerHandshake(
            self.keys.online,
            root_public=self.keys.root.public,
            key_set=self.sealed_keys,
            certificate=NO_CERTIFICATE,
            nonce=secrets.token_bytes(32),
        )

    async def _control(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=MAX_FRAME)
        await ws.prepare(request)
        self.connections += 1
        try:
            handshake = self._handshake()
            await ws.send_str(encode(handshake.on_hello(await _next(ws, Hello))))
            peer = handshake.on_auth(await _next(ws, Auth))
            if peer.agent_id not in self.agents:
                await ws.send_str(encode(Refused(code="not_enrolled", detail="unknown")))
                return ws
        except ProtocolError as error:
            await ws.send_str(encode(refusal(error)))
            return ws
        except ConnectionError:
            await self.tell()
            return ws
        welcome = Welcome(
            session=secrets.token_hex(16),
            agent_id=peer.agent_id,
            cluster_id=self.agents[peer.agent_id],
            timeline=self.timeline.id,
            media_ticket="ticket-" + peer.agent_id,
            heartbeat_s=2,
        )
        await ws.send_str(encode(welcome))
        session = self.sessions[peer.agent_id] = Session(peer.agent_id, ws)
        for brief in self.on_session:
            for message in brief(session):
                await ws.send_str(encode(message))
        await self.tell()
        await self._listen(session)
        if self.sessions.get(peer.agent_id) is session:
            del self.sessions[peer.agent_id]
        await self.tell()
        return ws

    async def _listen(self, session: Session) -> None:
        async for frame in session.ws:
            if frame.type is not WSMsgType.TEXT:
                return
            received = mono()
            message = decode(frame.data)
            if isinstance(message, Clock):
                sent, now = mono(), to_unix_us(utc())
                reply = self.timeline.reply(message, received=received, sent=sent, utc_us=now, quality=self.quality)
                await session.ws.send_str(encode(reply))
                continue
            self.received.append(message)
            if isinstance(message, Records):
                await self._keep(session, message)
            await self.tell()

    async def _keep(self, session: Session, message: Records) -> None:
        for record in message.records:
            key = (session.agent_id, message.journal, record.seq)
            self.repeats += key in self.records
            self.records[key] = record
        if self.ack_records:
            reply = RecordsAck(journal=message.journal, up_to=message.records[-1].seq)
            await session.ws.send_str(encode(reply))

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        agent_id = request.query["ticket"].removeprefix("ticket-")
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.streams[agent_id] = ws
        await self.tell()
        async for _ in ws:
            pass
        if self.streams.get(agent_id) is ws:
            del self.streams[agent_id]
        await self.tell()
        return ws

    async def _enrol(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=MAX_FRAME)
        await ws.prepare(request)
        first = decode((await ws.receive()).data)
        try:
            if isinstance(first, Hello):
                handshake = self._handshake()
                await ws.send_str(encode(handshake.on_hello(first)))
                peer, token = handshake.on_token(await _next(ws, EnrolToken))
                cluster = self.tokens.pop(token, None)
                if cluster is None:
                    await ws.send_str(encode(Refused(code="token_used", detail="used")))
                    return ws
                self.agents[peer.agent_id] = cluster
                await ws.send_str(encode(Enrolled(cluster_id=cluster, agent_id=peer.agent_id)))
            elif isinstance(first, EnrolCommit):
                await self._enrol_by_code(ws, first)
        except ProtocolError as error:
            await ws.send_str(encode(refusal(error)))
        except ConnectionError:
            pass
        return ws

    async def _enrol_by_code(self, ws: web.WebSocketResponse, first: EnrolCommit) -> None:
        side = ControllerCode(
            self.keys.online,
            root_public=self.keys.root.public,
            key_set=self.sealed_keys,
            certificate=NO_CERTIFICATE,
            nonce=secrets.token_bytes(32),
        )
        await ws.send_str(encode(side.on_commit(first)))
        await ws.send_str(encode(side.on_reveal(await _next(ws, EnrolReveal))))
        self.waiting.append(side)
        await self.tell()
        await self.approve.wait()
        self.agents[side.peer.agent_id] = CLUSTER
        await ws.send_str(encode(side.approve(CLUSTER)))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("Authorization", "").startswith("Bearer ticket-"):
            raise web.HTTPUnauthorized
        sha = request.match_info["sha"]
        body = self.content.get(sha)
        if body is None:
            raise web.HTTPNotFound
        self.served[sha] += 1
        begin = 0
        if "Range" in request.headers:
            self.ranges.append(request.headers["Range"])
            begin = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        response = web.StreamResponse(status=206 if begin else 200)
        response.content_length = len(body) - begin
        if begin:
            response.headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        await response.prepare(request)
        if self.cut_downloads_at is not None and begin < self.cut_downloads_at:
            await response.write(body[begin : self.cut_downloads_at])
            await asyncio.sleep(0.05)
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(body[begin:])
        return response


async def _next(ws: web.WebSocketResponse, kind: type[T]) -> T:
    frame = await ws.receive()
    if frame.type is not WSMsgType.TEXT:
        raise ConnectionResetError("the agent is gone")
    message = decode(frame.data)
    if not isinstance(message, kind):
        raise ConnectionResetError(f"expected {kind.__name__}, got {message!r}")
    return message
