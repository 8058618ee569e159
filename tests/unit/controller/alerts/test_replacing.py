"""A new alert in the place of an earlier one: one text is heard, nobody hears that all is well, nobody is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.services.alerts.model import Alert, AlertKind, AlertState, Repetition, Tone, Where
from controller.services.context import Actor, Role
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError
from controller.services.orders import Scope
from protocol.documents import PlayOrder, WithdrawOrder
from tests.unit.controller.alerts.siren_hall import Hall, open_hall

TWO_HOURLY = Repetition(1, timedelta(0), every=timedelta(hours=2))


async def sounding(hall: Hall, *clusters: str, **changes: object) -> Alert:
    """An alert that two people gave, at these clusters or at all of them."""
    where = Where(Scope(clusters=clusters)) if clusters else Where(Scope(areas=(hall.area,)))
    composed = await hall.armed(where=where, **{"repetition": TWO_HOURLY, **changes})
    return await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)


async def test_the_new_one_is_heard_instead_of_the_old_one(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        old = await sounding(hall)
        other = await hall.flood(title="Lũ lên cao hơn", tone=Tone.WARBLE)
        composed = await hall.armed(template=other.id, replaces=(old.id,))
        (seen,) = hall.desk.review_of(composed.alert).replaces
        assert (seen.alert.id, len(seen.ends), len(seen.goes_on)) == (old.id, 3, 0)
        assert hall.desk.get(hall.lan, old.id).state.given  # nothing ends before it is confirmed
        new = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        ended = hall.desk.get(hall.lan, old.id)
        assert (ended.state, ended.successor) == (AlertState.REPLACED, new.id)
        kinds = [type(each.order) for each in hall.sent()]
        assert kinds == [PlayOrder, WithdrawOrder, PlayOrder]  # no word of a cancel
        assert [each.rule_id for each in hall.withdrawals()] == list(old.rules)
        board = hall.desk.board(old.id)
        assert board is not None
        assert board.counts()["stopped"] == 3
        with pytest.raises(ConflictError) as refused:
            await hall.desk.cancel(hall.lan, old.id)
        assert refused.value.code == "alert_replaced"
        with pytest.raises(ConflictError) as refused:
            await hall.desk.extend(hall.minh, old.id, hall.stage.clock.now() + timedelta(hours=3))
        assert refused.value.code == "not_sounding"
        await hall.drained()
    async with open_hall(tmp_path, furnish=False) as restarted:
        known = restarted.desk.get(hall.lan, old.id)
        assert (known.state, known.successor, known.taken) == (AlertState.REPLACED, new.id, known.clusters)
        assert restarted.desk.get(hall.lan, new.id).state.given


async def test_where_the_new_one_does_not_sound_the_old_one_goes_on_until_cancelled(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        here, there, away = hall.clusters
        until = hall.stage.clock.now() + timedelta(hours=3)
        old = await sounding(hall, here, there, repetition=replace(TWO_HOURLY, until=until))
        new = await sounding(hall, there, away, replaces=(old.id,), again=True)
        left = hall.desk.get(hall.lan, old.id)
        assert left.state.given
        assert (left.remaining, left.taken) == (frozenset({here}), frozenset({there}))
        (silenced,) = [each for each in hall.sent() if isinstance(each.order, WithdrawOrder)]
        assert silenced.targets.clusters == (there,)
        await hall.desk.extend(hall.minh, old.id, until + timedelta(hours=2))
        assert hall.sent()[-1].targets.clusters == (here,)
        await hall.desk.cancel(hall.lan, old.id)
        silence, twin = hall.sent()[-2:]
        assert silence.targets.clusters == twin.targets.clusters == (here,)
        assert hall.desk.get(hall.lan, new.id).state.given


async def test_a_box_that_was_away_hears_only_the_new_one_also_after_a_restart(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        agent = hall.stage.agent_of(hall.clusters[0])
        hall.stage.gateway.present.discard(agent)
        old = await sounding(hall)
        other = await hall.flood(title="Lũ lên cao hơn", tone=Tone.WARBLE)
        new = await sounding(hall, template=other.id, replaces=(old.id,))

        def pending(of: Hall) -> list[str]:
            orders = [of.stage.trusting(agent).verify_command(each, now=of.stage.clock.now()).document.order
                      for each in of.stage.air.courier.pending_for(agent)]  # fmt: skip
            return [each.item.rule_id for each in orders if isinstance(each, PlayOrder)]

        assert pending(hall) == list(new.rules)
    async with open_hall(tmp_path, furnish=False) as restarted:
        assert pending(restarted) == list(new.rules)


async def test_who_got_it_and_was_away_when_it_was_cancelled_is_told_for_a_day(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        agent = hall.stage.agent_of(hall.clusters[0])
        old = await sounding(hall)
        hall.stage.gateway.present.discard(agent)  # it has the order, and repeats it every two hours by itself
        await hall.desk.cancel(hall.lan, old.id)
        hall.stage.clock.advance(hours=20)
        told = [hall.stage.trusting(agent).verify_command(each, now=hall.stage.clock.now()).document.order
                for each in hall.stage.air.courier.pending_for(agent)]  # fmt: skip
        assert [each.rule_id for each in told if isinstance(each, WithdrawOrder)] == list(old.rules)


async def test_what_the_disk_refuses_leaves_the_old_one_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hall(tmp_path) as hall:
        old = await sounding(hall)
        composed = await hall.armed(title="Mới", replaces=(old.id,), again=True)

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr("os.fsync", refuse)
            with pytest.raises(BusyError):
                await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert hall.desk.get(hall.lan, old.id) == old
        assert not hall.withdrawals()


async def test_a_cancel_of_the_old_one_at_the_same_moment_is_one_or_the_other(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        old = await sounding(hall)
        composed = await hall.armed(replaces=(old.id,), again=True)
        confirm = hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        new, over = await asyncio.gather(confirm, hall.desk.cancel(hall.lan, old.id), return_exceptions=True)
        assert isinstance(new, Alert)
        ended = hall.desk.get(hall.lan, old.id)
        assert ended.state is (AlertState.CANCELLED if isinstance(over, Alert) else AlertState.REPLACED)
        assert [each.rule_id for each in hall.withdrawals()] == list(old.rules)  # once


async def test_what_cannot_be_replaced_is_refused_while_composing(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        old = await sounding(hall)
        with pytest.raises(InvalidError) as refused:
            await hall.desk.compose(hall.lan, hall.draft(kind=AlertKind.VOICE, title="Lời", replaces=(old.id,)))
        assert refused.value.code == "not_replaceable"
        elsewhere = await hall.stage.area("Nơi khác")
        far = await hall.stage.cluster(elsewhere, "Cụm xa")
        stranger: Actor = await hall.person("tu", (Role.DUTY_OFFICER, elsewhere))
        where = Where(Scope(clusters=(far,)))
        with pytest.raises(ForbiddenError):
            await hall.desk.compose(stranger, hall.draft(where=where, replaces=(old.id,)))


async def test_after_it_ended_by_itself_nothing_is_silenced(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        old = await sounding(hall)
        composed = await hall.armed(replaces=(old.id,), again=True)
        await hall.desk.cancel(hall.lan, old.id)
        sent = len(hall.sent())
        await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert [type(each.order) for each in hall.sent()[sent:]] == [PlayOrder]
