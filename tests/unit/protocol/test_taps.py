"""The tap frame: there and back, bounded, and refused when it is anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, WrongVersionError
from protocol.limits import MAX_TAP
from protocol.tap import HEADER, MAX_PACKETS, TapFrame, pack, unpack
from schedules.instants import MediaUs

u32 = st.integers(0, 2**32 - 1)
frames = st.builds(
    TapFrame,
    u32,
    u32,
    st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 2**53).map(MediaUs),
    st.lists(st.binary(min_size=1, max_size=150), max_size=MAX_PACKETS).map(tuple),
    st.booleans(),
)


@given(frames)
def test_there_and_back(frame: TapFrame) -> None:
    assert unpack(pack(frame)) == frame


@given(frames, st.data())
def test_what_is_cut_or_continued_is_refused(frame: TapFrame, data: st.DataObject) -> None:
    packed = pack(frame)
    cut = data.draw(st.integers(0, len(packed) - 1))
    for broken in (packed[:cut], packed + b"x"):
        with pytest.raises(MalformedError) as refused:
            unpack(broken)
        assert refused.value.code == "bad_tap"


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        frame = unpack(data)
    except (MalformedError, WrongVersionError):
        return
    assert pack(frame)[HEADER.size :] == data[HEADER.size :]


def test_bounds() -> None:
    frame = TapFrame(1, 1, 1, None, (bytes(1275),) * 10)
    with pytest.raises(ValueError, match="too large"):
        pack(frame)
    with pytest.raises(ValueError, match="at most 50"):
        pack(TapFrame(1, 1, 1, None, (b"x",) * 51))
    with pytest.raises(ValueError, match="at most 50"):
        pack(TapFrame(1, 1, 1, None, (b"",)))
    with pytest.raises(MalformedError):
        unpack(bytes(MAX_TAP + 1))
    head = bytearray(pack(TapFrame(1, 1, 1, None)))
    head[0] = 9
    with pytest.raises(WrongVersionError):
        unpack(bytes(head))
    head[0], head[1] = 1, 1  # a live bundle is no tap frame
    with pytest.raises(MalformedError):
        unpack(bytes(head))
