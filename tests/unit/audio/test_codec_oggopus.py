"""Ogg Opus: what goes in comes out, in number and in place."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest

from audio import ogg
from audio.codec import PACKET_FRAMES, OggOpusReader, OggOpusWriter, OpusDecoder, OpusEncoder, packet_frames
from audio.errors import CodecError
from audio.pcm import Samples


def _sweep(frames: int, seed: int = 1) -> Samples:
    """A sound that is different everywhere: a rising tone under slow noise."""
    t = np.arange(frames) / 48_000
    noise = np.random.default_rng(seed).normal(0, 0.02, frames)
    return (0.3 * np.sin(2 * np.pi * (200 * t + 40 * t * t)) + noise).astype(np.float32)


def _power(sound: Samples) -> float:
    return float(np.mean(sound**2))


def _file(sound: Samples, block: int = 7_001) -> io.BytesIO:
    target = io.BytesIO()
    with OggOpusWriter(target) as writer:
        for at in range(0, len(sound), block):
            writer.write(sound[at : at + block])
    target.seek(0)
    return target


@pytest.mark.parametrize("frames", [1, 647, 648, 649, 960, 961, 48_000, 48_312, 100_003])
def test_length_is_exact(frames: int) -> None:
    reader = OggOpusReader(_file(_sweep(frames)))
    assert reader.frames == frames
    assert len(reader.read(0, frames + 1_000)) == frames
    assert len(reader.read(frames, 10)) == 0


def test_sound_comes_back_in_place() -> None:
    sound = _sweep(96_000)
    back = OggOpusReader(_file(sound)).read(0, 96_000)
    error = back[4_800:] - sound[4_800:]
    assert np.sqrt(np.mean(error**2)) < 0.05
    shifted = back[4_801:] - sound[4_800:-1]
    assert np.mean(error**2) < np.mean(shifted**2)


def test_any_offset_gives_what_reading_through_gives() -> None:
    sound = _sweep(240_000)
    data = _file(sound)
    whole = OggOpusReader(data).read(0, 240_000)
    reader = OggOpusReader(data)
    pick = random.Random(7)
    for _ in range(60):
        offset, frames = pick.randrange(240_000), pick.randrange(1, 20_000)
        part = reader.read(offset, frames)
        expected = whole[offset : offset + frames]
        assert part.shape == expected.shape
        # A decoder that joined a second ago is not bit-equal to one that heard everything, but very near: 26 dB
        # below the sound at worst, and nearer than one sample to either side.
        assert _power(part - expected) < 0.01**2
        if frames > 2_000 and len(part) == frames:
            assert _power(part - expected) < min(_power(part[1:] - expected[:-1]), _power(part[:-1] - expected[1:]))


def test_reading_on_is_the_same_as_reading_at_once() -> None:
    data = _file(_sweep(60_000))
    whole = OggOpusReader(data).read(0, 60_000)
    reader = OggOpusReader(data)
    parts = [reader.read(at, 777) for at in range(0, 60_000, 777)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_equal_sound_gives_equal_bytes() -> None:
    assert _file(_sweep(50_000), block=100).getvalue() == _file(_sweep(50_000), block=50_000).getvalue()


def test_damage_is_told(tmp_path: Path) -> None:
    good = _file(_sweep(200_000)).getvalue()
    flipped = bytearray(good)
    flipped[-2_000] ^= 0x55
    with pytest.raises(CodecError) as caught:
        OggOpusReader(io.BytesIO(bytes(flipped))).read(0, 200_000)
    assert caught.value.code == "bad_checksum"
    for junk in (b"", b"RIFF" * 100, ogg.page([b"no Opus at all" * 3], granule=0, sequence=0)):
        with pytest.raises(CodecError) as caught:
            OggOpusReader(io.BytesIO(junk))
        assert caught.value.code == "not_opus"
    with pytest.raises(OSError, match="missing"):
        OggOpusReader(tmp_path / "missing.opus")


def test_an_empty_sound_is_no_programme() -> None:
    with pytest.raises(CodecError) as caught:
        OggOpusReader(_file(_sweep(0)))
    assert caught.value.code == "empty"


def test_packets_of_20_ms_one_for_one() -> None:
    encoder, decoder = OpusEncoder(32_000), OpusDecoder()
    assert encoder.pre_skip == 312
    sound = _sweep(48_000)
    packets = [encoder.encode(sound[at : at + PACKET_FRAMES]) for at in range(0, 48_000, PACKET_FRAMES)]
    assert {packet_frames(packet) for packet in packets} == {960}
    out = [decoder.decode(packet) for packet in packets]
    assert {part.shape for part in out} == {(960,)}
    assert {part.dtype for part in out} == {np.dtype(np.float32)}
    back = np.concatenate(out)
    assert np.sqrt(np.mean((back[9_912:] - sound[9_600:-312]) ** 2)) < 0.05


def test_wrong_input_is_refused_and_the_decoder_lives_on() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    with pytest.raises(CodecError) as caught:
        encoder.encode(_sweep(959))
    assert caught.value.code == "wrong_length"
    for junk in (b"", b"\xff\xff\xff", bytes([3])):
        with pytest.raises(CodecError):
            decoder.decode(junk)
    assert len(decoder.decode(encoder.encode(_sweep(960)))) == 960
    with pytest.raises(CodecError):
        OpusEncoder(1)
