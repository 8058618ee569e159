"""HLS (RFC 8216): a station that is a playlist of short files, read as if it were one endless stream.

Rules kept here:

1. Every address (variants, playlists, segments, redirects) is checked by the address policy; bodies are bounded.
2. Of several variants the leanest that is good enough for a loudspeaker is taken: sound alone before sound with
   pictures, at least :data:`GOOD_BPS`, then the lowest.
3. A live playlist is read from three segments before its end and asked again at the pace of its target duration
   (half of it when nothing was new). Bytes are handed on at the pace they sound at, after a first burst of
   :data:`BURST_S`: so a station that publishes ten seconds at a time does not starve those behind it. The same pace
   holds for a recording (a playlist with an end).
4. Encrypted segments are refused (``hls_encrypted``); a change of the initialisation section ends the stream, so that
   it is opened anew.
5. What fell out of the playlist before it was read is left out.

Not here: whether the bytes are sound (:mod:`audio.stream` decides by decoding).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import m3u8
from aiohttp import ClientSession
from yarl import URL

from controller.feeds.addresses import AddressPolicy
from controller.feeds.errors import FeedContentError, FeedLostError
from controller.feeds.fetching import follow, read_whole

#: Bits a second that a variant must have, if any has: below it speech suffers.
GOOD_BPS: Final = 48_000
#: The largest segment and the largest playlist.
MAX_SEGMENT: Final = 16 * 1024 * 1024
MAX_LIST: Final = 256 * 1024
#: Most segments of a playlist that are looked at: a recording of some hours.
MAX_SEGMENTS: Final = 10_000
#: What is handed on at once at first, in seconds of sound.
BURST_S: Final = 6.0
_FROM_END: Final = 3
_FETCH_S: Final = 15.0
_SLICE_S: Final = 0.25
_SHORTEST_S, _LONGEST_S = 0.5, 20.0
#: Nothing new for so many target durations (and at least so many seconds): the station is silent.
_STALE_TARGETS, _STALE_S = 4, 12.0
_PICTURES: Final = ("avc", "hvc", "hev", "vp0", "av01", "dvh")
_ID3_HEAD: Final = 10


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the playlist."""

    number: int
    url: str
    duration_s: float
    init: str | None  # address of the initialisation section
    span: str | None  # Range header
    init_span: str | None
    fresh: bool  # a discontinuity comes before it


def is_hls(body: bytes) -> bool:
    """Whether a playlist is one of HLS."""
    return b"#EXT-X-" in body


class HlsStation:
    """A station that answered with a playlist. Iterate :meth:`sound` for its bytes."""

    def __init__(self, session: ClientSession, policy: AddressPolicy, base: URL, body: bytes) -> None:
        self._session = session
        self._policy = policy
        self._base = base
        self._body = body
        self._ends = False
        self.content_type = "application/vnd.apple.mpegurl"
        self.name: str | None = base.host
        self.title: str | None = None

    @property
    def ends(self) -> bool:
        """Whether it is a recording: its playlist says that nothing follows."""
        return self._ends

    def close(self) -> None:
        """Nothing is open between two fetches."""

    async def sound(self) -> AsyncIterator[bytes]:
        """Bytes of the segments, one after the other, at the pace they sound at.

        Raises:
            FeedContentError: ``hls_unreadable``, ``hls_encrypted``, ``hls_empty``, ``source_refused`` …
            FeedLostError: ``source_silent``, ``source_lost``, ``source_unreachable``.
            FeedRefusedError: an address in it is not one we fetch from.
        """
        listing = await self._media_playlist()
        pace = _Pace()
        init: str | None = None
        async for segment in self._segments(listing):
            if segment.init is not None and segment.init != init:
                if init is not None:
                    raise FeedLostError("source_changed", "the station changed its format")
                init = segment.init
                yield await self._fetch(segment.init, segment.init_span)
            data = _without_tag(await self._fetch(segment.url, segment.span))
            async for piece in pace.out(data, segment.duration_s):
                yield piece

    async def _media_playlist(self) -> Any:
        """The playlist of segments, after choosing a variant."""
        listing = await _read(self._body, self._base)
        if not listing.is_variant:
            return listing
        self._base = self._policy.check(choose(listing))
        listing = await self._reload()
        if listing.is_variant:
            raise FeedContentError("hls_unreadable", "the playlist leads to another list of variants")
        return listing

    async def _segments(self, listing: Any) -> AsyncIterator[Segment]:
        """Every segment once, in order, for as long as there are any."""
        following: int | None = None
        news_at = time.monotonic()
        while True:
            found = await asyncio.to_thread(_segments_of, listing)
            if following is None and not listing.is_endlist:
                found = found[-_FROM_END:]
            new = [one for one in found if following is None or one.number >= following]
            for one in new:
                yield one
                following = one.number + 1
            if listing.is_endlist:
                self._ends = True
                return
            target = max(_SHORTEST_S, min(_LONGEST_S, float(listing.target_duration or 6)))
            if new:
                news_at = time.monotonic()
            elif time.monotonic() - news_at > max(_STALE_S, _STALE_TARGETS * target):
                raise FeedLostError("source_silent", "the station's playlist has had nothing new for a while")
            else:
                await asyncio.sleep(target / 2)
            listing = await self._reload()
            if following is not None and (listing.media_sequence or 0) + len(listing.segments) < following - 1:
                following = None  # the numbering began anew

    async def _reload(self) -> Any:
        response = await follow(self._session, self._base, self._policy)
        base = response.url
        return await _read(await read_whole(response, most=MAX_LIST, seconds=_FETCH_S, code="hls_unreadable"), base)

    async def _fetch(self, url: str, span: str | None) -> bytes:
        headers = {} if span is None else {"Range": span}
        response = await follow(self._session, self._policy.check(url), self._policy, headers)
        return await read_whole(response, most=MAX_SEGMENT, seconds=_FETCH_S, code="hls_segment_too_large")


