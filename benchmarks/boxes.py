"""A crowd of agents' control connections in a process of its own: the real handshake, then clock bursts and status.

Each box asks for the time as a playing agent does (a burst of eight questions every 10 s, one after the other) and
tells its status every 20 s. Media connections are somebody else's (:mod:`benchmarks.listeners`); the tickets for them
are the answer to ``{"do": "connect", …}``.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import uvloop

from benchmarks.listeners import UPGRADE, raise_limit
from benchmarks.station import key_of
from protocol.handshake import AgentHandshake
from protocol.keys import agent_id_of
from protocol.messages import Challenge, Clock, ClockReply, Status, Welcome, decode, encode
from protocol.telemetry import ClockState, Health, OutputState
from protocol.trust import TrustedState

#: Handshakes under way at once.
_AT_ONCE: Final = 32
_BURST: Final = 8
_BURST_EVERY_S: Final = 10.0
_STATUS_EVERY_S: Final = 20.0
_MEDIUM: Final = 126


class Box(asyncio.Protocol):
    """One control connection."""

    def __init__(self, number: int, root: bytes, certificate: bytes) -> None:
        key = key_of(number)
        trust = TrustedState(agent_id_of(key.public), root)
        nonce = secrets.token_bytes(32)
        self._handshake = AgentHandshake(key, trust, certificate=certificate, nonce=nonce, software="bench 1")
        self._buffer = b""
        self._upgraded = False
        self._left = 0
        self._transport: asyncio.Transport
        self.ticket: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.round_trips: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = transport  # type: ignore[assignment] # uvloop's do not inherit
        self._transport.write(f"GET /agent/v1/control HTTP/1.1\r\nHost: 127.0.0.1\r\n{UPGRADE}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Frames, after the upgrade."""
        self._buffer += data
        if not self._upgraded:
            head, found, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._upgraded = True
            self._say(encode(self._handshake.hello()))
        while (frame := self._frame()) is not None:
            self._hear(*frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Too bad."""
        if not self.ticket.done():
            self.ticket.set_exception(exc or ConnectionError("the controller hung up"))

    def burst(self) -> None:
        """Ask for the time, eight times in a row."""
        self._left = _BURST
        self._ask()

    def status(self) -> None:
        """Tell how it is."""
        health = Health(uptime_s=1, clock=ClockState.READY, output=OutputState.OK, clock_rtt_us=400)
        self._say(encode(Status(at=datetime.now(UTC), health=health)))

    def _ask(self) -> None:
        self._left -= 1
        self._say(encode(Clock(t0=time.monotonic_ns() // 1000)))

    def _hear(self, first: int, body: bytes) -> None:
        if first == 0x89:
            self._transport.write(bytes((0x8A, 0x80 | len(body), 0, 0, 0, 0)) + body)
        if first != 0x81:
            return
        message = decode(body.decode())
        match message:
            case Challenge():
                self._say(encode(self._handshake.on_challenge(message, now=datetime.now(UTC)).auth))
            case Welcome():
                self.ticket.set_result(message.media_ticket)
            case ClockReply():
                self.round_trips.append(time.monotonic_ns() // 1000 - message.t0)
                if self._left:
                    self._ask()

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        at, length = 2, data[1]
        if length >= _MEDIUM:
            wide = 2 if length == _MEDIUM else 8
            if len(data) < 2 + wide:
                return None
            at, length = 2 + wide, int.from_bytes(data[2 : 2 + wide])
        if len(data) < at + length:
            return None
        self._buffer = data[at + length :]
        return data[0], data[at : at + length]

    def _say(self, text: str) -> None:
        body = text.encode()
        size = bytes((0x80 | len(body),)) if len(body) < _MEDIUM else b"\xfe" + len(body).to_bytes(2)
        self._transport.write(b"\x81" + size + bytes(4) + body)


async def connect(order: dict[str, Any]) -> list[Box]:
    """Bring all boxes in."""
    root, certificate = bytes.fromhex(order["root"]), bytes.fromhex(order["certificate"])
    context = None
    if order["tls"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    turn, loop = asyncio.Semaphore(_AT_ONCE), asyncio.get_running_loop()

    async def one(number: int) -> Box:
        box = Box(number, root, certificate)
        async with turn:
            await loop.create_connection(lambda: box, "127.0.0.1", order["port"], ssl=context)
            async with asyncio.timeout(60):
                await box.ticket
        return box

    return list(await asyncio.gather(*(one(number) for number in range(order["count"]))))


async def live(boxes: list[Box]) -> None:
    """Each at its own moment of the period."""
    tick = 0
    while True:
        for box in boxes[tick % 100 :: 100]:
            box.burst()
        for box in boxes[tick % 200 :: 200]:
            box.status()
        tick += 1
        await asyncio.sleep(_BURST_EVERY_S / 100)


async def main() -> None:
    """Obey until stdin ends."""
    loop = asyncio.get_running_loop()
    order = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    began, cpu = time.monotonic(), time.process_time()
    boxes = await connect(order)
    tickets = [box.ticket.result() for box in boxes]
    _say({"tickets": tickets, "took_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu})
    living = asyncio.create_task(live(boxes), name="live")
    while await loop.run_in_executor(None, sys.stdin.readline):
        trips = sorted(trip for box in boxes for trip in box.round_trips)
        for box in boxes:
            box.round_trips.clear()
        _say({"questions": len(trips), "p50_us": trips[len(trips) // 2], "p99_us": trips[len(trips) * 99 // 100]})
    living.cancel()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
