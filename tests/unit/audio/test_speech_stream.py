"""Speech through the real process: samples and Opus packets, chimes, levels, bending, rubbish."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.codec import OpusDecoder, OpusEncoder
from audio.errors import StreamError
from audio.mixing import chime, write_chime
from audio.pcm import Samples, to_s16
from audio.stream import SILENT_PACKET, Level, SpeechEncoder, SpeechFormat, SpeechPacket
from audio.stream.speaking import Vernier


def tone(seconds: float, rate: int = 48_000, hertz: float = 440.0) -> Samples:
    t = np.arange(round(seconds * rate)) / rate
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * t), np.float32)


async def everything(encoder: SpeechEncoder) -> tuple[list[SpeechPacket], list[Level]]:
    packets: list[SpeechPacket] = []
    levels: list[Level] = []
    async with asyncio.timeout(20):
        async for made in encoder:
            if isinstance(made, SpeechPacket):
                packets.append(made)
            else:
                levels.append(made)
    return packets, levels


def heard(packets: list[SpeechPacket]) -> Samples:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(one.packet) for one in packets])


def pitch(sound: Samples) -> float:
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(power)) * 48_000 / len(sound)


async def speak(encoder: SpeechEncoder, frames: list[bytes]) -> None:
    for number, frame in enumerate(frames):
        while not encoder.speech(frame):  # noqa: ASYNC110 - the pipe has no hook
            await asyncio.sleep(0.01)
        if number % 10 == 0:
            await asyncio.sleep(0)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
async def test_samples_at_any_rate_become_packets_and_levels(rate: int) -> None:
    data = to_s16(tone(1.0, rate))
    size = rate // 50 * 2
    async with SpeechEncoder() as encoder:
        encoder.tell_format(SpeechFormat("pcm", rate))
        taking = asyncio.create_task(everything(encoder))
        await speak(encoder, [data[at : at + size] for at in range(0, len(data), size)])
        encoder.end()
        packets, levels = await taking
    assert [one.index for one in packets] == [number * 960 for number in range(len(packets))]
    assert 48 <= len(packets) <= 50
    assert not any(one.own for one in packets)
    sound = heard(packets)
    assert pitch(sound[9_600:38_400]) == pytest.approx(440, abs=3)
    assert levels[4].peak_db == pytest.approx(-6, abs=0.3)
    assert levels[4].rms_db == pytest.approx(-9, abs=0.3)


async def test_opus_packets_of_a_browser_and_rubbish_between_them() -> None:
    source = OpusEncoder(48_000)
    sound = tone(1.0)
    frames = [source.encode(sound[at : at + 960]) for at in range(0, 48_000, 960)]
    frames[10] = b"\xff\xff\xff"
    async with SpeechEncoder() as encoder:
        encoder.tell_format(SpeechFormat("opus"))
        taking = asyncio.create_task(everything(encoder))
        await speak(encoder, frames)
        encoder.end()
        packets, _ = await taking
    assert len(packets) == 50
    assert pitch(heard(packets)[19_200:]) == pytest.approx(440, abs=3)


async def test_what_is_not_opus_at_all_ends_with_a_code() -> None:
    async with SpeechEncoder() as encoder:
        encoder.tell_format(SpeechFormat("opus"))
        taking = asyncio.create_task(everything(encoder))
        await speak(encoder, [b"\xff\xff\xff"] * 60)
        with pytest.raises(StreamError) as caught:
            await taking
    assert caught.value.code == "not_audio"


async def test_chimes_come_between_speech_as_packets_of_their_own(tmp_path: Path) -> None:
    write_chime("opening", tmp_path / "before.opus")
    frame = to_s16(tone(0.02))
    async with SpeechEncoder(chime_before=tmp_path / "before.opus") as encoder:
        encoder.tell_format(SpeechFormat("pcm"))
        taking = asyncio.create_task(everything(encoder))
        encoder.chime("before")
        await speak(encoder, [frame] * 10)
        encoder.chime("after")  # none was given: nothing
        encoder.end()
        packets, levels = await taking
    own = [one for one in packets if one.own]
    assert len(own) == -(-len(chime("opening")) // 960)
    assert packets[: len(own)] == own
    assert len(packets) == len(own) + 10
    assert len(levels) == 2, "chimes are not measured"


@given(st.integers(-5_000, 5_000), st.lists(st.integers(1, 2_000), min_size=1, max_size=30))
def test_bending_keeps_the_ratio_and_never_clicks(ppm: int, blocks: list[int]) -> None:
    vernier = Vernier()
    vernier.ppm = ppm
    sound = tone(sum(blocks) / 48_000)[: sum(blocks)]
    out, at = [], 0
    for size in blocks:
        out.append(vernier.push(sound[at : at + size]))
        at += size
    whole = np.concatenate(out)
    assert abs(len(whole) - len(sound[:at]) / (1 + ppm * 1e-6)) <= 2
    if len(whole) > 2:
        assert float(np.max(np.abs(np.diff(whole)))) < 0.04


def test_the_silent_packet_is_twenty_milliseconds_of_silence() -> None:
    sound = OpusDecoder().decode(SILENT_PACKET)
    assert len(sound) == 960
    assert float(np.max(np.abs(sound))) < 1e-6
