"""Feeds of warnings from real servers on loopback: what is new, what is not asked again, and every bound."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from controller.cap import CapError, read_alerts
from controller.cap.document import MAX_BYTES
from controller.feeds import (
    AddressPolicy,
    CapFeed,
    CapFeedTimeouts,
    FeedBusyError,
    FeedError,
    FeedLostError,
    PollResult,
)
from controller.feeds import cap_feed as module
from controller.feeds.cap_feed import FeedState
from controller.feeds.cap_index import MAX_ENTRIES, read_index
from tests.unit.controller.cap.cap_kit import FLOOD, NOW

LAN = AddressPolicy(allow_private=True)
QUICK = CapFeedTimeouts(connect_s=2, read_s=0.3, document_s=1)
BARE = FLOOD.partition("?>")[2].strip()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """A warning service: a feed at /feed, alerts at /cap/N, everything asked is noted."""

    feed: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    missing: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    last: web.Request | None = None
    base: str = ""

    async def serve_feed(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("feed")
        self.last = request
        etag, modified = self.headers.get("ETag"), self.headers.get("Last-Modified")
        if etag and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=self.headers)
        if modified and request.headers.get("If-Modified-Since") == modified:
            return web.Response(status=304)
        return web.Response(body=self.feed.encode(), status=self.status, headers=self.headers, content_type="text/xml")

    async def serve_alert(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        self.asked.append(number)
        self.last = request
        if number in self.missing:
            return web.Response(status=404)
        return web.Response(text=FLOOD.replace("VN-QT-1", f"VN-{number}"), content_type="application/cap+xml")


@asynccontextmanager
async def serving(service: Service, **handlers: Handler) -> AsyncIterator[Service]:
    app = web.Application()
    app.router.add_get("/feed", service.serve_feed)
    app.router.add_get("/cap/{number}", service.serve_alert)
    for name, handler in handlers.items():
        app.router.add_get(f"/{name}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    service.base = f"http://{host}:{port}"
    try:
        yield service
    finally:
        await runner.cleanup()


def atom(*entries: str) -> str:
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><updated>z</updated>{"".join(entries)}</feed>'


def entry(number: object, updated: str = "2026-10-17T09:30:00Z") -> str:
    link = f'<link rel="alternate" type="application/cap+xml" href="cap/{number}"/>'
    return f'<entry><id>urn:{number}</id><updated>{updated}</updated><link href="http://10.0.0.1/x"/>{link}</entry>'


def names(result: PollResult) -> list[str]:
    found = []
    for document in result.documents:
        for reading in read_alerts(document.data, now=NOW):
            assert reading.alert is not None
            found.append(reading.alert.identifier)
    return found


async def test_listed_alerts_are_fetched_once() -> None:
    async with serving(Service(atom(entry(1), entry(2)))) as service:
        feed = CapFeed(f"{service.base}/feed", LAN)
        first = await feed.poll(NOW)
        assert names(first) == ["VN-1", "VN-2"]
        assert first.documents[0].url == f"{service.base}/cap/1"
        assert service.last is not None
        assert service.last.headers["Accept"].startswith("application/cap+xml")
        feed.accept(first)
        service.feed = atom(entry(3), entry(1), entry(2, updated="2026-10-17T10:00:00Z"))
        service.asked.clear()
        second = await feed.poll(NOW)
        assert names(second) == ["VN-3", "VN-2"]
        assert service.asked == ["feed", "3", "2"]


async def test_what_was_not_accepted_comes_again() -> None:
    async with serving(Service(atom(entry(1)), headers={"ETag": '"a"'})) as service:
        feed = CapFeed(f"{service.base}/feed", LAN)
        assert names(await feed.poll(NOW)) == ["VN-1"]
        again = await feed.poll(NOW)
        assert names(again) == ["VN-1"]
        feed.accept(again)
        assert (await feed.poll(NOW)).not_modified


@pytest.mark.parametrize("headers", [{"ETag": 'W/"7"'}, {"Last-Modified": "Sat, 17 Oct 2026 09:00:00 GMT"}])
async def test_unchanged_costs_no_body_also_after_a_restart(headers: dict[str, str]) -> None:
    async with serving(Service(atom(entry(1)), headers=headers)) as service:
        feed = CapFeed(f"{service.base}/feed", LAN)
        feed.accept(await feed.poll(NOW))
        kept = json.loads(json.dumps(dict(feed.state)))
        later = await CapFeed(f"{service.base}/feed", LAN, state=kept).poll(NOW)
        assert (later.not_modified, later.documents) == (True, ())
        assert service.asked == ["feed", "1", "feed"]
        service.headers = {"ETag": '"new"'}
        changed = await CapFeed(f"{service.base}/feed", LAN, state=kept).poll(NOW)
        assert (changed.not_modified, changed.documents) == (False, ())


@pytest.mark.parametrize(
    "text",
    [
        FLOOD,
        f'<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:1.0"><x>{BARE}</x></EDXLDistribution>',
        atom(f"<entry><id>a</id><link href='/cap/9'/><content type='text/xml'>{BARE}</content></entry>"),
        f"<rss><channel><item><link>/cap/9</link><description><![CDATA[{BARE}]]></description></item></channel></rss>",
    ],
)
async def test_alerts_in_the_document_itself(text: str) -> None:
    async with serving(Service(text)) as service:
        result = await CapFeed(f"{service.base}/feed", LAN).poll(NOW)
        assert names(result) == ["VN-QT-1"]
        assert service.asked == ["feed"]


@pytest.mark.parametrize(
    "item",
    [
        "<item><guid>a</guid><link>cap/5</link></item>",
        "<item><link>http://10.0.0.1/page.html</link><enclosure url='cap/5' type='application/cap+xml'/></item>",
        "<item><link>/page</link><link xmlns='http://www.w3.org/2005/Atom' type='text/xml' href='cap/5'/></item>",
    ],
)
async def test_rss(item: str) -> None:
    async with serving(Service(f"<rss version='2.0'><channel><link>/home</link>{item}</channel></rss>")) as service:
        assert names(await CapFeed(f"{service.base}/feed", LAN).poll(NOW)) == ["VN-5"]


async def test_an_empty_feed() -> None:
    async with serving(Service(atom(), headers={"ETag": '"e"'})) as service:
        feed = CapFeed(f"{service.base}/feed", LAN)
        result = await feed.poll(NOW)
        assert (result.documents, result.not_modified, result.next_after) == ((), False, None)


async def test_more_than_one_poll_can_fetch() -> None:
    total = module.MAX_FETCHES + 5
    async with serving(Service(atom(*map(entry, range(total))), headers={"ETag": '"x"'})) as service:
        feed = CapFeed(f"{service.base}/feed", LAN)
        first = await feed.poll(NOW)
        assert (len(first.documents), first.waiting) == (module.MAX_FETCHES, 5)
        feed.accept(first)
        second = await feed.poll(NOW)
        assert (len(second.documents), second.waiting) == (5, 0)
        feed.accept(second)
        assert (await feed.poll(NOW)).not_modified


async def test_a_missing_document_is_tried_and_given_up() -> None:
    async with serving(Service(atom(entry(1), entry(2)), headers={"ETag": '"x"'}, missing={"1"})) as service:
        feed = CapFeed(f"{service.base}/feed", LAN)
        for turn in range(module.MAX_TRIES):
            result = await feed.poll(NOW)
            assert (names(result), result.failed) == (["VN-2"] if turn == 0 else [], 1)
            feed.accept(result)
            feed = CapFeed(f"{service.base}/feed", LAN, state=json.loads(json.dumps(dict(feed.state))))
        assert service.asked.count("1") == module.MAX_TRIES
        result = await feed.poll(NOW)
        assert (result.failed, result.documents) == (0, ())
        feed.accept(result)
        assert (await feed.poll(NOW)).not_modified


async def test_the_time_of_a_poll_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    listed = atom(entry(1), entry(2).replace("cap/2", "hang"), entry(3))
    async with serving(Service(listed), hang=hang) as service:
        monkeypatch.setattr(module, "POLL_S", 0.3)
        result = await CapFeed(f"{service.base}/feed", LAN).poll(NOW)
        assert (names(result), result.waiting) == (["VN-1"], 2)


# -- what the server asks for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", timedelta(minutes=2)),
        ("999999999999", timedelta(hours=1)),
        ("Sat, 17 Oct 2026 09:42:00 GMT", timedelta(minutes=10)),
        ("Sat, 17 Oct 2020 09:42:00 GMT", timedelta()),
        ("soon", None),
        ("-5", None),
    ],
)
@pytest.mark.parametrize("status", [200, 429, 503])
async def test_retry_after(text: str, expected: timedelta | None, status: int) -> None:
    async with serving(Service(atom(), headers={"Retry-After": text}, status=status)) as service:
        feed = CapFeed(f"{service.base}/feed", LAN)
        if status == 200:
            assert (await feed.poll(NOW)).next_after == expected
            return
        with pytest.raises(FeedBusyError) as caught:
            await feed.poll(NOW)
        assert (caught.value.code, caught.value.retry_after) == ("source_busy", expected)


# -- refusals ---------------------------------------------------------------------------------------------------------


async def failure(url: str, policy: AddressPolicy = LAN) -> str:
    with pytest.raises(FeedError) as caught:
        await CapFeed(url, policy, timeouts=QUICK).poll(NOW)
    return caught.value.code


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http://", "x", "http://x/" + "y" * 3000])
async def test_no_address(url: str) -> None:
    assert await failure(url) == "bad_url"


async def test_private_addresses_need_leave() -> None:
    async with serving(Service(atom())) as service:
        assert await failure(f"{service.base}/feed", AddressPolicy()) == "address_refused"
        assert service.asked == []
    assert await failure("http://169.254.169.254/latest", LAN) == "address_refused"


async def test_a_redirect_and_a_listed_address_are_guarded_too() -> None:
    async def away(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data")

    async def here(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/feed")

    metadata = '<entry><id>m</id><link type="application/cap+xml" href="http://169.254.169.254/x"/></entry>'
    local = '<entry><id>f</id><link type="application/cap+xml" href="file:///etc/passwd"/></entry>'
    by_redirect = '<entry><id>r</id><link type="application/cap+xml" href="away"/></entry>'
    async with serving(Service(atom(metadata, local, by_redirect, entry(1))), away=away, here=here) as service:
        assert await failure(f"{service.base}/away") == "address_refused"
        result = await CapFeed(f"{service.base}/here", LAN).poll(NOW)
        assert (names(result), result.failed) == (["VN-1"], 3)


async def test_a_name_that_leads_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rebinding(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

        async def close(self) -> None: ...

    monkeypatch.setattr("controller.feeds.addresses.ThreadedResolver", Rebinding)
    async with serving(Service(atom())) as service:
        port = service.base.rpartition(":")[2]
        assert await failure(f"http://warnings.example:{port}/feed", AddressPolicy()) == "address_refused"
        assert service.asked == []


async def test_what_is_no_feed() -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<!DOCTYPE html><html><body>Hello</body></html>", content_type="text/html")

    async def zipped(request: web.Request) -> web.StreamResponse:
        return web.Response(body=gzip.compress(b"0" * 10**7), headers={"Content-Encoding": "gzip"})

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(MAX_BYTES // 65536 + 2):
            await response.write(b" " * 65536)
        return response

    async def stuck(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"<feed>")
        await asyncio.sleep(5)
        return response

    async def gone(request: web.Request) -> web.StreamResponse:
        raise web.HTTPGone

    handlers: dict[str, Handler] = {"page": page, "zipped": zipped, "endless": endless, "stuck": stuck, "gone": gone}
    async with serving(Service("<html/>"), **handlers) as service:
        found = [await failure(f"{service.base}/{name}") for name in ("feed", *handlers)]
    assert found == ["no_feed", "doctype_refused", "content_encoded", "too_large", "source_lost", "source_refused"]
    with pytest.raises(FeedLostError):
        await CapFeed(f"{service.base}/feed", LAN, timeouts=QUICK).poll(NOW)


async def test_a_listed_page_for_people_is_no_document() -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<p>", content_type="text/html")

    async with serving(Service(atom("<entry><id>a</id><link href='page'/></entry>")), page=page) as service:
        result = await CapFeed(f"{service.base}/feed", LAN).poll(NOW)
        assert (result.documents, result.failed) == ((), 1)


# -- index and state --------------------------------------------------------------------------------------------------


def test_an_index_is_bounded() -> None:
    assert len(read_index(atom(*map(entry, range(MAX_ENTRIES + 50))).encode()).entries) == MAX_ENTRIES
    long = f'<entry><id>a</id><link href="{"x" * 3000}"/></entry>'
    assert read_index(atom(long, "<entry/>").encode()).entries == ()


@given(st.binary(max_size=300))
def test_any_bytes_are_an_index_or_refused(data: bytes) -> None:
    for text in (data, atom(entry(1)).encode()[:60] + data + b"</entry></feed>"):
        try:
            read_index(text)
        except CapError as error:
            assert error.code  # noqa: PT017


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["etag", "modified", "known", "tries", "x"]), json_values, max_size=5))
def test_any_state_is_taken(values: dict[str, object]) -> None:
    state = FeedState.of(values)
    assert FeedState.of(json.loads(json.dumps(state.as_dict()))) == state
