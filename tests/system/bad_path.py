"""A bad network for one TCP service: a forwarding proxy with one-way delays, jitter, stalls, asymmetry and a rate.

TCP hides loss: what a listener sees of it is everything behind the lost segment coming late at once. So a lost burst is
modelled as a stall of that direction (retransmission time-outs of 200 ms, doubling, up to the length of the burst), and
nothing is ever lost or reordered. Every connection and direction has its own seeded chance.

Profiles (each direction): the modelled 4G path of the benchmark, and "4G-poor" of the reliability study
(120 ± 60 ms, 5 % loss in bursts of 5, 400 kbit/s).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

#: Bytes of one segment on the wire.
SEGMENT: Final = 1400
_HELD_MOST: Final = 256
_FIRST_RTO_S: Final = 0.2
_OPEN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Profile:
    """One direction of a path.

    Attributes:
        delay_ms: middle of the one-way delay.
        jitter_ms: it varies by this much to both sides, evenly.
        loss: share of segments that are lost.
        burst: segments lost in a row, on average.
        kbit_s: rate; 0 means none.
    """

    delay_ms: float
    jitter_ms: float
    loss: float = 0.0
    burst: float = 1.0
    kbit_s: float = 0.0

    def shifted(self, by_ms: float) -> Profile:
        """The same with another delay: how a path becomes asymmetric."""
        return replace(self, delay_ms=self.delay_ms + by_ms)


#: The modelled 4G path: 60 ± 20 ms one way, half a stall in a hundred segments.
MOBILE: Final = Profile(60, 20, loss=0.005, burst=2, kbit_s=2_000)
POOR: Final = Profile(120, 60, loss=0.05, burst=5, kbit_s=400)


class Way:
    """When each segment of one direction arrives. Pure: seconds in, seconds out, never out of order."""

    def __init__(self, profile: Profile, chance: random.Random) -> None:
        self._profile = profile
        self._chance = chance
        self._free_at = 0.0  # when the line has sent all before
        self._last = 0.0
        self.stalls = 0

    def arrival(self, sent: float, size: int) -> float:
        """When a segment of ``size`` bytes that is ready at ``sent`` arrives at the other end."""
        profile, chance = self._profile, self._chance
        begin = max(sent, self._free_at)
        self._free_at = begin + (size * 8 / (profile.kbit_s * 1000) if profile.kbit_s else 0.0)
        delay = (profile.delay_ms + chance.uniform(-profile.jitter_ms, profile.jitter_ms)) / 1000
        if chance.random() < profile.loss / profile.burst:
            self.stalls += 1
            delay += self._stall()
        self._last = max(self._last, self._free_at + delay)
        return self._last

    def _stall(self) -> float:
        """A burst of losses: the first retransmission may be lost with it, and its time-out is doubled then."""
        waited, left = _FIRST_RTO_S, self._chance.expovariate(1 / self._profile.burst) - 3
        while left > 0 and waited < 2.0:
            waited += waited * 2
            left -= 3
        return waited + 2 * self._profile.delay_ms / 1000


class BadPath:
    """Listens on loopback and forwards to ``target``. A thread of its own; use as a context manager."""

    def __init__(self, target: int, *, up: Profile, down: Profile, seed: int) -> None:
        self._target = target
        self._up, self._down = up, down
        self._seed = seed
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="badpath", daemon=True)
        self._ready = threading.Event()
        self._server: asyncio.Server | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_OPEN_S):
            raise RuntimeError("the proxy does not listen")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_OPEN_S)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        self._number += 1
        seeds = random.Random(f"{self._seed}-{self._number}")
        try:
            far, far_out = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            near_out.close()
            return
        ways = Way(self._up, random.Random(seeds.random())), Way(self._down, random.Random(seeds.random()))
        try:
            await _both(_carry(near, far_out, ways[0]), _carry(far, near_out, ways[1]))
        except asyncio.CancelledError:
            return  # the proxy is being closed; asyncio would print it
        finally:
            for writer in (near_out, far_out):
                writer.close()


async def _both(*ways: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends: a connection has two ways or none."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    """One direction: a bounded line of segments, each written when it has arrived."""
    line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_HELD_MOST)

    async def read() -> None:
        while piece := await reader.read(SEGMENT):
            await line.put((way.arrival(time.monotonic(), len(piece)), piece))
        await line.put((way.arrival(time.monotonic(), 0), b""))

    reading = asyncio.create_task(read())
    try:
        with contextlib.suppress(ConnectionError):
            while True:
                at, piece = await line.get()
                await _sleep_until(at, time.monotonic)
                if not piece:
                    return
                writer.write(piece)
                await writer.drain()
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _sleep_until(at: float, now: Callable[[], float]) -> None:
    wait = at - now()
    if wait > 0:
        await asyncio.sleep(wait)
