"""The feed client against real servers on loopback: ICY, redirects, playlists, the address guard, disconnects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from controller.feeds import (
    AddressPolicy,
    FeedContentError,
    FeedError,
    FeedLostError,
    FeedRefusedError,
    FeedTimeouts,
    GuardedResolver,
    IcyStripper,
    open_station,
)
from controller.feeds.icy import metaint_of
from controller.feeds.playlist import first_entry

LAN = AddressPolicy(allow_private=True)
QUICK = FeedTimeouts(connect_s=2, read_s=0.3)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def station(**handlers: Handler) -> AsyncIterator[str]:
    app = web.Application()
    for name, handler in handlers.items():
        app.router.add_get(f"/{name}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(reply: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for at in range(0, len(reply), 3):  # in crumbs, so that nothing relies on how it arrives
            writer.write(reply[at : at + 3])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        await server.wait_closed()


def weave(sound: bytes, metaint: int, titles: list[str]) -> bytes:
    """What an ICY server sends: ``titles`` in turn after every ``metaint`` bytes of ``sound``."""
    woven = bytearray()
    for index, at in enumerate(range(0, len(sound), metaint)):
        part = sound[at : at + metaint]
        woven += part
        if len(part) == metaint:
            text = f"StreamTitle='{titles[index % len(titles)]}';".encode()[: 255 * 16] if titles else b""
            blocks = -(-len(text) // 16)
            woven += bytes([blocks]) + text.ljust(blocks * 16, b"\0")
    return bytes(woven)


async def read_all(url: str) -> bytes:
    async with open_station(url, LAN, QUICK) as opened:
        return b"".join([chunk async for chunk in opened.sound()])


@given(st.binary(max_size=400), st.integers(1, 50), st.lists(st.integers(1, 40), min_size=1))
def test_titles_are_taken_out_whatever_the_chunks(sound: bytes, metaint: int, cuts: list[int]) -> None:
    woven = weave(sound, metaint, ["Bản tin", "", "Đài tiếng nói"])
    stripper = IcyStripper(metaint)
    out, at, turn = b"", 0, 0
    while at < len(woven):
        out += stripper.feed(woven[at : at + cuts[turn % len(cuts)]])
        at += cuts[turn % len(cuts)]
        turn += 1
    assert out == sound


def test_title_in_latin_1_and_with_control_characters() -> None:
    text = b"StreamTitle='Caf\xe9 \x07Noir';".ljust(32, b"\0")
    stripper = IcyStripper(2)
    assert stripper.feed(b"ab\x02" + text + b"cd") == b"abcd"
    assert stripper.title == "Café Noir"


@pytest.mark.parametrize(
    ("header", "expected"), [(None, 0), ("16000", 16000), (" 8 ", 8), ("-1", 0), ("x", 0), ("9" * 30, 0), ("0", 0)]
)
def test_metaint(header: str | None, expected: int) -> None:
    assert metaint_of(header) == expected


async def test_a_station_with_titles() -> None:
    sound = bytes(range(256)) * 64

    async def live(request: web.Request) -> web.StreamResponse:
        assert request.headers["Icy-MetaData"] == "1"
        assert "Accept-Encoding" not in request.headers
        response = web.StreamResponse(headers={"icy-metaint": "1000", "icy-name": "VOV1", "Content-Type": "audio/mpeg"})
        await response.prepare(request)
        await response.write(weave(sound, 1000, ["Thời sự"]))
        return response

    async with station(live=live) as base, open_station(base + "/live", LAN, QUICK) as opened:
        assert b"".join([chunk async for chunk in opened.sound()]) == sound
        assert (opened.name, opened.title, opened.content_type) == ("VOV1", "Thời sự", "audio/mpeg")


async def test_an_old_shoutcast_answer() -> None:
    reply = (
        b"ICY 200 OK\r\nicy-notice1:<BR>needs Winamp<BR>\r\nicy-name:Radio\r\ncontent-type:audio/mpeg\r\n\r\n"
        + b"x" * 40
    )
    async with raw_server(reply) as url:
        assert await read_all(url) == b"x" * 40


async def test_a_plain_answer_in_crumbs_is_untouched() -> None:
    async with raw_server(b"HTTP/1.0 200 OK\r\nContent-Type: audio/ogg\r\n\r\nOggSICY ") as url:
        assert await read_all(url) == b"OggSICY "


async def test_redirects_are_followed_five_times_and_no_more() -> None:
    async def hop(request: web.Request) -> web.StreamResponse:
        left = int(request.query["left"])
        if left == 0:
            return web.Response(body=b"sound", content_type="audio/mpeg")
        raise web.HTTPFound(f"/hop?left={left - 1}")

    async with station(hop=hop) as base:
        assert await read_all(base + "/hop?left=5") == b"sound"
        with pytest.raises(FeedRefusedError) as caught:
            await read_all(base + "/hop?left=6")
    assert caught.value.code == "too_many_redirects"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://169.254.169.254/latest/meta-data/", "address_refused"),
        ("http://[::ffff:169.254.169.254]/", "address_refused"),
        ("file:///etc/passwd", "bad_url"),
        ("ftp://127.0.0.1/x", "bad_url"),
    ],
)
async def test_a_redirect_to_a_forbidden_place_is_refused(target: str, code: str) -> None:
    async def away(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": target})

    async with station(away=away) as base:
        with pytest.raises(FeedRefusedError) as caught:
            await read_all(base + "/away")
    assert caught.value.code == code


async def test_loopback_is_refused_unless_the_operator_allows_it() -> None:
    with pytest.raises(FeedRefusedError) as caught:
        async with open_station("http://127.0.0.1:1/", AddressPolicy(), QUICK):
            pytest.fail("connected")
    assert caught.value.code == "address_refused"
    with pytest.raises(FeedRefusedError) as caught:
        async with open_station("http://localhost:1/", AddressPolicy(), QUICK):
            pytest.fail("connected")
    assert caught.value.code == "address_refused"


@pytest.mark.parametrize(
    ("address", "default", "lan"),
    [
        ("8.8.8.8", True, True),
        ("2001:4860:4860::8888", True, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.1.9", False, True),
        ("fd12::1", False, True),
        ("100.64.3.4", False, True),
        ("169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("fd00:ec2::254", False, False),
        ("100.100.100.200", False, False),
        ("0.0.0.0", False, False),  # noqa: S104 - an address to refuse, not to bind
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("::ffff:127.0.0.1", False, True),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:7f00:1::", False, True),
        ("nonsense", False, False),
    ],
)
def test_which_addresses_are_allowed(address: str, default: bool, lan: bool) -> None:
    assert (AddressPolicy().allows(address), LAN.allows(address)) == (default, lan)


class TwoFaced(AbstractResolver):
    """A name server that mixes a public address with one inside."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=found, port=port, family=family, proto=0, flags=0) for found in self.hosts
        ]

    async def close(self) -> None:
        self.hosts = ()


