"""An emergency is armed before it is written down; nothing of that loses a sound or makes one twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agent.cache.state import Key
from agent.link.clerk import WAITING
from protocol.codec import seal_document
from protocol.documents import Command, StopOrder
from protocol.messages import AckOutcome
from schedules.ladder import Priority
from tests.unit.agent.post import ACCEPTED, NOW, Post, alarm
from tests.unit.agent.rehearsal import Rehearsal, SimClock
from tests.unit.protocol import district as d

LEAD = timedelta(milliseconds=400)


def ahead(number: int = ACCEPTED + 1) -> Command:
    return alarm(start=NOW + LEAD, seconds=5, seq=number, nonce=f"{number:032x}")


def sealed(command: Command) -> bytes:
    return seal_document(command, d.EMERGENCY)


def armed(post: Post) -> int:
    return len(post.stage.conductor._show.stage.acts)


def outcomes(post: Post) -> list[str]:
    return [record.outcome for record in post.stage.records()]


def test_it_is_armed_before_anything_is_written_and_then_its_start_is_written_before_its_number() -> None:
    post = Post()
    written = len(post.stage.ledger.batches)
    post.bring(sealed(ahead()))
    assert (armed(post), post.acks, len(post.stage.ledger.batches)) == (1, [], written)
    post.write()
    keys = [set(batch.memory) for batch in post.stage.ledger.batches[written:]]
    assert [Key.ARMED in one for one in keys].index(True) < [Key.COUNTERS in one for one in keys].index(True)
    assert [ack.outcome for ack in post.acks] == [AckOutcome.ACCEPTED]
    post.stage.run_for(10)
    assert outcomes(post) == ["played"]


def test_what_comes_late_does_not_wait_for_the_disk_either() -> None:
    post = Post()
    post.bring(sealed(alarm(start=NOW - timedelta(milliseconds=1), seconds=5)))
    assert (armed(post), post.acks) == (1, [])
    post.write()
    post.stage.run_for(10)
    assert outcomes(post) == ["played"]


def test_without_trusted_time_it_is_written_down_first() -> None:
    post = Post(Rehearsal(clock=SimClock(NOW), trusted=False))
    post.bring(sealed(ahead()))
    assert armed(post) == 0
    post.write()
    assert armed(post) == 1


def test_what_was_armed_and_not_written_is_unknown_after_a_power_cut_and_taken_when_it_is_offered_again() -> None:
    post = Post()
    post.bring(sealed(ahead()))
    rebooted = post.rebooted(off_for=0.1)
    assert armed(rebooted) == 0
    assert rebooted.offer(sealed(ahead())).outcome is AckOutcome.ACCEPTED
    rebooted.stage.run_for(10)
    assert outcomes(rebooted) == ["played"]


def test_the_same_order_twice_before_it_is_written_sounds_once() -> None:
    post = Post()
    post.bring(sealed(ahead()))
    post.bring(sealed(ahead()))
    assert armed(post) == 1
    post.write()
    assert [ack.code for ack in post.acks] == [None, "replayed"]
    post.stage.run_for(20)
    assert outcomes(post) == ["played"]


def test_a_lower_number_behind_a_higher_one_never_sounds() -> None:
    post = Post()
    post.bring(sealed(ahead(ACCEPTED + 2)))
    lower = replace(ahead(ACCEPTED + 1), issued=NOW - timedelta(seconds=1))
    post.bring(sealed(lower))
    assert armed(post) == 1
    post.write()
    assert [ack.code for ack in post.acks] == [None, "replayed"]
    assert [order.seq for order in post.stage.store.orders()] == [ACCEPTED + 2]  # nor after a boot
    post.stage.run_for(20)
    assert outcomes(post) == ["played"]


def test_a_stop_before_it_is_written_and_before_it_sounds_leaves_silence() -> None:
    post = Post()
    post.bring(sealed(ahead()))
    post.bring(sealed(replace(ahead(ACCEPTED + 2), order=StopOrder())))
    post.write()
    assert [ack.outcome for ack in post.acks] == [AckOutcome.ACCEPTED, AckOutcome.ACCEPTED]
    post.stage.run_for(20)
    assert [record.frames for record in post.stage.records()] == [0]


def test_what_cannot_be_written_down_for_want_of_room_is_not_armed_either() -> None:
    post = Post()
    for number in range(WAITING):
        programme = alarm(Priority.PROGRAMME, start=NOW + LEAD, seq=ACCEPTED + 1 + number)
        post.bring(seal_document(programme, d.PLAN))
    post.bring(sealed(ahead(ACCEPTED + WAITING + 1)))
    assert armed(post) == 0
    assert [ack.code for ack in post.acks] == ["busy"]
