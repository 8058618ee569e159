"""Playlists in front of a station: a ``.m3u`` or ``.pls`` file that names the real address. One level, no more.

Not here: HLS, which is a sequence of files, not a stream (:mod:`controller.feeds.hls`).
"""

from __future__ import annotations

from typing import Final

from yarl import URL

from controller.feeds.errors import FeedContentError

#: A playlist in front of a station is a few lines, one of HLS some hundred; anything bigger is not one.
MAX_PLAYLIST: Final = 256 * 1024

_TYPES: Final = frozenset(
    {
        "audio/x-mpegurl",
        "audio/mpegurl",
        "application/x-mpegurl",
        "application/vnd.apple.mpegurl",
        "audio/x-scpls",
        "application/pls+xml",
    }
)


def is_playlist(content_type: str, url: URL) -> bool:
    """Whether an answer is a playlist, by its type or (when the type says nothing) by the name."""
    if content_type in _TYPES:
        return True
    vague = content_type in {"", "text/plain", "application/octet-stream", "text/html"}
    return vague and url.path.lower().endswith((".m3u", ".m3u8", ".pls"))


def first_entry(body: bytes, base: URL) -> URL:
    """The first address a playlist names, relative ones resolved against ``base``.

    Raises:
        FeedContentError: ``empty_playlist``.
    """
    text = body.decode("utf-8-sig", errors="replace")
    for raw in text.splitlines():
        line = raw.strip()
        key, equals, value = line.partition("=")
        if equals and key.lower().startswith("file"):
            line = value.strip()
        elif not line or line.startswith(("#", "[")) or _is_setting(key, equals):
            continue
        try:
            return base.join(URL(line))
        except ValueError:
            continue
    raise FeedContentError("empty_playlist", "the playlist names no address")


def _is_setting(key: str, equals: str) -> bool:
    lowered = key.lower()
    return bool(equals) and lowered.startswith(("title", "length", "numberofentries", "version"))
