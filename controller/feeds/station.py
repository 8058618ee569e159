"""One connection to a radio station over HTTP: Icecast, SHOUTcast, HLS, or any server that sends sound without end.

Rules kept here:

1. Every hop of a redirect and the target of a playlist (one level) is checked by the address policy. A playlist of
   HLS is a station of its own kind (:mod:`controller.feeds.hls`).
2. Connecting and every read have a time-out; headers are bounded; bodies are never decompressed.
3. Memory is flat: one read buffer, with flow control towards the station.
4. What is plainly not sound (a web page, JSON) is refused here; what only claims to be sound is found out by the
   encoder, which sniffs the bytes.

Not here: reconnecting and giving up (:mod:`controller.services.relays`), decoding (:mod:`audio.stream`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from controller.feeds.addresses import AddressPolicy, GuardedResolver
from controller.feeds.errors import FeedContentError, FeedLostError
from controller.feeds.fetching import follow, read_whole
from controller.feeds.hls import HlsStation, is_hls
from controller.feeds.icy import IcyStripper, metaint_of
from controller.feeds.playlist import MAX_PLAYLIST, first_entry, is_playlist
from controller.feeds.shoutcast import StationConnector

#: Flow control begins above twice this many unread bytes: 16 s of a 64 kbit/s stream.
_READ_BUFFER: Final = 64 * 1024

_PLAYLIST_S: Final = 10.0
_NOT_SOUND: Final = ("text/", "image/", "font/", "multipart/", "application/json", "application/xml", "application/pdf")


@dataclass(frozen=True, slots=True)
class FeedTimeouts:
    """Seconds to wait for a connection and for the next bytes of a connected station."""

    connect_s: float = 10.0
    read_s: float = 10.0


class Station:
    """A station that answered. Iterate :meth:`sound` for its bytes, titles taken out."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self._icy = IcyStripper(metaint_of(response.headers.get("icy-metaint")))
        #: What the station says its sound is (``audio/mpeg``); the encoder does not rely on it.
        self.content_type: str = response.content_type if "Content-Type" in response.headers else ""
        #: The station's name for itself, if it tells one.
        self.name: str | None = (response.headers.get("icy-name") or "")[:200] or None

    @property
    def title(self) -> str | None:
        """What the station says it is playing now."""
        return self._icy.title

    @property
    def ends(self) -> bool:
        """Whether it is a file: its length was told beforehand."""
        return self._response.content_length is not None

    def close(self) -> None:
        """Hang up."""
        self._response.close()

    async def sound(self) -> AsyncIterator[bytes]:
        """Chunks of sound as they arrive, until the station ends.

        Raises:
            FeedLostError: ``source_silent`` (nothing came in time) or ``source_lost`` (the connection broke).
        """
        try:
            async for chunk in self._response.content.iter_any():
                sound = self._icy.feed(chunk)
                if sound:
                    yield sound
        except TimeoutError as error:
            raise FeedLostError("source_silent", "the station stopped sending") from error
        except (aiohttp.ClientError, OSError) as error:
            raise FeedLostError("source_lost", f"the connection to the station broke: {error}") from error


@asynccontextmanager
async def open_station(
    url: str, policy: AddressPolicy, timeouts: FeedTimeouts = FeedTimeouts()
) -> AsyncIterator[Station | HlsStation]:
    """Connect to the station at ``url`` and yield it once its headers are there.

    Raises:
        FeedRefusedError: ``bad_url``, ``address_refused`` or ``too_many_redirects``.
        FeedContentError: ``not_audio``, ``empty_playlist``, ``source_refused`` (HTTP status).
        FeedLostError: ``source_unreachable``.
    """
    timeout = ClientTimeout(total=None, connect=timeouts.connect_s, sock_read=timeouts.read_s)
    async with ClientSession(
        connector=StationConnector(GuardedResolver(policy)),
        timeout=timeout,
        read_bufsize=_READ_BUFFER,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "Loa", "Icy-MetaData": "1", "Accept": "audio/*, application/ogg, */*;q=0.1"},
        skip_auto_headers=("Accept-Encoding",),
    ) as session:
        station = await _tune(session, policy.check(url), policy)
        try:
            yield station
        finally:
            station.close()


async def _tune(session: ClientSession, url: URL, policy: AddressPolicy) -> Station | HlsStation:
    response = await follow(session, url, policy)
    if not is_playlist(response.content_type, response.url):
        return Station(_require_sound(response))
    base = response.url
    body = await read_whole(response, most=MAX_PLAYLIST, seconds=_PLAYLIST_S, code="empty_playlist")
    if is_hls(body):
        return HlsStation(session, policy, base, body)
    response = await follow(session, policy.check(first_entry(body, base)), policy)
    if is_playlist(response.content_type, response.url):
        base = response.url
        body = await read_whole(response, most=MAX_PLAYLIST, seconds=_PLAYLIST_S, code="empty_playlist")
        if is_hls(body):
            return HlsStation(session, policy, base, body)
        raise FeedContentError("playlist_in_playlist", "the playlist leads to another playlist")
    return Station(_require_sound(response))


def _require_sound(response: ClientResponse) -> ClientResponse:
    said = response.content_type if "Content-Type" in response.headers else ""
    if said.startswith(_NOT_SOUND):
        response.close()
        raise FeedContentError("not_audio", f"the address gives {said}, not sound")
    return response
