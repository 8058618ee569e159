"""Speaking from the command line: a line-in or a file, over the same WebSocket as a browser's microphone.

Rules kept here:

1. What cannot be sent is dropped, the oldest first (:data:`WAITING` blocks): live sound does not wait.
2. A connection that breaks is opened again within the time the controller keeps the session.
3. Ctrl-C (or SIGTERM) says *stop* and waits for the closing chime; a second one leaves.
4. A file that is no sound is found out before anything is on air; one that breaks off ends the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np

from audio.capture import BLOCK, RATE, LineIn
from audio.codec import Resampler, SoundSource, mono
from audio.errors import AudioError
from audio.pcm import silence, to_s16
from controller.cli.client import Login
from controller.cli.output import CliError, meter, note, note_over_meter

WAITING: Final = 50
_PROTOCOL: Final = "loa.microphone.1"
_RETRY_S: Final = 1.0
_TRIES: Final = 8
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


class Spoken:
    """Blocks on their way, and who is told of the first."""

    def __init__(self) -> None:
        self._blocks: deque[bytes] = deque(maxlen=WAITING)
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def put(self, block: bytes) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._put, block)

    def _put(self, block: bytes) -> None:
        self._blocks.append(block)
        self._news.set()

    async def take(self) -> bytes:
        """The next block."""
        while not self._blocks:
            self._news.clear()
            await self._news.wait()
        return self._blocks.popleft()


def speak_line(login: Login, session_id: str, device: str) -> None:
    """Speak from an input until it is over.

    Raises:
        CliError: the input or the controller cannot be reached.
    """
    asyncio.run(_speak_line(login, session_id, device))


def speak_file(login: Login, session_id: str, file: Path) -> None:
    """Play a file into the session at its own pace, then end it.

    Raises:
        CliError: the file is no sound, or the controller cannot be reached.
    """
    asyncio.run(_speak_file(login, session_id, file))


def check_file(file: Path) -> None:
    """Make sure that a file begins with sound, before a village hears a chime for nothing.

    Raises:
        CliError: it cannot be read, or is no sound.
    """
    try:
        next(_blocks(file), None)
    except (AudioError, OSError) as error:
        raise CliError(f"{file}: {error}", code=getattr(error, "code", "unreadable")) from error


async def _speak_line(login: Login, session_id: str, device: str) -> None:
    spoken = Spoken()
    try:
        with LineIn(device, spoken.put):
            await _Line(login, session_id).run(spoken.take)
    except AudioError as error:
        raise CliError(str(error), code=error.code) from error


async def _speak_file(login: Login, session_id: str, file: Path) -> None:
    line = _Line(login, session_id)
    blocks = _paced(_blocks(file), line.on_air)
    try:
        await line.run(blocks.__anext__)
    except AudioError as error:
        raise CliError(f"{file}: {error}", code=error.code) from error
    finally:
        await blocks.aclose()


def _blocks(file: Path) -> Iterator[bytes]:
    """The file as blocks of 20 ms."""
    resampler, rest = Resampler(), silence(0)
    with file.open("rb") as opened, SoundSource(opened) as source:
        for block in source.blocks():
            rest = np.concatenate((rest, resampler.push(mono(block.planes, block.channels), block.rate)))
            while len(rest) >= BLOCK:
                yield to_s16(rest[:BLOCK])
                rest = rest[BLOCK:]
    rest = np.concatenate((rest, resampler.flush()))
    if len(rest):
        yield to_s16(np.concatenate((rest, silence(-len(rest) % BLOCK))))


async def _paced(blocks: Iterator[bytes], on_air: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Blocks at their own pace, from the moment the session is on air."""
    await on_air.wait()
    begun = time.monotonic()
    for number, block in enumerate(blocks, 1):
        await asyncio.sleep(max(0.0, begun + number * BLOCK / RATE - time.monotonic()))
        yield block


class _Line:
    """The connection to one session."""

    def __init__(self, login: Login, session_id: str) -> None:
        self._login = login
        self._url = f"{login.url.rstrip('/')}/api/v1/live/{session_id}/microphone"
        self._stopping = False
        self._broke: AudioError | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.on_air = asyncio.Event()

    async def run(self, take: Callable[[], Any]) -> None:
        """Speak what ``take`` gives until the session is over or the blocks end."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._interrupted)
        try:
            for attempt in range(_TRIES):
                if await self._connection(take):
                    break
                note(f"the connection broke; trying again ({attempt + 1})")
                await asyncio.sleep(_RETRY_S)
            else:
                words = "the controller cannot be reached any more; the session ends by itself"
                raise CliError(words, code="unreachable")
        finally:
            for number in _ENDING:
                loop.remove_signal_handler(number)
        if self._broke is not None:
            raise self._broke

    async def _connection(self, take: Callable[[], Any]) -> bool:
        """One connection; whether the session is over."""
        headers = {"Authorization": f"Bearer {self._login.token}"}
        check: Any = True
        if self._login.fingerprint is not None:
            check = aiohttp.Fingerprint(bytes.fromhex(self._login.fingerprint.replace(":", "")))
        try:
            async with (
                aiohttp.ClientSession(headers=headers) as client,
                client.ws_connect(self._url, protocols=(_PROTOCOL,), ssl=check, heartbeat=5.0, compress=0) as socket,
            ):
                self._socket = socket
                await socket.send_str(json.dumps({"type": "hello", "codec": "pcm", "rate": RATE, "client": "cli"}))
                sending = asyncio.create_task(self._send(socket, take), name="speak")
                try:
                    over = await self._listen(socket)
                finally:
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                        await sending
                return over
        except aiohttp.WSServerHandshakeError as error:
            raise CliError(f"the controller refused the microphone ({error.status})", code="refused") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError):
            return False

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, take: Callable[[], Any]) -> None:
        if self._stopping:  # somebody ended it before this connection was there
            await self._stop()
        try:
            while True:
                await socket.send_bytes(await take())
        except StopAsyncIteration:
            pass
        except AudioError as error:
            self._broke = error
        await self._stop()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            said = json.loads(message.data)
            if said["type"] == "meter":
                meter(said["rms_db"])
            elif said["type"] == "state":
                if said["state"] == "on_air":
                    self.on_air.set()
                left = "" if said["left_s"] is None else f", {said['left_s']} s left"
                note_over_meter(f"{said['state']}{left}")
            elif said["type"] == "bye":
                note_over_meter(f"over: {said['code']}")
                return True
            else:
                note_over_meter(f"{said['type']}: {said.get('code')} {said.get('detail') or ''}")
        return self._stopping

    def _interrupted(self) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        self._ending = asyncio.ensure_future(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        if self._socket is not None and not self._socket.closed:
            await self._socket.send_str(json.dumps({"type": "stop"}))
