"""The media connection: live bundles below class 80, on a socket of their own, and what is listened to on its way back.

It is open only while a stream targets this agent, or somebody listens to it, and a session stands. It reconnects by
itself, sooner than the control connection (0.2 s to 2 s), because what it carries is worthless later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import structlog

from agent.errors import LinkError
from agent.link.backoff import Backoff
from agent.link.fetch import Door
from agent.link.transport import Socket, Transport
from agent.supervise import together
from agent.watch import Watch

log = structlog.get_logger("agent.link")

FIRST_S, LAST_S = 0.2, 2.0

#: Sound comes every second at least; while it does, no sign of life is asked for.
HEARTBEAT_S = 4.0

#: After the last stream closed the socket stays open this long: the next one may follow.
LINGER_S = 2.0

#: Failures in a row that are told as a fault.
FAILURES_TOLD = 3


class StreamKeeper:
    """Opens and closes one agent's media connection as it is needed."""

    def __init__(
        self,
        transport: Transport,
        *,
        wanted: Callable[[], bool],
        bundle: Callable[[bytes], Awaitable[None]],
        heard: Callable[[], Awaitable[bytes]],
        watch: Watch,
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        """``bundle`` takes what comes, ``heard`` gives what goes back; ``doubt`` hears of a connection that broke."""
        self._transport = transport
        self._wanted = wanted
        self._bundle = bundle
        self._heard = heard
        self._watch = watch
        self._doubt = doubt
        self._another = asyncio.Event()
        self._door: Door | None = None
        self._news = asyncio.Event()
        self.connected = False

    def door(self, door: Door | None) -> None:
        """A session stands (or stands no more)."""
        if door is not None and door != self._door:
            self._another.set()
        self._door = door
        self._news.set()

    def changed(self) -> None:
        """Streams were opened or closed."""
        self._news.set()

    async def run(self) -> None:
        """Connect when it is wanted, for ever."""
        backoff = Backoff(first_s=FIRST_S, last_s=LAST_S)
        while True:
            door = self._door
            if door is None or not self._wanted():
                self._news.clear()
                await self._news.wait()
                continue
            try:
                await self._carry(door, backoff)
            except LinkError as error:
                log.debug("the media connection ended", error=str(error))
                if backoff.failures > FAILURES_TOLD:
                    self._watch.raise_fault("media_connection", f"live sound cannot be received: {error}")
                self._doubt()
                await self._pause(backoff.next_delay_s())

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for what belongs to a session that is over."""
        self._another.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._another.wait()
        except TimeoutError:
            return

    async def _carry(self, door: Door, backoff: Backoff) -> None:
        path = f"stream?ticket={quote(door.ticket, safe='')}"
        socket = await self._transport.open(door.address, path, certificate=door.certificate, heartbeat_s=HEARTBEAT_S)
        self.connected = True
        try:
            loops = {
                "stream-reader": self._read(socket, backoff),
                "stream-wanted": self._until_done(door),
                "stream-heard": self._send_back(socket),
            }
            await together(loops, until_first=True)
        finally:
            self.connected = False
            await socket.close()

    async def _read(self, socket: Socket, backoff: Backoff) -> None:
        while True:
            frame = await socket.receive()
            if isinstance(frame, bytes):
                backoff.reset()
                self._watch.clear_fault("media_connection")
                await self._bundle(frame)

    async def _send_back(self, socket: Socket) -> None:
        while True:
            await socket.send(await self._heard())

    async def _until_done(self, door: Door) -> None:
        """Until no stream is wanted for a while, or the session it belongs to is gone."""
        while self._door is not None and self._door.certificate == door.certificate:
            self._news.clear()
            if not self._wanted():
                try:
                    async with asyncio.timeout(LINGER_S):
                        await self._news.wait()
                except TimeoutError:
                    return
            else:
                await self._news.wait()
