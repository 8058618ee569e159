"""Leads: from what agents measured to how far ahead a zone is sent to; stragglers; hysteresis."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.services import leads as rules
from controller.services.chunks import SourceKind
from controller.services.leads import TERMS, Leads, StreamLead
from protocol.messages import Status
from protocol.telemetry import Arrivals, ClockState, Health, OutputState

MIC, LIVE, RELAY = SourceKind.MICROPHONE, SourceKind.LIVE, SourceKind.RELAY


class Desk:
    """Leads with a clock in hand."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.leads = Leads(lambda: self.now)

    def tell(
        self,
        agent: str,
        *,
        p995: int | None = None,
        p95: int | None = None,
        p50: int | None = None,
        bundles: int = 1000,
        late: int = 0,
        reserve: int = 160,
        rtt_us: int | None = 500,
    ) -> None:
        """A status; a quantile that is not given is as the next one above."""
        health = Health(uptime_s=1, clock=ClockState.READY, output=OutputState.OK, clock_rtt_us=rtt_us)
        p95 = p995 if p95 is None else p95
        p50 = p95 if p50 is None else p50
        told = Arrivals(bundles=bundles, late=late, p50_ms=p50, p95_ms=p95, p995_ms=p995, reserve_ms=reserve)
        arrivals = None if p995 is None else told
        self.leads.heard(agent, Status(at=datetime(2026, 7, 1, tzinfo=UTC), health=health, arrivals=arrivals))


@pytest.mark.parametrize("kind", list(SourceKind))
def test_nobody_and_the_unknown_get_the_floor(kind: SourceKind) -> None:
    desk = Desk()
    desk.tell("near")
    assert desk.leads.lead_us([], kind) == desk.leads.lead_us(["unheard", "near"], kind) == TERMS[kind].floor_us


def test_the_unmeasured_far_away_get_room_for_a_retransmission() -> None:
    desk = Desk()
    desk.tell("4g", rtt_us=70_000)
    assert desk.leads.lead_us(["4g"], MIC) == rules.FAR_US


def test_a_lan_keeps_a_microphone_within_its_budget() -> None:
    desk = Desk()
    desk.tell("lan", p995=15, reserve=180)
    assert desk.leads.lead_us(["lan"], MIC) == 240_000
    assert desk.leads.lead_us(["lan"], LIVE) == 600_000


def test_a_zone_waits_for_its_slowest_member() -> None:
    desk = Desk()
    desk.tell("a", p995=10)
    desk.tell("b", p995=1500)
    assert desk.leads.lead_us(["a", "b"], LIVE) == 1_700_000
    assert desk.leads.lead_us(["a"], LIVE) == 600_000
    assert desk.leads.left_out(["a", "b"], LIVE) == frozenset()


def test_a_straggler_is_left_out_said_and_taken_back() -> None:
    desk = Desk()
    desk.tell("a", p995=10)
    desk.tell("slow", p995=5000)
    assert desk.leads.left_out(["a", "slow"], MIC) == {"slow"}
    assert desk.leads.left_out(["a", "slow"], RELAY) == frozenset()
    assert desk.leads.lead_us(["a", "slow"], MIC) == 240_000
    assert desk.leads.complaint("slow") == "live sound arrives up to 5.0 s late; left out of: microphone"
    assert desk.leads.complaint("a") is None
    desk.tell("slow", p995=3700)  # below the cap, above 80 % of it: once out, still out
    assert desk.leads.left_out(["slow"], MIC) == {"slow"}
    desk.tell("slow", p995=2000)
    assert desk.leads.left_out(["slow"], MIC) == frozenset()
    assert desk.leads.complaint("slow") is None


def test_one_stall_leaves_nobody_out() -> None:
    """12 s without a line: of ten minutes of a relay, of two minutes, of the first seconds of a microphone."""
    desk = Desk()
    desk.tell("ten", bundles=600, p50=30, p95=60, p995=10_000)
    desk.tell("two", bundles=120, p50=30, p95=9_000, p995=12_000)
    desk.tell("new", bundles=19, p50=9_000, p995=12_000)
    for kind in SourceKind:
        assert desk.leads.left_out(["ten", "two", "new"], kind) == frozenset()


