"""What raw sockets can do to the listener: nothing that anybody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.gateway import GatewayLimits, ListenError
from controller.gateway.admission import Census
from controller.gateway.door import Door
from protocol.messages import ClockReply
from tests.unit.controller.gateway_kit import World, eventually, world_in

UPGRADE = (
    "GET /agent/v1/{path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)
MASK = b"\x00\x00\x00\x00"


@pytest.fixture(autouse=True)
def _short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """These clients never answer a close; do not wait for it as long as in the field."""
    monkeypatch.setattr("controller.gateway.dialogue._CLOSE_S", 0.05)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as one:
        yield one


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Raw:
    """A WebSocket client without manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def upgrade(cls, world: World, path: str = "control", more: str = "") -> tuple[Raw, bytes]:
        raw = cls(*await asyncio.open_connection("127.0.0.1", world.gateway.port))
        raw.writer.write(UPGRADE.format(path=path, more=more).encode())
        return raw, await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), 5)

    def send(self, frame: bytes) -> None:
        self.writer.write(frame)

    async def close_code(self) -> int | None:
        """The code of the close frame, past any refusal; None when the connection just ends."""
        received = await asyncio.wait_for(self.reader.read(), 10)
        self.writer.close()
        while len(received) >= 2:
            opcode, length = received[0] & 0x0F, received[1] & 0x7F
            start = 2
            if length == 126:
                length, start = struct.unpack_from("!H", received, 2)[0], 4
            if opcode == 8:
                return int(struct.unpack_from("!H", received, start)[0])
            received = received[start + length :]
        return None


def frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, 0x80 | size) + MASK + payload
    return struct.pack("!BBH", first, 0x80 | 126, size) + MASK + payload


async def alive(world: World) -> None:
    """Somebody else is served as if nothing were."""
    (agent,) = await world.online()
    await agent.ask_time()
    await agent.hear(ClockReply)
    await agent.control.close()


async def test_a_frame_of_one_gibibyte_costs_nothing(world: World) -> None:
    gc.collect()
    before = resident()
    for _ in range(20):
        raw, _ = await Raw.upgrade(world)
        raw.send(struct.pack("!BBQ", 0x81, 0x80 | 127, 1 << 30) + MASK + b"x" * 1000)
        assert await raw.close_code() == 1009
    assert resident() - before < 8 * 1024 * 1024
    await alive(world)


@pytest.mark.parametrize(
    ("bytes_", "codes"),
    [
        (frame(0x81, b"\xff\xfe{"), {1007}),  # not UTF-8
        (frame(0x83, b"{}"), {1002}),  # an opcode that does not exist
        (frame(0xC1, b"{}"), {1002}),  # compressed, which was not agreed
        (frame(0x80, b"{}"), {1002}),  # a continuation of nothing
        (frame(0x81, b"not json"), {1008}),
        (frame(0x82, b"\x00" * 10), {1008}),  # binary
        (frame(0x81, b"[" * 60_000), {1008}),
        (frame(0x88, b"\x03"), {1002}),  # half a close code
        (frame(0x89, b"x" * 125), {None, 1008, 1000}),  # a ping, then silence
    ],
)
async def test_broken_frames_end_with_a_reason(tmp_path: Path, bytes_: bytes, codes: set[int | None]) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(handshake_s=0.2)) as world:
        raw, _ = await Raw.upgrade(world)
        raw.send(bytes_)
        assert await raw.close_code() in codes
        await alive(world)


async def test_a_message_in_a_hundred_thousand_fragments_stays_small(world: World) -> None:
    raw, _ = await Raw.upgrade(world)
    raw.send(frame(0x01, b"{"))
    try:
        for _ in range(100):
            raw.send(frame(0x00, b" ") * 2000)
            await raw.writer.drain()
        code = await raw.close_code()
    except ConnectionError:
        code = None
    assert code in {None, 1009}
    await alive(world)


async def test_compression_is_not_negotiated(world: World) -> None:
    raw, answer = await Raw.upgrade(world, more="Sec-WebSocket-Extensions: permessage-deflate\r\n")
    assert b"101 Switching Protocols" in answer
    assert b"permessage-deflate" not in answer.lower()
    assert b"python" not in answer.lower()
    raw.writer.close()


async def test_half_a_request_is_dropped_in_time(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(request_s=0.2)) as world:
        slow = [await asyncio.open_connection("127.0.0.1", world.gateway.port) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"GET /agent/v1/control HTTP/1.1\r\nHost: x\r\n")
        await alive(world)
        await eventually(lambda: world.gateway.door.census.total == 0)
        for _, writer in slow:
            writer.close()


