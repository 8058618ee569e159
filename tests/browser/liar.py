"""A box that was let in and lies: genuine key, genuine protocol, and payloads wherever a box may say a word."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from agent.link.address import Address, read_address
from agent.link.transport import Socket, Transport
from protocol.enrolment import AgentToken
from protocol.handshake import AgentHandshake
from protocol.keys import SigningKey, agent_id_of
from protocol.link import NONCE_BYTES
from protocol.messages import (
    Challenge,
    Enrolled,
    Event,
    Message,
    PlanOffer,
    Records,
    RecordsAck,
    Refused,
    Status,
    Welcome,
    decode,
    encode,
)
from protocol.telemetry import (
    ClockState,
    Fault,
    Health,
    OutputState,
    PlayOutcome,
    PlayRecord,
    SoundingState,
    SyncState,
    SyncTiming,
)
from protocol.trust import TrustedState
from schedules.ladder import Priority

M = TypeVar("M", bound=Message)
_ANSWER_S: Final = 10.0
_SHORT: Final = 100
_LONG: Final = 120
_RECORDS: Final = 10
#: A fault is believed when it was told so often in a row; then every few seconds.
_READINGS: Final = 3
_HEARTBEAT_S: Final = 5.0
_FAULTS: Final = ("output_failed", "disk_full", "clock_lost", "media_failed")


class LyingBox:
    """Online while the block lasts; its lies have been taken (its records acknowledged) when the block begins."""

    def __init__(self, card: Mapping[str, Any], lie: Callable[[str, int], str]) -> None:
        """Prepare; ``lie("Fault.detail", 120)``: what it says there, in so many letters."""
        self._card = card
        self._lie = lie
        self._software = lie("software", _SHORT)
        self._key = SigningKey.generate()
        self._told = threading.Event()
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._life, name="lying-box")

    @property
    def id(self) -> str:
        """Its agent id."""
        return agent_id_of(self._key.public)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._told.wait(3 * _ANSWER_S), "the box did not come to its lies"
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(_ANSWER_S)
        assert not self._thread.is_alive()

    def _life(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._run())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - told to the test, which waits for it
            self._error = error
        finally:
            self._told.set()
            self._loop.close()

    async def _run(self) -> None:
        address = read_address(str(self._card["controller"]))
        async with Transport() as transport:
            root = await self._enrol(transport, address)
            socket = await transport.open(address, "control")
            trust = TrustedState(self.id, root)
            handshake = AgentHandshake(
                self._key, trust, certificate=socket.certificate, nonce=secrets.token_bytes(NONCE_BYTES),
                software=self._software,
            )  # fmt: skip
            await socket.send(encode(handshake.hello()))
            proof = handshake.on_challenge(await _expect(socket, Challenge), now=datetime.now(UTC))
            await socket.send(encode(proof.auth))
            await _expect(socket, Welcome)
            await _expect(socket, PlanOffer)
            status, *others = self._messages()
            for message in (*[status] * _READINGS, *others):
                await socket.send(encode(message))
            await _expect(socket, RecordsAck)
            self._told.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(_say_again(socket, status))
                while True:
                    await socket.receive()

    async def _enrol(self, transport: Transport, address: Address) -> bytes:
        socket = await transport.open(address, "enrol")
        side = AgentToken(
            self._key, root=str(self._card["root"]), token=str(self._card["tokens"][0]),
            certificate=socket.certificate, nonce=secrets.token_bytes(NONCE_BYTES), software=self._software,
        )  # fmt: skip
        await socket.send(encode(side.hello()))
        challenge = await _expect(socket, Challenge)
        await socket.send(encode(side.on_challenge(challenge, now=datetime.now(UTC))))
        pinned = side.on_enrolled(await _expect(socket, Enrolled))
        await socket.close()
        return pinned.root_public

    def _messages(self) -> Sequence[Message]:
        now = datetime.now(UTC)
        lie = self._lie
        output = lie("Health.output_name", _SHORT)
        status = Status(
            at=now,
            health=Health(uptime_s=1, clock=ClockState.READY, output=OutputState.FAILED, output_name=output),
            sounding=SoundingState(title=lie("Sounding.title", _LONG), priority=Priority.PROGRAMME, since=now),
            sync=SyncState(timing=SyncTiming.DEGRADED, reason=lie("Sync.reason", _SHORT)),
            faults=tuple(Fault(code=code, detail=lie("Fault.detail", _LONG), since=now) for code in _FAULTS),
        )
        titles = [lie("PlayRecord.title", _LONG) for _ in range(_RECORDS)]
        records = Records(
            journal=secrets.token_hex(16),
            records=tuple(_record(seq, title, now) for seq, title in enumerate(titles, 1)),
        )
        events = tuple(Event(code="media_corrupt", detail=lie("Event.detail", _LONG), at=now) for _ in range(_RECORDS))
        return (status, *events, records)


async def _say_again(socket: Socket, status: Message) -> None:
    """What is not heard again and again is soon worth nothing."""
    while True:
        await asyncio.sleep(_HEARTBEAT_S)
        await socket.send(encode(status))


def _record(seq: int, title: str, now: datetime) -> PlayRecord:
    return PlayRecord(
        seq=seq,
        occurrence_id=hashlib.sha256(title.encode()).hexdigest(),
        title=title,
        priority=Priority.PROGRAMME,
        outcome=PlayOutcome.PARTIAL,
        planned_start=now - timedelta(minutes=1),
        started=now - timedelta(minutes=1),
        ended=now,
        frames=48_000,
        code="output_lost",
    )


async def _expect(socket: Socket, kind: type[M]) -> M:
    """The next message of a kind; others are passed over."""
    async with asyncio.timeout(_ANSWER_S):
        while True:
            frame = await socket.receive()
            message = decode(frame) if isinstance(frame, str) else None
            assert not isinstance(message, Refused), message
            if isinstance(message, kind):
                return message
