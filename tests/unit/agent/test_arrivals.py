"""Arrival delays of live bundles, by the agent's clock filter, in bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.conductor.arrivals import DECODE_MS, LEAST_MS, MOST_MS, SLOT_US, SLOTS, ArrivalMeter
from protocol.bundle import Bundle
from protocol.burst import Exchange
from protocol.clock import ClockFilter
from protocol.messages import UtcQuality
from schedules.instants import MediaUs, MonoUs

OFFSET = 5_000_000_000


def followed(now: int = 0) -> ClockFilter:
    """A filter that follows a timeline OFFSET ahead of the agent's clock, with a round trip of 2 ms."""
    timebase = ClockFilter()
    ask(timebase, now, now + 1_000_000, now + 2_000_000)
    return timebase


def ask(timebase: ClockFilter, *instants: int) -> None:
    for at in instants:
        t0, t1, t2, t3 = at, at + 1000 + OFFSET, at + 1000 + OFFSET, at + 2000
        timebase.update([Exchange(MonoUs(t0), MediaUs(t1), MediaUs(t2), MonoUs(t3), 7, 0, UtcQuality.SYNCHRONISED)])


def bundle(play_at: int, lead_ms: int = 1000) -> Bundle:
    return Bundle(1, 7, 9, 1, lead_ms, 960, MediaUs(play_at), 0, (b"x",))


def note(meter: ArrivalMeter, sent: int, delay_us: int, *, lead_ms: int = 1000, output_us: int = 0) -> None:
    meter.note(bundle(sent + OFFSET + lead_ms * 1000, lead_ms), MonoUs(sent + delay_us), output_us=output_us)


START = 3_000_000


def test_nothing_before_the_first_bundle_and_no_delays_without_a_clock() -> None:
    meter = ArrivalMeter(followed())
    assert meter.told(MonoUs(START), output_us=0) is None
    lost = ArrivalMeter(ClockFilter())
    note(lost, START, 5_000)
    told = lost.told(MonoUs(START), output_us=100_000)
    assert told is not None
    assert (told.bundles, told.p995_ms, told.needed_lead_ms, told.reserve_ms) == (1, None, None, 100 + DECODE_MS)


def test_quantiles_and_the_lead_that_is_needed() -> None:
    meter = ArrivalMeter(followed())
    for number in range(1000):
        note(meter, START + number * 20_000, 700_000 if number % 100 == 0 else 10_000)
    told = meter.told(MonoUs(START + 20_000_000), output_us=100_000)
    assert told is not None
    assert told.p50_ms is not None
    assert told.p995_ms is not None
    assert 10 <= told.p50_ms <= 12
    assert told.p95_ms == told.p50_ms
    assert 700 <= told.p995_ms <= 771
    assert told.needed_lead_ms == told.p995_ms + 200


def test_a_good_line_needs_the_least_and_a_hopeless_one_the_most() -> None:
    good, hopeless = ArrivalMeter(followed()), ArrivalMeter(followed())
    note(good, START, -3_000)  # the clock's error: nothing arrives before it was sent
    note(hopeless, START, 90_000_000)
    told = good.told(MonoUs(START), output_us=0)
    assert told is not None
    assert told.needed_lead_ms == LEAST_MS
    told = hopeless.told(MonoUs(START + 90_000_000), output_us=0)
    assert told is not None
    assert told.needed_lead_ms == MOST_MS


def test_late_is_what_the_output_can_no_longer_sound_whole() -> None:
    meter = ArrivalMeter(followed())
    note(meter, START, 150_000, lead_ms=250, output_us=90_000)
    note(meter, START, 170_000, lead_ms=250, output_us=90_000)
    told = meter.told(MonoUs(START), output_us=0)
    assert told is not None
    assert (told.bundles, told.late) == (2, 1)


def test_ten_minutes_are_remembered_and_no_more() -> None:
    timebase = followed()
    meter = ArrivalMeter(timebase)
    note(meter, START, 900_000)
    for slot in range(1, 3 * SLOTS):
        ask(timebase, START + slot * SLOT_US - 10_000)
        note(meter, START + slot * SLOT_US, 10_000)
        assert len(meter._slots) <= SLOTS
    told = meter.told(MonoUs(START + 3 * SLOTS * SLOT_US), output_us=0)
    assert told is not None
    assert told.p995_ms is not None
    assert told.p995_ms <= 12
    told = meter.told(MonoUs(START + 5 * SLOTS * SLOT_US), output_us=0)
    assert told is not None
    assert told.p995_ms is None
    assert told.bundles == 3 * SLOTS


@given(st.lists(st.integers(0, 50_000_000), min_size=1, max_size=60))
def test_a_quantile_is_never_told_too_small(delays: list[int]) -> None:
    meter = ArrivalMeter(followed())
    for delay in delays:
        note(meter, START, delay)
    told = meter.told(MonoUs(START), output_us=0)
    assert told is not None
    assert told.p995_ms is not None
    worst = max(delays) / 1000
    assert worst - 0.01 <= told.p995_ms <= worst * 1.1 + 2.1