async def test_what_is_not_http_is_answered_shortly(world: World) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
    writer.write(b"\x16\x03\x01 hello \x00\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.")
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"Traceback" not in answer
    writer.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "", 404), ("POST", "control", 405), ("GET", "control", 400), ("GET", "../api/v1/users", 404)],
)
async def test_other_requests_are_refused(world: World, method: str, path: str, status: int) -> None:
    async with world.http.request(method, f"{world.url}/{path}") as answer:
        assert answer.status == status


async def test_a_ping_flood_does_not_grow(world: World) -> None:
    raw, _ = await Raw.upgrade(world)
    before = resident()
    try:
        for _ in range(40):
            raw.send(frame(0x89, b"x" * 100) * 1000)
            async with asyncio.timeout(0.5):
                await raw.writer.drain()
    except (TimeoutError, ConnectionError):
        pass  # it stopped reading, which is right: nobody takes the answers
    assert resident() - before < 16 * 1024 * 1024
    await alive(world)
    raw.writer.close()


async def test_strangers_are_bounded_per_address_and_agents_are_not() -> None:
    limits = GatewayLimits(unproven_per_ip=3, connections_per_ip=6, connections=8)
    census = Census(limits)
    assert [census.admit("203.0.113.5") for _ in range(4)] == [True, True, True, False]
    for _ in range(3):
        census.prove("203.0.113.5")
    assert [census.admit("203.0.113.5") for _ in range(4)] == [True, True, True, False]
    assert census.admit("2001:db8::1")
    assert census.admit("127.0.0.1")
    assert not census.admit("127.0.0.1")  # the bound of all holds for everybody
    for _ in range(3):
        census.leave("203.0.113.5", proven=True)
        census.leave("203.0.113.5", proven=False)
    census.leave("2001:db8::1", proven=False)
    census.leave("127.0.0.1", proven=False)
    assert (census.total, census.refused) == (0, 3)
    assert not census._by_ip
    assert not census._unproven


async def test_one_connection_too_many_is_dropped(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(connections=2)) as world:
        held = [await asyncio.open_connection("127.0.0.1", world.gateway.port) for _ in range(2)]
        await eventually(lambda: world.gateway.door.census.total == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        with contextlib.suppress(ConnectionError):  # a reset says the same
            assert await asyncio.wait_for(reader.read(), 5) == b""
        assert world.gateway.door.census.refused == 1
        for _, one in [*held, (reader, writer)]:
            one.close()


async def test_plain_is_for_loopback_only() -> None:
    door = Door((), limits=GatewayLimits(), now_us=lambda: 0, tls=None)
    with pytest.raises(ListenError):
        await door.open("0.0.0.0", 0)  # noqa: S104 - it must be refused


async def test_an_address_that_is_taken_is_said(world: World) -> None:
    door = Door((), limits=GatewayLimits(), now_us=lambda: 0, tls=None)
    with pytest.raises(ListenError) as taken:
        await door.open("127.0.0.1", world.gateway.port)
    assert "another controller" in str(taken.value)


async def test_tls_strangers_are_counted_out_again(tmp_path: Path) -> None:
    async with world_in(tmp_path, secure=True, limits=GatewayLimits(request_s=0.3)) as world:
        plain = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        plain[1].write(b"GET / HTTP/1.1\r\n\r\n")
        silent = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        gone = await asyncio.open_connection("127.0.0.1", world.gateway.port)
        gone[1].close()
        await eventually(lambda: world.gateway.door.census.total == 0)
        await alive(world)
        for _, writer in (plain, silent):
            writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01" + b"\x80secret" * 9000,  # not HTTP at all
        b"GET / HTTP/1.1\r\nX-Secret: " + b"secret" * 20_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: secret\r\nContent-Length: -5\r\n\r\n",
        UPGRADE.format(path="stream?ticket=x", more="").encode() + frame(0x81, b"secret" * 10_000),
    ],
)
async def test_what_cannot_be_read_is_neither_written_down_nor_sent_back(
    world: World, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.gateway.port)
    writer.write(request_)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while part := await asyncio.wait_for(reader.read(65536), 10):
            answer += part
    writer.close()
    assert b" 400 " in answer.splitlines()[0] or b" 401 " in answer.splitlines()[0]
    assert b"secret" not in answer
    assert b"aiohttp" not in answer
    assert "Traceback" not in caplog.text
    assert "secret" not in caplog.text
    await alive(world)
