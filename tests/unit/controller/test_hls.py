"""HLS: real segments (MPEG-TS, fragmented MP4, packed AAC) through the real encoder; playlists that lie or end."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache

import av
import m3u8
import numpy as np
import pytest
from aiohttp import web
from yarl import URL

from audio.errors import StreamError
from audio.stream import StreamEncoder
from controller.feeds import AddressPolicy, FeedContentError, FeedError, FeedLostError, FeedRefusedError, open_station
from controller.feeds import hls as hls_module
from controller.feeds.hls import choose

Files = dict[str, Callable[[], str | bytes] | str | bytes]
LAN = AddressPolicy(allow_private=True)
SEGMENT_S = 1.0


@cache
def encoded(container: str, seconds: int = 4) -> bytes:
    """A tone in a container, AAC."""
    out = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}
    with av.open(out, "w", format=container, options=options if container == "mp4" else {}) as file:
        stream = file.add_stream("aac", rate=48_000, layout="mono")
        for number in range(seconds * 48_000 // 1024):
            t = (np.arange(1024) + number * 1024) / 48_000
            frame = av.AudioFrame.from_ndarray(
                (0.3 * np.sin(2 * np.pi * 600 * t)).astype(np.float32).reshape(1, -1), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 48_000, number * 1024
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def ts_segments() -> list[bytes]:
    whole = encoded("mpegts")
    size = len(whole) // 4 // 188 * 188
    return [whole[:size], whole[size : 2 * size], whole[2 * size : 3 * size], whole[3 * size :]]


def mp4_parts() -> tuple[bytes, list[bytes]]:
    """The initialisation section, and the fragments."""
    whole, at, boxes = encoded("mp4"), 0, []
    while at < len(whole):
        size = int.from_bytes(whole[at : at + 4], "big")
        boxes.append((whole[at + 4 : at + 8], whole[at : at + size]))
        at += size
    init = b"".join(body for kind, body in boxes if kind in (b"ftyp", b"moov"))
    fragments: list[bytes] = []
    for kind, body in boxes:
        if kind == b"moof":
            fragments.append(body)
        elif kind == b"mdat":
            fragments[-1] += body
    return init, fragments


@asynccontextmanager
async def served(files: Files) -> AsyncIterator[tuple[str, list[str]]]:
    """A web server with these files; what was asked for."""
    asked: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        asked.append(name)
        content = files.get(name)
        content = content() if callable(content) else content
        if content is None:
            raise web.HTTPNotFound
        if isinstance(content, str):
            return web.Response(text=content, content_type="application/vnd.apple.mpegurl")
        span = request.http_range
        if request.headers.get("Range"):
            return web.Response(status=206, body=content[span.start : span.stop])
        return web.Response(body=content, content_type="video/mp2t")

    app = web.Application()
    app.router.add_get("/{name}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}", asked
    finally:
        await runner.cleanup()


def playlist(names: list[str], *, first: int = 0, ended: bool = True, head: str = "") -> str:
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}", head]
    for name in names:
        lines += [f"#EXTINF:{SEGMENT_S},", name]
    return "\n".join([line for line in lines if line] + (["#EXT-X-ENDLIST"] if ended else [])) + "\n"


async def collected(url: str, policy: AddressPolicy = LAN) -> bytes:
    async with open_station(url, policy) as station:
        return b"".join([piece async for piece in station.sound()])


async def packets_of(data: bytes) -> int:
    async with StreamEncoder() as encoder:

        async def feed() -> None:
            for at in range(0, len(data), 4096):
                await encoder.feed(data[at : at + 4096])
            encoder.end()

        feeding = asyncio.create_task(feed())
        count = len([packet async for packet in encoder])
        await feeding
        return count


async def test_transport_stream_segments_reach_the_encoder_whole() -> None:
    files: Files = {f"{n}.ts": part for n, part in enumerate(ts_segments())}
    files["live.m3u8"] = playlist([f"{n}.ts" for n in range(4)])
    async with served(files) as (base, _):
        data = await collected(f"{base}/live.m3u8")
    assert data == encoded("mpegts")
    assert await packets_of(data) >= 4 * 50 - 5


async def test_fragmented_mp4_with_its_initialisation_section() -> None:
    init, fragments = mp4_parts()
    assert len(fragments) >= 3
    files: Files = {f"{n}.m4s": part for n, part in enumerate(fragments)}
    files["init.mp4"] = init
    files["live.m3u8"] = playlist([f"{n}.m4s" for n in range(len(fragments))], head='#EXT-X-MAP:URI="init.mp4"')
    async with served(files) as (base, asked):
        data = await collected(f"{base}/live.m3u8")
    assert data == init + b"".join(fragments)
    assert asked.count("init.mp4") == 1
    assert await packets_of(data) >= 4 * 50 - 10


async def test_packed_segments_lose_their_tags_and_byte_ranges_are_asked_for() -> None:
    tag = b"ID3\x04\x00\x00" + bytes((0, 0, 0, 5)) + b"12345"
    files: Files = {"a.aac": tag + b"first" + tag + b"second"}
    files["live.m3u8"] = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n#EXT-X-BYTERANGE:20@0\na.aac\n"
        "#EXTINF:1,\n#EXT-X-BYTERANGE:21\na.aac\n#EXT-X-ENDLIST\n"
    )
    async with served(files) as (base, _):
        assert await collected(f"{base}/live.m3u8") == b"firstsecond"


async def test_a_live_playlist_is_read_from_its_end_and_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def listing() -> str:
        nonlocal looks
        looks += 1
        first = 10 if looks == 1 else 12
        return playlist([f"{n}.ts" for n in range(first, first + 5)], first=first, ended=looks > 1)

    files: Files = {f"{n}.ts": b"%d;" % n for n in range(20)}
    files["live.m3u8"] = listing
    async with served(files) as (base, _):
        assert await collected(f"{base}/live.m3u8") == b"12;13;14;15;16;"


async def test_a_playlist_without_news_is_a_silent_station(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hls_module, "_STALE_S", 0.3)
    monkeypatch.setattr(hls_module, "_STALE_TARGETS", 0)
    monkeypatch.setattr(hls_module, "_LONGEST_S", 0.2)
    files: Files = {"1.ts": b"x"}
    files["live.m3u8"] = playlist(["1.ts"], ended=False)
    async with served(files) as (base, _):
        with pytest.raises(FeedLostError) as caught:
            await collected(f"{base}/live.m3u8")
    assert caught.value.code == "source_silent"


async def test_bytes_are_handed_on_at_the_pace_they_sound_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hls_module, "BURST_S", 1.0)
    files: Files = {f"{n}.ts": bytes(1000) for n in range(2)}
    files["live.m3u8"] = playlist(["0.ts", "1.ts"])
    loop = asyncio.get_running_loop()
    async with served(files) as (base, _):
        begun = loop.time()
        assert len(await collected(f"{base}/live.m3u8")) == 2000
        assert 0.7 <= loop.time() - begun < 1.9


@pytest.mark.parametrize(
    ("files", "error", "code"),
    [
        ({"m.m3u8": playlist(["a.ts"], head='#EXT-X-KEY:METHOD=AES-128,URI="k"')}, FeedContentError, "hls_encrypted"),
        ({"m.m3u8": playlist(["http://169.254.169.254/a.ts"])}, FeedRefusedError, "address_refused"),
        ({"m.m3u8": playlist(["file:///etc/passwd"])}, FeedRefusedError, "bad_url"),
        ({"m.m3u8": playlist(["a.ts"], head="#EXT-X-TARGETDURATION:zz")}, FeedContentError, "hls_unreadable"),
        ({"m.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000\nm.m3u8\n"}, FeedContentError, "hls_unreadable"),
        ({"m.m3u8": playlist(["gone.ts"])}, FeedContentError, "source_refused"),
    ],
)
async def test_playlists_that_are_refused(files: dict[str, str], error: type[FeedError], code: str) -> None:
    async with served({**files}) as (base, _):
        with pytest.raises(error) as caught:
            await collected(f"{base}/m.m3u8")
    assert caught.value.code == code


async def test_a_segment_that_is_no_sound_is_found_out_by_the_encoder() -> None:
    files: Files = {"a.ts": b"<html>log in</html>" * 9000}
    files["m.m3u8"] = playlist(["a.ts"])
    async with served(files) as (base, _):
        data = await collected(f"{base}/m.m3u8")
    with pytest.raises(StreamError) as caught:
        await packets_of(data)
    assert caught.value.code == "not_audio"


@pytest.mark.parametrize(
    ("variants", "chosen"),
    [
        ([(32_000, "mp4a.40.5"), (64_000, "mp4a.40.2"), (128_000, "mp4a.40.2")], 64_000),
        ([(24_000, "mp4a.40.5"), (32_000, "mp4a.40.5")], 32_000),
        ([(64_000, "avc1.42e00a,mp4a.40.2"), (96_000, "mp4a.40.2")], 96_000),
        ([(800_000, "avc1.42e00a,mp4a.40.2"), (400_000, "avc1.42e00a,mp4a.40.2")], 400_000),
    ],
)
def test_which_variant(variants: list[tuple[int, str]], chosen: int) -> None:
    lines = ["#EXTM3U"]
    for rate, codecs in variants:
        lines += [f'#EXT-X-STREAM-INF:BANDWIDTH={rate},CODECS="{codecs}"', f"{rate}.m3u8"]
    listing = m3u8.loads("\n".join(lines), uri="http://radio.example/m.m3u8")
    assert URL(choose(listing)).name == f"{chosen}.m3u8"


def test_sound_beside_pictures_is_taken_from_its_own_list() -> None:
    listing = m3u8.loads(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="vi",URI="sound.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.42e00a,mp4a.40.2",AUDIO="a"\npictures.m3u8\n',
        uri="http://radio.example/m.m3u8",
    )
    assert URL(choose(listing)).name == "sound.m3u8"
