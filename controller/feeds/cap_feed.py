"""A feed of warnings over HTTP: Atom, RSS, EDXL or a plain alert, asked again and again.

Rules kept here:

1. The feed, every address it lists and every hop of a redirect is checked by the address policy; where an alert's own
   resources are is never asked.
2. What did not change costs one request without a body (ETag, Last-Modified). What was fetched is not fetched again
   while the feed lists it.
3. Bounds: 4 MiB a document, :data:`MAX_FETCHES` listed documents and :data:`POLL_S` seconds a poll. What did not fit
   comes with the next poll. A listed document that cannot be had is tried :data:`MAX_TRIES` times.
4. The state (validators, entries known) moves only when the caller says that he took the documents
   (:meth:`CapFeed.accept`); until then the next poll brings them again. It is bounded by what a feed may list.
5. A server's Retry-After is told to the caller, who does the waiting. Time-to-live hints are not: a generator's
   default must not delay a flood.

Bytes come out. Not here: reading and trusting them (:mod:`controller.cap`), waiting and backing off
(:mod:`controller.services.warnings.polling`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from controller.cap import CapError
from controller.cap.document import MAX_BYTES
from controller.feeds.addresses import AddressPolicy, GuardedResolver
from controller.feeds.cap_index import MAX_ENTRIES, FeedEntry, FeedIndex, read_index
from controller.feeds.errors import FeedBusyError, FeedContentError, FeedError
from controller.feeds.fetching import follow, read_whole

#: Listed documents that are fetched in one poll.
MAX_FETCHES: Final = 20
#: Seconds that one poll may take; what it has by then is what it brings.
POLL_S: Final = 60.0
#: Times that a listed document is tried before it is given up.
MAX_TRIES: Final = 3
#: The longest pause a server can ask for.
MAX_RETRY_AFTER: Final = timedelta(hours=1)

_ACCEPT: Final = "application/cap+xml, application/atom+xml, application/rss+xml, application/xml;q=0.8, */*;q=0.1"
_ACCEPT_CAP: Final = "application/cap+xml, application/xml;q=0.8, text/xml;q=0.8"
_MAX_VALIDATOR: Final = 1024
_BUSY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class CapFeedTimeouts:
    """Seconds to wait for a connection, for the next bytes, and for one whole document."""

    connect_s: float = 10.0
    read_s: float = 10.0
    document_s: float = 20.0


@dataclass(frozen=True, slots=True)
class CapDocument:
    """A document as it came, and from where."""

    url: str
    data: bytes


@dataclass(frozen=True, slots=True)
class FeedState:
    """What is remembered between polls. ``known``: entries fetched or given up; ``tries``: entry -> failed tries."""

    etag: str = ""
    modified: str = ""
    known: frozenset[str] = frozenset()
    tries: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"etag": self.etag, "modified": self.modified, "known": sorted(self.known), "tries": dict(self.tries)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_dict`; what does not fit (another version wrote it) is forgotten."""
        known, tries = values.get("known"), values.get("tries")
        return cls(
            etag=_short(values.get("etag")),
            modified=_short(values.get("modified")),
            known=frozenset(_short(key) for key in known[:MAX_ENTRIES]) if isinstance(known, list) else frozenset(),
            tries={_short(key): n for key, n in tries.items() if isinstance(n, int)} if isinstance(tries, dict) else {},
        )


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one look at a feed gave.

    ``failed``: listed documents that could not be had this time. ``next_after``: how long the server wants to be left
    alone, None = it does not say. ``waiting``: listed documents that are left for the next poll.
    """

    documents: tuple[CapDocument, ...] = ()
    not_modified: bool = False
    next_after: timedelta | None = None
    failed: int = 0
    waiting: int = 0
    state: FeedState = FeedState()


class CapFeed:
    """One feed at ``url``. ``state``: what :attr:`state` gave before a restart."""

    def __init__(
        self,
        url: str,
        policy: AddressPolicy,
        *,
        state: Mapping[str, Any] | None = None,
        timeouts: CapFeedTimeouts = CapFeedTimeouts(),
    ) -> None:
        self._url = url
        self._policy = policy
        self._timeouts = timeouts
        self._state = FeedState.of(state or {})

    @property
    def state(self) -> Mapping[str, Any]:
        """What to keep for the next start, as plain JSON values: the state after the last accepted poll."""
        return self._state.as_dict()

    def accept(self, result: PollResult) -> None:
        """The documents of ``result`` were taken: they need not come again."""
        self._state = result.state

    async def poll(self, now: datetime) -> PollResult:
        """Look once; give every document that is new since the last accepted poll.

        Raises:
            FeedRefusedError: ``bad_url``, ``address_refused``, ``too_many_redirects``.
            FeedContentError: ``source_refused`` (HTTP status), ``too_large``, ``content_encoded``, ``no_feed``, or
                what :func:`controller.cap.document.parse` says of a document that is no XML.
            FeedBusyError: ``source_busy``.
            FeedLostError: ``source_unreachable``, ``source_lost``.
        """
        async with self._session() as session:
            response = await self._ask(session, now)
            asked = _retry_after(response, now)
            if response.status == HTTPStatus.NOT_MODIFIED:
                response.close()
                return PollResult(not_modified=True, next_after=asked, state=self._state)
            validators = _short(response.headers.get("ETag")), _short(response.headers.get("Last-Modified"))
            data = await self._body(response)
            index = await _index(data)
            head = (CapDocument(str(response.url), data),) if index.embedded else ()
            result = await self._fetch_entries(session, response.url, index)
        complete = not (result.failed or result.waiting)
        etag, modified = validators if complete else ("", "")
        state = replace(result.state, etag=etag, modified=modified)
        return replace(result, documents=head + result.documents, next_after=asked, state=state)

    async def _ask(self, session: ClientSession, now: datetime) -> ClientResponse:
        headers = {"Accept": _ACCEPT}
        if self._state.etag:
            headers["If-None-Match"] = self._state.etag
        if self._state.modified:
            headers["If-Modified-Since"] = self._state.modified
        good = (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED, *_BUSY)
        response = await follow(session, self._policy.check(self._url), self._policy, headers, good=good)
        if response.status in _BUSY:
            response.close()
            asked = _retry_after(response, now)
            raise FeedBusyError("source_busy", f"the server answered {response.status}: ask later", asked)
        return response

    async def _fetch_entries(self, session: ClientSession, base: URL, index: FeedIndex) -> PollResult:
        """Fetch what is listed and not known, in the feed's order, as far as the bounds go."""
        listed = {entry.key for entry in index.entries}
        known = set(self._state.known & listed)
        tries = {key: n for key, n in self._state.tries.items() if key in listed}
        wanted = [entry for entry in index.entries if entry.key not in known]
        documents: list[CapDocument] = []
        failed = at = 0
        try:
            async with asyncio.timeout(POLL_S):
                for at, entry in enumerate(wanted[:MAX_FETCHES], start=1):  # noqa: B007 - how far it came
                    try:
                        documents.append(await self._fetch(session, base, entry))
                    except FeedError:
                        failed += 1
                        tries[entry.key] = tries.get(entry.key, 0) + 1
                        if tries[entry.key] < MAX_TRIES:
                            continue
                    known.add(entry.key)
                    tries.pop(entry.key, None)
        except TimeoutError:
            at -= 1
        state = FeedState(known=frozenset(known), tries=tries)
        return PollResult(tuple(documents), failed=failed, waiting=len(wanted) - at, state=state)

    async def _fetch(self, session: ClientSession, base: URL, entry: FeedEntry) -> CapDocument:
        try:
            url = self._policy.check(base.join(URL(entry.href)))
        except ValueError as error:
            raise FeedContentError("bad_url", "the feed lists an address that is none") from error
        response = await follow(session, url, self._policy, {"Accept": _ACCEPT_CAP}, good=(HTTPStatus.OK,))
        if response.content_type == "text/html":
            response.close()
            raise FeedContentError("not_cap", "the feed lists a page for people")
        return CapDocument(str(response.url), await self._body(response))

    async def _body(self, response: ClientResponse) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            response.close()
            raise FeedContentError("content_encoded", f"the server sends {encoding[:20]}, which it was not asked for")
        return await read_whole(response, most=MAX_BYTES, seconds=self._timeouts.document_s, code="too_large")

    def _session(self) -> AbstractAsyncContextManager[ClientSession]:
        return ClientSession(
            connector=aiohttp.TCPConnector(resolver=GuardedResolver(self._policy), use_dns_cache=False, limit=2),
            timeout=ClientTimeout(total=None, connect=self._timeouts.connect_s, sock_read=self._timeouts.read_s),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Loa", "Accept-Encoding": "identity"},
        )


async def _index(data: bytes) -> FeedIndex:
    """Read the index in a thread: 4 MiB of hostile XML must not hold up the loop."""
    try:
        return await asyncio.to_thread(read_index, data)
    except CapError as error:
        raise FeedContentError(error.code, f"this is no feed of warnings: {error}") from error


def _retry_after(response: ClientResponse, now: datetime) -> timedelta | None:
    text = response.headers.get("Retry-After", "").strip()[:64]
    if not text:
        return None
    if text.isdecimal():
        return min(timedelta(seconds=int(text[:9])), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta()), MAX_RETRY_AFTER)


def _short(value: object) -> str:
    """A validator or key that is worth remembering, else nothing."""
    if not isinstance(value, str) or len(value) > _MAX_VALIDATOR or not value.isprintable():
        return ""
    return value