def test_few_bundles_let_a_microphones_lead_grow_to_what_one_in_twenty_needs() -> None:
    desk = Desk()
    desk.tell("a", bundles=199, p50=20, p95=800, p995=3_000)
    assert desk.leads.lead_us(["a"], MIC) == 980_000
    desk.tell("a", bundles=200, p50=20, p95=800, p995=3_000)
    assert desk.leads.lead_us(["a"], MIC) == 3_180_000


def test_bundles_of_long_ago_make_no_quantile_better() -> None:
    desk = Desk()
    for _ in range(22):
        desk.tell("a", bundles=100_000, p995=10)
        desk.now += 30_000_000
    desk.tell("a", bundles=100_050, p50=20, p95=5_000, p995=9_000)
    assert desk.leads.left_out(["a"], MIC) == frozenset()


def test_a_straggler_that_hears_nothing_is_tried_again() -> None:
    desk = Desk()
    desk.tell("slow", p50=100, p995=9000)
    desk.now += rules.TRY_AGAIN_US - 1
    desk.tell("slow", p50=100, p995=9000)  # it was left out: it tells what it measured before
    assert desk.leads.left_out(["slow"], RELAY) == {"slow"}
    desk.now += 1
    assert desk.leads.left_out(["slow"], RELAY) == frozenset()
    assert desk.leads.lead_us(["slow"], RELAY) == TERMS[RELAY].floor_us  # as its line usually is


def test_a_trial_is_about_what_comes_then() -> None:
    desk = Desk()
    desk.tell("slow", p50=100, p995=9000)
    desk.now += rules.TRY_AGAIN_US
    desk.tell("slow", p50=100, p995=9000, bundles=1100)
    assert desk.leads.left_out(["slow"], RELAY) == frozenset()
    desk.tell("slow", p50=100, p995=9000, bundles=1200, late=10)
    assert desk.leads.left_out(["slow"], RELAY) == frozenset()  # one in 20 may
    desk.tell("slow", p50=100, p995=9000, bundles=1400, late=21)
    assert desk.leads.left_out(["slow"], RELAY) == {"slow"}
    desk.now += rules.TRY_AGAIN_US
    assert desk.leads.left_out(["slow"], RELAY) == {"slow"}  # twice as long
    desk.now += rules.TRY_AGAIN_US
    assert desk.leads.left_out(["slow"], RELAY) == frozenset()


def test_yesterdays_measurement_counts_no_more() -> None:
    desk = Desk()
    desk.tell("a", p995=2000)
    desk.now += rules.FORGOTTEN_US
    assert desk.leads.lead_us(["a"], LIVE) == TERMS[LIVE].floor_us
    desk.leads.forget("a")
    assert desk.leads.lead_us(["a"], LIVE) == TERMS[LIVE].floor_us


@given(
    st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 2_000)), max_size=8), st.sampled_from(list(SourceKind))
)
def test_everybody_who_is_not_left_out_has_what_it_needs(lines: list[tuple[int, int]], kind: SourceKind) -> None:
    desk = Desk()
    names = [str(number) for number in range(len(lines))]
    for name, (p995, reserve) in zip(names, lines, strict=True):
        desk.tell(name, p995=p995, reserve=reserve)
    lead, out = desk.leads.lead_us(names, kind), desk.leads.left_out(names, kind)
    assert TERMS[kind].floor_us <= lead <= TERMS[kind].cap_us
    for name, (p995, reserve) in zip(names, lines, strict=True):
        assert name in out or lead >= (p995 + reserve) * 1000


def test_a_running_stream_grows_where_nobody_hears_it() -> None:
    lead = StreamLead(600_000)
    assert not lead.grow(500_000, buffered_us=10**9)
    assert not lead.grow(1_000_000, buffered_us=300_000)
    assert lead.lead_us == 600_000
    assert lead.grow(1_000_000, buffered_us=400_000)
    assert lead.lead_us == 1_000_000
    assert lead.anchor(700_000) == lead.lead_us == 700_000


def test_a_new_anchor_is_wanted_for_a_need_that_lasts() -> None:
    lead = StreamLead(1_000_000)
    assert not lead.wants_anchor(1_050_000, 0)
    assert not lead.wants_anchor(2_000_000, 1_000)
    assert not lead.wants_anchor(2_000_000, rules.GROW_AFTER_US)
    assert not lead.wants_anchor(1_000_000, rules.GROW_AFTER_US + 1)  # it passed
    assert not lead.wants_anchor(2_000_000, 10 * rules.GROW_AFTER_US)
    assert lead.wants_anchor(2_000_000, 11 * rules.GROW_AFTER_US)
