"""Live sound: fan-out to media connections, slow agents, late joiners, emergency voice on the control connection."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import statistics
import struct
import termios
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.gateway import GatewayLimits, UnknownStreamError
from protocol.errors import MalformedError
from protocol.messages import ClockReply, CommandOffer, StreamClose, StreamOpenOffer
from schedules.instants import MediaUs
from schedules.ladder import Priority
from tests.unit.controller.gateway_kit import SmallAgent, World, eventually, world_in

SECOND = 1_000_000


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_in(tmp_path, secure=request.param) as one:
        yield one


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as one:
        yield one


def soon(world: World, seconds: float = 1.0) -> MediaUs:
    return MediaUs(world.media.now() + int(seconds * SECOND))


async def test_every_agent_gets_the_same_bytes(world: World) -> None:
    agents = await world.online(4)
    listening = agents[:3]
    for agent in listening:
        await agent.open_stream()
    targets = frozenset(agent.id for agent in listening)
    assert await world.gateway.open_stream(7, world.opening(7, sorted(targets)), targets) == 3
    bundles = [bytes([number]) * 900 for number in range(5)]
    for bundle in bundles:
        world.gateway.publish(7, bundle, soon(world))
    for agent in listening:
        assert await agent.hear(StreamOpenOffer)
        assert [await agent.stream.receive_bytes(timeout=5) for _ in bundles] == bundles
    await world.gateway.close_stream(7)
    for agent in listening:
        assert (await agent.hear(StreamClose)).stream == 7
        assert (await agent.stream.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    assert world.gateway.fanout.sends == 15
    with pytest.raises(UnknownStreamError):
        world.gateway.publish(7, b"late", soon(world))


async def test_who_joins_late_hears_nothing_older(plain: World) -> None:
    early, late = await plain.online(2)
    targets = frozenset({early.id, late.id})
    await plain.gateway.open_stream(7, plain.opening(7, sorted(targets)), targets)
    await early.open_stream()
    plain.gateway.publish(7, b"old", soon(plain))
    await late.open_stream()
    plain.gateway.publish(7, b"new", soon(plain))
    assert await early.stream.receive_bytes(timeout=5) == b"old"
    assert await late.stream.receive_bytes(timeout=5) == b"new"


async def test_emergency_voice_travels_on_the_control_connection(world: World) -> None:
    (agent,) = await world.online()
    targets = frozenset({agent.id})
    opening = world.opening(9, [agent.id], priority=Priority.EMERGENCY_LIVE)
    await world.gateway.open_stream(9, opening, targets)
    world.gateway.publish(9, b"voice", soon(world))
    await agent.hear(StreamOpenOffer)
    frame = await agent.control.receive(timeout=5)
    assert frame.data == b"voice"


async def test_a_stream_open_must_match_its_number(plain: World) -> None:
    with pytest.raises(MalformedError):
        await plain.gateway.open_stream(8, plain.opening(7, ["a" * 32]), frozenset())
    assert not plain.gateway.fanout.streams


async def test_an_extension_keeps_who_listens(plain: World) -> None:
    (agent,) = await plain.online()
    await agent.open_stream()
    targets = frozenset({agent.id})
    await plain.gateway.open_stream(7, plain.opening(7, [agent.id]), targets)
    await plain.gateway.open_stream(7, plain.opening(7, [agent.id], seq=2), targets)
    plain.gateway.publish(7, b"on", soon(plain))
    assert await agent.stream.receive_bytes(timeout=5) == b"on"


async def test_a_ticket_opens_only_its_own_agents_connection(plain: World) -> None:
    for ticket in ("", "made-up"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await plain.http.ws_connect(f"{plain.url}/stream", params={"ticket": ticket})
        assert refused.value.status == 401


async def test_the_newest_media_connection_counts(plain: World) -> None:
    (agent,) = await plain.online()
    await agent.open_stream()
    older = agent.stream
    session_link = agent.session.stream
    agent.stream = await plain.http.ws_connect(f"{plain.url}/stream", params={"ticket": agent.welcome.media_ticket})
    await eventually(lambda: agent.session.stream not in (None, session_link))
    frame = await older.receive(timeout=5)
    assert frame.type is aiohttp.WSMsgType.CLOSE
    assert frame.data == 4001
    await plain.gateway.open_stream(7, plain.opening(7, [agent.id]), frozenset({agent.id}))
    plain.gateway.publish(7, b"here", soon(plain))
    assert await agent.stream.receive_bytes(timeout=5) == b"here"


async def test_the_media_connection_ends_with_its_session(plain: World) -> None:
    (agent,) = await plain.online()
    await agent.open_stream()
    await agent.control.close()
    assert (await agent.stream.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def deaf(agent: SmallAgent) -> socket.socket:
    """Open the media connection by hand and never read it."""
    port = agent.world.gateway.port
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    request = (
        f"GET /agent/v1/stream?ticket={agent.welcome.media_ticket} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await loop.sock_sendall(sock, request.encode())
    await eventually(lambda: agent.session.stream is not None)
    return sock


async def test_a_slow_agent_costs_nobody_else_anything(plain: World) -> None:
    slow, quick = await plain.online(2)
    sock = await deaf(slow)
    await quick.open_stream()
    targets = frozenset({slow.id, quick.id})
    await plain.gateway.open_stream(7, plain.opening(7, sorted(targets)), targets)
    link = slow.session.stream
    bundle = b"x" * 900
    for number in range(400):
        plain.gateway.publish(7, bundle, soon(plain, 60))
        if number % 20 == 0:
            await asyncio.sleep(0)
    for _ in range(400):
        await quick.stream.receive_bytes(timeout=5)
    assert link.backlog.bytes_waiting > 0  # waits here, where it can be dropped
    await slow.ask_time()  # its control connection does not notice
    await slow.hear(ClockReply)
    await plain.gateway.close_stream(7)
    assert link.backlog.bytes_waiting == 0
    sock.close()


def held(link: Any) -> int:
    """Bytes that are kept for one agent, wherever: in the queue, in the transport, in the kernel."""
    transport = link._front.transport
    kernel = struct.unpack("i", fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4))[
        0
    ]
    return int(link.backlog.bytes_waiting + transport.get_write_buffer_size() + kernel)


async def test_a_slow_agent_holds_little_and_is_told_why_it_is_dropped(plain: World) -> None:
    (slow,) = await plain.online()
    sock = await deaf(slow)
    await plain.gateway.open_stream(7, plain.opening(7, [slow.id]), frozenset({slow.id}))
    link, most, count = slow.session.stream, 0, 0
    while link.closed_for is None:
        plain.gateway.publish(7, b"x" * 64_000, soon(plain, 60))
        count += 1
        most = max(most, held(link))
        assert count < 100
    assert most <= 2 * 1024 * 1024
    heard = b""
    loop = asyncio.get_running_loop()
    while data := await asyncio.wait_for(loop.sock_recv(sock, 65_536), 5):
        heard += data
    reason = b"slow: too much sound was waiting; open a new connection"
    assert heard.endswith(struct.pack("!BBH", 0x88, 2 + len(reason), 1013) + reason)
    assert plain.gateway.online() == {slow.id}
    sock.close()


async def test_a_slow_agent_delays_nobody(plain: World) -> None:
    """The same bundles to the same agents, without and with one that takes nothing: the middle of the delays stays."""
    slow, *quick = await plain.online(9)
    for agent in quick:
        await agent.open_stream()
    everybody = frozenset(agent.id for agent in (slow, *quick))
    await plain.gateway.open_stream(7, plain.opening(7, sorted(everybody)), everybody)

    async def middle() -> float:
        delays = []
        for _ in range(60):
            began = time.perf_counter()
            plain.gateway.publish(7, b"x" * 8_000, soon(plain, 60))
            for agent in quick:
                await agent.stream.receive_bytes(timeout=5)
                delays.append(time.perf_counter() - began)
        return statistics.median(delays)

    without = await middle()
    sock = await deaf(slow)
    beside = await middle()
    assert slow.session.stream.backlog.bytes_waiting > 0
    assert beside < without + 0.005
    sock.close()


async def test_what_cannot_arrive_in_time_is_dropped_not_sent_late(plain: World) -> None:
    (slow,) = await plain.online()
    sock = await deaf(slow)
    await plain.gateway.open_stream(7, plain.opening(7, [slow.id]), frozenset({slow.id}))
    link = slow.session.stream
    for number in range(200):
        plain.gateway.publish(7, bytes([number]) * 900, soon(plain, 1))
    waiting = len(link.backlog)
    assert waiting > 50
    plain.media.ahead = 5 * SECOND  # the time to sound them has passed
    sock.setblocking(False)
    heard = bytearray()
    loop = asyncio.get_running_loop()
    while len(link.backlog):
        heard += await asyncio.wait_for(loop.sock_recv(sock, 65536), 5)
    assert link.backlog.dropped >= waiting - 1
    sock.close()


async def test_too_much_waiting_closes_the_connection(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(live_waiting_bytes=20_000)) as world:
        (slow,) = await world.online()
        sock = await deaf(slow)
        await world.gateway.open_stream(7, world.opening(7, [slow.id]), frozenset({slow.id}))
        link = slow.session.stream
        for _ in range(300):
            world.gateway.publish(7, b"x" * 900, soon(world, 60))
        assert link.closed_for is not None
        assert link.closed_for.startswith("slow")
        assert world.gateway.online() == {slow.id}  # its control connection stands
        sock.close()


async def test_a_connection_that_takes_nothing_is_closed(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(stalled_s=5)) as world:
        (slow,) = await world.online()
        sock = await deaf(slow)
        await world.gateway.open_stream(7, world.opening(7, [slow.id]), frozenset({slow.id}))
        link = slow.session.stream
        for _ in range(200):
            world.gateway.publish(7, b"x" * 900, soon(world, 60))
        await world.gateway.sweep()
        assert not link.closed_for
        world.media.ahead = 6 * SECOND
        await world.gateway.sweep()
        assert "slow" in str(link.closed_for)
        assert world.gateway.counts.stalled == 1
        sock.close()


async def test_an_order_passes_a_large_fan_out(plain: World) -> None:
    """A fan-out in slices: the order is written between two of them."""
    plain.gateway.fanout._slice_us, plain.gateway.fanout._look = 0, 1
    agents = await plain.online(4)
    for agent in agents:
        await agent.open_stream()
    targets = frozenset(agent.id for agent in agents)
    await plain.gateway.open_stream(7, plain.opening(7, sorted(targets)), targets)
    plain.gateway.publish(7, b"a", soon(plain))
    plain.gateway.publish(7, b"b", soon(plain))
    assert plain.gateway.fanout.sends == 1
    assert await plain.gateway.send_command(plain.command(), targets) == 4
    for agent in agents:
        await agent.hear(CommandOffer)
        assert await agent.stream.receive_bytes(timeout=5) == b"a"
        assert await agent.stream.receive_bytes(timeout=5) == b"b"
