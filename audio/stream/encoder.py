"""The parent of the encoding process: radio bytes in, Opus packets out.

Rules kept here:

1. Whoever does not take packets makes the child stop reading, which makes :meth:`StreamEncoder.feed` wait.
2. Every wait ends: feeding and taking each give up after ``patience_s`` with ``stalled``.

Not here: fetching (controller), pacing and time stamps (controller), the encoding itself (:mod:`audio.stream.worker`),
the process and its pipes (:mod:`audio.stream.child`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from audio.errors import StreamError
from audio.stream.child import EncodingChild
from audio.stream.framing import ERROR, FINISHED, INDEX, INFO, LEVEL, LEVELS, PACKET
from audio.stream.levels import Level


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the stream turned out to be."""

    container: str
    codec: str
    sample_rate: int
    channels: int


class StreamEncoder(EncodingChild):
    """Encodes one live stream.

    Feed and iterate at the same time, in two tasks::

        async with StreamEncoder() as encoder:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(station, encoder))  # feed(…) … end()
                async for sample_index, packet in encoder:
                    ...

    Packets are 20 ms; ``sample_index`` starts at 0 and rises by 960 without a gap. The iterator ends where the stream
    ends, and raises :class:`audio.errors.StreamError` with ``not_audio``, ``crashed``, ``stalled``, ``closed``,
    ``too_demanding``.

    Args:
        bit_rate: of the Opus packets, bits a second.
        gain_db: a constant gain before the limiter.
        patience_s: how long feeding or taking may wait.
    """

    def __init__(self, *, bit_rate: int = 32_000, gain_db: float = 0.0, patience_s: float = 30.0) -> None:
        super().__init__("audio.stream.worker", (str(bit_rate), str(gain_db)), patience_s=patience_s)
        #: What the stream is, once its first sound was decoded.
        self.info: StreamInfo | None = None
        #: How loud the last 100 ms of its packets are.
        self.level: Level | None = None

    async def feed(self, data: bytes) -> None:
        """Give bytes as they came from the network. Waits while the child has enough.

        Raises:
            StreamError: ``closed`` when the child is gone (the iterator tells why), ``stalled``.
        """
        self._stdin().write(data)
        await self._drain()

    async def __aiter__(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Packets with the position of their first sample."""
        while True:
            kind, body = await self._hear(self._patience)
            if kind == PACKET:
                yield INDEX.unpack_from(body)[0], body[INDEX.size :]
            elif kind == LEVEL:
                self.level = Level(*LEVELS.unpack(body))
            elif kind == INFO:
                self.info = StreamInfo(**json.loads(body))
            elif kind == ERROR:
                said = json.loads(body)
                raise StreamError(said["message"], code=said["code"])
            elif kind == FINISHED:
                return
