"""Sockets and files over HTTP(S): the only place of the agent that uses the HTTP library.

Rules kept here:

1. Any certificate opens the connection; who is behind it is judged by the handshake, which both sides bind to the
   certificate that was seen. Once a session stands, its other connections accept exactly that certificate.
2. Every wait has an end: 10 s to connect, 45 s of silence on a WebSocket (both sides ping), 30 s between two pieces
   of a file.
3. A frame larger than the wire allows closes the connection before it is read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from agent.errors import LinkError
from agent.link.address import Address
from protocol.limits import MAX_FRAME
from protocol.link import NO_CERTIFICATE, certificate_hash

CONNECT_S = 10.0
PIECE_S = 30.0
SEND_S = 20.0

#: A ping goes out after this much silence and is waited for half as long: a dead path is found in 45 s.
HEARTBEAT_S = 30.0

Frame = str | bytes


class Socket:
    """One open WebSocket. ``certificate``: SHA-256 of what the server showed, zeros on a plain connection."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, certificate: bytes) -> None:
        self._ws = ws
        self.certificate = certificate

    async def send(self, frame: Frame) -> None:
        """Write one frame.

        Raises:
            LinkError: ``closed`` or ``timed_out``.
        """
        try:
            async with asyncio.timeout(SEND_S):
                await (self._ws.send_str(frame) if isinstance(frame, str) else self._ws.send_bytes(frame))
        except TimeoutError as error:
            raise LinkError("timed_out", "the controller does not read") from error
        except (ConnectionError, RuntimeError, aiohttp.ClientError) as error:
            raise LinkError("closed", f"the connection is gone: {error}") from error

    async def receive(self, *, within_s: float | None = None) -> Frame:
        """The next frame.

        Raises:
            LinkError: ``closed``, or ``timed_out`` after ``within_s``.
        """
        if within_s is None:
            message = await self._ws.receive()
        else:
            try:
                async with asyncio.timeout(within_s):
                    message = await self._ws.receive()
            except TimeoutError as error:
                raise LinkError("timed_out", "the controller does not answer") from error
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        why = self._ws.exception() or self._ws.close_code or "no reason given"
        raise LinkError("closed", f"the connection ended: {why}")

    async def close(self) -> None:
        """Say goodbye, within a bound."""
        await self._ws.close()


class Transport:
    """One HTTP client for all agents of a process. Use as an async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._any = ssl.create_default_context()
        self._any.check_hostname = False
        self._any.verify_mode = ssl.CERT_NONE

    async def __aenter__(self) -> Self:
        # No cookies, no proxies, no redirects, no compression: this client speaks to one kind of server.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=PIECE_S),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def knock(self, address: Address, *, within_s: float) -> None:
        """See whether anybody listens there, without a word.

        Raises:
            LinkError: ``unreachable`` or ``timed_out``.
        """
        try:
            async with asyncio.timeout(within_s):
                parts = urlsplit(address.base)
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except TimeoutError as error:
            raise LinkError("timed_out", f"{address.base} does not answer") from error
        except OSError as error:
            raise LinkError("unreachable", f"{address.base} cannot be reached: {error}") from error
        writer.transport.abort()

    async def open(
        self, address: Address, path: str, *, certificate: bytes | None = None, heartbeat_s: float = HEARTBEAT_S
    ) -> Socket:
        """Open a WebSocket; with ``certificate``, only to a server that shows exactly that one.

        A peer that says nothing for ``heartbeat_s`` is asked for a sign of life, and given half of that for it.

        Raises:
            LinkError: ``unreachable``, ``refused`` or ``timed_out``.
        """
        try:
            async with asyncio.timeout(2 * CONNECT_S):
                ws = await self._client.ws_connect(
                    address.at(path),
                    ssl=self._check(address, certificate),
                    max_msg_size=MAX_FRAME,
                    compress=0,
                    heartbeat=heartbeat_s,
                    timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                )
        except TimeoutError as error:
            raise LinkError("timed_out", f"{address.base} does not answer") from error
        except aiohttp.WSServerHandshakeError as error:
            raise LinkError(
                "refused", f"{address.base} answers {error.status}, which is no agents' listener"
            ) from error
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            raise LinkError("unreachable", f"{address.base} cannot be reached: {_why(error)}") from error
        wire = ws.get_extra_info("ssl_object")
        seen = None if wire is None else wire.getpeercert(binary_form=True)
        return Socket(ws, certificate_hash(seen))

    @asynccontextmanager
    async def get(
        self, address: Address, path: str, *, ticket: str, certificate: bytes, first_byte: int = 0
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for content by hash, from ``first_byte`` on.

        Raises:
            LinkError: ``unreachable``, ``timed_out`` or ``refused`` (with the status in the message).
        """
        headers = {"Authorization": f"Bearer {ticket}", "Accept-Encoding": "identity"}
        if first_byte:
            headers["Range"] = f"bytes={first_byte}-"
        try:
            async with self._client.get(
                address.at(path), headers=headers, ssl=self._check(address, certificate), allow_redirects=False
            ) as response:
                if response.status not in (200, 206):
                    raise LinkError("refused", f"{path[:20]}… is refused with {response.status}")
                yield response
        except TimeoutError as error:
            raise LinkError("timed_out", "a download stands still") from error
        except (aiohttp.ClientError, OSError) as error:
            raise LinkError("unreachable", f"a download broke off: {error}") from error

    @property
    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise LinkError("closed", "the transport is closed")
        return self._session

    def _check(self, address: Address, certificate: bytes | None) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
        if not address.secure:
            return True
        if certificate is None or certificate == NO_CERTIFICATE:
            return self._any
        return aiohttp.Fingerprint(certificate)


def _why(error: Exception) -> str:
    """What the system says; aiohttp's own text quotes the TLS context's address in memory."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return str(cause) or type(cause).__name__
