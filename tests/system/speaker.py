"""Somebody who speaks: a WebSocket to a live session's microphone, fed at the pace of a sound card."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import aiohttp

from audio.pcm import Samples, to_s16
from controller.api.microphone import PROTOCOL
from tests.system.desk import Desk

FRAME = 960


class SpeakerPerson:
    """Speaks ``sound`` into a session from the moment it is on air, in a thread of its own."""

    def __init__(
        self, desk: Desk, session_id: str, sound: Samples, *, stop_after: bool = True, token: str | None = None
    ) -> None:
        self.told: list[dict[str, Any]] = []
        self.began: float | None = None  # UTC second at which the first sample was spoken
        self._url = f"{desk.url}/api/v1/live/{session_id}/microphone"
        self._token = token or desk.token
        self._sound = sound
        self._stop_after = stop_after
        self._thread = threading.Thread(target=lambda: asyncio.run(self._speak()), name="speaker", daemon=True)
        self._thread.start()

    def join(self, within: float) -> None:
        """Until the session is over."""
        self._thread.join(within)
        assert not self._thread.is_alive(), f"the session did not end: {self.told[-3:]}"

    @property
    def states(self) -> list[str]:
        return [str(one["state"]) for one in self.told if one["type"] == "state"]

    async def _speak(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.ws_connect(self._url, protocols=(PROTOCOL,)) as socket,
        ):
            await socket.send_str(json.dumps({"type": "hello", "codec": "pcm", "rate": 48_000}))
            sending = asyncio.create_task(self._send(socket))
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.told.append(json.loads(message.data))
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while "on_air" not in self.states:  # noqa: ASYNC110 - asks about state without a hook
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        self.began = time.time()
        for number in range(len(self._sound) // FRAME):
            await asyncio.sleep(max(0.0, begun + (number + 1) * FRAME / 48_000 - time.monotonic()))
            await socket.send_bytes(to_s16(self._sound[number * FRAME : (number + 1) * FRAME]))
        if self._stop_after:
            await socket.send_str(json.dumps({"type": "stop"}))
