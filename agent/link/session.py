"""One control connection, from hello to its end.

Rules kept here:

1. Nothing is said before the controller proved the pinned root on this very connection; what the proof taught (a newer
   key set) is durable before the agent answers.
2. The reader waits for nothing but the wire, so STOP is heard whatever else is going on.
3. What the agent says goes through one bounded queue (:data:`OUTBOX`); acknowledgements and events that do not fit are
   dropped, because the controller asks again; records are never dropped, they wait in the journal.
4. Clock questions are stamped right before they are written, and are not queued behind anything.

Not here: when to connect (:mod:`agent.link.link`), what documents mean (:mod:`agent.link.clerk`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol, TypeVar

import structlog

from agent.clocks import Clock
from agent.conductor.herald import Herald
from agent.crowd import Crowd, Rank
from agent.errors import LinkError, StorageError
from agent.link.clerk import Clerk
from agent.link.enrolment import SOFTWARE
from agent.link.fetch import Door
from agent.link.tap import Tap
from agent.link.timing import ClockCaller
from agent.link.transport import Socket
from agent.supervise import together
from agent.watch import Watch
from protocol.handshake import AgentHandshake
from protocol.keys import SigningKey
from protocol.link import NONCE_BYTES
from protocol.messages import (
    Ack,
    Bye,
    Challenge,
    ClockReply,
    CommandOffer,
    Event,
    KeySetOffer,
    Listen,
    ListenEnd,
    Listening,
    MediaTicket,
    Message,
    PlanOffer,
    Records,
    RecordsAck,
    Refused,
    RootOffer,
    SettingsOffer,
    Status,
    StreamClose,
    StreamOpenOffer,
    Welcome,
    decode,
    encode,
)
from protocol.telemetry import PlayRecord
from protocol.trust import TrustedState

log = structlog.get_logger("agent.link")

ANSWER_S = 15.0
OUTBOX = 256

#: Records in one message, and how long their acknowledgement may take before they are sent again.
RECORDS_AT_ONCE = 50
RECORDS_ACK_S = 30.0

#: A session in doubt is over unless anything comes within this.
DOUBT_S = 3.0

#: A status that changed is told at once, but not more often than this.
STATUS_PAUSE_S = 0.25

M = TypeVar("M", bound=Message)


#: The end of an order's frame. An order is the same text for many agents of a process (a swarm's), so it is read once.
_ORDERED = '"type":"command"}'
_SHARED_CHARACTERS = 16_384
_remembered = lru_cache(maxsize=64)(decode)


def _decoded(frame: str) -> Message:
    shared = len(frame) <= _SHARED_CHARACTERS and frame.endswith(_ORDERED)
    return _remembered(frame) if shared else decode(frame)


class Journal(Protocol):
    """The play records that wait for the controller."""

    @property
    def name(self) -> str:
        """Which journal this is."""
        ...

    async def pending(self, *, after: int, limit: int) -> list[PlayRecord]:
        """Unacknowledged records, oldest first."""
        ...

    def acknowledge(self, up_to: int) -> None:
        """The controller has them for good."""
        ...

    async def grown(self) -> None:
        """Wait until a record was added."""
        ...


@dataclass(frozen=True, slots=True)
class Ears:
    """What a session tells the agent, and asks of it."""

    bundle: Callable[[bytes], None]
    stream_closed: Callable[[int], None]
    door: Callable[[Door | None], None]
    status: Callable[[], Status]
    live: Callable[[], bool]
    trusted_now: Callable[[], datetime | None]


@dataclass(frozen=True, slots=True)
class Kit:
    """What every session of an agent uses."""

    clock: Clock
    identity: SigningKey
    trust: TrustedState
    clerk: Clerk
    caller: ClockCaller
    journal: Journal
    watch: Watch
    herald: Herald
    tap: Tap
    ears: Ears
    crowd: Crowd
    metered: bool = False


class ControlSession:
    """One connection. Make it, :meth:`begin`, :meth:`run` until it raises."""

    def __init__(self, kit: Kit, socket: Socket) -> None:
        self._kit = kit
        self._socket = socket
        self._outbox: asyncio.Queue[Message] = asyncio.Queue(OUTBOX)
        self._acked = asyncio.Event()
        self._status_due = asyncio.Event()
        self._in_doubt = asyncio.Event()
        self._heard = 0
        self._acked_up_to = 0
        self._welcome: Welcome | None = None
        self._ticket = ""
        self.dropped = 0

    async def begin(self) -> Welcome:
        """The handshake.

        Raises:
            ProtocolError: the controller is not ours, or breaks the rules.
            LinkError: ``refused`` by the controller, or the connection broke off.
            StorageError: what it taught could not be written down.
        """
        kit = self._kit
        handshake = AgentHandshake(
            kit.identity,
            kit.trust,
            certificate=self._socket.certificate,
            nonce=secrets.token_bytes(NONCE_BYTES),
            software=SOFTWARE,
        )
        await self._socket.send(encode(handshake.hello()))
        challenge = await self._expect(Challenge)
        proof = handshake.on_challenge(challenge, now=kit.ears.trusted_now())
        await kit.clerk.learn(proof.learned)
        await self._socket.send(encode(proof.auth))
        self._welcome = await self._expect(Welcome)
        self._ticket = self._welcome.media_ticket
        return self._welcome

    async def run(self, door: Callable[[str], Door]) -> None:
        """Speak and listen until the connection ends. ``door`` makes the way to content of a ticket.

        Raises:
            LinkError: it ended (it always does).
            MalformedError: the controller sent nonsense.
        """
        self._kit.clerk.answer_to(self.say)
        self._kit.herald.news = self._tell_progress
        self._kit.tap.say = self.say
        self._tell_progress()
        self._kit.ears.door(door(self._ticket))
        self._kit.watch.on_change(self._status_due.set)
        loops = {
            "session-reader": self._listen(door),
            "session-writer": self._write(),
            "session-clock": self._ask_time(),
            "session-status": self._tell_status(),
            "session-records": self._send_records(),
            "session-doubt": self._resolve_doubt(),
        }
        try:
            await together(loops)
        finally:
            self._kit.clerk.answer_to(None)
            self._kit.herald.news = lambda: None
            self._kit.tap.session_over()
            self._kit.ears.door(None)
            self._kit.watch.off_change(self._status_due.set)
            await self._socket.close()

    def say(self, message: Ack | Event | Listening) -> None:
        """Queue a message; dropped (and counted) when too many wait."""
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped += 1

    def _tell_progress(self) -> None:
        while (progress := self._kit.herald.take()) is not None:
            try:
                self._outbox.put_nowait(progress)
            except asyncio.QueueFull:
                self._kit.herald.give_back(progress)
                return

    def changed(self) -> None:
        """What sounds, or what is wrong, has changed: tell it soon."""
        self._status_due.set()

    def doubt(self) -> None:
        """Something else of this controller fell silent: is it still there?"""
        self._in_doubt.set()

    async def _resolve_doubt(self) -> None:
        while True:
            await self._in_doubt.wait()
            before = self._heard
            self._kit.caller.hurry()
            await asyncio.sleep(DOUBT_S)
            if self._heard == before:
                raise LinkError("silent", "the controller answers nothing")
            self._in_doubt.clear()

    # -- listening ----------------------------------------------------------------------------------------

    async def _listen(self, door: Callable[[str], Door]) -> None:
        while True:
            frame = await self._socket.receive()
            received = self._kit.clock.mono_us()
            self._heard += 1
            if isinstance(frame, bytes):
                self._kit.ears.bundle(frame)
                continue
            message = _decoded(frame)
            match message:
                case ClockReply():
                    self._kit.caller.on_reply(message, received)
                case CommandOffer() | StreamOpenOffer() | SettingsOffer() | PlanOffer() | KeySetOffer() | RootOffer():
                    self._kit.clerk.offer(message)
                case StreamClose(stream=stream):
                    self._kit.ears.stream_closed(stream)
                case RecordsAck(journal=journal, up_to=up_to) if journal == self._kit.journal.name:
                    self._acked_up_to = max(self._acked_up_to, up_to)
                    self._kit.journal.acknowledge(up_to)
                    self._acked.set()
                case Listen() | ListenEnd():
                    self._kit.tap.take(message)
                case MediaTicket(ticket=ticket):
                    self._kit.ears.door(door(ticket))
                case Refused(code=code, detail=detail):
                    raise LinkError("refused", f"the controller ends the session: {code} {detail}".strip())
                case _:
                    log.debug("ignored a message", type=message.type)

    async def _expect(self, kind: type[M]) -> M:
        while True:
            frame = await self._socket.receive(within_s=ANSWER_S)
            if isinstance(frame, bytes):
                raise LinkError("bad_answer", "sound came before the session stood")
            message = decode(frame)
            if isinstance(message, kind):
                return message
            if isinstance(message, Refused):
                raise LinkError("refused", f"{message.code}: {message.detail or 'the controller refuses this agent'}")

    # -- speaking -----------------------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            message = await self._outbox.get()
            await self._kit.crowd.turn(Rank.WORD)
            await self._socket.send(encode(message))

    async def _ask_time(self) -> None:
        await self._kit.caller.run(self._socket, live=self._kit.ears.live, metered=self._kit.metered)

    async def _tell_status(self) -> None:
        assert self._welcome is not None  # noqa: S101 - run follows begin
        period = self._welcome.heartbeat_s * (3 if self._kit.metered else 1)
        while True:
            await self._kit.crowd.turn()
            self._status_due.clear()
            await self._tell_events()
            await self._socket.send(encode(self._kit.ears.status()))
            await asyncio.sleep(STATUS_PAUSE_S)
            try:
                async with asyncio.timeout(period - STATUS_PAUSE_S):
                    await self._status_due.wait()
            except TimeoutError:
                continue

    async def _tell_events(self) -> None:
        while (happening := self._kit.watch.take()) is not None:
            try:
                await self._socket.send(encode(Event(code=happening.code, detail=happening.detail, at=happening.at)))
            except LinkError:
                self._kit.watch.give_back(happening)
                raise

    async def _send_records(self) -> None:
        journal = self._kit.journal
        self._acked_up_to = 0
        while True:
            await self._kit.crowd.turn()
            try:
                batch = await journal.pending(after=self._acked_up_to, limit=RECORDS_AT_ONCE)
            except StorageError as error:
                self._kit.watch.raise_fault("storage_failing", str(error))
                await asyncio.sleep(RECORDS_ACK_S)
                continue
            if not batch:
                await journal.grown()
                continue
            self._acked.clear()
            await self._socket.send(encode(Records(journal=journal.name, records=tuple(batch))))
            try:
                async with asyncio.timeout(RECORDS_ACK_S):
                    while self._acked_up_to < batch[-1].seq:
                        await self._acked.wait()
                        self._acked.clear()
            except TimeoutError:
                continue  # lost on the way, or the controller's database waits: the same ones again

    async def goodbye(self, reason: str) -> None:
        """End it on purpose; the loops then end by themselves."""
        try:
            await self._socket.send(encode(Bye(reason=reason)))
        except LinkError as error:
            log.debug("the goodbye was not heard", error=str(error))
        await self._socket.close()
