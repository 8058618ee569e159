"""The controller's agent side in a process of its own, told what to send: real listener, sessions, signatures, fan-out.

Media connections are what a live stream costs, so that is what is opened; an agent's control connection costs the same
whatever is on air, and 20 000 sockets are all one process may have here. ``{"do": "seat"}`` therefore enters sessions
whose control connection is gone already, and gives tickets for their media connections; from the ticket on everything
is as it always is. ``{"do": "enrol"}`` makes agents that connect both (:mod:`benchmarks.boxes`).

Commands come as JSON lines on stdin, answers go to stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.listeners import raise_limit
from controller.garbage import THRESHOLDS, GarbageCare
from controller.gateway.frames import binary_frame
from controller.gateway.front import Front, Porch
from controller.gateway.limits import GatewayLimits
from controller.gateway.links import ControlLink
from controller.gateway.roster import Session
from controller.services.chunks import PACKET_US, Chunk, SourceKind
from controller.services.entries import AgentEntry
from controller.services.leads import TERMS
from controller.services.streams import CarriedStream
from controller.store import tables
from protocol.codec import decode
from protocol.documents import DocumentKind, StreamOpen
from protocol.envelope import open_envelope
from protocol.keys import Role, SigningKey, agent_id_of
from schedules.instants import MediaUs
from tests.unit.controller.gateway_kit import World, world_in

#: 32 kbit/s: bytes in a packet of 20 ms.
_PACKET: Final = 80
_TICK_S: Final = 0.005
_STREAM: Final = 77


def key_of(number: int) -> SigningKey:
    """The key of the n-th agent."""
    return SigningKey.from_seed(hashlib.sha256(f"loa benchmark {number}".encode()).digest())


class Stalls:
    """The longest time the event loop did not come round: a tick every 5 ms, and how late it was."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.over = 0
        self.longest_gc = 0.0
        self._gc_began = 0.0
        gc.callbacks.append(self._collecting)
        self._task = asyncio.create_task(self._tick(), name="stalls")

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            at = loop.time()
            await asyncio.sleep(_TICK_S)
            late = loop.time() - at - _TICK_S
            self.longest = max(self.longest, late)
            self.over += late > 0.05

    def _collecting(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = time.perf_counter()
        else:
            self.longest_gc = max(self.longest_gc, time.perf_counter() - self._gc_began)

    def stop(self) -> None:
        """Watch no longer."""
        self._task.cancel()
        gc.callbacks.remove(self._collecting)


class Station:
    """One world, obeying."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._limits = GatewayLimits()
        self._agents: list[str] = []
        self._garbage = GarbageCare(lambda: False, world.media.now)
        gc.set_threshold(*THRESHOLDS)

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do one thing and tell what came of it."""
        match order["do"]:
            case "seat":
                return {"tickets": [self._seat(number) for number in range(order["count"])]}
            case "enrol":
                await self._enrol(order["count"])
                return {"root": self._world.vault.root_public.hex(), "certificate": self._world.certificate.hex()}
            case "stream":
                return await self._stream(SourceKind(order["kind"]), order["seconds"], watch=order.get("watch", False))
            case "floor":
                return self._floor(order["packets"], order["rounds"])
        raise ValueError(order)

    def _seat(self, number: int) -> str:
        agent_id = agent_id_of(key_of(number).public)
        world = self._world
        porch = Porch(self._limits, world.gateway.door.census, asyncio.Protocol, world.media.now, None)
        link = ControlLink(Front(porch, "127.0.0.1"), self._limits, world.media.now)
        ticket = world.gateway._tickets.issue(agent_id)  # noqa: SLF001 - what a control connection would do
        world.gateway.roster.enter(Session(agent_id, "cl_a", "127.0.0.1", link, ticket, world.media.now()), 0.0)
        self._agents.append(agent_id)
        return ticket

    async def _enrol(self, count: int) -> None:
        world, now = self._world, self._world.clock.now()
        async with world.db.telemetry() as session:
            for number in range(count):
                key = key_of(number)
                self._agents.append(agent_id_of(key.public))
                row = tables.Agent(
                    id=self._agents[-1],
                    public_key=key.public.hex(),
                    cluster_id="cl_a",
                    state="approved",
                    enrolled_at=now,
                )
                session.add(row)
                world.directory.put_agent(AgentEntry.of(row))

    async def _stream(self, kind: SourceKind, seconds: float, *, watch: bool) -> dict[str, Any]:
        world, gateway = self._world, self._world.gateway
        envelope = world.opening(_STREAM, self._agents[:1])
        document = decode(DocumentKind.STREAM_OPEN, open_envelope(envelope).payload)
        if not isinstance(document, StreamOpen):
            raise TypeError(document)
        carried = CarriedStream(document, envelope, world.vault.key(Role.LIVE))
        await gateway.open_stream(_STREAM, envelope, frozenset(self._agents))
        await asyncio.sleep(1.0)
        fanout = gateway.fanout
        await self._garbage.look()  # as the controller does while nothing is on air
        await asyncio.sleep(1.0)  # and what waited meanwhile is answered before anything is on air
        stalls = Stalls() if watch else None  # the watching costs as much as a thousand listeners
        cpu, wall, sends, late = time.process_time(), time.monotonic(), fanout.sends, fanout.too_late
        period = kind.packets * PACKET_US
        packets = tuple(os.urandom(_PACKET) for _ in range(kind.packets))
        play_at = world.media.now() + TERMS[kind].floor_us
        for number in range(round(seconds * 1e6 / period)):
            await asyncio.sleep(max(0, play_at - TERMS[kind].floor_us - world.media.now()) / 1e6)
            bundle = carried.bundle(Chunk(MediaUs(play_at), packets, discontinuity=number == 0), world.media.now())
            gateway.publish(_STREAM, bundle, MediaUs(play_at))
            play_at += period
        await asyncio.sleep(max(0, play_at - TERMS[kind].floor_us - world.media.now()) / 1e6)
        told = {
            "carriers": len(fanout.streams[_STREAM].carriers),
            "wall_s": time.monotonic() - wall,
            "cpu_s": time.process_time() - cpu,
            "sends": fanout.sends - sends,
            "too_late": fanout.too_late - late,
        }
        if stalls is not None:
            stalls.stop()
            told |= {"stall_ms": stalls.longest * 1000, "stalls": stalls.over, "gc_ms": stalls.longest_gc * 1000}
        gateway.fanout.close(_STREAM)  # the media connections stay for the next stream
        return told

    def _floor(self, packets: int, rounds: int) -> dict[str, Any]:
        """The kernel's own price: the same number of bytes by ``socket.send`` to the same sockets."""
        body = bytes(52 + packets * (2 + _PACKET) + 64)
        frame = binary_frame(body)
        bare = []
        for session in self._world.gateway.roster.sessions.values():
            transport = None if session.stream is None else session.stream._front.transport  # noqa: SLF001 - the very sockets
            if transport is not None:
                bare.append(socket.socket(fileno=transport.get_extra_info("socket").fileno()))
        cpu = 0.0
        for _ in range(rounds):
            before = time.process_time()
            for one in bare:
                one.send(frame)
            cpu += time.process_time() - before
            time.sleep(0.2)
        for one in bare:
            one.detach()
        return {"sockets": len(bare), "us_per_send": 1e6 * cpu / max(1, rounds * len(bare))}


async def main() -> None:
    """Serve until stdin ends."""
    options = argparse.ArgumentParser()
    options.add_argument("--tls", action="store_true")
    secure = options.parse_args().tls
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="loa-fanout-") as folder:
        async with world_in(Path(folder), secure=secure) as world:
            station = Station(world)
            _say({"port": world.gateway.port, "loop": type(loop).__module__})
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                _say(await station.obey(json.loads(line)))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
