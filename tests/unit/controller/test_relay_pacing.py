"""Timing of relayed sound: exact starts, no overlaps, a bounded buffer, short silences instead of fragments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audio.stream import Level
from controller.services.chunks import PACKET_US, Chunk, SourceKind
from controller.services.relay_pacing import ANCHOR_LEAD, CUSHION, LEAD, MAX_BUFFER, SHORTEST_LEAD, Pacer
from schedules.instants import MediaUs

SECOND = 1_000_000
CHUNK = SourceKind.RELAY.packets


def packets(count: int, first: int = 0) -> list[bytes]:
    return [(first + number).to_bytes(4, "big") for number in range(count)]


def drain(pacer: Pacer, now: int) -> list[Chunk]:
    taken = []
    while (chunk := pacer.take(MediaUs(now))) is not None:
        taken.append(chunk)
    return taken


def test_opened_ahead_the_first_chunk_plays_exactly_at_the_start_of_the_window() -> None:
    pacer = Pacer(MediaUs(10 * SECOND))
    out: list[Chunk] = []
    for tick in range(100):  # 10 s of a live source, 100 ms at a time
        now = tick * SECOND // 10
        pacer.push(packets(5, tick * 5))
        assert pacer.buffered_us <= CUSHION * PACKET_US
        out += drain(pacer, now)
    assert out[0].play_at == 10 * SECOND
    assert out[0].discontinuity
    assert [chunk.play_at - out[0].play_at for chunk in out] == [n * SECOND for n in range(len(out))]
    assert not any(chunk.discontinuity for chunk in out[1:])


def test_a_chunk_is_as_loud_as_its_loudest_part() -> None:
    pacer = Pacer(MediaUs(0))
    quiet, loud = Level(-30.0, -40.0), Level(-3.0, -12.0)
    for level in (None, quiet, loud, quiet, quiet):
        pacer.push(packets(CHUNK // 5), level)
    pacer.push(packets(CHUNK), quiet)
    assert [chunk.level for chunk in drain(pacer, 0)] == [loud, quiet]


def test_a_source_opened_in_the_middle_sounds_as_soon_as_it_can() -> None:
    pacer = Pacer(MediaUs(0))
    pacer.push(packets(CHUNK - 1))
    assert pacer.due_at(MediaUs(60 * SECOND)) is None
    pacer.push(packets(1))
    assert drain(pacer, 60 * SECOND)[0].play_at == 60 * SECOND + ANCHOR_LEAD


def test_of_a_long_burst_the_newest_part_is_kept_and_paced() -> None:
    pacer = Pacer(MediaUs(0))
    pacer.push(packets(1000))
    first = drain(pacer, 0)
    assert first[0].packets[0] == packets(1, 1000 - CUSHION)[0]
    assert [chunk.play_at for chunk in first] == [ANCHOR_LEAD, ANCHOR_LEAD + SECOND]  # no further ahead than LEAD
    assert pacer.due_at(MediaUs(0)) == ANCHOR_LEAD + 2 * SECOND - LEAD


def test_a_stall_is_a_short_silence_and_a_marked_new_beginning() -> None:
    pacer = Pacer(MediaUs(0))
    pacer.push(packets(CHUNK))
    before = drain(pacer, 0)[-1]
    late = before.ends - SHORTEST_LEAD + 1
    pacer.push(packets(CHUNK))
    after = drain(pacer, late)[0]
    assert after.discontinuity
    assert after.play_at == late + ANCHOR_LEAD


def test_a_short_stall_is_not_heard() -> None:
    pacer = Pacer(MediaUs(0))
    pacer.push(packets(CHUNK))
    before = drain(pacer, 0)[-1]
    in_time = before.ends - SHORTEST_LEAD
    pacer.push(packets(CHUNK))
    after = drain(pacer, in_time)[0]
    assert (after.play_at, after.discontinuity) == (before.ends, False)


def test_what_a_lost_source_left_still_plays_and_the_next_begins_anew() -> None:
    pacer = Pacer(MediaUs(0))
    pacer.push(packets(CHUNK + 7))
    assert len(drain(pacer, 0)) == 1
    pacer.interrupt()
    rest = drain(pacer, SECOND)
    assert [len(chunk.packets) for chunk in rest] == [7]
    pacer.push(packets(CHUNK))
    again = drain(pacer, 9 * SECOND)[0]
    assert (again.discontinuity, again.play_at) == (True, 9 * SECOND + ANCHOR_LEAD)


def test_the_reader_is_told_to_wait() -> None:
    pacer = Pacer(MediaUs(0))
    pacer.push(packets(CHUNK))
    drain(pacer, 0)
    states = []
    for count in (MAX_BUFFER - 1, 1):
        pacer.push(packets(count))
        states.append(pacer.full)
    drain(pacer, 0)
    assert [*states, pacer.full] == [False, True, False]


@given(
    st.integers(0, 20 * SECOND),
    st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(0, 120), st.booleans()), max_size=80),
)
def test_chunks_never_overlap_nor_go_out_too_early_or_too_late(start: int, steps: list[tuple[int, int, bool]]) -> None:
    pacer, now = Pacer(MediaUs(start)), 0
    last: Chunk | None = None
    for wait, count, lost in steps:
        now += wait
        if count and not pacer.full:
            pacer.push(packets(count))
        if lost:
            pacer.interrupt()
        for chunk in drain(pacer, now):
            assert chunk.packets
            assert chunk.play_at >= start
            assert chunk.play_at - now >= SHORTEST_LEAD
            if last is None:
                assert chunk.discontinuity
            else:
                assert chunk.play_at >= last.ends
                assert chunk.discontinuity or chunk.play_at == last.ends
            last = chunk
        due = pacer.due_at(MediaUs(now))
        assert due is None or due > now
        assert pacer.buffered_us <= (MAX_BUFFER + 120) * PACKET_US
