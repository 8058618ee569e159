"""The parent of the encoding process: radio bytes in, Opus packets out.

Rules kept here:

1. Nothing is queued without a bound: the pipes hold some tens of kilobytes each way. Whoever does not take packets
   makes the child stop reading, which makes :meth:`StreamEncoder.feed` wait.
2. Every wait ends: feeding and taking each give up after ``patience_s`` with ``stalled``.
3. :meth:`StreamEncoder.close` ends the child, whatever it does, and may be called at any time, any number of times.

Not here: fetching (controller), pacing and time stamps (controller), the encoding itself (:mod:`audio.stream.worker`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from audio.children import end
from audio.errors import StreamError
from audio.stream.framing import ERROR, FINISHED, HEAD, INDEX, INFO, MAX_BODY, PACKET

_PIPE_BYTES = 32_768
_ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the stream turned out to be."""

    container: str
    codec: str
    sample_rate: int
    channels: int


class StreamEncoder:
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
        self._arguments = (str(bit_rate), str(gain_db))
        self._patience = patience_s
        self._child: asyncio.subprocess.Process | None = None
        self._closed = False
        #: What the stream is, once its first sound was decoded.
        self.info: StreamInfo | None = None

    async def start(self) -> None:
        """Start the child. ``async with`` does it."""
        if self._child is not None or self._closed:
            raise StreamError("a stream encoder is started once", code="closed")
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            "audio.stream.worker",
            str(os.getpid()),
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_PIPE_BYTES,
            start_new_session=True,
            cwd="/",
            env=_ENVIRONMENT,
        )
        assert self._child.stdin is not None  # noqa: S101 - asked for as a pipe
        self._child.stdin.transport.set_write_buffer_limits(high=_PIPE_BYTES)

    async def feed(self, data: bytes) -> None:
        """Give bytes as they came from the network. Waits while the child has enough.

        Raises:
            StreamError: ``closed`` when the child is gone (the iterator tells why), ``stalled``.
        """
        stdin = self._stdin()
        stdin.write(data)
        try:
            async with asyncio.timeout(self._patience):
                await stdin.drain()
        except TimeoutError as error:
            raise StreamError("the encoder takes nothing: nobody takes its packets", code="stalled") from error
        except (BrokenPipeError, ConnectionResetError) as error:
            raise StreamError("the encoder has ended", code="closed") from error

    def end(self) -> None:
        """No more bytes will come: the iterator ends after the last packet."""
        if not self._closed and self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()

    async def __aiter__(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Packets with the position of their first sample."""
        while True:
            kind, body = await self._hear()
            if kind == PACKET:
                yield INDEX.unpack_from(body)[0], body[INDEX.size :]
            elif kind == INFO:
                self.info = StreamInfo(**json.loads(body))
            elif kind == ERROR:
                said = json.loads(body)
                raise StreamError(said["message"], code=said["code"])
            elif kind == FINISHED:
                return

    async def close(self) -> None:
        """End the child. Safe to repeat."""
        self._closed = True
        if self._child is not None:
            await end(self._child)

    def _stdin(self) -> asyncio.StreamWriter:
        if self._closed or self._child is None or self._child.stdin is None or self._child.stdin.is_closing():
            raise StreamError("the encoder is not running", code="closed")
        return self._child.stdin

    async def _hear(self) -> tuple[bytes, bytes]:
        """The child's next utterance."""
        if self._closed or self._child is None or self._child.stdout is None:
            raise StreamError("the encoder is not running", code="closed")
        try:
            async with asyncio.timeout(self._patience):
                kind, length = HEAD.unpack(await self._child.stdout.readexactly(HEAD.size))
                if length > MAX_BODY:
                    raise StreamError("the encoder speaks nonsense", code="crashed")
                return kind, await self._child.stdout.readexactly(length)
        except asyncio.IncompleteReadError as error:
            code = "closed" if self._closed else "crashed"
            raise StreamError("the stream brought the decoder down, or it was closed", code=code) from error
        except TimeoutError as error:
            raise StreamError("no sound comes: the station sends nothing", code="stalled") from error

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
