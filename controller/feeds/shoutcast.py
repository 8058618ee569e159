"""Old SHOUTcast servers answer ``ICY 200 OK`` where HTTP says ``HTTP/1.0 200 OK``; many small stations still do.

The rest of their answer is HTTP, so only the first bytes of a connection are put right before aiohttp parses them;
redirects, limits, time-outs and the address guard then hold for these stations as for any other. aiohttp offers
no public place for this: the connection's protocol class is replaced (tests/unit/controller/test_feeds.py fails
loudly if an upgrade moves it).
"""

from __future__ import annotations

import asyncio
import functools
from typing import Final

from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

_ICY: Final = b"ICY "
_HTTP: Final = b"HTTP/1.0 "


class _LenientHandler(ResponseHandler):
    """Waits for the first four bytes and, when they are ``ICY``, says ``HTTP/1.0`` in their place."""

    _opening: bytes | None = b""

    def data_received(self, data: bytes) -> None:
        if self._opening is not None:
            data = self._opening + data
            if len(data) < len(_ICY) and _ICY.startswith(data):
                self._opening = data
                return
            self._opening = None
            if data.startswith(_ICY):
                data = _HTTP + data[len(_ICY) :]
        super().data_received(data)


class StationConnector(TCPConnector):
    """A connector for one request at a time: no reuse, so every answer is the first of its connection."""

    def __init__(self, resolver: AbstractResolver) -> None:
        super().__init__(resolver=resolver, use_dns_cache=False, force_close=True, limit=1)
        handler: type[ResponseHandler] = _LenientHandler
        self._factory = functools.partial(handler, loop=asyncio.get_running_loop())
