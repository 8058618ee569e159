"""When a speaker's packets sound: never late, never dry, as close as the network allows."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from audio.stream import SILENT_PACKET
from controller.services.chunks import PACKET_US, Chunk, SourceKind
from controller.services.live.pacing import (
    FIRST_CUSHION,
    MARGIN,
    MAX_PPM,
    STALE,
    Arrivals,
    LivePacer,
    bundle_packets,
)
from schedules.instants import MediaUs

LEAD = 240_000
BUNDLE = 5 * PACKET_US
START = 1_000_000


def speaking(
    arrivals: list[int], *, until: int | None = None, lead: int = LEAD
) -> tuple[LivePacer, list[tuple[int, Chunk]]]:
    """Packets that come at these instants, ticks in between; what went out, and when."""
    pacer = LivePacer(SourceKind.MICROPHONE, lead)
    pacer.begin(MediaUs(START))
    sent: list[tuple[int, Chunk]] = []
    now = START - lead - 200_000
    numbers = itertools.count()
    for at in [*arrivals, until or (arrivals[-1] if arrivals else START)]:
        while pacer.deadline is not None and pacer.deadline <= at:
            now = max(now, pacer.deadline)
            chunk = pacer.tick(MediaUs(now))
            assert chunk is not None
            sent.append((now, chunk))
        now = max(now, at)
        if at in arrivals:
            sent += [(now, one) for one in pacer.push((next(numbers).to_bytes(4, "big"),), MediaUs(now))]
    return pacer, sent


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=120))
def test_no_bundle_is_late_and_none_overlaps_and_nothing_is_a_gap(gaps: list[int]) -> None:
    arrivals = [START - LEAD + at for at in itertools.accumulate(gaps)]
    _, sent = speaking(arrivals)
    for now, chunk in sent:
        assert chunk.play_at - now >= LEAD
    for (_, before), (_, after) in itertools.pairwise(sent):
        assert after.play_at == before.ends
        assert not after.discontinuity
    spoken = [packet for _, chunk in sent for packet in chunk.packets if packet != SILENT_PACKET]
    assert spoken == sorted(spoken)


def test_a_steady_speaker_is_heard_a_bundle_and_a_lead_and_a_cushion_later() -> None:
    begin = START - LEAD - BUNDLE - FIRST_CUSHION
    pacer, sent = speaking([begin + (n + 1) * PACKET_US for n in range(500)])
    assert all(len(chunk.packets) == 5 and SILENT_PACKET not in chunk.packets for _, chunk in sent)
    assert {chunk.play_at - now for now, chunk in sent} == {LEAD + FIRST_CUSHION}
    assert pacer.bend(sent[-1][1].play_at) > 0, "the cushion was more than this network needs"


def test_bundles_get_shorter_where_agents_need_more_time() -> None:
    leads = (240_000, 280_000, 320_000, 4_000_000)
    assert [bundle_packets(SourceKind.MICROPHONE, lead) for lead in leads] == [5, 3, 2, 2]
    assert {bundle_packets(SourceKind.LIVE, lead) for lead in leads} == {10}


def test_wants_speech_when_a_word_would_follow_what_was_sent() -> None:
    pacer = LivePacer(SourceKind.MICROPHONE, LEAD)
    assert not pacer.wants_speech(MediaUs(0))
    pacer.begin(MediaUs(START))
    assert not pacer.wants_speech(MediaUs(START - LEAD - BUNDLE - FIRST_CUSHION - 1))
    assert pacer.wants_speech(MediaUs(START - LEAD - BUNDLE - FIRST_CUSHION))


def test_nobody_speaking_is_silence_in_long_bundles() -> None:
    _, sent = speaking([], until=START + 5_000_000)
    assert all(packet == SILENT_PACKET for _, chunk in sent for packet in chunk.packets)
    assert sent[-1][1].ends >= START + 5_000_000 + LEAD - BUNDLE
    assert len(sent) < 5_000_000 // BUNDLE + 10


def test_a_process_that_was_held_up_begins_anew() -> None:
    pacer = LivePacer(SourceKind.MICROPHONE, LEAD)
    pacer.begin(MediaUs(START))
    chunk = pacer.tick(MediaUs(START + 20_000_000))
    assert chunk is not None
    assert chunk.play_at == START + 20_000_000 + LEAD
    assert chunk.discontinuity


def drive(ppm: float, jitter_us: int, seconds: int = 120) -> tuple[list[int], int]:
    """A speaker whose clock runs ``ppm`` fast, over a network with jitter; slacks of the last half, and fillers."""
    dice = random.Random(5)
    pacer = LivePacer(SourceKind.MICROPHONE, LEAD)
    now = 0.0
    pacer.begin(MediaUs(START))
    captured = float(START - LEAD - BUNDLE - FIRST_CUSHION)
    frame = PACKET_US / (1 + ppm * 1e-6)
    bend, owed, looked, arrived = 0, 0.0, 0, 0.0
    slacks, fills = [], 0
    for number in range(seconds * 50):
        captured += frame
        arrived = max(arrived, captured + dice.uniform(0, jitter_us))
        while pacer.deadline is not None and pacer.deadline <= arrived:
            chunk = pacer.tick(pacer.deadline)
            fills += chunk is not None and SILENT_PACKET in chunk.packets and number > seconds * 25
        now = arrived
        owed += 1 / (1 + bend * 1e-6)  # what the encoder makes of one frame
        while owed >= 1:
            owed -= 1
            whole = pacer.push((b"x",), MediaUs(round(now)))
            if number > seconds * 25:
                slacks += [round(chunk.play_at - now) for chunk in whole]
        if number // 50 > looked:
            looked = number // 50
            bend = pacer.bend(MediaUs(round(now)))
    return slacks, fills


def test_a_clock_that_runs_fast_or_slow_is_followed() -> None:
    for ppm in (-300, 0, 300):
        slacks, fills = drive(ppm, 0)
        assert fills == 0, ppm
        assert min(slacks) >= LEAD, ppm
        assert max(slacks) <= LEAD + MARGIN + 25_000, ppm


def test_jitter_gets_the_cushion_it_needs_and_no_more() -> None:
    slacks, fills = drive(50, 80_000)
    assert fills <= 2
    assert min(slacks) >= LEAD
    assert max(slacks) <= LEAD + MARGIN + 80_000 + 40_000


def test_a_larger_lead_is_made_room_for_by_a_little_silence_and_old_slack_is_forgotten() -> None:
    begin = START - LEAD - BUNDLE - FIRST_CUSHION
    pacer, _ = speaking([begin + (n + 1) * PACKET_US for n in range(500)])
    now = MediaUs(begin + 500 * PACKET_US)
    pacer.lead = LEAD + 80_000
    assert pacer.bend(now) == 0
    made = []
    while (chunk := pacer.tick(now)) is not None:
        made.append(chunk)
    assert sum(len(chunk.packets) for chunk in made) <= 4
    assert pacer.deadline is not None
    assert pacer.deadline > now


@given(st.integers(-(10**7), 10**7))
def test_speech_is_bent_within_bounds(surplus: int) -> None:
    pacer = LivePacer(SourceKind.MICROPHONE, LEAD)
    pacer._judge(MediaUs(0), LEAD + surplus)
    assert abs(pacer.bend(MediaUs(1))) <= MAX_PPM
    assert pacer.bend(MediaUs(20_000_000)) == 0, "what was long ago says nothing"


def test_after_a_stall_only_the_newest_words_count() -> None:
    arrivals = Arrivals()
    now = 0
    for _ in range(100):
        now += PACKET_US
        assert arrivals.late(PACKET_US, MediaUs(now)) == 0
    now += 1_000_000  # a second in which nothing came, then all of it at once
    lates = [arrivals.late(PACKET_US, MediaUs(now)) for _ in range(50)]
    assert sum(late > STALE for late in lates) == 50 - STALE // PACKET_US - 1
    assert lates[-1] <= PACKET_US


def test_a_network_that_became_slower_for_good_is_believed_after_three_seconds() -> None:
    arrivals = Arrivals()
    now = 0
    for number in range(400):
        now += PACKET_US
        late = arrivals.late(PACKET_US, MediaUs(now + (500_000 if number > 100 else 0)))
        assert (late > STALE) == (100 < number < 250)
