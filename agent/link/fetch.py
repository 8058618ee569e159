"""Fetches content by hash: day documents into memory, sounds into the store, with Range when a download broke off.

Rules kept here:

1. Nothing is believed before its SHA-256 is that of its name; a wrong body is thrown away and reported.
2. A broken download goes on where it ended. A server that ignores the Range starts it over.
3. One download at a time for one agent, the soonest needed first: a metered line is not shared with itself, and the
   control connection stays prompt. Agents of one process that share a store fetch each sound once.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

import aiohttp

from agent.cache.media import MediaStore
from agent.errors import LinkError, MediaError
from agent.link.address import Address
from agent.link.transport import Transport

#: Largest sound that is fetched: twelve hours of Opus at 96 kbit/s.
MAX_MEDIA_BYTES = 512 * 1024 * 1024

_PIECE = 256 * 1024
_ALL = 200

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Door:
    """What opens the content endpoints of a session."""

    address: Address
    certificate: bytes
    ticket: str


class SingleFlight:
    """One lock per name, shared by all agents of a process: who waits finds the work done."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def lock(self, name: str) -> _Turn:
        """An async context manager: this one's turn with ``name``."""
        return _Turn(self._locks, name)


class _Turn:
    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], name: str) -> None:
        self._locks = locks
        self._name = name

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._name, (asyncio.Lock(), 0))
        self._locks[self._name] = lock, users + 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._name][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, users = self._locks[self._name]
        if users > 1:
            self._locks[self._name] = lock, users - 1
        else:
            del self._locks[self._name]


class Fetcher:
    """Downloads for one agent."""

    def __init__(self, transport: Transport, store: MediaStore, executor: Executor, flights: SingleFlight) -> None:
        self._transport = transport
        self._store = store
        self._executor = executor
        self._flights = flights

    async def document(self, door: Door, sha256: str, *, size: int) -> bytes:
        """One day document of exactly ``size`` bytes.

        Raises:
            LinkError: it cannot be had, or has other bytes than its name says (``bad_answer``).
        """
        get = self._transport.get(door.address, f"documents/{sha256}", ticket=door.ticket, certificate=door.certificate)
        async with get as response:
            body = bytearray()
            async for piece in response.content.iter_chunked(_PIECE):
                body += piece
                if len(body) > size:
                    raise LinkError("bad_answer", "a day document is larger than its plan says")
        if len(body) != size or hashlib.sha256(body).hexdigest() != sha256:
            raise LinkError("bad_answer", "a day document has other bytes than its plan says")
        return bytes(body)

    async def sound(self, door: Door, sha256: str, needed: Callable[[], frozenset[str]]) -> None:
        """One sound into the store. ``needed``: what must not be evicted for it.

        Raises:
            LinkError: it cannot be had now.
            MediaError: ``media_altered``, ``media_too_large`` or ``disk_full``.
        """
        async with self._flights.lock(sha256):
            if not self._store.has(sha256):
                await self._download(door, sha256, needed)

    async def _download(self, door: Door, sha256: str, needed: Callable[[], frozenset[str]]) -> None:
        part = self._store.part_path(sha256)
        have = await self._work(_size, part)
        try:
            async with self._transport.get(
                door.address, f"media/{sha256}", ticket=door.ticket, certificate=door.certificate, first_byte=have
            ) as response:
                begin, total = _extent(response, have)
                if total > MAX_MEDIA_BYTES:
                    raise MediaError("media_too_large", f"a sound of {total} bytes is not taken")
                await self._work(self._store.make_room, sha256, total, needed())
                await self._receive(response, part, begin, total)
        except LinkError as error:
            if have and "416" in str(error):  # the part is longer than the sound: begin anew
                await self._work(_remove, part)
            raise
        finally:
            self._store.release(sha256)
        await self._work(self._store.finish, sha256)

    async def _receive(self, response: aiohttp.ClientResponse, part: Path, begin: int, total: int) -> None:
        stream = await self._work(_open_at, part, begin)
        written = begin
        try:
            async for piece in response.content.iter_chunked(_PIECE):
                written += len(piece)
                if written > total:
                    raise LinkError("bad_answer", "a sound is larger than the controller said")
                try:
                    await self._work(stream.write, piece)
                except OSError as error:
                    raise MediaError("disk_full", f"a sound cannot be written: {error}") from error
        finally:
            await self._work(stream.close)
        if written != total:
            raise LinkError("unreachable", "a download broke off")

    async def _work(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._executor, lambda: call(*args, **kwargs))


def _extent(response: aiohttp.ClientResponse, have: int) -> tuple[int, int]:
    """Where the answer begins, and how long the whole sound is."""
    length = response.content_length
    if length is None:
        raise LinkError("bad_answer", "the controller does not say how long a sound is")
    if response.status == _ALL:
        return 0, length
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    if unit != "bytes" or not span.startswith(f"{have}-") or not total.isdigit() or have + length != int(total):
        raise LinkError("bad_answer", "the controller answers a range with another one")
    return have, int(total)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _open_at(path: Path, position: int) -> BinaryIO:
    stream = path.open("r+b" if position else "wb")
    stream.seek(position)
    stream.truncate()
    return stream
