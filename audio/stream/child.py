"""A process that encodes: started in a jail of its own, spoken to by two pipes, ended whatever it does.

Rules kept here:

1. Nothing is queued without a bound: the pipes hold some tens of kilobytes each way.
2. Every wait ends: hearing gives up after ``patience_s`` with ``stalled``.
3. :meth:`EncodingChild.close` ends the child and may be called at any time, any number of times.

Not here: what is said through the pipes (:mod:`audio.stream.encoder`, :mod:`audio.stream.speech`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from audio.children import end
from audio.errors import StreamError
from audio.stream.framing import HEAD, MAX_BODY

_PIPE_BYTES = 32_768
_ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class EncodingChild:
    """One encoding process: ``python -I -m MODULE PARENT ARGUMENTS…``."""

    def __init__(self, module: str, arguments: Sequence[str], *, patience_s: float) -> None:
        self._module = module
        self._arguments = tuple(arguments)
        self._patience = patience_s
        self._child: asyncio.subprocess.Process | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the child. ``async with`` does it."""
        if self._child is not None or self._closed:
            raise StreamError("an encoder is started once", code="closed")
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            self._module,
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

    def end(self) -> None:
        """No more bytes will come: the child ends after its last packet."""
        if not self._closed and self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()

    async def close(self) -> None:
        """End the child. Safe to repeat."""
        self._closed = True
        if self._child is not None:
            await end(self._child)

    def _stdin(self) -> asyncio.StreamWriter:
        if self._closed or self._child is None or self._child.stdin is None or self._child.stdin.is_closing():
            raise StreamError("the encoder is not running", code="closed")
        return self._child.stdin

    async def _drain(self) -> None:
        """Wait until the child has taken what was written.

        Raises:
            StreamError: ``stalled`` or ``closed``.
        """
        stdin = self._stdin()
        try:
            async with asyncio.timeout(self._patience):
                await stdin.drain()
        except TimeoutError as error:
            raise StreamError("the encoder takes nothing: nobody takes its packets", code="stalled") from error
        except (BrokenPipeError, ConnectionResetError) as error:
            raise StreamError("the encoder has ended", code="closed") from error

    async def _hear(self, patience_s: float | None) -> tuple[bytes, bytes]:
        """The child's next utterance. ``patience_s`` None: it may be silent as long as it lives."""
        if self._closed or self._child is None or self._child.stdout is None:
            raise StreamError("the encoder is not running", code="closed")
        try:
            async with asyncio.timeout(patience_s):
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
