"""What fills the engine: the ring, stored clips, live packets."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.codec import OggOpusReader, OggOpusWriter, OpusEncoder
from audio.pcm import Samples
from audio.playout.cues import ClipSegment, Cue, Segment, SilenceSegment
from audio.playout.decoding import ClipFeeder, DecodeWorker
from audio.playout.errors import CueError
from audio.playout.feed import LiveChunk, LiveFeed
from audio.playout.level import EDGE_FRAMES, GapGuard
from audio.playout.live import LiveFeeder
from audio.playout.ring import HISTORY, SampleRing
from audio.playout.timeline import Anchor, LiveTimeline
from schedules.instants import Frames, MediaUs, MonoUs


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "skip", "read"]), st.integers(0, 700), st.integers(-300, 300)), max_size=60
    )
)
def test_a_ring_gives_back_what_was_written_or_nothing(steps: list[tuple[str, int, int]]) -> None:
    ring = SampleRing(100, capacity=1000)
    truth: dict[int, float] = {}
    for kind, count, shift in steps:
        if kind == "write":
            at = ring.end
            ring.write(np.arange(at, at + count, dtype=np.float32))
            truth |= {position: float(position) for position in range(at, at + count)}
        elif kind == "skip":
            ring.skip(ring.end + count)
        else:
            position = ring.end - count + shift
            got = ring.read(position, count)
            for place, value in enumerate(got.tolist(), position):
                held = ring.end - 1000 <= place < ring.end
                if np.isnan(value):
                    assert not (held and place in truth)
                else:
                    assert held
                    assert value == truth[place]


def test_a_ring_has_no_room_until_its_reader_moves() -> None:
    ring = SampleRing()
    ring.write(np.zeros(ring.room(), np.float32))
    assert ring.room() == 0
    ring.want(9_600)
    assert ring.room() == 9_600
    assert HISTORY > 0


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 700)), min_size=1, max_size=12), st.integers(1, 960))
def test_gaps_never_click(runs: list[tuple[bool, int]], block: int) -> None:
    sound = np.concatenate([np.full(count, np.nan if gap else 0.5, np.float32) for gap, count in runs])
    guard = GapGuard()
    missing = 0
    for at in range(0, len(sound), block):
        missing += guard.apply(sound[at : at + block])
    assert missing == sum(count for gap, count in runs if gap)
    assert np.isfinite(sound).all()
    assert float(np.abs(np.diff(sound)).max(initial=0)) <= 2.02 * 0.5 / EDGE_FRAMES


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipSegment:
    path = tmp_path_factory.mktemp("clips") / "tone.opus"
    tone = 0.4 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)
    with OggOpusWriter(path) as writer:
        writer.write(tone.astype(np.float32))
    return ClipSegment(path, Frames(48_000))


def _decoded(
    *segments: Segment, ring: SampleRing | None = None, count: int = 120_000
) -> tuple[Samples, list[str], ClipFeeder]:
    ring, told = ring or SampleRing(), list[str]()
    first = ring.end
    feeder = ClipFeeder(segments, ring, lambda code, detail: told.append(code))
    while not feeder.finished and ring.end < first + count:
        if not feeder.step():
            ring.want(ring.end)
    feeder.close()
    return ring.read(first, min(count, ring.end - first)), told, feeder


def test_segments_lie_end_to_end_with_soft_edges(clip: ClipSegment) -> None:
    sound, told, _ = _decoded(clip, SilenceSegment(Frames(24_000)), clip)
    with OggOpusReader(clip.path) as reader:
        wanted = reader.read(0, 48_000)
    assert told == []
    assert len(sound) == 120_000
    inner = slice(EDGE_FRAMES, 48_000 - EDGE_FRAMES)
    assert np.array_equal(sound[inner], wanted[inner])
    assert not sound[48_000:72_000].any()
    assert np.array_equal(sound[72_000:][inner], wanted[inner])
    assert abs(float(sound[47_999])) < 0.01


def test_decoding_begins_where_the_ring_begins(clip: ClipSegment) -> None:
    sound, _, _ = _decoded(clip, ring=SampleRing(30_000), count=9_600)
    with OggOpusReader(clip.path) as reader:
        assert np.allclose(sound, reader.read(30_000, 9_600), atol=1e-6)


def test_a_missing_clip_is_silence_of_its_length_and_told_at_arming(clip: ClipSegment, tmp_path: Path) -> None:
    gone = ClipSegment(tmp_path / "gone.opus", Frames(10_000))
    sound, told, feeder = _decoded(gone, clip, count=58_000)
    assert told == ["clip_missing", "clip_unreadable"]
    assert np.isnan(sound[:10_000]).all()
    assert not np.isnan(sound[10_000:]).any()
    assert not feeder.broken


def test_when_nothing_can_be_read_the_cue_is_broken(tmp_path: Path) -> None:
    bad = tmp_path / "bad.opus"
    bad.write_bytes(b"OggS but not really" * 100)
    _, told, feeder = _decoded(ClipSegment(bad, Frames(10_000)))
    assert told == ["clip_unreadable"]
    assert feeder.broken


def test_a_clip_shorter_than_the_plan_says_leaves_a_gap(clip: ClipSegment) -> None:
    long = ClipSegment(clip.path, Frames(60_000))
    sound, told, _ = _decoded(long, clip, count=108_000)
    assert told == ["clip_short"]
    assert np.isnan(sound[48_000:60_000]).all()
    assert not np.isnan(sound[60_000:]).any()


def test_the_worker_fills_rings_and_ends(clip: ClipSegment) -> None:
    worker = DecodeWorker()
    rings = [SampleRing() for _ in range(3)]
    feeders = [ClipFeeder((clip,), ring, lambda code, detail: None) for ring in rings]
    for feeder in feeders:
        worker.add(feeder)
    for _ in range(500):
        if all(feeder.finished for feeder in feeders):
            break
        worker.wake()
        time.sleep(0.01)
    worker.close()
    assert [ring.end for ring in rings] == [48_000] * 3


def test_what_is_heard_soon_is_decoded_at_once_and_the_rest_gently(clip: ClipSegment) -> None:
    ring = SampleRing()
    feeder = ClipFeeder((clip,) * 4, ring, lambda code, detail: None)
    while feeder.step(ahead=False):
        pass
    assert ring.end == 28_800, "0.6 s"
    ring.want(9_600)
    assert feeder.step(ahead=False), "the reader has come nearer"
    assert not feeder.step(ahead=False)
    before = ring.end
    assert feeder.step()
    assert ring.end == before + 9_600
    feeder.close()


def test_the_worker_fills_the_whole_way_ahead_by_itself(clip: ClipSegment) -> None:
    worker, ring = DecodeWorker(), SampleRing()
    worker.add(ClipFeeder((clip,) * 4, ring, lambda code, detail: None))
    for _ in range(1_000):
        if ring.room() < 9_600:
            break
        time.sleep(0.01)
    worker.close()
    assert ring.room() < 9_600


def test_cues_without_sense_are_refused(clip: ClipSegment) -> None:
    for segments, offset, gain in (
        ((), 0, 0.0),
        ((clip,), 48_000, 0.0),
        ((clip,), -1, 0.0),
        ((clip, SilenceSegment(Frames(0))), 0, 0.0),
        ((clip,), 0, float("nan")),
    ):
        with pytest.raises(CueError):
            Cue("a", MonoUs(0), segments, Frames(offset), gain)


# Live ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def packets() -> tuple[bytes, ...]:
    encoder = OpusEncoder()
    return tuple(encoder.encode(np.full(960, 0.1 * (number % 3), np.float32)) for number in range(10))


class Stream:
    def __init__(self, packets: tuple[bytes, ...]) -> None:
        self.feed = LiveFeed(lambda media: MonoUs(media - 1_000_000))
        self.timeline = LiveTimeline(self.feed)
        self.ring = SampleRing()
        self.told: list[str] = []
        self.feeder = LiveFeeder(
            self.feed,
            self.ring,
            self.timeline,
            lambda code, detail: self.told.append(code),
            now=lambda: MonoUs(0),
            bell=lambda: None,
        )
        self.packets = packets

    def push(self, sample_index: int, play_at: int, **flags: bool) -> None:
        self.feed.push(LiveChunk(MediaUs(play_at), sample_index, self.packets, **flags))  # type: ignore[arg-type]
        while self.feeder.step():
            pass


def test_live_chunks_become_one_line(packets: tuple[bytes, ...]) -> None:
    stream = Stream(packets)
    stream.push(48_000, 9_000_000)
    stream.push(57_600, 9_200_000)
    assert stream.ring.end == 19_200
    assert not np.isnan(stream.ring.read(0, 19_200)).any()
    assert stream.timeline.time_of(0) == 8_000_000
    assert stream.timeline.time_of(14_400) == pytest.approx(8_300_000)
    assert stream.timeline.index_at(8_100_000) == pytest.approx(4_800)
    assert stream.timeline.index_at(7_900_000) == pytest.approx(-4_800)


def test_times_that_slew_are_followed_and_times_that_leap_begin_anew(packets: tuple[bytes, ...]) -> None:
    stream = Stream(packets)
    stream.push(0, 9_000_000)
    stream.push(9_600, 9_210_000)  # 10 ms off: the servo's matter
    assert stream.ring.end == 19_200
    assert stream.timeline.time_of(9_600) == 8_210_000
    stream.push(19_200, 9_910_000)  # 500 ms later than the samples say
    assert stream.ring.end == 19_200 + 24_000 + 9_600
    assert np.isnan(stream.ring.read(19_200, 24_000)).all()
    stream.push(0, 10_110_000, discontinuity=True)  # the source began again
    assert stream.timeline.time_of(stream.ring.end) == pytest.approx(9_310_000)


def test_what_is_not_opus_is_silence_and_told_once(packets: tuple[bytes, ...]) -> None:
    stream = Stream((packets[0], b"\xff\xff\xff", b"", packets[1]))
    stream.push(0, 9_000_000)
    stream.push(3_840, 9_080_000)
    assert stream.told == ["live_undecodable"]
    assert stream.ring.end == 7_680
    assert np.isnan(stream.ring.read(960, 1_920)).all()
    assert not np.isnan(stream.ring.read(2_880, 960)).any()


def test_a_stream_far_ahead_waits_for_its_reader(packets: tuple[bytes, ...]) -> None:
    stream = Stream(packets)
    for number in range(30):
        stream.push(number * 9_600, 9_000_000 + number * 200_000)
    held = stream.ring.end
    assert held < 30 * 9_600
    stream.ring.want(100_000)
    while stream.feeder.step():
        pass
    assert stream.ring.end > held


def test_a_feed_nobody_reads_keeps_the_newest_minute(packets: tuple[bytes, ...]) -> None:
    feed = LiveFeed(MonoUs)
    reader = feed.reader(lambda: None)
    for number in range(400):
        feed.push(LiveChunk(MediaUs(number), number * 9_600, packets))
    assert feed.dropped == 100
    oldest = reader.take()
    assert oldest is not None
    assert oldest.sample_index == 100 * 9_600
    feed.push(LiveChunk(MediaUs(0), 0, packets * 20))
    assert feed.dropped == 101
    reader.close()
    feed.push(LiveChunk(MediaUs(400), 400 * 9_600, packets))
    later = feed.reader(lambda: None).take()
    assert later is not None
    assert later.sample_index == (400 - 44) * 9_600


def test_two_cues_read_one_feed_and_the_bell_of_one_is_not_the_others(packets: tuple[bytes, ...]) -> None:
    feed, rung = LiveFeed(MonoUs), list[str]()
    first = feed.reader(lambda: rung.append("first"))
    feed.push(LiveChunk(MediaUs(0), 0, packets))
    second = feed.reader(lambda: rung.append("second"))
    assert first.take() == second.take() is not None
    first.close()
    feed.push(LiveChunk(MediaUs(1), 9_600, packets))
    assert rung == ["first", "second"]
    assert second.take() is not None
    assert second.take() is None


def test_a_clock_that_stops_knowing_keeps_its_last_relation(packets: tuple[bytes, ...]) -> None:
    known: list[int] = []

    def to_mono(media: MediaUs) -> MonoUs:
        return MonoUs(media + known[0])

    feed = LiveFeed(to_mono)
    timeline = LiveTimeline(feed)
    timeline.add(Anchor(0, MediaUs(1_000)), keep_from=0)
    assert feed.locate(MediaUs(0)) is None
    before = timeline.origin
    assert before is None
    assert timeline.index_at(0.0) is None
    known.append(500)
    assert timeline.origin == 0
    known.clear()
    assert feed.locate(MediaUs(10)) == 510
    assert timeline.time_of(0) == 1_500
