"""Content by hash: recordings and day documents, with ranges, for agents that hold a media ticket.

1. Only what exists under a 64-digit hash is served; nothing of the request ever becomes a path.
2. The bearer ticket of a control session opens the door. Knowing a hash is then enough: plans are per agent, but a
   hash cannot be guessed, and what it names is meant to be heard by a village.
3. The entity tag is the hash, so ``If-Range`` and ``If-None-Match`` are exact and a broken download resumes.
4. At most :attr:`GatewayLimits.downloads` at once; each holds one chunk in memory, and a reader that takes nothing
   for a minute is dropped.

Files are read in threads, in chunks, instead of with ``sendfile``: it works under TLS and with uvloop alike, and
every write has a deadline.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from aiohttp import hdrs, web

from controller.gateway.errors import RangeError
from controller.gateway.front import Front
from controller.gateway.limits import GatewayLimits
from controller.gateway.ranges import Span, asked_span, etag_matches, etag_of

_HASH = re.compile(r"[0-9a-f]{64}")
_CHUNK = 128 * 1024
#: How long a download waits for its turn before it is told to come back, in seconds.
_TURN_S = 10.0
_RETRY_AFTER = "5"


class ContentSource(Protocol):
    """Where content lives."""

    def media_path(self, sha256: str) -> Path | None:
        """The file of a recording, or None. Must not touch the disk beyond its name."""
        ...

    async def document(self, sha256: str) -> bytes | None:
        """The bytes of a day document, or None."""
        ...


@dataclass(frozen=True, slots=True)
class _Content:
    """Something to send: its name, its size, and how to read a part of it."""

    sha256: str
    size: int
    media_type: str
    read: Callable[[Span], AsyncIterator[bytes]]


class MediaRoom:
    """The two HTTP endpoints for content."""

    def __init__(self, content: ContentSource, *, owner_of: Callable[[str], str | None], limits: GatewayLimits) -> None:
        self._content = content
        self._owner_of = owner_of
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.downloads)
        self.served_bytes = 0

    async def recording(self, request: web.Request, front: Front) -> web.StreamResponse:
        """``GET /agent/v1/media/{sha256}``."""
        sha256 = self._admit(request, front)
        path = self._content.media_path(sha256)
        source = None if path is None else await asyncio.to_thread(_open, path)
        if source is None:
            raise web.HTTPNotFound(text=f"there is no recording {sha256}")
        file, size = source
        try:
            content = _Content(sha256, size, "audio/ogg", lambda span: _chunks(file, span))
            return await self._send(request, front, content)
        finally:
            file.close()

    async def document(self, request: web.Request, front: Front) -> web.StreamResponse:
        """``GET /agent/v1/documents/{sha256}``."""
        sha256 = self._admit(request, front)
        body = await self._content.document(sha256)
        if body is None:
            raise web.HTTPNotFound(text=f"there is no document {sha256}")
        content = _Content(sha256, len(body), "application/json", lambda span: _slices(body, span))
        return await self._send(request, front, content)

    def _admit(self, request: web.Request, front: Front) -> str:
        scheme, _, ticket = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or self._owner_of(ticket) is None:
            raise web.HTTPUnauthorized(
                text="the media ticket is not (or no longer) good; take one from the control connection",
                headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
            )
        front.prove()
        sha256 = request.match_info["sha256"]
        if _HASH.fullmatch(sha256) is None:
            raise web.HTTPNotFound(text="content is named by 64 hexadecimal digits")
        return sha256

    async def _send(self, request: web.Request, front: Front, content: _Content) -> web.StreamResponse:
        size = content.size
        etag = etag_of(content.sha256)
        headers = {
            hdrs.ETAG: etag,
            hdrs.ACCEPT_RANGES: "bytes",
            hdrs.CACHE_CONTROL: "private, max-age=31536000, immutable",
        }
        if etag_matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
            return web.Response(status=304, headers=headers)
        try:
            span = asked_span(size, etag, request.headers.get(hdrs.RANGE), request.headers.get(hdrs.IF_RANGE))
        except RangeError as error:
            raise web.HTTPRequestRangeNotSatisfiable(
                text=str(error), headers={hdrs.CONTENT_RANGE: f"bytes */{size}"}
            ) from error
        headers[hdrs.CONTENT_TYPE] = content.media_type
        headers[hdrs.CONTENT_LENGTH] = str(span.length)
        if span.partial:
            headers[hdrs.CONTENT_RANGE] = span.content_range
        response = web.StreamResponse(status=206 if span.partial else 200, headers=headers)
        async with _Turn(self._turns):
            await self._stream(request, front, response, content.read(span))
        return response

    async def _stream(
        self, request: web.Request, front: Front, response: web.StreamResponse, chunks: AsyncIterator[bytes]
    ) -> None:
        try:
            async with asyncio.timeout(self._limits.download_write_s):
                await response.prepare(request)
            async for chunk in chunks:
                async with asyncio.timeout(self._limits.download_write_s):
                    await response.write(chunk)
                self.served_bytes += len(chunk)
            await response.write_eof()
        except TimeoutError:
            front.abort()  # it takes nothing; the rest can be had with a range later


class _Turn:
    """One of the downloads that may run at once."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(_TURN_S):
                await self._turns.acquire()
        except TimeoutError:
            raise web.HTTPServiceUnavailable(
                text="too many downloads at once; come back shortly", headers={hdrs.RETRY_AFTER: _RETRY_AFTER}
            ) from None

    async def __aexit__(self, *_: object) -> None:
        self._turns.release()


def _open(path: Path) -> tuple[BinaryIO, int] | None:
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return None
    return file, os.fstat(file.fileno()).st_size


async def _chunks(file: BinaryIO, span: Span) -> AsyncIterator[bytes]:
    left, position = span.length, span.first
    while left > 0:
        chunk = await asyncio.to_thread(os.pread, file.fileno(), min(_CHUNK, left), position)
        if not chunk:
            raise ConnectionResetError("the file became shorter while it was read")
        left -= len(chunk)
        position += len(chunk)
        yield chunk


async def _slices(body: bytes, span: Span) -> AsyncIterator[bytes]:
    for first in range(span.first, span.first + span.length, _CHUNK):
        yield body[first : min(first + _CHUNK, span.first + span.length)]
