"""Changes as server-sent events: one stream a page, with resume.

Rules kept here:

1. A stream does not count as use of the session: a page left open signs out like any other.
2. Whoever signs out, is disabled or expires is cut off with ``bye`` at the next event, at the latest after
   :data:`LOOK_S`; whose rights changed is told to load everything afresh.
3. A page that takes nothing for :data:`WRITE_S` is let go; it comes back and goes on where it was.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from pydantic import Field

from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.context import Actor, Clock
from controller.services.directory import Directory
from controller.services.errors import TooManyError, UnauthenticatedError
from controller.services.news import NewsHub, Press, Reader

_TYPE: Final = "text/event-stream"
#: How often rights are looked at while nothing happens.
LOOK_S: Final = 2.0
#: How often an idle stream shows that it lives.
HEARTBEAT_S: Final = 10.0
WRITE_S: Final = 15.0
#: How soon a browser comes back after a broken line.
_RETRY_MS: Final = 1_000


class EventStreamQuery(Schema):
    """From where."""

    after: str | None = Field(
        None, max_length=64, description="Go on behind this event's id, as the header Last-Event-ID says it"
    )


class EventRoutes:
    """The stream of changes."""

    def __init__(self, hub: NewsHub, press: Press, directory: Directory, clock: Clock) -> None:
        self._hub = hub
        self._press = press
        self._directory = directory
        self._clock = clock

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        return (
            route("GET", "/api/v1/events", "listenToEvents", Access.SIGNED_IN, self.listen, query=EventStreamQuery,
                  raw_returns=_TYPE, errors=(TooManyError,),
                  summary="What changes, as server-sent events: hello, change, resync, bye; resumes by Last-Event-ID"),
        )  # fmt: skip

    async def listen(self, call: Call[Empty, EventStreamQuery]) -> web.StreamResponse:
        """Tell what changes until either side ends it."""
        request, actor = call.request, call.actor
        last = request.headers.get("Last-Event-ID") or call.query.after
        place = None if last is None else self._press.place(last)

        def alive() -> bool:
            return request.transport is not None and not request.transport.is_closing()

        reader = self._hub.open(actor.user_id, after=place, alive=alive)
        response = web.StreamResponse(
            headers={"Content-Type": f"{_TYPE}; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        try:
            await response.prepare(request)
            greeting = f"retry: {_RETRY_MS}\n\n"
            if place is None:
                greeting += self._press.hello() if last is None else self._press.resync()
            await _write(response, greeting)
            await self._tell(response, reader, actor)
            await response.write_eof()
        except (ConnectionError, TimeoutError):
            request.protocol.force_close()  # the page went, or takes nothing
        finally:
            reader.close()
        return response

    async def _tell(self, response: web.StreamResponse, reader: Reader, actor: Actor) -> None:
        """Write batches until the reader is closed or its person may not read any more."""
        clock = asyncio.get_running_loop().time
        spoke = clock()
        while not reader.closed:
            batch = await reader.next(LOOK_S)
            if not reader.alive():
                raise ConnectionError("the page is gone")
            now = self._directory.actor_of_token(actor.token_hash or "", self._clock.now(), use=False)
            if now is None:
                await _write(response, self._press.farewell(UnauthenticatedError.code))
                return
            words = self._press.resync() if now.grants != actor.grants else self._press.print(batch, now)
            actor = now
            if words or clock() - spoke >= HEARTBEAT_S:
                await _write(response, words or self._press.heartbeat(batch.seq))
                spoke = clock()
        await _write(response, self._press.farewell("restarting"))


async def _write(response: web.StreamResponse, words: str) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(words.encode())
