"""Never a click or a loud noise when a stream comes back: real packets, a real decoder, the whole engine."""

from __future__ import annotations

import numpy as np
import pytest

from audio.codec import OpusEncoder
from audio.pcm import Samples
from audio.playout.engine import Engine
from audio.playout.feed import LiveChunk, LiveFeed
from audio.playout.level import CEILING
from audio.playout.live import HOLE_FRAMES, RISE_FRAMES, LiveFeeder
from audio.playout.ring import SampleRing
from audio.playout.timeline import LiveTimeline
from audio.playout.voice import RETURN_FRAMES
from schedules.instants import SAMPLE_RATE, MediaUs, MonoUs
from tests.unit.audio.playout_hall import NO_CLICK, US, VirtualDac

AHEAD = 7_000_000


def tone(frames: int, *, hz: float = 440.0, level: float = 0.4) -> Samples:
    return (level * np.sin(2 * np.pi * hz * np.arange(frames) / SAMPLE_RATE)).astype(np.float32)


def packets_of(sound: Samples) -> tuple[bytes, ...]:
    encoder = OpusEncoder()
    return tuple(encoder.encode(sound[at : at + 960]) for at in range(0, len(sound), 960))


class Listener:
    """One live cue on an exact virtual converter."""

    def __init__(self) -> None:
        self.dac = VirtualDac(Engine(exact=True))
        feed = LiveFeed(lambda media: MonoUs(media - AHEAD))
        self.feed, self.timeline, self.ring = feed, LiveTimeline(feed), SampleRing()
        self.feeder = LiveFeeder(
            feed,
            self.ring,
            self.timeline,
            lambda code, detail: pytest.fail(f"{code}: {detail}"),
            now=lambda: MonoUs(round(self.dac.now)),
            bell=lambda: None,
        )
        self.dac.add("live", self.timeline, self.ring, fade_in_ms=20)

    def play(self, packets: tuple[bytes, ...], index: int, *, at_frame: int, discontinuity: bool = False) -> None:
        """Packets that are due at a sample of the converter, pushed in bundles of 200 ms, and heard."""
        for number in range(0, len(packets), 10):
            chunk = packets[number : number + 10]
            play_at = MediaUs(round(self.dac.start + (at_frame + number * 960) * US) + AHEAD)
            self.feed.push(LiveChunk(play_at, index + number * 960, chunk, discontinuity=discontinuity and not number))
        while self.feeder.step():
            pass

    def hear(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            while self.feeder.step():
                pass
            self.dac.step()


@pytest.mark.parametrize("hole_ms", [120, 200, 1000, 5000])
@pytest.mark.parametrize("discontinuity", [False, True])
def test_a_stream_that_comes_back_rises_in_twenty_milliseconds(hole_ms: int, *, discontinuity: bool) -> None:
    """The connection was cut in the middle of a tone; what comes after is another place of a loud programme."""
    listener = Listener()
    before = packets_of(tone(48_000))
    loud = packets_of(tone(96_000, hz=300, level=0.9))[30:]  # its packets lean on 600 ms that nobody here decoded
    hole = hole_ms * 48
    listener.play(before, 0, at_frame=9_600)
    back = 9_600 + 48_000 + hole
    listener.play(loud, 48_000 + hole, at_frame=back, discontinuity=discontinuity)
    listener.hear(back / 48_000 + 1)
    heard = listener.dac.heard
    assert float(np.abs(heard).max()) <= CEILING + 1e-6
    assert not heard[9_600 + 48_000 + 300 : back].any()
    steepest = 0.9 * 2 * np.pi * 440 / 48_000 * 1.5
    assert float(np.abs(np.diff(heard)).max()) < steepest
    rise = np.abs(heard[back : back + RISE_FRAMES])
    assert np.all(rise <= np.arange(1, RISE_FRAMES + 1) / RISE_FRAMES)
    assert float(np.abs(heard[back + 9_600 : back + 19_200]).max()) > 0.5  # and then it is really there


def test_a_source_that_begins_again_without_a_hole_does_not_click() -> None:
    listener = Listener()
    listener.play(packets_of(tone(48_240 - 240)), 0, at_frame=9_600)
    listener.play(packets_of(tone(48_000, hz=333)), 7_000_000, at_frame=9_600 + 48_000, discontinuity=True)
    listener.hear(2.3)
    assert float(np.abs(np.diff(listener.dac.heard)).max()) < NO_CLICK
    assert float(np.abs(listener.dac.heard[9_600 + 52_000 : 9_600 + 90_000]).max()) > 0.3


def test_one_lost_bundle_leaves_the_decoder_what_it_knows() -> None:
    """A hole shorter than 100 ms is no reconnection: nothing is reset, and nothing clicks."""
    assert HOLE_FRAMES == 4800
    listener = Listener()
    made = packets_of(tone(96_000))
    listener.play(made[:50], 0, at_frame=9_600)
    listener.play(made[53:], 53 * 960, at_frame=9_600 + 53 * 960)
    listener.hear(2)
    assert float(np.abs(np.diff(listener.dac.heard)).max()) < NO_CLICK


def test_packets_of_another_encoder_never_burst_out() -> None:
    """The worst that a decoder can be given: white noise at full scale, taken up in the middle."""
    rng = np.random.default_rng(1)
    noise = packets_of(rng.uniform(-1, 1, 96_000).astype(np.float32))[20:]
    listener = Listener()
    listener.play(packets_of(tone(48_000)), 0, at_frame=9_600)
    listener.play(noise, 500_000, at_frame=9_600 + 48_000 + 48_000, discontinuity=True)
    listener.hear(3)
    heard = listener.dac.heard
    assert float(np.abs(heard).max()) <= CEILING + 1e-6
    back = 9_600 + 96_000
    assert float(np.abs(heard[back : back + 48]).max()) < 0.1


def test_a_cue_whose_output_was_lost_rises_in_twenty_milliseconds() -> None:
    def half(position: int, count: int) -> Samples:
        del position
        return np.full(count, 0.5, np.float32)

    dac = VirtualDac(Engine(exact=True))
    dac.arm("a", dac.start, 3 * SAMPLE_RATE, programme=half, fade_in_ms=5)
    dac.run(0.5)
    for _ in range(20):
        dac.engine.lose(dac.block, MonoUs(round(dac.now)))
        dac.now += dac.block * US
    dac.sound.clear()
    dac.run(0.2)
    rise = dac.heard[:RETURN_FRAMES]
    assert np.allclose(rise, 0.5 * np.arange(1, RETURN_FRAMES + 1) / RETURN_FRAMES, atol=1e-4)
