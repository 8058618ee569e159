"""Ogg pages: what is written is read back, and the checksum is Ogg's."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio import ogg
from audio.codec import packet_frames
from audio.codec.resample import Resampler
from audio.errors import CodecError
from audio.pcm import decibels, from_s16, to_s16


def test_the_checksum_is_that_of_rfc_3533() -> None:
    """Bit by bit, as the RFC describes it: polynomial 0x04c11db7, from 0, not inverted."""
    data = bytes(range(200))
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = ((register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    assert ogg.checksum(data) == register


@given(st.lists(st.binary(max_size=1_275), min_size=1, max_size=40), st.integers(0, 2**62))
def test_pages_come_back(packets: list[bytes], granule: int) -> None:
    if sum(ogg.segments_of(len(packet)) for packet in packets) > ogg.MAX_SEGMENTS:
        with pytest.raises(CodecError):
            ogg.page(packets, granule=granule, sequence=1)
        return
    file = io.BytesIO(ogg.page(packets, granule=granule, sequence=1) * 2)
    marks = list(ogg.scan(file))
    assert [mark.granule for mark in marks] == [granule, granule]
    for mark in marks:
        assert ogg.pieces(file, mark) == [(packet, True) for packet in packets]


@given(st.binary(max_size=300))
def test_junk_is_no_page_and_no_packet_brings_us_down(junk: bytes) -> None:
    list(ogg.scan(io.BytesIO(junk)))
    with contextlib.suppress(CodecError):
        assert 0 < packet_frames(junk) <= 5_760


@given(st.integers(4_000, 96_000), st.lists(st.integers(0, 3_000), min_size=1, max_size=6))
def test_resampling_keeps_the_length(rate: int, lengths: list[int]) -> None:
    resampler = Resampler()
    given_out = sum(len(resampler.push(np.zeros(length, np.float32), rate)) for length in lengths if length)
    given_out += len(resampler.flush())
    assert given_out == -(-sum(lengths) * 48_000 // rate)


@given(st.lists(st.integers(-32_768, 32_767), max_size=50))
def test_sixteen_bits_survive(values: list[int]) -> None:
    data = np.array(values, "<i2").tobytes()
    assert to_s16(from_s16(data)) == data


def test_decibels_are_finite() -> None:
    assert decibels(0.0) == -200.0
    assert decibels(1.0) == 0.0
