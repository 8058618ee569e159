"""Content by hash: whole, in ranges, refused."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from controller.gateway import GatewayLimits, RangeError
from controller.gateway.ranges import Span, asked_span, etag_matches
from tests.unit.controller.gateway_kit import SmallAgent, World, eventually, world_in

BODY = bytes(range(256)) * 3000  # more than a few chunks


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_in(tmp_path, secure=request.param) as one:
        yield one


async def fetch(agent: SmallAgent, path: str, **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    world = agent.world
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with world.http.get(f"{world.url}/{path}", headers={**agent.authorization, **named}, ssl=world.ssl) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_a_recording_is_served_whole_and_in_parts(world: World) -> None:
    (agent,) = await world.online()
    sha256 = world.shelf.put_media(BODY)
    status, headers, body = await fetch(agent, f"media/{sha256}")
    assert (status, body) == (200, BODY)
    assert headers["ETag"] == f'"{sha256}"'
    assert headers["Content-Type"] == "audio/ogg"
    status, headers, body = await fetch(agent, f"media/{sha256}", Range="bytes=700000-", If_Range=f'"{sha256}"')
    assert (status, body) == (206, BODY[700_000:])
    assert headers["Content-Range"] == f"bytes 700000-{len(BODY) - 1}/{len(BODY)}"
    status, _, body = await fetch(agent, f"media/{sha256}", Range="bytes=5-5", If_Range='"something else"')
    assert (status, body) == (200, BODY)
    status, headers, _ = await fetch(agent, f"media/{sha256}", Range=f"bytes={len(BODY)}-")
    assert status == 416
    assert headers["Content-Range"] == f"bytes */{len(BODY)}"
    status, _, body = await fetch(agent, f"media/{sha256}", If_None_Match=f'"{sha256}"')
    assert (status, body) == (304, b"")
    assert world.gateway.media_room.served_bytes == 2 * len(BODY) + len(BODY) - 700_000


async def test_a_document_is_served(world: World) -> None:
    (agent,) = await world.online()
    sha256 = world.shelf.put_document(b'{"items":[]}')
    status, headers, body = await fetch(agent, f"documents/{sha256}")
    assert (status, body) == (200, b'{"items":[]}')
    assert headers["Content-Type"] == "application/json"
    status, _, body = await fetch(agent, f"documents/{sha256}", Range="bytes=-3")
    assert (status, body) == (206, b"[]}"[-3:])


@pytest.mark.parametrize(
    "name", ["0" * 64, "0" * 63, "..%2f..%2fetc%2fpasswd", "%00" * 64, "A" * 64, "../keys/root", "0" * 64 + "%2f.."]
)
async def test_nothing_else_is_served(tmp_path: Path, name: str) -> None:
    async with world_in(tmp_path) as world:
        (agent,) = await world.online()
        for room in ("media", "documents"):
            status, _, body = await fetch(agent, f"{room}/{name}")
            assert status == 404
            assert b"Traceback" not in body


async def test_a_ticket_is_needed_and_ends_with_its_grace(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(media_ticket_grace_s=30)) as world:
        (agent,) = await world.online()
        sha256 = world.shelf.put_document(b"{}")
        for header in ("", "Bearer", "Bearer x", "Basic " + agent.welcome.media_ticket, agent.welcome.media_ticket):
            async with world.http.get(f"{world.url}/documents/{sha256}", headers={"Authorization": header}) as answer:
                assert answer.status == 401
        await agent.control.close()
        await eventually(lambda: not world.gateway.online())
        assert (await fetch(agent, f"documents/{sha256}"))[0] == 200  # a download survives a reconnect
        world.media.ahead = 31_000_000
        assert (await fetch(agent, f"documents/{sha256}"))[0] == 401


async def test_a_reader_that_takes_nothing_is_dropped(tmp_path: Path) -> None:
    async with world_in(tmp_path, limits=GatewayLimits(download_write_s=0.1)) as world:
        (agent,) = await world.online()
        sha256 = world.shelf.put_media(secrets.token_bytes(32 * 1024 * 1024))
        before = world.gateway.door.census.total
        answer = await world.http.get(f"{world.url}/media/{sha256}", headers=agent.authorization)
        await eventually(lambda: world.gateway.door.census.total == before)
        answer.close()
        assert world.gateway.media_room.served_bytes < 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, Span(0, 100, 100, partial=False)),
        ("bytes=0-", Span(0, 100, 100, partial=True)),
        ("bytes=10-19", Span(10, 10, 100, partial=True)),
        ("bytes=90-500", Span(90, 10, 100, partial=True)),
        ("bytes=-7", Span(93, 7, 100, partial=True)),
        ("bytes=-700", Span(0, 100, 100, partial=True)),
        ("bytes=20-10", Span(0, 100, 100, partial=False)),
        ("bytes=0-1,5-6", Span(0, 100, 100, partial=False)),
        ("bytes=-", Span(0, 100, 100, partial=False)),
        ("items=0-1", Span(0, 100, 100, partial=False)),
        ("bytes=٣-", Span(0, 100, 100, partial=False)),
    ],
)
def test_which_bytes_are_asked_for(header: str | None, span: Span) -> None:
    assert asked_span(100, '"x"', header, None) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=999999999999999-"])
def test_bytes_that_are_not_there(header: str) -> None:
    with pytest.raises(RangeError):
        asked_span(100, '"x"', header, None)


def test_tags_are_compared_weakly_for_if_none_match() -> None:
    assert etag_matches('W/"a", "b"', '"b"')
    assert etag_matches("*", '"b"')
    assert not etag_matches('"c"', '"b"')
    assert not etag_matches(None, '"b"')
