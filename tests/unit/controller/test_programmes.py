"""The grid: what the desk refuses, with which code; what is stored reads back; the preview is the arbiter's."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.programme_model import (
    ProgrammeSpec,
    RecordedSpec,
    RelaySpec,
    TargetSpec,
    columns_of,
    spec_of,
)
from schedules.compiler import Problem
from schedules.ladder import Priority
from schedules.model import AfterPreempt, LateKind, LatePolicy, Overrun
from schedules.recurrence import Recurrence
from tests.unit.controller.air_kit import ADMIN, TOMORROW_5, open_stage

ZONE = "Asia/Ho_Chi_Minh"
ids = st.text("abcdef234567", min_size=3, max_size=12)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001


def seconds(lowest: int, highest: int) -> st.SearchStrategy[timedelta]:
    return st.integers(lowest, highest).map(lambda count: timedelta(seconds=count))


specs = st.builds(
    ProgrammeSpec,
    area_id=ids,
    title=st.text(min_size=1, max_size=30),
    priority=st.sampled_from([Priority.PROGRAMME, Priority.RELAY, Priority.FILLER, Priority.PRIORITY_BULLETIN]),
    recurrence=st.builds(
        Recurrence,
        moments,
        st.sampled_from([ZONE, "Europe/Berlin"]),
        st.sampled_from([None, "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO"]),
        st.lists(st.one_of(moments, st.dates(date(2026, 1, 1), date(2030, 1, 1))), max_size=3).map(tuple),
        st.lists(moments, max_size=3).map(tuple),
    ),
    content=st.one_of(
        st.builds(
            RecordedSpec,
            st.lists(ids, min_size=1, max_size=3).map(tuple),
            st.integers(1, 10),
            seconds(1, 7200),
            st.sampled_from([None, "opening", "closing"]),
            st.sampled_from([None, "opening", "closing"]),
        ),
        st.builds(RelaySpec, ids, st.lists(ids, max_size=2).map(tuple)),
    ),
    targets=st.builds(TargetSpec, st.lists(ids, max_size=2).map(tuple), st.lists(ids, max_size=2).map(tuple)),
    late=st.one_of(
        st.sampled_from([LatePolicy(LateKind.JOIN), LatePolicy(LateKind.SKIP)]),
        st.builds(LatePolicy, st.just(LateKind.PLAY_FULL), seconds(1, 3600)),
    ),
    after_preempt=st.sampled_from(AfterPreempt),
    overrun=st.sampled_from(Overrun),
    slot=st.one_of(st.none(), seconds(1, 3600)),
    max_delay=seconds(0, 3600),
    moved=st.dictionaries(moments, moments, max_size=3).map(lambda moves: tuple(sorted(moves.items()))),
    replaced=st.dictionaries(
        moments, st.builds(RecordedSpec, st.lists(ids, min_size=1, max_size=3).map(tuple)), max_size=3
    ).map(lambda found: tuple(sorted(found.items(), key=lambda each: each[0]))),
)


@given(specs)
def test_what_is_stored_reads_back_as_the_same_value(spec: ProgrammeSpec) -> None:
    assert spec_of(columns_of(spec)) == spec


REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("quiet_hours", {"recurrence": Recurrence(datetime(2026, 11, 21, 22, 0), ZONE)}),  # noqa: DTZ001
    ("in_past", {"recurrence": Recurrence(datetime(2026, 11, 19, 5, 0), ZONE)}),  # noqa: DTZ001
    ("never", {"recurrence": Recurrence(TOMORROW_5, ZONE, "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")}),
    ("no_target", {"targets": TargetSpec()}),
    ("unknown_recording", {"content": RecordedSpec(("rc_nothing",))}),
    ("unknown_source", {"content": RelaySpec("so_nothing"), "slot": timedelta(minutes=5)}),
    ("slot_missing", {"content": RelaySpec("so_nothing")}),
    ("priority_not_allowed", {"priority": Priority.EMERGENCY_STORED}),
    ("priority_not_allowed", {"priority": Priority.DRILL}),
]


@pytest.mark.parametrize(("code", "changes"), REFUSALS)
async def test_what_the_desk_refuses(tmp_path: Path, code: str, changes: dict[str, Any]) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        recording = await stage.recording(area)
        with pytest.raises(InvalidError) as caught:
            await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id, **changes))
        assert caught.value.code == code
        assert stage.air.catalogue.programmes == {}


async def test_only_approved_recordings_go_on_the_grid(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        for data, code in ((b"draft", "not_approved"), (b"BAD", "recording_refused")):
            recording = await stage.recording(area, data, approved=False)
            with pytest.raises(InvalidError) as caught:
                await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
            assert caught.value.code == code
            assert caught.value.fields[0].field == "content.recordings"


async def test_who_asks_for_it_may_plan_ahead_of_the_approval(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        draft = await stage.recording(area, b"draft", approved=False)
        spec = stage.bulletin(area, draft.id)
        day = stage.clock.now(), stage.clock.now() + timedelta(days=2)
        findings, occurrences = await stage.air.programmes.outlook(ADMIN, spec, *day, pending=True)
        assert [(each.code, isinstance(each, Problem) and each.warning) for each in findings] == [
            ("not_approved", True)
        ]
        assert {len(each.sounds) for each in occurrences} == {1}
        entry, checked = await stage.air.programmes.create(ADMIN, spec, pending=True)
        assert [each.code for each in checked.warnings] == ["not_approved"]
        assert stage.air.rulebook.rule(entry.id, entry.spec)[0] is None, "nothing sounds before it is approved"
        findings, occurrences = await stage.air.programmes.outlook(ADMIN, spec, *day)
        assert ([each.code for each in findings], occurrences) == (["not_approved"], ())
        broken = stage.bulletin(area, (await stage.recording(area, b"BAD", approved=False)).id)
        with pytest.raises(InvalidError, match="could not be read"):
            await stage.air.programmes.create(ADMIN, broken, pending=True)


async def test_two_of_one_class_do_not_overlap_even_when_they_come_at_once(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        recording = await stage.recording(area)
        spec = stage.bulletin(area, recording.id)
        results = await asyncio.gather(
            *(stage.air.programmes.create(ADMIN, spec) for _ in range(3)), return_exceptions=True
        )
        refused = [each for each in results if isinstance(each, InvalidError)]
        assert [each.code for each in refused] == ["overlap", "overlap"]
        other = stage.bulletin(area, recording.id, priority=Priority.PRIORITY_BULLETIN)
        assert (await stage.air.programmes.create(ADMIN, other))[0].active


async def test_a_missing_language_is_a_warning(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        await stage.cluster(area, "A", ["vi", "bru"])
        recording = await stage.recording(area)
        _, checked = await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
        assert [each.code for each in checked.warnings] == ["language_uncovered"]


async def test_the_right_to_schedule_is_needed_at_every_place(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        here, there = await stage.area("here"), await stage.area("there")
        await stage.cluster(here, "A")
        far = await stage.cluster(there, "B")
        recording = await stage.recording(here)
        editor = Actor("us_e", "e", (RoleGrant(Role.EDITOR, here),))
        for targets in (TargetSpec(areas=(there,)), TargetSpec(clusters=(far,))):
            with pytest.raises(ForbiddenError):
                await stage.air.programmes.create(editor, stage.bulletin(here, recording.id, targets=targets))
        unknown = stage.bulletin(here, recording.id, targets=TargetSpec(areas=("ar_nowhere",)))
        with pytest.raises(NotFoundError):
            await stage.air.programmes.create(ADMIN, unknown)
        entry, _ = await stage.air.programmes.create(editor, stage.bulletin(here, recording.id))
        assert entry.created_by == "us_e"


async def test_a_change_is_checked_against_the_version_its_author_saw(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        await stage.cluster(area, "A")
        recording = await stage.recording(area)
        entry, _ = await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
        later = stage.bulletin(area, recording.id, recurrence=Recurrence(TOMORROW_5.replace(hour=6), ZONE))
        changed, _ = await stage.air.programmes.change(ADMIN, entry.id, later, version=1)
        assert changed.version == 2
        with pytest.raises(ConflictError) as caught:
            await stage.air.programmes.change(ADMIN, entry.id, later, version=1)
        assert caught.value.code == "changed_since"
        await stage.air.programmes.withdraw(ADMIN, entry.id)
        with pytest.raises(ConflictError) as caught:
            await stage.air.programmes.change(ADMIN, entry.id, later)
        assert caught.value.code == "programme_over"


async def test_one_occurrence_is_withdrawn_for_good_and_twice_is_no_error(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        recording = await stage.recording(area)
        entry, _ = await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
        first = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
        with pytest.raises(NotFoundError) as caught:
            await stage.air.programmes.withdraw(ADMIN, entry.id, first + timedelta(minutes=1))
        assert caught.value.code == "occurrence_not_found"
        for _ in range(2):
            assert await stage.air.programmes.withdraw(ADMIN, entry.id, first) == {cluster}
        await stage.air.planner.compile()
        starts = [item.start for item in stage.air.planner.items_of(cluster)]
        assert first not in starts
        assert first + timedelta(days=1) in starts


async def test_the_preview_shows_what_would_sound_beside_everything_else(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        recording = await stage.recording(area, b"x" * 60)
        await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
        urgent = stage.bulletin(
            area,
            recording.id,
            title="Khẩn",
            priority=Priority.PRIORITY_BULLETIN,
            recurrence=Recurrence(TOMORROW_5 + timedelta(seconds=20), ZONE),
        )
        start = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
        previews, problems = await stage.air.programmes.preview(ADMIN, urgent, start, start + timedelta(hours=1))
        assert problems == ()
        assert [each.cluster_id for each in previews] == [cluster]
        titles = [span.sounding.item.title for span in previews[0].spans if span.sounding.item is not None]
        assert titles == ["Bản tin sáng", "Khẩn", "Bản tin sáng"]
        with pytest.raises(InvalidError) as caught:
            await stage.air.programmes.preview(ADMIN, urgent, start, start + timedelta(days=90))
        assert caught.value.code == "bad_span"
