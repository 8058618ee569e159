"""Clock questions taken at the door: whole canonical frames, at the right boundaries, answered as the wire says."""

from __future__ import annotations

import secrets

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.gateway.questions import Shortcut, reply_text
from protocol.messages import Clock, ClockReply, UtcQuality, encode


def frame(body: bytes, *, first: int = 0x81) -> bytes:
    """As a client writes it."""
    mask, size = secrets.token_bytes(4), len(body)
    if size < 126:
        length = bytes((0x80 | size,))
    else:
        length = b"\xfe" + size.to_bytes(2) if size <= 0xFFFF else b"\xff" + size.to_bytes(8)
    masked = int.from_bytes(body) ^ int.from_bytes((mask * (size // 4 + 1))[:size])
    return bytes((first,)) + length + mask + masked.to_bytes(size)


def question(t0: int = 5) -> bytes:
    return frame(encode(Clock(t0=t0)).encode())


class Door:
    def __init__(self, *, answers: bool = True) -> None:
        self.asked: list[int] = []
        self.answers = answers
        self.shortcut = Shortcut()
        self.shortcut.answer = self.answer

    def answer(self, t0: int) -> bool:
        self.asked.append(t0)
        return self.answers


@given(st.integers(0, 10**15 - 1))
def test_a_question_is_taken_and_answered(t0: int) -> None:
    door = Door()
    assert door.shortcut.takes(question(t0))
    assert door.asked == [t0]


def test_nothing_is_taken_before_the_session_stands_or_when_it_is_too_much() -> None:
    assert not Shortcut().takes(question())
    door = Door(answers=False)
    assert not door.shortcut.takes(question())
    assert door.asked == [5]


def test_what_is_not_exactly_a_question_goes_the_long_way() -> None:
    door = Door()
    for data in (
        b"",
        b"\x81",
        question() + question(),
        frame(b'{"type": "clock", "t0": 5}'),
        frame(b'{"type":"clock","t0":-5}'),
        frame(b'{"type":"clock","t0":05}'),
        frame(b'{"type":"clock","t0":5,"more":1}'),
        frame(b'{"type":"clock","t0":' + b"9" * 16 + b"}"),
        frame(b'{"type":"clock","t0":5}', first=0x82),
        frame(b'{"type":"clock","t0":5}', first=0x01),
    ):
        assert not Shortcut().takes(data)
        assert not door.shortcut.takes(data) or data == b""
    assert door.asked == []


BODIES = st.lists(st.sampled_from([0, 1, 40, 125, 126, 300, 65_535, 65_536]), max_size=6)


@settings(deadline=None, max_examples=50)
@given(BODIES, st.lists(st.integers(1, 70_000), max_size=12))
def test_boundaries_are_followed_however_the_bytes_come(sizes: list[int], cuts: list[int]) -> None:
    """Bodies are full of questions: none of them is taken for a frame, and the real one after them is."""
    fake = question(666)
    stream = b"".join(frame((fake * (size // len(fake) + 1))[:size], first=0x82) for size in sizes)
    door = Door()
    while stream:
        cut = cuts.pop() if cuts else len(stream)
        part, stream = stream[:cut], stream[cut:]
        assert not door.shortcut.takes(part)
    assert door.shortcut.takes(question(7))
    assert door.asked == [7]


@given(
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(0, 2**64 - 1),
    st.integers(0, 10**16 // 2),
    st.sampled_from(list(UtcQuality)),
)
def test_the_reply_is_the_wires(t0: int, t1: int, t2: int, line: int, utc: int, quality: UtcQuality) -> None:  # noqa: PLR0917
    reply = ClockReply(t0=t0, t1=t1, t2=t2, timeline=line, utc_us=utc, utc_quality=quality)
    assert reply_text(t0, t1, t2, line, utc, quality.value) == encode(reply)