async def test_the_guard_sits_inside_the_resolver() -> None:
    mixed = await GuardedResolver(AddressPolicy(), TwoFaced("10.0.0.1", "8.8.8.8")).resolve("radio.example", 80)
    assert [entry["host"] for entry in mixed] == ["8.8.8.8"]
    with pytest.raises(FeedRefusedError):
        await GuardedResolver(AddressPolicy(), TwoFaced("169.254.169.254")).resolve("radio.example", 80)


@pytest.mark.parametrize("name", ["list.m3u", "list.pls", "list"])
async def test_a_playlist_leads_to_the_station(name: str) -> None:
    bodies = {
        "list.m3u": ("#EXTM3U\n#EXTINF:-1,Đài\n/live\n", "text/plain"),
        "list.pls": ("[playlist]\nNumberOfEntries=1\nTitle1=Radio\nFile1=/live?a=b\n", "application/octet-stream"),
        "list": ("\ufeff/live\n", "audio/x-mpegurl"),
    }

    async def playlist(request: web.Request) -> web.StreamResponse:
        text, kind = bodies[request.path[1:]]
        return web.Response(text=text, content_type=kind)

    async def live(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"sound", content_type="audio/mpeg")

    async with station(**{name: playlist, "live": live}) as base:
        assert await read_all(f"{base}/{name}") == b"sound"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("#EXTM3U\n", "empty_playlist"),
        ("", "empty_playlist"),
    ],
)
def test_playlists_that_lead_nowhere(body: str, code: str) -> None:
    with pytest.raises(FeedContentError) as caught:
        first_entry(body.encode(), URL("http://radio.example/"))
    assert caught.value.code == code


async def test_what_is_not_sound_is_refused_with_a_code() -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>log in</html>", content_type="text/html")

    async def missing(_: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    async with station(page=page, missing=missing) as base:
        for path, code in (("/page", "not_audio"), ("/missing", "source_refused")):
            with pytest.raises(FeedContentError) as caught:
                await read_all(base + path)
            assert caught.value.code == code


async def test_a_station_that_falls_silent_or_breaks_is_lost() -> None:
    async def stuck(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg"})
        await response.prepare(request)
        await response.write(b"begin")
        await asyncio.sleep(2)
        return response

    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/mpeg"})
        await response.prepare(request)
        await response.write(b"begin")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with station(stuck=stuck, broken=broken) as base:
        for path, code in (("/stuck", "source_silent"), ("/broken", "source_lost")):
            async with open_station(base + path, LAN, QUICK) as opened:
                sound = opened.sound()
                assert await anext(sound) == b"begin"
                with pytest.raises(FeedLostError) as caught:
                    await anext(sound)
            assert caught.value.code == code


async def test_nobody_at_home_and_endless_headers() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FeedLostError) as caught:
        await read_all(f"http://127.0.0.1:{port}/")
    assert caught.value.code == "source_unreachable"
    async with raw_server(b"HTTP/1.0 200 OK\r\n" + b"X-Long: " + b"a" * 30_000 + b"\r\n\r\n") as url:
        with pytest.raises(FeedError):
            await read_all(url)


@pytest.mark.parametrize(
    "url", ["", "radio", "http://", "http://[::1", "gopher://x/", "http://x:99999/", "http://h/" + "a" * 3000]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(FeedRefusedError) as caught:
        LAN.check(url)
    assert caught.value.code == "bad_url"