class _Pace:
    """Hands bytes on as fast as they sound, after a first burst."""

    def __init__(self) -> None:
        self._due = 0.0

    async def out(self, data: bytes, duration_s: float) -> AsyncIterator[bytes]:
        """The bytes in slices, each when its time has come."""
        now = time.monotonic()
        self._due = max(self._due, now - BURST_S)  # what came late is not made up for beyond the burst
        slices = max(1, round(duration_s / _SLICE_S))
        size = -(-len(data) // slices) or 1
        for at in range(0, len(data), size):
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            yield data[at : at + size]
            self._due += duration_s / slices


def choose(listing: Any) -> str:
    """The address of the variant to take (rule 2).

    Raises:
        FeedContentError: ``hls_empty``.
    """
    found: list[tuple[bool, bool, int, str]] = []
    for variant in listing.playlists:
        info = variant.stream_info
        codecs = (info.codecs or "").lower()
        rate = int(info.bandwidth or 0)
        group = [one for one in listing.media if one.type == "AUDIO" and one.group_id == info.audio and one.uri]
        pictures = any(name in codecs for name in _PICTURES) or info.resolution is not None
        address = group[0].absolute_uri if group else variant.absolute_uri
        found.append((pictures and not group, rate < GOOD_BPS, rate if rate >= GOOD_BPS else -rate, address))
    if not found:
        raise FeedContentError("hls_empty", "the playlist names no variant")
    return min(found)[-1]


async def _read(body: bytes, base: URL) -> Any:
    """A playlist, read on a thread: one of 256 KiB takes half a second, which every live stream would feel."""
    return await asyncio.to_thread(_parse, body, base)


def _parse(body: bytes, base: URL) -> Any:
    try:
        return m3u8.loads(body.decode("utf-8-sig"), uri=str(base))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise FeedContentError("hls_unreadable", "the playlist cannot be read") from error


def _segments_of(listing: Any) -> list[Segment]:
    found: list[Segment] = []
    first = int(listing.media_sequence or 0)
    reached: dict[str, int] = {}
    for number, one in enumerate(listing.segments[:MAX_SEGMENTS], first):
        if one.key is not None and one.key.method not in (None, "", "NONE"):
            raise FeedContentError("hls_encrypted", "the station encrypts its sound; it cannot be relayed")
        section = one.init_section
        found.append(
            Segment(
                number=number,
                url=str(one.absolute_uri),
                duration_s=max(0.02, min(60.0, float(one.duration or 0))),
                init=None if section is None else str(section.absolute_uri),
                span=_span(one.byterange, str(one.absolute_uri), reached),
                init_span=None if section is None else _span(section.byterange, str(section.absolute_uri), {}),
                fresh=bool(one.discontinuity),
            )
        )
    return found


def _span(text: str | None, url: str, reached: dict[str, int]) -> str | None:
    """A Range header for ``length@offset``; without an offset it follows the range before it of the same file."""
    if not text:
        return None
    length, _, offset = text.partition("@")
    try:
        begin = int(offset) if offset else reached.get(url, 0)
        end = begin + int(length)
    except ValueError as error:
        raise FeedContentError("hls_unreadable", "the playlist has a byte range that is none") from error
    reached[url] = end
    return f"bytes={begin}-{end - 1}"


def _without_tag(data: bytes) -> bytes:
    """A packed segment without the ID3 tag that carries its time stamp."""
    if not data.startswith(b"ID3") or len(data) < _ID3_HEAD:
        return data
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return data[_ID3_HEAD + size :]
