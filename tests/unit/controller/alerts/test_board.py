"""The board, the review and the call sheet: pure, quick, and never better than the truth."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.services.alerts.board import SOUNDED, STATES, Board
from protocol.messages import Progress, ProgressStage
from tests.unit.controller.desk import START

END = START + timedelta(hours=1)


def board(clusters: int = 3, boxes: int = 1) -> Board:
    return Board("al_1", START, END, {f"c{n}": [f"a{n}.{m}" for m in range(boxes)] for n in range(clusters)})


def said(stage: str, **more: object) -> Progress:
    return Progress.model_validate({"term": 1, "seq": 1, "stage": stage, "at": 0, **more})


def test_a_box_climbs_the_ladder_and_a_late_word_does_not_push_it_down() -> None:
    one = board(1)
    for state, expected in (("sent", "delivered"), ("accepted", "verified")):
        one.delivery("a0.0", state, "", START)
        assert one.rows()[0].state == expected
    one.progress("a0.0", said("started", start_error_us=1500), START)
    one.delivery("a0.0", "accepted", "", START)  # the acknowledgement came after the first sound
    (row,) = one.rows()
    assert (row.state, row.sounded, row.start_error_us) == ("started", True, 1500)
    one.progress("a0.0", said("finished"), START)
    one.progress("a0.0", said("started"), START)  # the next round
    assert (one.rows()[0].rounds, one.rows()[0].state) == (1, "started")
    assert set(one.rows()[0].times) == {"queued", "delivered", "verified", "started", "finished"}


@pytest.mark.parametrize("code", ["stopped", "withdrawn"])
def test_who_was_silenced_in_the_middle_has_not_finished(code: str) -> None:
    one = board(1)
    one.progress("a0.0", said("started"), START)
    one.stopped(None, START)
    one.progress("a0.0", said("finished", code=code), START)
    (row,) = one.rows()
    assert (row.state, row.code, row.sounded, row.rounds) == ("stopped", code, True, 0)


def test_a_cluster_stands_where_its_best_box_stands() -> None:
    one = board(1, boxes=2)
    one.delivery("a0.0", "refused", "unknown_key", START)
    one.progress("a0.1", said("started"), START)
    assert one.rows()[0].state == "started"
    assert one.red(START + timedelta(seconds=16)) == []


def test_who_is_silent_after_fifteen_seconds_is_red_and_missed_in_the_end() -> None:
    one = Board("al_1", START, END, {"c0": ["a0"], "c1": ["a1"], "c2": []})
    one.progress("a0", said("started"), START)
    assert one.red(START + timedelta(seconds=14)) == []
    assert [row.cluster_id for row in one.red(START + timedelta(seconds=15))] == ["c1", "c2"]
    one.close(END)
    assert {row.cluster_id: row.state for row in one.rows()} == {"c0": "started", "c1": "missed", "c2": "no_box"}
    assert one.counts()["missed"] == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a0.0", "a1.0", "a2.0", "strange"]),
            st.one_of(
                st.sampled_from(["queued", "sent", "accepted", "refused", "retired"]),
                st.sampled_from(["started", "finished", "refused", "muted", "tested"]).map(said),
                st.none(),
            ),
        ),
        max_size=30,
    )
)
def test_whatever_comes_the_board_counts_every_cluster_once_and_tells_every_change(
    facts: list[tuple[str, str | Progress | None]],
) -> None:
    one = board()
    seen = {row.cluster_id: row for row in one.rows()}
    revision = one.revision
    sounded: set[str] = set()
    for agent, fact in facts:
        if isinstance(fact, Progress):
            one.progress(agent, fact, START)
            if fact.stage in {ProgressStage.STARTED, ProgressStage.FINISHED} and agent != "strange":
                sounded.add(agent)
        elif fact is None:
            one.stopped(None, START)
        else:
            one.delivery(agent, fact, "", START)
        seen |= {row.cluster_id: row for row in one.rows(revision)}
        revision = one.revision
    assert list(seen.values()) == one.rows()
    assert sum(one.counts().values()) == 3
    assert set(one.counts()) == set(STATES)
    assert one.sounded() == len(sounded)
    assert all(row.state in STATES for row in one.rows())
    assert {row.state for row in one.rows() if not row.sounded}.isdisjoint({"started", "heard"} & SOUNDED)


def test_an_acknowledgement_that_was_overtaken_by_the_sound_is_noted() -> None:
    one = board()
    one.progress("a0.0", said("started"), START)
    revision = one.revision
    one.delivery("a0.0", "accepted", "", START + timedelta(seconds=1))
    (row,) = one.rows(revision)
    assert (row.state, row.times["verified"]) == ("started", START + timedelta(seconds=1))
    one.delivery("a0.0", "accepted", "", START + timedelta(seconds=2))
    assert one.rows(row.revision) == []


def test_two_thousand_clusters_are_told_by_what_changed() -> None:
    one = board(2000)
    for n in range(2000):
        one.delivery(f"a{n}.0", "sent", "", START)
    revision = one.revision
    one.progress("a7.0", said("started"), START)
    assert (len(one.rows()), one.sounded()) == (2000, 1)
    assert [row.cluster_id for row in one.rows(revision)] == ["c7"]
    assert one.take_dirty(START - timedelta(seconds=1)) == []  # its neighbours may still change
    assert len(one.take_dirty(START)) == 2000
    assert one.take_dirty() == []


@pytest.mark.parametrize("stage", ["muted", "refused"])
def test_what_a_box_refuses_to_sound_is_said_with_its_reason(stage: str) -> None:
    one = board(1)
    one.progress("a0.0", said(stage, code="start_flood"), START)
    assert (one.rows()[0].state, one.rows()[0].code) == (stage, "start_flood")
