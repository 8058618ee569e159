"""Composing, the second person, solo, extending, cancelling: what may sound, and who may let it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from audio.errors import SpeechError
from controller.services.alerts.desk import Composed
from controller.services.alerts.model import (
    CADENCE,
    VOICE_LIFE,
    AlertKind,
    AlertState,
    Origin,
    Repetition,
    Tone,
    Where,
    Words,
)
from controller.services.context import SYSTEM, Role, RoleGrant
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError, TooManyError
from controller.services.live import LiveSession
from controller.services.orders import Scope
from controller.store.tables import Audit
from protocol.authority import roles_of
from protocol.keys import Role as KeyRole
from protocol.messages import Progress, ProgressStage
from protocol.telemetry import PlayOutcome, PlayRecord
from schedules.instants import Frames
from schedules.ladder import Priority
from tests.unit.controller.air_kit import ADMIN, command, until
from tests.unit.controller.alerts.siren_hall import Hall, Talker, open_hall


async def test_two_people_make_one_signed_order_that_agents_believe(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        assert composed.alert.state is AlertState.ARMED
        assert hall.stage.gateway.commands == []
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert (given.state, given.given and given.given.by.name) == (AlertState.CONFIRMED, "minh")
        ((envelope, targets),) = hall.stage.gateway.commands
        assert targets == {hall.stage.agent_of(each) for each in hall.clusters}
        agent = hall.stage.agent_of(hall.clusters[0])
        verified = hall.stage.trusting(agent).verify_command(envelope, now=hall.stage.clock.now())
        assert verified.document.priority is Priority.EMERGENCY_STORED
        assert roles_of(verified.document) == {KeyRole.EMERGENCY}
        (play,) = hall.plays()
        tone, words = play.item.content.clips
        assert tone.sha256 == hall.stage.air.alarms.tones[Tone.SIREN].sha256
        assert words.approval is not None


async def test_who_composed_cannot_confirm(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        with pytest.raises(ForbiddenError) as refused:
            await hall.desk.confirm(hall.lan, composed.alert.id, composed.code)
        assert refused.value.code == "same_person"
        assert hall.stage.gateway.commands == []


async def test_who_lost_the_role_a_moment_ago_cannot_confirm_and_their_composition_is_void(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        base = hall.stage.base
        composed = await hall.armed()
        minh = base.directory.users[hall.minh.user_id]
        base.directory.put_user(replace(minh, grants=(RoleGrant(Role.VIEWER, hall.area),)))
        with pytest.raises(ForbiddenError):  # the request still carries the old rights
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        base.directory.put_user(minh)
        lan = base.directory.users[hall.lan.user_id]
        base.directory.put_user(replace(lan, disabled=True))
        with pytest.raises(ForbiddenError) as refused:
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert refused.value.code == "composer_lost_right"
        with pytest.raises(ForbiddenError) as gone:
            await hall.desk.override(hall.lan, composed.alert.id, "nobody else is there")
        assert gone.value.code == "account_gone"
        assert hall.stage.gateway.commands == []


async def test_rights_must_hold_over_every_target(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        far = await hall.stage.area("A Vao")
        away = await hall.stage.cluster(far, "Xa")
        both = Where(Scope(areas=(hall.area,), clusters=(away,)))
        with pytest.raises(ForbiddenError):
            await hall.desk.compose(hall.lan, hall.draft(where=both))
        chief = await hall.person("chief", (Role.ADMIN, None))
        composed = await hall.desk.compose(chief, hall.draft(where=both))
        with pytest.raises(ForbiddenError):
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        with pytest.raises(ForbiddenError):
            await hall.desk.compose(hall.lan, hall.draft(where=Where(Scope(everywhere=True))))


async def test_the_code_is_needed_and_guessing_it_is_not_possible(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        for _ in range(5):
            with pytest.raises(ForbiddenError) as refused:
                await hall.desk.confirm(hall.minh, composed.alert.id, "wrong")
            assert refused.value.code == "wrong_code"
        for code in ("wrong", composed.code):  # who guesses on does not learn that one was right
            with pytest.raises(TooManyError):
                await hall.desk.confirm(hall.minh, composed.alert.id, code)
        hall.stage.clock.advance(minutes=1)
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert given.state is AlertState.CONFIRMED


async def test_after_ten_minutes_it_must_be_composed_again(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        hall.stage.clock.advance(minutes=10)
        with pytest.raises(ConflictError) as refused:
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert refused.value.code == "code_expired"
        await hall.stage.air.alarms.tender.tick()
        assert hall.desk.get(hall.lan, composed.alert.id).state is AlertState.EXPIRED
        assert hall.stage.gateway.commands == []


async def test_two_confirmations_at_once_are_one_order(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        third = await hall.person("hoa", (Role.DUTY_OFFICER, hall.area))
        composed = await hall.armed()
        tries = [hall.desk.confirm(who, composed.alert.id, composed.code) for who in (hall.minh, hall.minh, third)]
        first, again, other = await asyncio.gather(*tries, return_exceptions=True)
        assert first == again
        assert isinstance(other, ConflictError)
        assert len(hall.plays()) == 1


async def test_a_retry_with_the_same_key_gets_the_same_answer_also_after_a_restart(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.desk.compose(hall.lan, hall.draft(), idempotency_key="k-compose")
        again = await hall.desk.compose(hall.lan, hall.draft(), idempotency_key="k-compose")
        assert (again.alert, again.code) == (composed.alert, composed.code)
        with pytest.raises(ConflictError, match="something else"):
            await hall.desk.compose(hall.lan, hall.draft(title="Khác"), idempotency_key="k-compose")
        assert hall.desk.recorded(hall.minh, "k-confirm") is None
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code, idempotency_key="k-confirm")
    async with open_hall(tmp_path, furnish=False) as restarted:
        used = restarted.desk.recorded(hall.minh, "k-confirm")
        assert used is not None
        assert (used.step, used.alert_id) == ("confirm", given.id)
        answer = await restarted.desk.confirm(hall.minh, given.id, composed.code, idempotency_key="k-confirm")
        assert answer == given
        assert restarted.stage.gateway.commands == []  # nothing is given twice
        agent = restarted.stage.agent_of(hall.clusters[0])
        assert len(restarted.stage.air.courier.pending_for(agent)) == 1  # but who comes is told
        second = await restarted.desk.compose(hall.lan, hall.draft())
        with pytest.raises(ConflictError) as duplicate:  # and the duplicate rule knows it, too
            await restarted.desk.confirm(hall.minh, second.alert.id, second.code)
        assert duplicate.value.code == "duplicate_order"


async def test_a_key_stands_for_one_alert_alone(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        one, other = await hall.armed(), await hall.armed(title="Khác")
        await hall.desk.confirm(hall.minh, one.alert.id, one.code, idempotency_key="k")
        with pytest.raises(ConflictError, match="something else"):  # a success would have meant: it sounds
            await hall.desk.confirm(hall.minh, other.alert.id, other.code, idempotency_key="k")
        await hall.desk.cancel(hall.minh, one.alert.id, idempotency_key="k2")
        with pytest.raises(ConflictError, match="something else"):
            await hall.desk.cancel(hall.minh, other.alert.id, idempotency_key="k2")
        assert hall.desk.get(hall.lan, other.alert.id).state is AlertState.ARMED


async def test_a_double_click_on_compose_is_one_alert(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        tries = [hall.desk.compose(hall.lan, hall.draft(), idempotency_key="k") for _ in range(3)]
        made = await asyncio.gather(*tries)
        assert {(each.alert.id, each.code) for each in made} == {(made[0].alert.id, made[0].code)}
        assert len(hall.desk.alerts(hall.lan)) == 1


async def test_its_end_by_the_clock_does_not_undo_a_step_taken_meanwhile(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        first = hall.stage.clock.now() + timedelta(hours=4)
        composed = await hall.armed(repetition=Repetition(1, timedelta(0), every=timedelta(hours=2), until=first))
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        tender = hall.stage.air.alarms.tender
        tender.stopped(None, hall.stage.clock.now())  # STOP, and before it is written down:
        until = hall.stage.clock.now() + timedelta(hours=22)
        await hall.desk.extend(hall.minh, given.id, until)
        await tender.tick()
        now = hall.desk.get(hall.lan, given.id)
        assert now.state.given  # it goes on, and can still be cancelled
        await hall.desk.cancel(hall.minh, given.id)
        assert {each.rule_id for each in hall.withdrawals()} == set(now.rules)


async def test_the_same_within_three_minutes_is_refused_unless_stopped_or_said_again(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:

        async def given(**changes: bool) -> None:
            composed = await hall.armed(**changes)
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)

        await given()
        hall.stage.clock.advance(seconds=179)
        with pytest.raises(ConflictError) as refused:
            await given()
        assert refused.value.code == "duplicate_order"
        await given(again=True)
        await hall.stage.air.orders.stop(ADMIN, Scope(areas=(hall.area,)))
        await given()
        assert len(hall.plays()) == 3


async def test_one_alone_says_why_and_every_superior_is_told(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        chief = await hall.person("chief", (Role.ADMIN, None))
        other = await hall.person("other", (Role.EDITOR, hall.area))
        composed = await hall.armed()
        with pytest.raises(InvalidError):
            await hall.desk.override(hall.lan, composed.alert.id, " ")
        with pytest.raises(ForbiddenError) as refused:
            await hall.desk.override(hall.minh, composed.alert.id, "I want to")
        assert refused.value.code == "not_composer"
        given = await hall.desk.override(hall.lan, composed.alert.id, "đường dây đứt")
        assert (given.state, given.solo) == (AlertState.OVERRIDDEN, True)
        notices = hall.desk.notices
        told = {who.name for who in (chief, hall.minh, hall.lan, other) if notices.of(who)}
        assert told == {"chief", "minh"}
        (notice,) = notices.of(chief, unseen=True)
        assert "đường dây đứt" in notice.text
        local = given.composed.at.astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))
        assert f"{local:%d/%m/%Y}" in notice.text
        assert "+00:00" not in notice.text
        notices.see(chief, notice.id)
        assert notices.of(chief, unseen=True) == []
        await hall.drained()
        assert {"alert.compose", "alert.override", "order.play"} <= await audit_actions(hall)
    async with open_hall(tmp_path, furnish=False) as restarted:
        assert len(restarted.desk.notices.of(chief)) == 1


async def audit_actions(hall: Hall) -> set[str]:
    async with hall.stage.base.db.read() as session:
        return set(await session.exec(select(Audit.action)))


async def test_cancelling_silences_first_and_then_tells_people_with_the_twin(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        heard: list[str] = []
        hall.desk.on_cancelled.append(lambda alert: heard.append(alert.id))
        over = await hall.desk.cancel(hall.lan, given.id, reason="nhầm")
        assert over.state is AlertState.CANCELLED
        kinds = [type(each.order).__name__ for each in hall.sent()]
        assert kinds == ["PlayOrder", "WithdrawOrder", "PlayOrder"]
        assert [each.rule_id for each in hall.withdrawals()] == list(given.rules)
        twin = hall.plays()[-1].item
        assert (twin.priority, twin.content.clips[0].sha256) == (
            Priority.EMERGENCY_STORED,
            hall.stage.air.alarms.tones[Tone.GONG].sha256,
        )
        assert twin.title == f"Lời hủy: {given.title}"  # who sees it sound does not take it for the alert
        assert heard == [given.id]
        assert await hall.desk.cancel(hall.lan, given.id) == over  # twice is no error


async def test_what_a_stop_ended_can_be_cancelled_once_more_so_that_people_hear_its_end(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        await hall.stage.air.orders.stop(ADMIN, Scope(areas=(hall.area,)))
        await hall.stage.air.alarms.tender.tick()
        stopped = hall.desk.get(hall.lan, given.id)
        assert (stopped.state, stopped.stopped, len(hall.plays())) == (AlertState.CANCELLED, True, 1)
        over = await hall.desk.cancel(hall.lan, given.id, reason="hết nguy hiểm")
        assert (over.state, over.stopped, len(hall.plays())) == (AlertState.CANCELLED, False, 2)
        assert hall.plays()[-1].item.rule_id.startswith(f"{given.id}_c")
        assert await hall.desk.cancel(hall.lan, given.id) == over
        assert len(hall.plays()) == 2  # the twin goes out once
        await hall.drained()
        assert {"alert.stop", "alert.cancel"} <= await audit_actions(hall)


async def test_who_was_away_hears_the_twin_but_not_the_cancelled_alert(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        away = hall.stage.agent_of(hall.clusters[0])
        hall.stage.gateway.present.discard(away)
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        await hall.desk.cancel(hall.lan, given.id)
        waiting = [command(each).order for each in hall.stage.air.courier.pending_for(away)]
        assert [type(each).__name__ for each in waiting] == ["WithdrawOrder", "PlayOrder"]


async def test_an_armed_alert_that_is_cancelled_sends_nothing(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        await hall.desk.cancel(hall.minh, composed.alert.id)
        with pytest.raises(ConflictError):
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert hall.stage.gateway.commands == []


async def test_until_cancelled_with_the_cadence_of_disasters_and_longer(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        now = hall.stage.clock.now()
        composed = await hall.armed(repetition=Repetition(2, timedelta(seconds=5), CADENCE, now + timedelta(hours=5)))
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        (play,) = hall.plays()
        assert (play.every, play.until) == (CADENCE, now + timedelta(hours=5))
        heard: list[object] = []
        hall.desk.on_extended.append(lambda alert: heard.append(alert.repetition.until))
        until_ = now + timedelta(hours=9)
        extended = await hall.desk.extend(hall.minh, given.id, until_)
        longer = hall.plays()[-1]
        assert (longer.item, longer.every, longer.until) == (play.item, play.every, until_)
        assert (extended.rules, heard) == (given.rules, [until_])
        assert extended.expires is not None
        assert extended.expires > until_
        with pytest.raises(InvalidError):
            await hall.desk.extend(hall.minh, given.id, now + timedelta(hours=25))
        with pytest.raises(InvalidError) as shorter:
            await hall.desk.extend(hall.minh, given.id, until_ - timedelta(hours=1))
        assert shorter.value.code == "not_later"


async def test_what_repeats_until_it_is_cancelled_is_never_shortened_by_extending_it(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed(repetition=Repetition(1, timedelta(seconds=5), CADENCE))
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        with pytest.raises(InvalidError) as shorter:
            await hall.desk.extend(hall.minh, given.id, hall.stage.clock.now() + timedelta(hours=2))
        assert shorter.value.code == "not_later"
        assert hall.desk.get(hall.minh, given.id).repetition.until is None


async def test_a_single_alert_that_is_extended_goes_on_every_two_hours_from_now(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        extended = await hall.desk.extend(hall.minh, given.id, hall.stage.clock.now() + timedelta(hours=4))
        assert len(extended.rules) == 2
        assert hall.plays()[-1].every == CADENCE
        await hall.desk.cancel(hall.minh, given.id)
        assert {each.rule_id for each in hall.withdrawals()} == set(extended.rules)


async def test_words_are_spoken_while_composing_and_approved_by_who_confirms(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        hall.desk._composer._speaker._engine = Talker()
        draft = hall.draft(
            kind=AlertKind.TEXT,
            template=None,
            title="Vỡ đập",
            tone=Tone.WARBLE,
            words=(Words("vi", "Đập vỡ, chạy ngay"),),
        )
        composed = await hall.desk.compose(hall.lan, draft)
        assert composed.alert.state is AlertState.COMPOSED
        with pytest.raises(ConflictError) as early:
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert early.value.code == "still_preparing"
        await until(lambda: hall.desk.get(hall.lan, composed.alert.id).state is AlertState.ARMED)
        await hall.stage.air.alarms.stock.refresh()
        stock = {clip.sha256 for clip in hall.stage.air.shelf.of(hall.clusters[0])}
        armed = hall.desk.get(hall.lan, composed.alert.id)
        assert armed.message is not None
        assert {clip.sha256 for clip in armed.message.clips} <= stock  # fetched before anybody confirms
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert given.message is not None
        (spoken,) = given.message.spoken
        assert spoken.clip.approval is not None
        assert spoken.clip.approval.by == "minh"
        with pytest.raises(InvalidError) as refused:
            await hall.desk.compose(hall.lan, replace(draft, words=(Words("bru", "…ơ"),)))
        assert refused.value.code == "no_voice"


class Mumbler(Talker):
    """Begins to speak, and would never end."""

    def __init__(self) -> None:
        self.speaking = 0

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        self.speaking += 1
        try:
            return await asyncio.Future()
        finally:
            self.speaking -= 1


async def test_the_speech_of_a_cancelled_alert_ends_and_the_next_one_is_spoken(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        speaker, mumbler = hall.desk._composer._speaker, Mumbler()
        draft = hall.draft(kind=AlertKind.TEXT, template=None, title="Vỡ đập", words=(Words("vi", "Chạy ngay"),))
        speaker._engine = mumbler
        stuck = [await hall.desk.compose(hall.lan, replace(draft, title=name)) for name in "abc"]  # more than speak
        await until(lambda: mumbler.speaking == 2)
        for each in stuck:
            assert (await hall.desk.cancel(hall.lan, each.alert.id)).state is AlertState.CANCELLED
        await until(lambda: mumbler.speaking == 0)
        assert list((tmp_path / "uploads").glob("alert-*")) == []
        speaker._engine = Talker()
        composed = await hall.desk.compose(hall.lan, draft)
        await until(lambda: hall.desk.get(hall.lan, composed.alert.id).state is AlertState.ARMED)
        assert {hall.desk.get(hall.lan, each.alert.id).state for each in stuck} == {AlertState.CANCELLED}


class Couple(Talker):
    """Speaks when two speak at once, and refuses one word."""

    languages = ("en", "vi")

    def __init__(self) -> None:
        self.both = asyncio.Barrier(2)

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        if "xyz" in text:
            raise SpeechError("no such word", code="speech_failed")
        async with asyncio.timeout(10):
            await self.both.wait()
        return await super().speak(text, out, language=language)


async def test_languages_are_spoken_beside_each_other_in_their_order(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        hall.desk._composer._speaker._engine = Couple()
        words = (Words("vi", "Đập vỡ, chạy ngay"), Words("en", "The dam broke. Run."))
        draft = hall.draft(kind=AlertKind.TEXT, template=None, title="Vỡ đập", words=words)
        composed = await hall.desk.compose(hall.lan, draft)
        await until(lambda: hall.desk.get(hall.lan, composed.alert.id).state is AlertState.ARMED)
        armed = hall.desk.get(hall.lan, composed.alert.id)
        assert armed.message is not None
        assert armed.twin is not None
        assert (armed.message.languages, armed.twin.languages) == (("vi", "en"), ("vi", "en"))
        failing = replace(draft, words=(Words("vi", "Chạy lên"), Words("en", "xyz")))
        composed = await hall.desk.compose(hall.lan, failing)
        await until(lambda: hall.desk.get(hall.lan, composed.alert.id).state is AlertState.EXPIRED)
        assert hall.desk.get(hall.lan, composed.alert.id).fault == "speech_failed: no such word"


async def test_a_policy_sends_templates_alone_and_superiors_are_told(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        draft = hall.draft(origin=Origin("policy", "Đài KTTV / lũ quét", "CAP 123"))
        given = await hall.desk.issue_automatic(draft, "Đài KTTV / lũ quét")
        assert given.state is AlertState.CONFIRMED
        assert len(hall.plays()) == 1
        assert hall.desk.notices.of(hall.minh)
        with pytest.raises(InvalidError):
            await hall.desk.issue_automatic(replace(draft, kind=AlertKind.TEXT), "x")
        over = await hall.desk.cancel(SYSTEM, given.id)
        assert over.state is AlertState.CANCELLED


async def test_the_disk_that_refuses_lets_nothing_sound_but_a_cancel_silences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hall(tmp_path) as hall:
        first = await hall.armed()
        given = await hall.desk.confirm(hall.minh, first.alert.id, first.code)
        second = await hall.armed(again=True)
        hall.stage.gateway.commands.clear()
        full = monkeypatch.context()
        with full as disk:
            disk.setattr(os, "fsync", no_room)
            await refused_by_the_disk(hall, given.id, second)
        assert (await hall.desk.confirm(hall.minh, second.alert.id, second.code)).state is AlertState.CONFIRMED


def no_room(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


async def refused_by_the_disk(hall: Hall, sounding: str, waiting: Composed) -> None:
    with pytest.raises(BusyError) as refused:
        await hall.desk.confirm(hall.minh, waiting.alert.id, waiting.code)
    assert refused.value.code == "not_recorded"
    assert hall.stage.gateway.commands == []
    assert hall.desk.get(hall.lan, waiting.alert.id).state is AlertState.ARMED
    with pytest.raises(BusyError):
        await hall.desk.cancel(hall.lan, sounding)
    assert [type(each.order).__name__ for each in hall.sent()] == ["WithdrawOrder"]


async def test_nobody_heard_it_is_said(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        hall.stage.gateway.present.clear()
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        hall.stage.clock.advance(hours=2)
        await hall.stage.air.alarms.tender.tick()
        assert hall.desk.get(hall.lan, given.id).state is AlertState.MISSED
        board = hall.desk.board(given.id)
        assert board is not None
        assert board.counts()["missed"] == 3


async def test_stop_everywhere_ends_it_and_the_board_says_so(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed()
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        number = (1, hall.sent()[0].seq)
        hall.tells(hall.clusters[0], (hall.sent()[0].term, number[1]), ProgressStage.STARTED, rule_id=given.rules[0])
        await hall.stage.air.orders.stop(ADMIN, Scope(everywhere=True))
        await hall.stage.air.alarms.tender.tick()
        assert hall.desk.get(hall.lan, given.id).state is AlertState.CANCELLED
        board = hall.desk.board(given.id)
        assert board is not None
        assert board.counts()["stopped"] == 3


async def test_emergencies_have_a_rate_of_their_own(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        for _ in range(6):
            composed = await hall.armed(again=True)
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        composed = await hall.armed(again=True)
        with pytest.raises(TooManyError):
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        await hall.desk.override(hall.lan, composed.alert.id, "the other account is exhausted")


async def heard_live(hall: Hall, alert_id: str, session: LiveSession) -> None:
    """The board of a voice counts from its first word, and knows who hears it."""
    board, boards, clock = hall.desk.board(alert_id), hall.stage.air.alarms.boards, hall.stage.clock
    assert board is not None
    clock.advance(seconds=20)
    assert board.red(clock.now()) == []  # nobody has spoken yet
    ends = clock.now() + VOICE_LIFE
    hall.stage.air.alarms.tender.voice_changed(alert_id, clock.now(), ends)
    assert hall.desk.get(hall.lan, alert_id).expires == board.expires == ends  # the session outlasts the confirmation
    (stream,) = session.stream_ids
    said = Progress(term=1, seq=99, stream=stream, stage=ProgressStage.STARTED, at=clock.now(), start_error_us=80)
    boards.progress(hall.stage.agent_of(hall.clusters[0]), said)
    clock.advance(seconds=16)
    assert [row.cluster_id for row in board.red(clock.now())] == sorted(hall.clusters[1:])
    record = PlayRecord(
        seq=1, occurrence_id="0" * 64, priority=90, outcome=PlayOutcome.PLAYED, started=clock.now(), stream=stream
    )
    boards.records(hall.stage.agent_of(hall.clusters[1]), [record])
    assert (board.sounded(), board.counts()["finished"]) == (2, 1)
    assert hall.desk.get(hall.lan, alert_id).phase(started=board.sounded(), now=clock.now()) == "sounding"


async def test_a_voice_is_opened_for_who_composed_it_and_ends_with_the_alert(tmp_path: Path) -> None:
    async with open_hall(tmp_path) as hall:
        composed = await hall.armed(kind=AlertKind.VOICE, template=None, title="Vỡ đập")
        assert composed.alert.priority is Priority.EMERGENCY_LIVE
        given = await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        live = hall.stage.air.live
        (session,) = live.sessions(ADMIN)
        assert (session.billing.id, session.billing.alert_id) == (given.voice, given.id)
        assert session.billing.actor.name == "lan"
        assert set(session.billing.clusters) == set(hall.clusters)
        await heard_live(hall, given.id, session)
        await hall.desk.cancel(hall.minh, given.id)
        assert session.billing.alert_id == given.id
        await until(lambda: session.state in {"closing", "ended"})
        assert hall.desk.get(hall.lan, given.id).state is AlertState.CANCELLED


async def test_a_voice_that_cannot_be_opened_is_never_left_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no encoder")

    async with open_hall(tmp_path) as hall:
        composed = await hall.armed(kind=AlertKind.VOICE, template=None, title="Vỡ đập")
        monkeypatch.setattr(hall.stage.air.live, "start_emergency", broken)
        with pytest.raises(BusyError) as refused:
            await hall.desk.confirm(hall.minh, composed.alert.id, composed.code)
        assert refused.value.code == "voice_failed"
        failed = hall.desk.get(hall.lan, composed.alert.id)
        assert failed.state is AlertState.EXPIRED
        assert failed.fault.startswith("voice_failed")
