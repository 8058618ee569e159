"""Live streams: packets without a gap from whatever a station sends, and an end to everything."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from audio.codec import OggOpusWriter, OpusDecoder, encode_mp3
from audio.errors import StreamError
from audio.pcm import Samples
from audio.stream import StreamEncoder
from tests.unit.audio.sounds import noise, tone

CORPUS = Path(__file__).parents[3] / "../shared/corpus/audio"


def _ogg(sound: Samples) -> bytes:
    file = io.BytesIO()
    with OggOpusWriter(file) as writer:
        writer.write(sound)
    return file.getvalue()


async def _feed(encoder: StreamEncoder, data: bytes, piece: int = 3_000) -> None:
    for at in range(0, len(data), piece):
        await encoder.feed(data[at : at + piece])
    encoder.end()


async def _all(encoder: StreamEncoder, data: bytes) -> list[tuple[int, bytes]]:
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(_feed_until_closed(encoder, data))
        return [pair async for pair in encoder]


async def _feed_until_closed(encoder: StreamEncoder, data: bytes) -> None:
    try:
        await _feed(encoder, data)
    except StreamError as error:
        assert error.code == "closed"  # noqa: PT017 - the iterator tells why


def _decoded(packets: list[tuple[int, bytes]]) -> Samples:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(packet) for _, packet in packets])


@pytest.mark.parametrize("container", ["mp3", "ogg"])
async def test_a_station_becomes_packets_without_a_gap(container: str) -> None:
    sound = tone(5.0, 440.0, 0.25)
    data = b"".join(encode_mp3(sound)) if container == "mp3" else _ogg(sound)
    async with StreamEncoder() as encoder:
        packets = await _all(encoder, data)
        assert encoder.info is not None
        assert encoder.info.container == container
        assert (encoder.info.sample_rate, encoder.info.channels) == (48_000, 1)
        assert encoder.level is not None
        assert encoder.level.rms_db == pytest.approx(-15.05, abs=0.7)
        assert encoder.level.peak_db == pytest.approx(-12.04, abs=0.7)
    assert [index for index, _ in packets] == list(range(0, len(packets) * 960, 960))
    assert len(packets) == pytest.approx(250, abs=6)
    heard = _decoded(packets)[24_000:-24_000]
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.25 / 2**0.5, rel=0.1)
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) * 48_000 / len(heard) == pytest.approx(440.0, abs=1.0)


async def test_gain_is_given_and_peaks_are_held() -> None:
    data = b"".join(encode_mp3(tone(3.0, 440.0, 0.5)))
    async with StreamEncoder(gain_db=12.0) as encoder:
        heard = _decoded(await _all(encoder, data))[24_000:-24_000]
    assert 0.7 < np.max(np.abs(heard)) < 0.95


async def test_a_new_song_of_an_ogg_station_goes_on_without_a_jump() -> None:
    data = _ogg(tone(2.0, 300.0)) + _ogg(tone(2.0, 600.0)) + _ogg(tone(2.0, 900.0))
    async with StreamEncoder() as encoder:
        packets = await _all(encoder, data)
    assert [index for index, _ in packets] == list(range(0, len(packets) * 960, 960))
    assert 4.0 < len(packets) * 0.02 < 6.2


async def test_a_lost_piece_is_survived() -> None:
    data = b"".join(encode_mp3(noise(6.0)))
    junk = bytes(range(256)) * 40
    async with StreamEncoder() as encoder:
        packets = await _all(encoder, data[: len(data) // 2] + junk + data[len(data) // 2 + 5_000 :])
    assert 4.5 < len(packets) * 0.02 < 6.2


@pytest.mark.parametrize(
    "data",
    [
        b"<!doctype html><title>404</title>" * 3,
        b"<html>" + b"Xin chao " * 100_000,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n",
        bytes(200_000),
        b"",
    ],
)
async def test_content_that_lies_is_not_audio(data: bytes) -> None:
    async with StreamEncoder() as encoder:
        with pytest.raises(StreamError) as caught:
            await _take(encoder, data)
    assert caught.value.code == "not_audio"


async def _take(encoder: StreamEncoder, data: bytes) -> None:
    feeding = asyncio.create_task(_feed_until_closed(encoder, data))
    try:
        async with asyncio.timeout(60):
            await _drain(aiter(encoder))
    finally:
        await encoder.close()
        await feeding


async def test_who_takes_nothing_is_not_fed_for_ever() -> None:
    data = b"".join(encode_mp3(noise(2.0)))
    async with StreamEncoder(patience_s=1.5) as encoder:
        with pytest.raises(StreamError) as caught:
            await _feed(encoder, data * 200)
    assert caught.value.code == "stalled"


async def test_a_station_that_falls_silent_is_told() -> None:
    async with StreamEncoder(patience_s=1.0) as encoder:
        await encoder.feed(b"".join(encode_mp3(noise(3.0))))
        with pytest.raises(StreamError) as caught:
            await _drain(aiter(encoder))
    assert caught.value.code == "stalled"


async def test_close_ends_the_child_whatever_it_does() -> None:
    encoder = StreamEncoder()
    await encoder.start()
    await encoder.feed(b"".join(encode_mp3(noise(2.0))))
    packets = aiter(encoder)
    await anext(packets)
    child = encoder._child
    assert child is not None
    await encoder.close()
    await encoder.close()
    assert child.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
    with pytest.raises(StreamError) as caught:
        await encoder.feed(b"more")
    assert caught.value.code == "closed"
    with pytest.raises(StreamError):
        await _drain(packets)


async def _drain(packets: AsyncIterator[tuple[int, bytes]]) -> None:
    async for _ in packets:
        pass


async def test_a_child_that_dies_is_told() -> None:
    async with StreamEncoder() as encoder:
        await encoder.feed(b"".join(encode_mp3(noise(2.0))))
        assert encoder._child is not None
        packets = aiter(encoder)
        await anext(packets)
        encoder._child.kill()
        with pytest.raises(StreamError) as caught:
            await _drain(packets)
    assert caught.value.code == "crashed"


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of real files is not here")
@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("media3_bbb_1ch_8kHz_aac_lc.aac", 3.2),
        ("mm_issue_62.ogg", 52.0),
        ("media3_bear_flac.ogg", 2.74),
        ("mm_no-last-page.oga", 5.6),
        ("media3_bear_no_num_samples.flac", 2.74),
    ],
)
async def test_every_language_stations_speak(name: str, seconds: float) -> None:
    async with StreamEncoder() as encoder:
        packets = await _all(encoder, (CORPUS / name).read_bytes())
    assert len(packets) * 0.02 == pytest.approx(seconds, abs=0.3)
