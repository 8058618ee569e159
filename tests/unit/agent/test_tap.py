"""Listening in, the agent's side: real encoding on its thread, fed by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from agent.link.tap import QUEUE_FRAMES, Tap
from audio.codec import OpusDecoder
from audio.pcm import Samples
from audio.playout import Ear, TimedPlayer
from protocol.errors import ClockError
from protocol.messages import Listen, ListenEnd, Listening
from protocol.tap import TapFrame, unpack
from schedules.instants import MediaUs, MonoUs
from tests.contract.playout_stage import ManualClock

BLOCK = 960
AHEAD = 3_000_000


class Loudspeaker(TimedPlayer):
    """A player whose blocks a test makes."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.ear: Ear | None = None
        self.dac = 10_000_000
        self.position = 0

    def hear(self, ear: Ear | None) -> bool:
        self.ear = ear
        return True

    def sound(self, blocks: int, *, hz: float = 600.0) -> None:
        for _ in range(blocks):
            places = np.arange(self.position, self.position + BLOCK)
            block: Samples = (0.4 * np.sin(2 * np.pi * hz * places / 48_000)).astype(np.float32)
            if self.ear is not None:
                self.ear(block, MonoUs(self.dac))
            block[:] = np.nan  # the output may do with it what it likes
            self.position += BLOCK
            self.dac += 20_000


class Timebase:
    """The controller's time, three seconds ahead."""

    timeline: int | None = 77
    known = True

    def to_media(self, mono: MonoUs) -> MediaUs:
        if not self.known:
            raise ClockError("no_timeline", "nothing is known yet")
        return MediaUs(mono + AHEAD)


class Line:
    """A tap, and what it said and sent."""

    def __init__(self, *, metered: bool = False) -> None:
        self.player, self.timebase = Loudspeaker(), Timebase()
        self.tap = Tap(self.player, self.timebase, lambda: MonoUs(self.player.dac), metered=metered)
        self.said: list[Listening] = []
        self.changes = 0
        self.connect()
        self.tap.changed = self._changed

    def connect(self) -> None:
        self.tap.say = self.said.append

    def _changed(self) -> None:
        self.changes += 1

    async def frames(self, count: int) -> list[TapFrame]:
        async with asyncio.timeout(20):
            return [unpack(await self.tap.next_frame()) for _ in range(count)]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    yield line
    line.tap.session_over()


async def test_what_sounds_comes_back_with_its_time(line: Line) -> None:
    line.tap.take(Listen(tap=5))
    assert line.said == [Listening(tap=5, on=True)]
    line.player.sound(50)
    frames = await line.frames(5)
    assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.play_at for frame in frames] == [10_000_000 + AHEAD + 200_000 * number for number in range(5)]
    assert [frame.discontinuity for frame in frames] == [True, False, False, False, False]
    assert {(frame.tap, frame.timeline, len(frame.packets)) for frame in frames} == {(5, 77, 10)}
    decoder = OpusDecoder()
    sound = np.concatenate([decoder.decode(packet) for frame in frames for packet in frame.packets])
    spectrum = np.abs(np.fft.rfft(sound[-24_000:]))
    assert int(np.argmax(spectrum)) * 2 == 600
    assert sum(len(packet) for frame in frames for packet in frame.packets) < 6_000  # 20 kbit/s, and some slack


async def test_silence_is_said_once_a_second_and_what_was_gathered_goes_out(line: Line) -> None:
    line.tap.take(Listen(tap=5))
    line.player.sound(3)
    rest, nothing = await line.frames(2)
    assert len(rest.packets) == 3
    assert nothing.packets == ()
    line.player.dac += 5_000_000
    line.player.sound(10)
    (again,) = await line.frames(1)
    assert (again.discontinuity, again.play_at) == (True, 10_060_000 + 5_000_000 + AHEAD)


async def test_a_hole_in_the_blocks_is_no_continuation(line: Line) -> None:
    line.tap.take(Listen(tap=5))
    line.player.sound(4)
    line.player.dac += 100_000
    line.player.sound(10)
    before, after = await line.frames(2)
    assert (len(before.packets), before.discontinuity) == (4, True)
    assert (len(after.packets), after.discontinuity) == (10, True)
    assert after.play_at == 10_000_000 + 80_000 + 100_000 + AHEAD


async def test_without_the_controllers_time_it_says_so(line: Line) -> None:
    line.timebase.known, line.timebase.timeline = False, None
    line.tap.take(Listen(tap=5))
    line.player.sound(10)
    (frame,) = await line.frames(1)
    assert (frame.play_at, frame.timeline) == (None, 0)


def drain(line: Line) -> None:
    """Until the encoder has taken every block."""
    encoder = line.tap._encoder
    assert encoder is not None
    until = time.monotonic() + 20
    while encoder._blocks and time.monotonic() < until:
        time.sleep(0.001)


async def test_who_takes_nothing_loses_the_oldest(line: Line) -> None:
    line.tap.take(Listen(tap=5))
    for _ in range(QUEUE_FRAMES + 8):
        line.player.sound(10)
        await asyncio.to_thread(drain, line)
    await asyncio.sleep(0.05)
    (first,) = await line.frames(1)
    assert first.seq >= 7
    assert len(line.tap._frames) == QUEUE_FRAMES - 1


async def test_the_newest_request_wins_and_the_same_one_is_only_prolonged(line: Line) -> None:
    line.tap.take(Listen(tap=5))
    ear = line.player.ear
    line.tap.take(Listen(tap=5))
    assert line.player.ear is ear
    line.tap.take(ListenEnd(tap=4))  # another's
    line.tap.take(Listen(tap=6))
    assert [(one.tap, one.on, one.code) for one in line.said] == [
        (5, True, None),
        (5, True, None),
        (5, False, "replaced"),
        (6, True, None),
    ]
    line.tap.take(ListenEnd(tap=6))
    assert not line.tap.active
    assert line.player.ear is None
    assert line.changes == 4


async def test_its_time_is_bounded(line: Line) -> None:
    line.tap.take(Listen(tap=5, seconds=1))
    await asyncio.sleep(1.2)
    assert not line.tap.active
    assert line.said[-1] == Listening(tap=5, on=False, code="over", detail="nobody asked for more")


async def test_it_ends_with_the_session(line: Line) -> None:
    line.tap.take(Listen(tap=5))
    line.tap.session_over()
    assert not line.tap.active
    assert line.player.ear is None
    assert len(line.said) == 1


async def test_an_agent_that_decodes_nothing_says_so() -> None:
    said: list[Listening] = []
    tap = Tap(TimedPlayer(ManualClock()), Timebase(), lambda: MonoUs(0))
    tap.say = said.append
    tap.take(Listen(tap=5))
    assert [(one.on, one.code) for one in said] == [(False, "nothing_to_hear")]
    assert not tap.active


async def test_a_metered_link_is_used_only_by_somebody_who_knows() -> None:
    line = Line(metered=True)
    line.tap.take(Listen(tap=5))
    assert [(one.on, one.code) for one in line.said] == [(False, "metered_link")]
    line.tap.take(Listen(tap=6, anyway=True))
    assert line.tap.active
    line.tap.session_over()
