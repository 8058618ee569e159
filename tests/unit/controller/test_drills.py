"""Drills and tests: between notices, by the drill key, at civil hours, never alerts; and what boxes make of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from controller.services.alerts.model import SpokenClip, Where, Words
from controller.services.alerts.speech import Speaker
from controller.services.context import Actor, Role, RoleGrant
from controller.services.drills import DrillCalendar, DrillDraft, DrillKind, DrillTimes, scorecard
from controller.services.drills.notices import NOTICE_WORDS
from controller.services.errors import ConflictError, ForbiddenError, InvalidError
from controller.services.orders import Scope
from protocol.codec import seal_document
from protocol.documents import Command, PlayOrder, Settings, SilentTestOrder, StockKind, WithdrawOrder
from protocol.errors import ProtocolError
from protocol.keys import Role as KeyRole
from protocol.messages import Ack, Check, Progress, ProgressStage
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Clip, Recorded
from tests.unit.controller.air_kit import ADMIN, Stage, command, open_stage
from tests.unit.controller.desk import START, StillClock

VI = Clip(hashlib.sha256(b"notice vi").hexdigest(), Frames(3 * 48_000))
WORDS = (Words("vi", "Nước sông đang lên"),)


class QuickSpeaker:
    """Five seconds for every text."""

    async def speak(self, words: Words) -> SpokenClip:
        sha256 = hashlib.sha256(f"{words.language} {words.text}".encode()).hexdigest()
        return SpokenClip(words.language, words.text, Clip(sha256, Frames(5 * 48_000)))


@asynccontextmanager
async def district(folder: Path, clock: StillClock | None = None) -> AsyncIterator[tuple[Stage, str]]:
    """One cluster whose box is online; the Vietnamese notice is there."""
    async with open_stage(folder, clock=clock) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A Vao 1")
        stage.gateway.present.add(stage.agent_of(cluster))
        path = stage.air.store.media / VI.sha256[:2] / VI.sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"notice vi")
        index = {"vi": [VI.sha256, VI.frames, 9, NOTICE_WORDS["vi"]]}
        (stage.air.store.media / "drill_notices.json").write_text(json.dumps(index))
        notices = stage.air.drills.desk.notices
        notices._made = await notices._known()
        stage.air.drills.desk._speaker = cast("Speaker", QuickSpeaker())
        yield stage, cluster


def at(cluster: str) -> Where:
    return Where(Scope(clusters=(cluster,)))


def last(stage: Stage) -> Command:
    return command(stage.gateway.commands[-1][0])


async def test_a_drill_stands_between_notices_and_is_signed_with_the_drill_key(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, cluster):
        drill = await stage.air.drills.desk.start(ADMIN, DrillDraft(at(cluster), words=WORDS, title="Lũ"))
        envelope, targets = stage.gateway.commands[-1]
        order = command(envelope).order
        assert targets == {stage.agent_of(cluster)}
        assert isinstance(order, PlayOrder)
        assert order.item.priority is Priority.DRILL
        assert order.item.rule_id == drill.id
        assert order.item.title == "DIỄN TẬP: Lũ"
        assert isinstance(order.item.content, Recorded)
        clips = [clip.sha256 for clip in order.item.content.clips]
        assert clips[0] == clips[-1] == VI.sha256
        assert len(clips) == 3
        # The box believes it exactly if its signed settings name the notice.
        box = stage.trusting(stage.agent_of(cluster))
        with pytest.raises(ProtocolError) as caught:
            box.verify_command(envelope, now=stage.clock.now())
        assert caught.value.code == "drill_unmarked"
        (notice,) = stage.air.drills.desk.notices.wanted(cluster)
        assert notice.kind is StockKind.DRILL_NOTICE
        settings = Settings(
            box.agent_id,
            stage.base.vault.term,
            1,
            START,
            START + timedelta(days=9),
            stage.base.directory.effective_settings(cluster),
            stage.air.shelf.of(cluster),
        )
        assert notice in settings.stock
        sealed = seal_document(settings, stage.base.vault.key(KeyRole.PLAN))
        box.commit(box.verify_settings(sealed, now=stage.clock.now()))
        assert box.verify_command(envelope, now=stage.clock.now()).key == stage_key(stage)


def stage_key(stage: Stage) -> object:
    key = stage.base.vault.key(KeyRole.DRILL)
    agent = next(iter(stage.keys))
    return stage.trusting(agent).key_set.by_id(key.key_id)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("draft", "error", "code"),
    [
        (DrillDraft(Where(Scope())), InvalidError, "no_target"),
        (DrillDraft(Where(Scope(everywhere=True))), InvalidError, "no_content"),
        (DrillDraft(Where(Scope(everywhere=True)), words=WORDS, times=9), InvalidError, "too_often"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    tmp_path: Path, draft: DrillDraft, error: type[Exception], code: str
) -> None:
    async with district(tmp_path) as (stage, _):
        with pytest.raises(error) as caught:
            await stage.air.drills.desk.start(ADMIN, draft)
        assert getattr(caught.value, "code", "") == code
        assert stage.gateway.commands == []


async def test_only_who_may_drill_there(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, cluster):
        reader = Actor("us_reader", "reader", (RoleGrant(Role.VIEWER, None),))
        for kind in DrillKind:
            with pytest.raises(ForbiddenError):
                await stage.air.drills.desk.start(reader, DrillDraft(at(cluster), kind, words=WORDS))
        assert stage.gateway.commands == []


async def test_one_at_a_time_and_civil_hours(tmp_path: Path) -> None:
    clock = StillClock()
    async with district(tmp_path, clock) as (stage, cluster):
        desk = stage.air.drills.desk
        first = await desk.start(ADMIN, DrillDraft(at(cluster), DrillKind.TEST))
        with pytest.raises(ConflictError) as caught:
            await desk.start(ADMIN, DrillDraft(at(cluster), words=WORDS))
        assert caught.value.code == "drill_running"
        await desk.cancel(ADMIN, first.id)
        assert last(stage).order == WithdrawOrder(first.id)
        twice = await asyncio.gather(
            *(desk.start(ADMIN, DrillDraft(at(cluster), words=WORDS)) for _ in range(2)), return_exceptions=True
        )
        assert [isinstance(each, ConflictError) for each in twice] == [False, True]  # a double click is one drill
        sent = len(stage.gateway.commands)
        clock.at = datetime(2026, 11, 20, 15, 0, tzinfo=START.tzinfo)  # 22:00 there
        with pytest.raises(ConflictError) as caught:
            await desk.start(ADMIN, DrillDraft(at(cluster), DrillKind.TEST))
        assert caught.value.code == "quiet_hours"
        assert len(stage.gateway.commands) == sent
        await desk.start(ADMIN, DrillDraft(at(cluster), DrillKind.SILENT))  # makes no sound, so at any hour
        assert last(stage).order == SilentTestOrder()


async def test_without_a_notice_there_is_no_drill(tmp_path: Path) -> None:
    async with district(tmp_path) as (stage, cluster):
        stage.air.drills.desk.notices._made = {}
        with pytest.raises(ConflictError) as caught:
            await stage.air.drills.desk.start(ADMIN, DrillDraft(at(cluster), words=WORDS))
        assert caught.value.code == "no_notice"


def _said(order: Command, stage: ProgressStage, when: datetime, **more: object) -> Progress:
    return Progress(term=order.term, seq=order.seq, stage=stage, at=when, **more)


async def test_what_the_boxes_make_of_it_and_after_a_restart(tmp_path: Path) -> None:
    clock = StillClock()
    async with district(tmp_path, clock) as (stage, cluster):
        agent, desk = stage.agent_of(cluster), stage.air.drills.desk
        silent_box = await stage.agent(cluster)
        drill = await desk.start(ADMIN, DrillDraft(at(cluster), words=WORDS))
        order = last(stage)
        ack = Ack(document="command", term=order.term, seq=order.seq, outcome="accepted", at=clock.now())
        stage.air.courier.answered(agent, ack.term, ack.seq, accepted=True)
        desk.book.progress(agent, _said(order, ProgressStage.STARTED, drill.start, start_error_us=120))
        desk.book.progress(agent, _said(order, ProgressStage.FINISHED, drill.start + timedelta(seconds=12)))
        assert drill.results[agent].passed
        assert drill.missing(drill.start + timedelta(seconds=30)) == ()
        late = drill.start + timedelta(seconds=61)
        assert [each.agent_id for each in drill.missing(late)] == [silent_box]
        clock.at = late
        test = await desk.start(ADMIN, DrillDraft(at(cluster), DrillKind.SILENT))
        checks = (Check(name="stock", ok=False, detail="3 of 4 here"), Check(name="clock", ok=True))
        desk.book.progress(agent, _said(last(stage), ProgressStage.TESTED, late, code="stock", checks=checks))
        await desk.book.write()
        clock.at = late + timedelta(minutes=5)
        cards = {card.agent_id: card for card in scorecard(desk.book.all(), clock.now())}
        assert (cards[agent].tries, cards[agent].passed, cards[agent].availability) == (2, 1, 0.5)
        assert (cards[agent].started_in_time, cards[agent].finished, cards[agent].audible) == (1, 1, 1)
        assert (cards[agent].stock_ok, cards[agent].clock_ok, cards[agent].last_code) == (False, True, "stock")
        assert (cards[silent_box].passed, cards[silent_box].last_code) == (0, "missing")
        assert scorecard(desk.book.all(), clock.now())[0].agent_id == silent_box
    async with open_stage(tmp_path, clock=clock) as again:
        known = {each.id: each for each in again.air.drills.desk.book.all()}
        assert known[drill.id].results[agent] == drill.results[agent]
        assert known[test.id].results == test.results
        assert known[drill.id].numbers == drill.numbers


async def test_a_drill_that_gave_way_before_its_first_word_has_not_finished(tmp_path: Path) -> None:
    async with district(tmp_path, StillClock()) as (stage, cluster):
        agent, desk = stage.agent_of(cluster), stage.air.drills.desk
        drill = await desk.start(ADMIN, DrillDraft(at(cluster), words=WORDS))
        desk.book.progress(agent, _said(last(stage), ProgressStage.FINISHED, drill.start, code="after_preempt"))
        result = drill.results[agent]
        assert (result.finished_at, result.code, result.answered, result.passed) == (None, "after_preempt", True, False)


async def test_the_weekly_test_is_armed_once_and_made_up_for(tmp_path: Path) -> None:
    clock = StillClock()  # Friday, 10:00 there
    async with district(tmp_path, clock) as (stage, cluster):
        desk = stage.air.drills.desk
        calendar = DrillCalendar(desk, stage.base.directory, clock, DrillTimes(silent_weekday=4, silent_hour=11))
        now = clock.now()
        (due,) = calendar.due(now, now + timedelta(hours=2))
        assert due.at == START.replace(hour=4, minute=0, second=0, microsecond=0)
        assert calendar.due(now, now + timedelta(minutes=1)) == []
        clock.at = due.at + timedelta(hours=2)  # the controller was busy
        (again,) = calendar.due(clock.now(), clock.now() + timedelta(seconds=90))
        assert again.name == due.name
        await again.action()
        assert calendar.fault is None
        assert last(stage).order == SilentTestOrder()
        assert calendar.due(clock.now(), clock.now() + timedelta(days=2)) == []
        following = calendar.due(clock.now(), clock.now() + timedelta(days=8))
        assert [each.at for each in following] == [due.at + timedelta(days=7)]
        monthly = replace(DrillTimes(silent_weekday=None), monthly_day=25)
        later = DrillCalendar(desk, stage.base.directory, clock, monthly).due(now, now + timedelta(days=30))
        assert [each.at.astimezone(START.tzinfo).day for each in later] == [25]
        del cluster
