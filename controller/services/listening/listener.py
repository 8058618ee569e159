"""One listener: packets of 20 ms in, a stream of Ogg Opus out that a browser plays as it comes.

Rules kept here:

1. Who takes too little loses the oldest (:data:`WAITING` batches, ten seconds); nobody waits for them.
2. It ends after its time, when what it listens to ends, or when it leaves; the last page says so.
3. What is missing in time is filled with silence, at most :data:`FILL_US` at once, so that a player does not stall.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from audio import ogg
from schedules.instants import MediaUs

#: Batches of 200 ms (a relay's: 1 s) that wait for a slow listener.
WAITING: Final = 50

#: An Opus packet of 20 ms of silence (RFC 6716: CELT, full band, mono, one frame without content).
SILENT_PACKET: Final = b"\xf8\xff\xfe"

PACKET_US: Final = 20_000
FILL_US: Final = 10_000_000
_PACKET_FRAMES: Final = 960
_PRE_SKIP: Final = 312
_PAGE_PACKETS: Final = 50


class Gapless:
    """Puts silence where time passed without packets.

    What comes a little early follows what was, and the next silence is so much shorter.
    """

    def __init__(self) -> None:
        self._ends: int | None = None

    def take(self, packets: Sequence[bytes], play_at: MediaUs | None) -> tuple[bytes, ...]:
        """The packets, and what must stand before them. Without a time they follow what was."""
        length = len(packets) * PACKET_US
        missing = FILL_US if self._ends is None or play_at is None else play_at - self._ends
        if self._ends is None or play_at is None or not -FILL_US < missing < FILL_US:
            self._ends = None if play_at is None else play_at + length  # it begins, or another timeline does
            return tuple(packets)
        filled = max(0, missing) // PACKET_US
        self._ends += filled * PACKET_US + length
        return (SILENT_PACKET,) * filled + tuple(packets)


class OggLine:
    """Pages of one endless Ogg Opus stream. Pure."""

    def __init__(self) -> None:
        self._sequence = 0
        self._granule = 0

    def begin(self) -> bytes:
        """Both headers."""
        return self._page([ogg.head_packet(_PRE_SKIP)], first=True) + self._page([ogg.tags_packet()])

    def pages(self, packets: Sequence[bytes]) -> bytes:
        """Pages with these packets."""
        out = b""
        for at in range(0, len(packets), _PAGE_PACKETS):
            some = list(packets[at : at + _PAGE_PACKETS])
            self._granule += len(some) * _PACKET_FRAMES
            out += self._page(some)
        return out

    def end(self) -> bytes:
        """The last page."""
        return self._page([], last=True)

    def _page(self, packets: list[bytes], *, first: bool = False, last: bool = False) -> bytes:
        page = ogg.page(packets, granule=self._granule, sequence=self._sequence, first=first, last=last)
        self._sequence += 1
        return page


class Listener:
    """Made by the desk. Iterate :meth:`pages`, and :meth:`close` in the end."""

    def __init__(self, *, seconds: float, leave: Callable[[Listener], None]) -> None:
        self._until = asyncio.get_running_loop().time() + seconds
        self._leave = leave
        self._waiting: deque[tuple[bytes, ...]] = deque(maxlen=WAITING)
        self._news = asyncio.Event()
        self._left = False
        #: Why it ended: ``over``, or the code of what was lost.
        self.ended: str | None = None
        #: Batches that a slow listener did not take.
        self.dropped = 0

    def put(self, packets: tuple[bytes, ...]) -> None:
        """Add what sounded."""
        if packets and self.ended is None:
            self.dropped += len(self._waiting) == WAITING
            self._waiting.append(packets)
            self._news.set()

    def end(self, code: str) -> None:
        """There will be no more."""
        if self.ended is None:
            self.ended = code
            self._news.set()

    def close(self) -> None:
        """Leave. Safe to repeat."""
        self.end("left")
        if not self._left:
            self._left = True
            self._leave(self)

    async def pages(self) -> AsyncIterator[bytes]:
        """The stream, until it ends."""
        line = OggLine()
        yield line.begin()
        try:
            async with asyncio.timeout_at(self._until):
                while True:
                    while self._waiting:
                        yield line.pages(self._waiting.popleft())
                    if self.ended is not None:
                        break
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            self.end("over")
        yield line.end()
