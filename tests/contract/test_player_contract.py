"""What every player promises to a conductor, checked on each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from audio.codec import OggOpusWriter, OpusEncoder
from audio.pcm import Samples
from audio.playout import (
    MUTED_DB,
    ON_AIR_DB,
    ClipSegment,
    Cue,
    CueError,
    CuePhase,
    LiveChunk,
    LiveCue,
    LiveFeed,
    Outcome,
    SilenceSegment,
)
from audio.playout.player import MAX_CUES
from schedules.instants import Frames, MediaUs, MonoUs
from tests.contract.playout_stage import BLOCK_US, EngineStage, Stage, TimedStage

SECOND = 48_000
MEDIA_AHEAD = 7_000_000  # the stream's timeline is this far ahead of the monotonic clock


@pytest.fixture(params=[EngineStage, TimedStage])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    stage: Stage = request.param()
    yield stage
    await stage.player.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipSegment:
    path = tmp_path_factory.mktemp("clips") / "tone.opus"
    tone = 0.4 * np.sin(2 * np.pi * 300 * np.arange(SECOND) / SECOND)
    with OggOpusWriter(path) as writer:
        writer.write(tone.astype(np.float32))
    return ClipSegment(path, Frames(SECOND))


@pytest.fixture(scope="session")
def packet() -> bytes:
    encoder = OpusEncoder()
    tone = (0.4 * np.sin(2 * np.pi * 300 * np.arange(960) / SECOND)).astype(np.float32)
    return encoder.encode(tone)


def cue_at(stage: Stage, clip: ClipSegment, milliseconds: float, *, cue_id: str = "a", offset: int = 0) -> Cue:
    start = MonoUs(stage.now + round(milliseconds * 1000))
    return Cue(cue_id, start, (clip, SilenceSegment(Frames(SECOND // 2)), clip), Frames(offset))


async def test_starts_at_its_instant_and_ends_with_its_last_sample(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 1003.7)
    stage.player.arm(cue)
    await stage.advance(1000)
    assert stage.told.order == []
    state = stage.cue_state("a")
    assert state is not None
    assert state.phase is CuePhase.ARMED
    await stage.advance(1000)
    assert abs(stage.told.started_at["a"] - cue.start_at) <= 21
    state = stage.cue_state("a")
    assert state is not None
    assert (state.phase, state.silence_frames) == (CuePhase.SOUNDING, 0)
    assert abs(state.frames - 0.9963 * SECOND) <= 960
    await stage.advance(2000)
    at, frames, silent, outcome = stage.told.finished_at["a"]
    assert abs(at - (cue.start_at + 2_500_000)) <= 21
    assert (frames, silent, outcome) == (2.5 * SECOND, 0, Outcome.COMPLETE)
    assert stage.player.state().cues == ()


async def test_an_offset_leaves_out_the_beginning(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100, offset=2 * SECOND)
    stage.player.arm(cue)
    await stage.advance(1000)
    assert stage.told.finished_at["a"] == (cue.start_at + 500_000, SECOND // 2, 0, Outcome.COMPLETE)


async def test_armed_late_it_joins_its_own_timeline(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, -1000)
    now = stage.now
    stage.player.arm(cue)
    await stage.advance(3000)
    assert now <= stage.told.started_at["a"] <= now + BLOCK_US
    at, frames, silent, outcome = stage.told.finished_at["a"]
    assert at == cue.start_at + 2_500_000
    assert frames == pytest.approx(1.5 * SECOND, abs=2)
    assert silent <= 960
    assert outcome is Outcome.COMPLETE


async def test_armed_after_its_end_it_was_silent(stage: Stage, clip: ClipSegment) -> None:
    stage.player.arm(cue_at(stage, clip, -4000))
    await stage.advance(100)
    _, frames, _, outcome = stage.told.finished_at["a"]
    assert (frames, outcome) == (0, Outcome.SILENT)
    assert stage.told.started_at == {}


async def test_stop_now_is_silence_within_a_block_and_the_fade(stage: Stage, clip: ClipSegment) -> None:
    stage.player.arm(cue_at(stage, clip, 100))
    await stage.advance(700)
    now = stage.now
    stage.player.stop("a")
    stage.player.stop("a")
    await stage.advance(100)
    at, frames, _, outcome = stage.told.finished_at["a"]
    assert outcome is Outcome.STOPPED
    assert now <= at <= now + 2 * BLOCK_US
    assert frames == pytest.approx(0.62 * SECOND, abs=960)
    stage.player.stop("a")
    stage.player.stop("never heard of")
    stage.player.set_gain("a", -6.0)


async def test_stop_at_an_instant_fades_from_there(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100)
    stage.player.arm(cue)
    stage.player.stop("a", MonoUs(cue.start_at + 1_000_000), fade_ms=500)
    stage.player.stop("a", MonoUs(cue.start_at + 1_200_000))  # later: the earlier one wins
    await stage.advance(1200)
    state = stage.cue_state("a")
    assert state is not None
    assert state.phase is CuePhase.FADING
    await stage.advance(600)
    at, _, _, outcome = stage.told.finished_at["a"]
    assert outcome is Outcome.STOPPED
    assert abs(at - (cue.start_at + 1_500_000)) <= 21


async def test_stopped_before_its_start_it_never_starts(stage: Stage, clip: ClipSegment) -> None:
    stage.player.arm(cue_at(stage, clip, 500))
    stage.player.stop("a", MonoUs(stage.now + 200_000), fade_ms=1000)
    await stage.advance(2000)
    at, frames, silent, outcome = stage.told.finished_at["a"]
    assert (frames, silent, outcome) == (0, 0, Outcome.STOPPED)
    assert stage.told.order == ["finished a"]
    assert at <= stage.now


async def test_two_cues_at_once_are_told_apart(stage: Stage, clip: ClipSegment) -> None:
    stage.player.arm(cue_at(stage, clip, 100))
    stage.player.arm(cue_at(stage, clip, 600, cue_id="b"))
    await stage.advance(3400)
    assert stage.told.order == ["started a", "started b", "finished a", "finished b"]


async def test_what_cannot_be_taken_is_refused_with_a_code(stage: Stage, clip: ClipSegment) -> None:
    stage.player.arm(cue_at(stage, clip, 5000))
    with pytest.raises(CueError) as refused:
        stage.player.arm(cue_at(stage, clip, 5000))
    assert refused.value.code == "duplicate_cue"
    for number in range(MAX_CUES - 1):
        stage.player.arm(cue_at(stage, clip, 5000, cue_id=str(number)))
    with pytest.raises(CueError) as refused:
        stage.player.arm(cue_at(stage, clip, 5000, cue_id="one more"))
    assert refused.value.code == "too_many_cues"
    with pytest.raises(CueError) as refused:
        stage.player.set_gain("a", 60.0)
    assert refused.value.code == "bad_gain"


async def test_an_id_may_be_used_again_once_it_has_ended(stage: Stage, clip: ClipSegment) -> None:
    stage.player.arm(cue_at(stage, clip, 100, offset=2 * SECOND))
    await stage.advance(1000)
    assert "a" in stage.told.finished_at
    stage.told.started_at.clear()
    stage.told.finished_at.clear()
    stage.player.arm(cue_at(stage, clip, 100, offset=2 * SECOND))
    await stage.advance(1000)
    assert stage.told.finished_at["a"][3] is Outcome.COMPLETE


async def test_close_ends_everything_once(stage: Stage, clip: ClipSegment) -> None:
    stage.player.arm(cue_at(stage, clip, 100))
    stage.player.arm(cue_at(stage, clip, 5000, cue_id="b"))
    await stage.advance(500)
    await stage.player.close()
    await stage.player.close()
    assert {cue: told[3] for cue, told in stage.told.finished_at.items()} == {
        "a": Outcome.CLOSED,
        "b": Outcome.CLOSED,
    }
    with pytest.raises(CueError) as refused:
        stage.player.arm(cue_at(stage, clip, 100, cue_id="c"))
    assert refused.value.code == "player_closed"


async def test_an_output_delay_makes_everything_later(stage: Stage, clip: ClipSegment) -> None:
    stage.player.set_output_delay(300_000)
    cue = cue_at(stage, clip, 100)
    stage.player.arm(cue)
    await stage.advance(3200)
    assert abs(stage.told.started_at["a"] - (cue.start_at + 300_000)) <= 21
    assert abs(stage.told.finished_at["a"][0] - (cue.start_at + 2_800_000)) <= 21


class Radio:
    """A stream whose first sample sounds so many milliseconds from now."""

    def __init__(self, stage: Stage, packet: bytes, milliseconds: int) -> None:
        self.feed = LiveFeed(lambda media: MonoUs(media - MEDIA_AHEAD))
        self.begin = stage.now + milliseconds * 1000
        self._packet = packet

    def push(self, number: int, *, end: bool = False) -> None:
        """Bundle ``number`` of 200 ms."""
        play_at = MediaUs(self.begin + MEDIA_AHEAD + number * 200_000)
        self.feed.push(LiveChunk(play_at, number * 9600, (self._packet,) * 10, end=end))


async def test_live_sound_begins_with_its_first_chunk_and_ends_with_its_last(stage: Stage, packet: bytes) -> None:
    radio = Radio(stage, packet, 400)
    stage.player.arm(LiveCue("live", radio.feed))
    await stage.advance(100)
    for number in range(5):
        radio.push(number, end=number == 4)
        await stage.advance(200)
    await stage.advance(600)
    assert abs(stage.told.started_at["live"] - radio.begin) <= 21
    at, frames, silent, outcome = stage.told.finished_at["live"]
    assert abs(at - (radio.begin + 1_000_000)) <= 21
    assert (frames, silent, outcome) == (SECOND, 0, Outcome.COMPLETE)


async def test_a_lost_chunk_is_silence_of_its_length(stage: Stage, packet: bytes) -> None:
    radio = Radio(stage, packet, 400)
    stage.player.arm(LiveCue("live", radio.feed))
    for number in (0, 1, 3, 4):
        radio.push(number, end=number == 4)
    await stage.advance(2000)
    _, frames, silent, outcome = stage.told.finished_at["live"]
    assert (frames, silent, outcome) == (4 * 9600, 9600, Outcome.COMPLETE)


async def test_chunks_that_come_twice_or_too_late_are_left_out(stage: Stage, packet: bytes) -> None:
    radio = Radio(stage, packet, 200)
    stage.player.arm(LiveCue("live", radio.feed))
    radio.push(0)
    radio.push(0)
    await stage.advance(700)
    radio.push(1)  # was due 300 ms ago
    radio.push(3, end=True)
    await stage.advance(1000)
    at, frames, silent, _ = stage.told.finished_at["live"]
    assert abs(at - (radio.begin + 800_000)) <= 21
    assert frames == pytest.approx(2 * 9600, abs=480)
    assert silent == pytest.approx(2 * 9600, abs=480)


async def test_who_arms_in_the_middle_of_a_stream_joins_it(stage: Stage, packet: bytes) -> None:
    radio = Radio(stage, packet, -1000)
    for number in range(10):
        radio.push(number, end=number == 9)
    now = stage.now
    stage.player.arm(LiveCue("live", radio.feed))
    await stage.advance(1500)
    assert now <= stage.told.started_at["live"] <= now + 2 * BLOCK_US
    at, frames, _, outcome = stage.told.finished_at["live"]
    assert abs(at - (radio.begin + 2_000_000)) <= 21
    assert frames == pytest.approx(SECOND, abs=2 * 960)
    assert outcome is Outcome.COMPLETE


async def test_a_live_cue_is_stopped_like_any_other(stage: Stage, packet: bytes) -> None:
    radio = Radio(stage, packet, 100)
    stage.player.arm(LiveCue("live", radio.feed))
    for number in range(10):
        radio.push(number)
    await stage.advance(1000)
    stage.player.stop("live")
    await stage.advance(100)
    assert stage.told.finished_at["live"][3] is Outcome.STOPPED


async def test_a_stream_of_which_nothing_arrives_is_silent_until_stopped(stage: Stage, packet: bytes) -> None:
    stage.player.arm(LiveCue("live", Radio(stage, packet, 100).feed))
    await stage.advance(1000)
    assert stage.told.order == []
    stage.player.stop("live")
    await stage.advance(100)
    _, frames, silent, outcome = stage.told.finished_at["live"]
    assert (frames, silent, outcome) == (0, 0, Outcome.STOPPED)


async def test_a_stream_is_taken_up_again_after_something_more_urgent(
    stage: Stage, packet: bytes, clip: ClipSegment
) -> None:
    radio = Radio(stage, packet, 1000)  # a second ahead: what was read must not be lost
    stage.player.arm(LiveCue("live", radio.feed))
    for number in range(7):
        radio.push(number)
        await stage.advance(200)
    stage.player.stop("live", fade_ms=60)
    await stage.advance(40)
    stage.player.arm(LiveCue("again", radio.feed))
    again = stage.now
    await stage.advance(100)
    assert stage.told.finished_at["live"][3] is Outcome.STOPPED
    radio.push(7, end=True)
    await stage.advance(2500)
    assert again <= stage.told.started_at["again"] <= again + 2 * BLOCK_US
    at, _, silent, outcome = stage.told.finished_at["again"]
    assert abs(at - (radio.begin + 1_600_000)) <= 21
    assert silent <= 2 * 960
    assert outcome is Outcome.COMPLETE


async def test_without_a_clock_a_stream_does_not_sound(stage: Stage, packet: bytes) -> None:
    def unknown(media: MediaUs) -> MonoUs:
        raise LookupError(media)

    feed = LiveFeed(unknown)
    stage.player.arm(LiveCue("live", feed))
    feed.push(LiveChunk(MediaUs(stage.now), 0, (packet,) * 10))
    await stage.advance(500)
    assert stage.told.order == []
    stage.player.stop("live")
    await stage.advance(100)
    assert stage.told.finished_at["live"][1:] == (0, 0, Outcome.STOPPED)


async def test_muted_it_runs_on_and_is_back_at_the_place_the_clock_says(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100)
    stage.player.arm(cue)
    stage.player.set_level("a", MUTED_DB, MonoUs(cue.start_at + 400_000))
    await stage.advance(700)
    state = stage.cue_state("a")
    assert state is not None
    assert (state.phase, state.silence_frames) == (CuePhase.BENEATH, 0)
    assert state.frames == pytest.approx(0.4 * SECOND, abs=2)
    stage.player.set_level("a", ON_AIR_DB, MonoUs(cue.start_at + 1_400_000))
    await stage.advance(2000)
    at, frames, silent, outcome = stage.told.finished_at["a"]
    assert abs(at - (cue.start_at + 2_500_000)) <= 21
    assert frames == pytest.approx(1.5 * SECOND, abs=2)
    assert (silent, outcome) == (0, Outcome.COMPLETE)
    assert stage.told.order == ["started a", "finished a"]


async def test_armed_muted_it_starts_when_its_fader_opens(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100)
    stage.player.arm(Cue("a", cue.start_at, cue.segments, level_db=MUTED_DB))
    await stage.advance(600)
    assert stage.told.order == []
    state = stage.cue_state("a")
    assert state is not None
    assert (state.phase, state.frames) == (CuePhase.BENEATH, 0)
    opens = cue.start_at + 1_000_000
    stage.player.set_level("a", ON_AIR_DB, MonoUs(opens))
    await stage.advance(2400)
    assert abs(stage.told.started_at["a"] - opens) <= 21
    _, frames, silent, outcome = stage.told.finished_at["a"]
    assert frames == pytest.approx(1.5 * SECOND, abs=2)
    assert (silent, outcome) == (0, Outcome.COMPLETE)


async def test_muted_to_its_end_it_was_silent_and_never_started(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100)
    stage.player.arm(Cue("a", cue.start_at, cue.segments, level_db=MUTED_DB))
    await stage.advance(3000)
    assert stage.told.order == ["finished a"]
    at, frames, silent, outcome = stage.told.finished_at["a"]
    assert abs(at - (cue.start_at + 2_500_000)) <= 21
    assert (frames, silent, outcome) == (0, 0, Outcome.SILENT)


async def test_ducked_it_is_heard(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100)
    stage.player.arm(cue)
    stage.player.set_level("a", -20.0, MonoUs(cue.start_at + 400_000))
    await stage.advance(3000)
    assert stage.told.finished_at["a"][1:] == (2.5 * SECOND, 0, Outcome.COMPLETE)


async def test_the_last_that_is_said_of_a_fader_counts(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100)
    stage.player.arm(cue)
    stage.player.set_level("a", MUTED_DB, MonoUs(cue.start_at + 400_000))
    stage.player.set_level("a", ON_AIR_DB)
    await stage.advance(3000)
    assert stage.told.finished_at["a"][1:] == (2.5 * SECOND, 0, Outcome.COMPLETE)
    stage.player.set_level("a", MUTED_DB)
    stage.player.set_level("never heard of", MUTED_DB)
    with pytest.raises(CueError) as refused:
        stage.player.set_level("a", 3.0)
    assert refused.value.code == "bad_level"


async def test_stop_silences_what_runs_on_beneath(stage: Stage, clip: ClipSegment) -> None:
    cue = cue_at(stage, clip, 100)
    stage.player.arm(Cue("a", cue.start_at, cue.segments, level_db=MUTED_DB))
    await stage.advance(600)
    now = stage.now
    stage.player.stop("a")
    stage.player.set_level("a", ON_AIR_DB, MonoUs(now + 200_000))
    await stage.advance(400)
    at, frames, silent, outcome = stage.told.finished_at["a"]
    assert (frames, silent, outcome) == (0, 0, Outcome.STOPPED)
    assert now <= at <= now + 2 * BLOCK_US
    assert stage.told.started_at == {}


async def test_a_muted_stream_loses_what_is_lost_and_counts_what_is_heard(stage: Stage, packet: bytes) -> None:
    radio = Radio(stage, packet, 200)
    stage.player.arm(LiveCue("live", radio.feed))
    stage.player.set_level("live", MUTED_DB, MonoUs(radio.begin + 400_000))
    stage.player.set_level("live", MUTED_DB, MonoUs(radio.begin + 400_000))
    for number in range(10):
        if number not in (1, 3, 8):  # the second is lost on air, the fourth unheard, the ninth on air again
            radio.push(number, end=number == 9)
    await stage.advance(1000)
    stage.player.set_level("live", ON_AIR_DB, MonoUs(radio.begin + 1_200_000))
    await stage.advance(2000)
    at, frames, silent, outcome = stage.told.finished_at["live"]
    assert abs(at - (radio.begin + 2_000_000)) <= 21
    assert frames == pytest.approx(4 * 9600, abs=2)
    assert silent == pytest.approx(2 * 9600, abs=2)
    assert outcome is Outcome.COMPLETE


async def test_who_listens_hears_what_leaves_or_is_told_that_nothing_does(stage: Stage, clip: ClipSegment) -> None:
    heard: list[tuple[Samples, MonoUs]] = []
    can = stage.player.hear(lambda block, dac: heard.append((block.copy(), dac)))
    assert can is stage.player.state().decoding
    begins = stage.now
    stage.player.arm(cue_at(stage, clip, 100))
    await stage.advance(500)
    assert bool(heard) is can
    if can:
        sound = np.concatenate([block for block, _ in heard])
        assert heard[0][1] == begins
        assert [dac for _, dac in heard] == [begins + BLOCK_US * number for number in range(len(heard))]
        assert not sound[:4800].any()
        assert float(np.abs(sound[4800 + 960 : 20_000]).max()) > 0.3
    count = len(heard)
    stage.player.hear(None)
    await stage.advance(200)
    assert len(heard) == count
