"""A cable between an agent and its controller that can be pulled out, and somebody who meddles with what passes.

Pulled out, nothing passes either way and nothing is closed; what was on its way comes when it is put back, as TCP would
repeat it: the worst case for whoever must not sound stale audio.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from controller.gateway.frames import binary_frame

_PIECE = 65_536
_BINARY = 0x82


class Cable:
    """Forwards to ``target`` on loopback. ``meddle`` turns each binary message of the controller into what arrives."""

    def __init__(self, target: int, meddle: Callable[[bytes], list[bytes]] | None = None) -> None:
        self._target = target
        self._meddle = meddle
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def pull(self) -> None:
        """Out."""
        self._whole.clear()

    def plug(self) -> None:
        """In again."""
        self._whole.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await self._whole.wait()
        try:
            far, far_out = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            near_out.close()
            return
        ways = [
            asyncio.create_task(self._carry(near, far_out, None)),
            asyncio.create_task(self._carry(far, near_out, self._meddle)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            near_out.close()
            far_out.close()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, meddle: Callable[[bytes], list[bytes]] | None
    ) -> None:
        waiting, upgraded = b"", False
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(_PIECE):
                await self._whole.wait()
                if meddle is not None:
                    waiting += piece
                    if not upgraded:
                        head, found, waiting = waiting.partition(b"\r\n\r\n")
                        if not found:
                            waiting = head
                            continue
                        writer.write(head + found)
                        upgraded = True
                    piece, waiting = _meddled(waiting, meddle)
                writer.write(piece)
                await writer.drain()


def _meddled(data: bytes, meddle: Callable[[bytes], list[bytes]]) -> tuple[bytes, bytes]:
    """Whole frames of a server (no masks), the binary ones replaced; and what is left of the last one."""
    out = b""
    while len(data) >= 2:
        wide = {126: 2, 127: 8}.get(data[1], 0)
        length = int.from_bytes(data[2 : 2 + wide]) if wide else data[1]
        end = 2 + wide + length
        if len(data) < end or len(data) < 2 + wide:
            break
        if data[0] == _BINARY:
            out += b"".join(binary_frame(each) for each in meddle(data[2 + wide : end]))
        else:
            out += data[:end]
        data = data[end:]
    return out, data
