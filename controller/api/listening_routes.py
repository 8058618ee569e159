"""Listening in over HTTP: an endless Ogg Opus that any player and any browser takes.

A browser's audio element cannot send a token: it asks for a ticket first (``POST /api/v1/listening``) and takes the
address it gets as its source. Programs use the two GETs with their token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from pydantic import Field, model_validator

from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Id, Schema
from controller.services.context import Actor, Permission
from controller.services.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    ServiceError,
    TooManyError,
)
from controller.services.listening import Listener, ListeningDesk, ListeningTickets, Wish
from controller.services.listening.tickets import LIFE_S

_OGG: Final = "audio/ogg"

#: A page that is not taken in this time ends the stream: the listener has gone without a word.
_WRITE_S: Final = 15.0
#: How often the right to listen is looked at again.
LOOK_S: Final = 3.0
_ERRORS: Final = (NotFoundError, ForbiddenError, ConflictError, TooManyError, BusyError)


class ListenQuery(Schema):
    """How to listen."""

    anyway: bool = Field(default=False, description="Also on a metered link, where it costs about 0.15 MB a minute")


class NewListening(Schema):
    """What somebody wants to hear: one of the two."""

    cluster_id: Id | None = None
    source_id: Id | None = None
    anyway: bool = Field(default=False, description="Also on a metered link, where it costs about 0.15 MB a minute")

    @model_validator(mode="after")
    def _one(self) -> NewListening:
        if (self.cluster_id is None) == (self.source_id is None):
            raise ValueError("name a cluster_id or a source_id")
        return self


class ListeningTicket(Schema):
    """Where it can be heard, once."""

    url: str
    expires_s: int


class ListeningRoutes:
    """Operations of listening in."""

    def __init__(self, desk: ListeningDesk, tickets: ListeningTickets) -> None:
        self._desk = desk
        self._tickets = tickets

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        may = Permission.LISTEN
        return (
            route("GET", "/api/v1/clusters/{cluster_id}/listen", "listenToCluster", may, self.cluster,
                  query=ListenQuery, raw_returns=_OGG, errors=_ERRORS,
                  summary="What its loudspeaker sounds now: endless Ogg Opus, ten minutes at most"),
            route("GET", "/api/v1/sources/{source_id}/listen", "listenToSource", may, self.source,
                  raw_returns=_OGG, errors=_ERRORS,
                  summary="What it sends now: endless Ogg Opus, ten minutes at most"),
            route("POST", "/api/v1/listening", "makeListeningTicket", may, self.ticket, body=NewListening,
                  returns=ListeningTicket, status=201,
                  summary="An address that an audio element can play, good once and for a minute"),
            route("GET", "/api/v1/listening/{ticket}", "listen", Access.PUBLIC, self.redeem, raw_returns=_OGG,
                  errors=_ERRORS, summary="What a ticket was made for"),
        )  # fmt: skip

    async def cluster(self, call: Call[Empty, ListenQuery]) -> web.StreamResponse:
        """Hear a cluster."""
        return await self._hear(call, Wish(call.actor, call.path["cluster_id"], None, call.query.anyway, call.again))

    async def source(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """Hear a source."""
        return await self._hear(call, Wish(call.actor, None, call.path["source_id"], anyway=False, again=call.again))

    async def ticket(self, call: Call[NewListening, Empty]) -> ListeningTicket:
        """Make a ticket; whether it can be heard is found out when it is used."""
        said = call.body
        ticket = self._tickets.issue(Wish(call.actor, said.cluster_id, said.source_id, said.anyway, call.again))
        return ListeningTicket(url=f"/api/v1/listening/{ticket}", expires_s=LIFE_S)

    async def redeem(self, call: Call[Empty, Empty]) -> web.StreamResponse:
        """Hear what a ticket was made for."""
        wish = self._tickets.redeem(call.path["ticket"])
        if wish is None:
            raise NotFoundError("this ticket is unknown, used or too old; ask for a new one", code="bad_ticket")
        return await self._hear(call, wish)

    async def _hear(self, call: Call[Empty, Any], wish: Wish) -> web.StreamResponse:
        def still() -> None:
            actor = wish.again() or wish.actor
            self._desk.still(actor, cluster_id=wish.cluster_id, source_id=wish.source_id)

        still()
        return await _stream(call.request, await self._open(wish.actor, wish), still)

    async def _open(self, actor: Actor, wish: Wish) -> Listener:
        if wish.cluster_id is not None:
            return await self._desk.cluster(actor, wish.cluster_id, anyway=wish.anyway)
        return await self._desk.source(actor, wish.source_id or "")


async def _look(listener: Listener, still: Callable[[], None]) -> None:
    """End it for who may not listen any more."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            still()
        except ServiceError:
            listener.end("right_taken")
            return


async def _stream(request: web.Request, listener: Listener, still: Callable[[], None]) -> web.StreamResponse:
    """Write pages until either side ends it, or ``still`` raises."""
    response = web.StreamResponse(
        headers={"Content-Type": _OGG, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    looking = asyncio.create_task(_look(listener, still), name="listening-look")
    try:
        await response.prepare(request)
        async for page in listener.pages():
            async with asyncio.timeout(_WRITE_S):
                await response.write(page)
        await response.write_eof()
    except (ConnectionError, TimeoutError):
        request.protocol.force_close()  # the listener went, or takes nothing
    finally:
        looking.cancel()
        listener.close()
    return response
