"""CAP over HTTP: taking what sources push, and giving our own alerts to whoever wants them.

Rules kept here:

1. ``POST /api/v1/cap`` is for machines: a source's token (``Authorization: Bearer``) or, where the listener has TLS,
   its client certificate. No session of a person opens it, and it opens nothing else.
2. A document is answered with 202 once every alert of it is on the disk (or is known, or was refused by itself).
3. Our own alerts are open to everyone who can reach the listener, unless ``cap_public`` is off: what a loudspeaker
   said to a whole valley is no secret, and aggregators send no tokens. Switched off, a signed-in reader may still.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from aiohttp import web
from yarl import URL

from controller.api.routing import Access, Call, Route, read_body, route
from controller.api.schema import Empty
from controller.api.warning_shapes import PushAnswer, PushResult
from controller.cap.document import MAX_BYTES
from controller.services.context import Clock, Permission
from controller.services.errors import InvalidError, NotFoundError, TooManyError, UnauthenticatedError
from controller.services.throttle import Throttle
from controller.services.warnings import (
    CapPublisher,
    FeedEntry,
    SourceEntry,
    SourceKind,
    WarningIntake,
    WarningSources,
    atom,
)

#: Pushes with a wrong token from one address before the next wrong one hears 429 (for fifteen minutes).
WRONG_TRIES: Final = 30
#: A body must be there in this many seconds: 4 MiB over a slow line.
BODY_SECONDS: Final = 60.0
_XML_TYPES: Final = (
    "application/cap+xml",
    "application/xml",
    "text/xml",
    "application/edxl+xml",
    "application/atom+xml",
)
_CAP: Final = "application/cap+xml"
_ATOM: Final = "application/atom+xml"
_PEM: Final = "application/x-pem-file"
_FEED_PATH: Final = "/api/v1/cap/alerts"


class CapRoutes:
    """Operations around CAP."""

    def __init__(
        self,
        *,
        sources: WarningSources,
        intake: WarningIntake,
        publisher: CapPublisher,
        clock: Clock,
        public: bool,
    ) -> None:
        self._sources = sources
        self._intake = intake
        self._publisher = publisher
        self._clock = clock
        self._public = public
        self._throttle = Throttle()

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        who = Access.PUBLIC if self._public else Permission.READ
        return (
            route("POST", "/api/v1/cap", "pushCap", Access.PUBLIC, self.push, raw_body=_CAP, status=202,
                  returns=PushAnswer, errors=(UnauthenticatedError, TooManyError, InvalidError),
                  summary="Push warnings (CAP, EDXL) with a source's token or client certificate"),
            route("GET", _FEED_PATH, "listCapAlerts", who, self.feed, raw_returns=_ATOM,
                  summary="Our own alerts as an Atom feed of CAP messages"),
            route("GET", f"{_FEED_PATH}/{{identifier}}.xml", "getCapAlert", who, self.document, raw_returns=_CAP,
                  errors=(NotFoundError,), summary="One of our CAP messages, signed"),
            route("GET", "/api/v1/cap/certificate.pem", "getCapCertificate", who, self.certificate, raw_returns=_PEM,
                  summary="The certificate our CAP messages are signed with"),
        )  # fmt: skip

    async def push(self, call: Call[Empty, Empty]) -> PushAnswer:
        """Take a document."""
        source = self._source(call)
        data = await read_body(call.request, limit=MAX_BYTES, seconds=BODY_SECONDS, types=_XML_TYPES)
        results = await self._intake.take(source, SourceKind.PUSH, data)
        return PushAnswer(
            source_id=source.id,
            results=tuple(
                PushResult(code=one.code, id=one.id, sender=one.sender, identifier=one.identifier, detail=one.detail)
                for one in results
            ),
        )

    def _source(self, call: Call[Empty, Empty]) -> SourceEntry:
        """Who pushes; by certificate, else by token.

        Raises:
            UnauthenticatedError: nobody we know.
            TooManyError: too many wrong tries from this address.
        """
        found = self._by_certificate(call.request)
        if found is not None:
            return found
        kind, _, token = call.request.headers.get("Authorization", "").partition(" ")
        found = self._sources.by_token(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            # Only who is wrong is throttled: behind a proxy all come from one address, and nobody guesses 256 bits.
            self._throttle.attempt({f"address:{call.peer}": WRONG_TRIES}, self._clock.now())
            raise UnauthenticatedError(
                "push with the token of a source (Authorization: Bearer …) or with its client certificate",
                code="unknown_source",
            )
        return found

    def _by_certificate(self, request: web.Request) -> SourceEntry | None:
        transport = request.transport
        tls = None if transport is None else transport.get_extra_info("ssl_object")
        der = None if tls is None else tls.getpeercert(binary_form=True)
        return None if der is None else self._sources.by_certificate(der)

    async def feed(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """Our own alerts."""
        request = call.request
        origin = request.url.origin()
        entries = await self._publisher.feed()
        body = atom(
            entries,
            sender=self._publisher.sender,
            base=str(origin.join(_here(_FEED_PATH))),
            link_of=_linker(origin),
            now=_updated(entries, self._clock.now()),
        )
        return _cached(request, body, _ATOM)

    async def document(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """One of our messages."""
        return _cached(call.request, await self._publisher.document(call.path["identifier"]), _CAP)

    async def certificate(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """Our certificate."""
        return _cached(call.request, (await self._publisher.identity()).pem.encode(), _PEM)


def _here(path: str) -> URL:
    return URL(path)


def _linker(origin: URL) -> Callable[[str], str]:
    return lambda identifier: str(origin.join(_here(f"{_FEED_PATH}/{identifier}.xml")))


def _updated(entries: list[FeedEntry], now: datetime) -> datetime:
    """When the feed changed last; an empty one this midnight, so that its validator holds for a day."""
    return entries[0].sent if entries else now.replace(hour=0, minute=0, second=0, microsecond=0)


def _cached(request: web.Request, body: bytes, media_type: str) -> web.Response:
    """The body with a validator, or 304 for who has it."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": media_type}
    known = re.findall(r'"[^"]*"', request.headers.get("If-None-Match", "")[:1_000])
    if tag in known:
        return web.Response(status=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
    return web.Response(body=body, headers=headers)
