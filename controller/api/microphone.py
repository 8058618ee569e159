"""A speaker's connection: frames of speech in, state and meter out.

What travels (subprotocol ``loa.microphone.1``): the client says ``{"type": "hello", "codec": "opus" | "pcm",
"rate": 48000}``, then binary frames: one Opus packet (mono or stereo, at most 120 ms), or mono 16-bit little-endian
samples, at most :data:`MAX_FRAME` bytes. It may say ``{"type": "stop"}`` and ``{"type": "extend"}``. It is told
``state`` (with ``left_s`` to the hard stop), ``meter`` every 100 ms, ``warning`` (``time``, ``silence``), ``error``,
and ``bye`` with a code at the end.

Rules kept here:

1. Everything that comes is bounded: the hello by time, messages by size, frames by rate (:data:`MOST_A_SECOND`).
2. What is told never waits and never piles up: at most :data:`OUTBOX` messages, meters are dropped first.
3. Packets are counted by what their first byte says they last; nothing is decoded here.
4. Who is signed out, disabled or without the right since is cut off within :data:`LOOK_S`.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from aiohttp import WSMsgType, web
from pydantic import Field, ValidationError

from audio.stream import SpeechFormat
from controller.api.schema import Schema
from controller.services.errors import ConflictError, ServiceError
from controller.services.live import LiveSession

PROTOCOL: Final = "loa.microphone.1"
MAX_FRAME: Final = 19_200  # 200 ms of 48 kHz samples
MOST_A_SECOND: Final = 200
OUTBOX: Final = 32
LOOK_S: Final = 2.0
_HELLO_S: Final = 10.0
_OPUS_MOST: Final = 1_500


class Hello(Schema):
    """What a client says first."""

    type: Literal["hello"]
    codec: Literal["opus", "pcm"]
    rate: int = Field(48_000, ge=16_000, le=48_000)
    client: str = Field("", max_length=200)


class MicrophoneLine:
    """One connection; implements :class:`controller.services.live.Speaker`."""

    def __init__(self, socket: web.WebSocketResponse, session: LiveSession) -> None:
        self._socket = socket
        self._session = session
        self._waiting: deque[dict[str, Any]] = deque()
        self._news = asyncio.Event()
        self._over = False

    def tell(self, message: dict[str, Any]) -> None:
        """See the port."""
        if len(self._waiting) >= OUTBOX:
            if message["type"] == "meter":
                return
            self._waiting.popleft()
        self._waiting.append(message)
        self._news.set()

    def dismiss(self, code: str, words: str) -> None:
        """See the port."""
        self.tell({"type": "bye", "code": code, "detail": words})
        self._over = True

    async def serve(
        self, *, stop: Callable[[], None], extend: Callable[[], Awaitable[None]], still: Callable[[], None]
    ) -> None:
        """Until one side ends it.

        ``stop`` and ``extend`` do what the speaker asks for; ``still`` raises when they may not speak any more.
        """
        hello = await self._hello()
        if hello is None:
            return
        self._session.attach(self, SpeechFormat(hello.codec, hello.rate))
        writer = asyncio.create_task(self._write(), name="microphone-write")
        reader = asyncio.create_task(self._read(hello, stop, extend), name="microphone-read")
        looker = asyncio.create_task(self._look(still), name="microphone-look")
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._session.detach(self)
            for task in (writer, reader, looker):
                task.cancel()
            await asyncio.gather(writer, reader, looker, return_exceptions=True)
            await self._socket.close()

    async def _hello(self) -> Hello | None:
        try:
            async with asyncio.timeout(_HELLO_S):
                first = await self._socket.receive()
        except ConnectionError:  # it went while a ping of its was answered
            return None
        except TimeoutError:
            await self._socket.close(code=1002, message=b"say hello first")
            return None
        try:
            if first.type is not WSMsgType.TEXT:
                raise ValueError("no text")
            return Hello.model_validate_json(first.data)
        except (ValidationError, ValueError):
            words = "the first message is {type: hello, codec: opus or pcm, rate: 16000 to 48000}"
            if not self._socket.closed:
                await self._socket.send_str(json.dumps({"type": "error", "code": "bad_hello", "detail": words}))
                await self._socket.close(code=1002)
            return None

    async def _read(self, hello: Hello, stop: Callable[[], None], extend: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        second, count = loop.time(), 0
        async for message in self._socket:
            if loop.time() - second >= 1.0:
                second, count = loop.time(), 0
            count += 1
            if count > MOST_A_SECOND * 4:  # a backlog after a stall comes at once; a flood goes on
                self.tell({"type": "error", "code": "flood", "detail": "too many messages"})
                return
            if message.type is WSMsgType.BINARY:
                self._frame(hello, message.data)
            elif message.type is WSMsgType.TEXT:
                await self._said(message.data, stop, extend)

    def _frame(self, hello: Hello, data: bytes) -> None:
        if hello.codec == "pcm":
            if 0 < len(data) <= MAX_FRAME:
                self._session.hear(data, len(data) // 2 * 1_000_000 // hello.rate)
        elif 0 < len(data) <= _OPUS_MOST:
            self._session.hear(data, packet_us(data))

    async def _said(self, text: str, stop: Callable[[], None], extend: Callable[[], Awaitable[None]]) -> None:
        try:
            said = json.loads(text).get("type")
        except (ValueError, AttributeError):
            said = None
        try:
            if said == "stop":
                stop()
            elif said == "extend":
                await extend()
            else:
                self.tell({"type": "error", "code": "unknown_message", "detail": "stop or extend"})
        except ServiceError as error:
            self.tell({"type": "error", "code": error.code, "detail": error.detail})

    async def _look(self, still: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                still()
            except ConflictError:
                continue  # it is ending
            except ServiceError as error:
                self._session.stop("right_taken")
                self.dismiss(error.code, error.detail)
                return

    async def _write(self) -> None:
        while True:
            while self._waiting:
                await self._socket.send_str(json.dumps(self._waiting.popleft()))
            if self._over:
                return
            self._news.clear()
            await self._news.wait()


def packet_us(packet: bytes) -> int:
    """Microseconds an Opus packet stands for, by its first bytes (RFC 6716 section 3.1); 0 when it makes no sense."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:  # noqa: PLR2004 - SILK
        size = (10_000, 20_000, 40_000, 60_000)[configuration & 3]
    elif configuration < 16:  # noqa: PLR2004 - hybrid
        size = (10_000, 20_000)[configuration & 1]
    else:
        size = (2_500, 5_000, 10_000, 20_000)[configuration & 3]
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[code]
    return min(size * count, 120_000)
