"""The demo's own radio station: a real HTTP stream in real time, as Icecast would send it (MP3, ICY titles).

It exists so that the demo can relay a live stream on a machine without a network. One programme is encoded once and
sent round and round; every listener hears the same place of it, with a burst of two seconds at the beginning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Self

import numpy as np
from aiohttp import web

from audio.codec import MP3_FRAMES, encode_mp3
from audio.pcm import Samples
from schedules.instants import SAMPLE_RATE

_FRAME_S = MP3_FRAMES / SAMPLE_RATE
_BURST_FRAMES = round(2.0 / _FRAME_S)
_WRITE_EVERY_S = 0.25
_METAINT = 8_000
_WRITE_TIMEOUT_S = 10.0


def compose(speech: Samples) -> Samples:
    """A programme of about half a minute: a slow pentatonic tune under the spoken ``speech``."""
    length = max(len(speech) + 4 * SAMPLE_RATE, 20 * SAMPLE_RATE)
    at = np.arange(length) / SAMPLE_RATE
    notes = np.array([220.0, 261.63, 293.66, 329.63, 392.0])[np.floor(at / 0.5).astype(int) * 3 % 5]
    phase = np.cumsum(notes) / SAMPLE_RATE
    tune = 0.08 * np.sin(2 * np.pi * phase) * np.exp(-3.0 * (at % 0.5))
    tune[2 * SAMPLE_RATE : 2 * SAMPLE_RATE + len(speech)] += 0.7 * speech
    return np.clip(tune, -0.9, 0.9).astype(np.float32)


class RadioStation:
    """Serves ``/radio.mp3`` on one loopback port.

    Use it as an asynchronous context manager; :attr:`url` is known inside.
    """

    def __init__(self, programme: Samples, title: str, host: str = "127.0.0.1") -> None:
        self._frames: Sequence[bytes] = tuple(encode_mp3(programme))
        self._title = title
        self._host = host
        self._began = time.monotonic()
        self._runner: web.AppRunner | None = None
        #: How many listeners have connected so far.
        self.connections = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/radio.mp3", self._listen)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self._began = time.monotonic()
        self.url = f"http://{self._host}:{port}/radio.mp3"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        wants_titles = request.headers.get("Icy-MetaData") == "1"
        headers = {"Content-Type": "audio/mpeg", "icy-name": "Loa demo", "Cache-Control": "no-store"}
        if wants_titles:
            headers["icy-metaint"] = str(_METAINT)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        self.connections += 1
        titles = _Titles(self._title) if wants_titles else None
        position = self._now() - _BURST_FRAMES
        try:
            while True:
                until = self._now()
                chunk = b"".join(self._frames[i % len(self._frames)] for i in range(position, until))
                position = until
                if chunk:
                    data = titles.weave(chunk) if titles else chunk
                    await asyncio.wait_for(response.write(data), _WRITE_TIMEOUT_S)
                await asyncio.sleep(_WRITE_EVERY_S)
        except (TimeoutError, ConnectionError):
            return response  # the listener went away or stopped reading

    def _now(self) -> int:
        return int((time.monotonic() - self._began) / _FRAME_S)


class _Titles:
    """Weaves the station's title into the sound every ``_METAINT`` bytes (the ICY protocol)."""

    def __init__(self, title: str) -> None:
        text = f"StreamTitle='{title}';".encode()[: 255 * 16]
        blocks = -(-len(text) // 16)
        self._block = bytes([blocks]) + text.ljust(blocks * 16, b"\0")
        self._until = _METAINT

    def weave(self, sound: bytes) -> bytes:
        woven = bytearray()
        while len(sound) >= self._until:
            woven += sound[: self._until] + self._block
            sound = sound[self._until :]
            self._until = _METAINT
            self._block = b"\0"  # the title is told once; afterwards an empty block
        self._until -= len(sound)
        return bytes(woven + sound)
