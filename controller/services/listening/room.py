"""The listeners of one agent, or of one source: one tap, one lease, many ears.

Rules kept here: the tap is asked for when the first comes and ended when the last leaves; whoever comes later hears
from the next packets on, and the agent's time begins anew; what ends the tap ends all of them with its code.
"""

from __future__ import annotations

import asyncio
import secrets

from controller.services.chunks import Chunk
from controller.services.listening.listener import Gapless, Listener
from controller.services.listening.ports import Stations, Taps
from protocol.limits import MAX_U32
from protocol.messages import Listen, Listening
from protocol.tap import TapFrame


class Room:
    """Listeners that hear the same. :meth:`close` is called when the last one has left."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._gapless = Gapless()

    def enter(self, seconds: float) -> Listener:
        """One more."""
        listener = Listener(seconds=seconds, leave=self._left)
        self.listeners.append(listener)
        return listener

    def end(self, code: str) -> None:
        """Nothing more will be heard here."""
        for listener in tuple(self.listeners):
            listener.end(code)

    def close(self) -> None:
        """Let go of what is heard here."""

    def _hand_out(self, packets: tuple[bytes, ...]) -> None:
        for listener in self.listeners:
            listener.put(packets)

    def _left(self, listener: Listener) -> None:
        self.listeners.remove(listener)
        if not self.listeners:
            self.close()


class AgentRoom(Room):
    """Hears one agent. Implements :class:`controller.services.listening.ports.TapSink`."""

    def __init__(self, agent_id: str, taps: Taps) -> None:
        super().__init__()
        self.agent_id = agent_id
        self._taps = taps
        self._tap = secrets.randbelow(MAX_U32) + 1
        self._answer: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
        self.over = False

    def ask(self, *, bit_rate: int, seconds: int, anyway: bool) -> bool:
        """Ask the agent, or ask for more time. False: it is not online."""
        request = Listen(tap=self._tap, bit_rate=bit_rate, seconds=seconds, anyway=anyway)
        return self._taps.open(self.agent_id, request, self)

    async def answered(self, within_s: float) -> Listening | None:
        """What the agent said to it; None: nothing."""
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._answer)
        except TimeoutError:
            return None

    def close(self) -> None:
        """End the tap."""
        self.over = True
        self._taps.close(self.agent_id, self._tap)

    def said(self, answer: Listening) -> None:
        """See the port."""
        if not self._answer.done():
            self._answer.set_result(answer)
        if not answer.on:
            self.over = True
            self.end(answer.code or "over")

    def frame(self, frame: TapFrame) -> None:
        """See the port."""
        if frame.tap == self._tap:
            self._hand_out(self._gapless.take(frame.packets, frame.play_at))

    def lost(self) -> None:
        """See the port."""
        self.said(Listening(tap=self._tap, on=False, code="agent_offline", detail="its connection is gone"))


class SourceRoom(Room):
    """Hears one source."""

    def __init__(self, source_id: str, stations: Stations) -> None:
        super().__init__()
        self._sounds = asyncio.Event()
        self._lease = stations.take(source_id, self.take)
        self.over = False

    def close(self) -> None:
        """Let the station go, unless somebody else wants it."""
        self.over = True
        self._lease.release()

    def take(self, chunk: Chunk) -> None:
        """What the carrier hands out."""
        self._sounds.set()
        self._hand_out(self._gapless.take(chunk.packets, chunk.play_at))

    async def sounds(self, within_s: float) -> bool:
        """Wait for the first sound."""
        try:
            async with asyncio.timeout(within_s):
                await self._sounds.wait()
        except TimeoutError:
            return False
        return True
