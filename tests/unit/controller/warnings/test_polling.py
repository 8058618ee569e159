"""Feeds of warnings: when they are asked, what is remembered, and a real feed over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from controller.feeds import AddressPolicy
from controller.feeds.cap_feed import CapDocument, CapFeed, PollResult
from controller.feeds.errors import FeedBusyError, FeedLostError
from controller.services.context import SYSTEM
from controller.services.warnings import Mode, SourceKind, State, WarningFilter, WarningPolicy
from controller.services.warnings.book import PENDING
from controller.services.warnings.polling import LONGEST, WarningPolls, next_look
from tests.unit.controller.warnings.warning_kit import World, eventually, flood, open_world, xml


@dataclass
class FakeFeed:
    """A feed that gives what it is told to, and remembers what was accepted."""

    answers: list[PollResult | Exception] = field(default_factory=list)
    state: Mapping[str, Any] = field(default_factory=dict)
    accepted: int = 0

    async def poll(self, now: datetime) -> PollResult:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def accept(self, result: PollResult) -> None:
        self.accepted += 1
        self.state = {"etag": str(self.accepted)}


def document(**more: Any) -> PollResult:
    return PollResult((CapDocument("http://x", xml(flood(**more))),))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def polls_of(world: World, feed: FakeFeed | None = None) -> WarningPolls:
    return WarningPolls(
        db=world.desk.db,
        sources=world.sources,
        intake=world.intake,
        make=lambda source, state: feed or CapFeed(source.url or "", AddressPolicy(allow_private=True), state=state),
        clock=world.desk.clock,
    )


async def test_state_is_kept_only_after_everything_was_taken(world: World) -> None:
    source = await world.source(
        kind=SourceKind.POLL, url="http://127.0.0.1/feed", policy=WarningPolicy(mode=Mode.PROPOSE)
    )
    feed = FakeFeed([document(), document(identifier="2"), FeedLostError("source_lost", "gone")])
    polls = polls_of(world, feed)
    first = await polls.look(source, feed)
    assert (first.state, first.failures, first.code) == ({"etag": "1"}, 0, "")
    world.book.pending = PENDING  # the book is full: the document has to come again
    second = await polls.look(source, feed)
    assert (second.state, second.failures, second.code) == ({"etag": "1"}, 1, "warnings_busy")
    assert feed.accepted == 1
    third = await polls.look(source, feed)
    assert (third.failures, third.code, third.succeeded_at) == (2, "source_lost", first.succeeded_at)
    assert third.next_at - second.next_at > timedelta(seconds=30)
    again = polls_of(world, feed)
    await again.load()
    assert again.states[source.id] == third


async def test_a_document_that_cannot_be_read_is_not_fetched_for_ever(world: World) -> None:
    source = await world.source(kind=SourceKind.POLL, url="http://127.0.0.1/feed")
    feed = FakeFeed([PollResult((CapDocument("http://x", b"<rubbish/>"), CapDocument("http://y", xml(flood()))))])
    state = await polls_of(world, feed).look(source, feed)
    assert (state.failures, feed.accepted) == (0, 1)
    health = world.intake.health[source.id]
    assert (health.received, health.refused, health.fault_code) == (1, 1, "no_alert")


async def test_a_busy_server_is_left_alone_as_it_asks(world: World) -> None:
    source = await world.source(kind=SourceKind.POLL, url="http://127.0.0.1/feed")
    feed = FakeFeed([FeedBusyError("source_busy", "later", timedelta(minutes=20))])
    state = await polls_of(world, feed).look(source, feed)
    assert timedelta(minutes=17) < state.next_at - world.desk.clock.now() < timedelta(minutes=23)


async def test_a_feed_with_more_is_asked_again_soon(world: World) -> None:
    source = await world.source(kind=SourceKind.POLL, url="http://127.0.0.1/feed", interval_s=3600)
    feed = FakeFeed([PollResult(waiting=5, failed=1)])
    state = await polls_of(world, feed).look(source, feed)
    assert state.next_at - world.desk.clock.now() < timedelta(seconds=15)
    assert state.code == "entries_failed"


@given(
    seconds=st.integers(30, 3600),
    failures=st.integers(0, 10_000),
    asked=st.none() | st.timedeltas(timedelta(0), timedelta(days=1)),
)
def test_a_pause_is_never_shorter_than_the_interval_nor_longer_than_the_longest(
    seconds: int, failures: int, asked: timedelta | None
) -> None:
    interval = timedelta(seconds=seconds)
    pause = next_look(interval, failures, asked)
    assert interval <= pause <= max(LONGEST, interval)
    assert failures or asked or pause == interval


async def test_a_real_feed_is_polled_by_its_task_and_stops_with_its_source(world: World) -> None:
    asked: list[str | None] = []

    async def feed(request: web.Request) -> web.Response:
        asked.append(request.headers.get("If-None-Match"))
        if asked[-1] == '"one"':
            return web.Response(status=304)
        body = (
            '<feed xmlns="http://www.w3.org/2005/Atom"><id>f</id><entry><id>e1</id>'
            '<link type="application/cap+xml" href="/one.xml"/></entry></feed>'
        )
        return web.Response(text=body, content_type="application/atom+xml", headers={"ETag": '"one"'})

    async def one(_request: web.Request) -> web.Response:
        return web.Response(body=xml(flood()), content_type="application/cap+xml")

    app = web.Application()
    app.router.add_get("/feed", feed)
    app.router.add_get("/one.xml", one)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    polls = polls_of(world)
    task = asyncio.create_task(polls.run())
    try:
        source = await world.source(
            kind=SourceKind.POLL, url=f"http://127.0.0.1:{port}/feed", policy=WarningPolicy(mode=Mode.PROPOSE)
        )

        async def looked() -> bool:
            return source.id in polls.states

        async def ended() -> bool:
            return not any(one.get_name() == f"warnings-of-{source.id}" for one in asyncio.all_tasks())

        await eventually(looked)
        await world.handler.step()
        rows, _ = await world.people.listed(SYSTEM, WarningFilter(), before=None, limit=10)
        assert [(row.state, row.via) for row in rows] == [(State.PROPOSED, "poll")]
        # After a restart the validator is used, and nothing comes twice.
        again = polls_of(world)
        await again.load()
        kept = CapFeed(source.url or "", AddressPolicy(allow_private=True), state=again.states[source.id].state)
        assert (await again.look(source, kept)).failures == 0
        assert asked == [None, '"one"']
        await world.sources.change(SYSTEM, source.id, {"enabled": False})
        await eventually(ended)
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await runner.cleanup()
    assert not any((one.get_name() or "").startswith("warnings-of-") for one in asyncio.all_tasks())
