"""A connection's front hands frames to the kernel itself, and loses or mixes up none when the kernel is full."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from controller.gateway.admission import Census
from controller.gateway.front import Front, Porch
from controller.gateway.limits import GatewayLimits

FRAME = bytes(range(256)) * 64


class Inner(asyncio.Protocol):
    """Notes that the connection is gone."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@dataclass
class Pair:
    front: Front
    theirs: socket.socket
    inner: Inner

    async def hear(self, most: int = 1 << 16) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.theirs, most)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A front on one end of a connection whose other end reads nothing by itself."""
    inner = Inner()
    limits = GatewayLimits()
    porch = Porch(limits, Census(limits), lambda: inner, lambda: 0, None)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(FRAME))
    porch.census.admit("127.0.0.1")
    _, front = await asyncio.get_running_loop().create_connection(lambda: Front(porch, "127.0.0.1"), sock=ours)
    async with asyncio.timeout(10):
        yield Pair(front, theirs, inner)
    front.abort()
    theirs.close()


async def test_what_the_kernel_does_not_take_waits_and_arrives_in_order(pair: Pair) -> None:
    sent = 0
    while pair.front.transport is not None and not pair.front.transport.get_write_buffer_size():
        pair.front.send(FRAME)  # the last one is taken in part, or not at all
        sent += 1
    assert pair.front.paused
    pair.front.send(b"behind it")
    expected = FRAME * sent + b"behind it"
    heard = bytearray()
    while len(heard) < len(expected):
        heard += await pair.hear()
    assert bytes(heard) == expected


async def test_a_connection_that_closes_is_not_written_to(pair: Pair) -> None:
    pair.front.send(b"before")
    pair.front.abort()
    pair.front.send(b"after")  # its descriptor may be another's by now
    assert [await pair.hear(), await pair.hear()] == [b"before", b""]
    await pair.inner.lost.wait()
    pair.front.send(b"gone")


async def test_a_broken_connection_is_found_out_by_its_transport(pair: Pair) -> None:
    pair.theirs.close()
    pair.front.send(b"to nobody")
    await pair.inner.lost.wait()
    assert pair.front.gone
