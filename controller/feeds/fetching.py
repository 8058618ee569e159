"""Fetching one address: redirects by hand, bodies bounded. What stations and HLS have in common.

Rules kept here: every hop of a redirect is checked by the address policy; what is read whole is bounded in size and
time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import ClientResponse, ClientSession
from yarl import URL

from controller.feeds.addresses import AddressPolicy
from controller.feeds.errors import FeedContentError, FeedLostError, FeedRefusedError

#: How many times a station may send us on to another address.
MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GOOD: Final = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)


async def follow(
    session: ClientSession,
    url: URL,
    policy: AddressPolicy,
    headers: Mapping[str, str] | None = None,
    *,
    good: Collection[int] = _GOOD,
) -> ClientResponse:
    """Fetch ``url``, redirects followed by hand so that every hop is checked. ``good``: answers that are given back.

    Raises:
        FeedRefusedError: ``bad_url``, ``address_refused``, ``too_many_redirects``.
        FeedContentError: ``bad_redirect``, ``source_refused`` (HTTP status).
        FeedLostError: ``source_unreachable``.
    """
    for _ in range(MAX_REDIRECTS + 1):
        response = await _fetch(session, url, headers or {})
        if response.status not in _REDIRECTS:
            break
        location = response.headers.get("Location", "")
        response.close()
        try:
            url = policy.check(url.join(URL(location)))
        except ValueError as error:
            raise FeedContentError("bad_redirect", "the station redirects to something unreadable") from error
    else:
        raise FeedRefusedError("too_many_redirects", f"the station redirects more than {MAX_REDIRECTS} times")
    if response.status not in good:
        response.close()
        raise FeedContentError("source_refused", f"the station answered {response.status}")
    return response


async def read_whole(response: ClientResponse, *, most: int, seconds: float, code: str) -> bytes:
    """A body that ends: bounded in size and time, so that a stream in its clothes is noticed.

    Raises:
        FeedContentError: ``code``: it is longer than ``most`` bytes.
        FeedLostError: ``source_lost``: it did not arrive.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > most:
                    raise FeedContentError(code, f"more than {most} bytes came where fewer were expected")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise FeedLostError("source_lost", "what was asked for did not arrive") from error
    finally:
        response.close()
    return bytes(body)


async def _fetch(session: ClientSession, url: URL, headers: Mapping[str, str]) -> ClientResponse:
    try:
        return await session.get(url, allow_redirects=False, headers=headers)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        detail = str(error) or type(error).__name__
        raise FeedLostError("source_unreachable", f"cannot reach {url.host}:{url.port}: {detail}") from error
