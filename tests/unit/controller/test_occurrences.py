"""Edits of the grid: this one, this and following, their checks, their undoing, and who comes second."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.services.catalogue import ProgrammeEntry
from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.exceptions import Exceptional, Following
from controller.services.occurrences import OccurrenceService
from controller.services.programme_model import RecordedSpec, RelaySpec
from schedules.model import Recorded
from schedules.recurrence import Recurrence
from tests.unit.controller.air_kit import ADMIN, TOMORROW_5, Stage, open_stage

FIRST = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)  # 05:00 on the 21st in Vietnam
DAY = timedelta(days=1)
THIRD = FIRST + 2 * DAY
THIRD_LOCAL = TOMORROW_5 + 2 * DAY


class Grid:
    """One daily programme at one cluster."""

    def __init__(self, stage: Stage, area: str, cluster: str, entry: ProgrammeEntry) -> None:
        self.stage, self.area, self.cluster, self.entry = stage, area, cluster, entry
        self.edits = OccurrenceService(stage.air.programmes, stage.clock)

    @property
    def now(self) -> ProgrammeEntry:
        return self.stage.air.catalogue.programmes[self.entry.id]

    async def planned(self) -> dict[tuple[str, datetime], datetime]:
        """Starts by rule and RECURRENCE-ID."""
        await self.stage.air.planner.compile()
        found = self.stage.air.planner.items_of(self.cluster)
        return {(item.rule_id, item.recurrence): item.start for item in found}

    async def change(self, at: datetime = THIRD, version: int | None = None, **how: Any) -> Exceptional:
        edited = await self.edits.change(
            ADMIN, self.entry.id, at, Exceptional(**how), version=version or self.now.version
        )
        return edited.before


@pytest.fixture
async def grid(tmp_path: Path) -> AsyncIterator[Grid]:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        cluster = await stage.cluster(area, "A")
        recording = await stage.recording(area, b"x" * 60)
        entry, _ = await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
        yield Grid(stage, area, cluster, entry)


async def test_this_one_is_moved_and_moved_back(grid: Grid) -> None:
    name = (grid.entry.id, THIRD)
    before = await grid.change(start=THIRD_LOCAL + timedelta(minutes=30))
    assert (await grid.planned())[name] == THIRD + timedelta(minutes=30)
    assert grid.now.version == 2
    again = await grid.change(start=before.start, content=before.content, cancelled=before.cancelled)
    assert again.start == THIRD_LOCAL + timedelta(minutes=30)
    assert (await grid.planned())[name] == THIRD
    assert grid.now.spec == grid.entry.spec


async def test_this_one_is_left_out_and_comes_back_as_it_was(grid: Grid) -> None:
    other = await grid.stage.recording(grid.area, b"y" * 30)
    await grid.change(start=THIRD_LOCAL + timedelta(hours=1), content=RecordedSpec((other.id,)))
    before = await grid.change(cancelled=True)
    assert (grid.entry.id, THIRD) not in await grid.planned()
    again = await grid.change(start=before.start, content=before.content)
    assert again == Exceptional(cancelled=True)
    assert (await grid.planned())[grid.entry.id, THIRD] == THIRD + timedelta(hours=1)


async def test_this_one_sounds_something_else_while_that_is_approved(grid: Grid) -> None:
    other = await grid.stage.recording(grid.area, b"y" * 30)
    await grid.change(content=RecordedSpec((other.id,)))
    assert grid.stage.air.catalogue.uses_of(other.id)

    async def lengths() -> dict[datetime, float]:
        await grid.planned()
        found = grid.stage.air.planner.items_of(grid.cluster)
        return {
            item.recurrence: item.content.duration.total_seconds()
            for item in found
            if isinstance(item.content, Recorded)
        }

    assert ((await lengths())[THIRD], (await lengths())[FIRST]) == (30, 60)
    await grid.stage.air.recordings.decide(ADMIN, other.id, other.sha256 or "", approved=False, reason="nhầm bản")
    assert THIRD not in await lengths()  # silent, and not the usual one by surprise
    assert [gap.code for gap in grid.stage.air.planner.gaps_of(grid.entry.id)] == ["not_approved"]


async def test_what_an_edit_meets_is_said_before_and_refused_after(grid: Grid) -> None:
    recording = grid.entry.spec.recordings[0]
    noon = Recurrence(TOMORROW_5.replace(hour=12), "Asia/Ho_Chi_Minh", "FREQ=DAILY")
    await grid.stage.air.programmes.create(ADMIN, grid.stage.bulletin(grid.area, recording, recurrence=noon))
    for start, code in (
        (THIRD_LOCAL.replace(hour=12, second=30), "overlap"),
        (THIRD_LOCAL.replace(hour=22), "quiet_hours"),
        (datetime(2026, 11, 20, 9, 0), "in_past"),  # noqa: DTZ001 - local
    ):
        how = Exceptional(start=start)
        if code != "in_past":
            found = await grid.edits.preview_change(ADMIN, grid.entry.id, THIRD, how)
            assert [each.code for each in found] == [code]
        with pytest.raises(InvalidError) as caught:
            await grid.edits.change(ADMIN, grid.entry.id, THIRD, how, version=1)
        assert caught.value.code == code
    assert await grid.edits.preview_change(ADMIN, grid.entry.id, THIRD, Exceptional(cancelled=True)) == ()
    assert grid.now.spec == grid.entry.spec


async def test_only_what_is_there_and_has_not_begun(grid: Grid) -> None:
    with pytest.raises(NotFoundError) as missing:
        await grid.change(THIRD + timedelta(minutes=1), cancelled=True)
    assert missing.value.code == "occurrence_not_found"
    grid.stage.clock.at = THIRD
    with pytest.raises(ConflictError) as begun:
        await grid.change(start=THIRD_LOCAL + timedelta(hours=2))
    assert begun.value.code == "occurrence_begun"
    with pytest.raises(ConflictError):
        await grid.edits.split(ADMIN, grid.entry.id, THIRD, Following(), version=1)


async def test_who_comes_second_is_told(grid: Grid) -> None:
    await grid.change(cancelled=True, version=1)
    for edit in (
        grid.edits.change(ADMIN, grid.entry.id, THIRD, Exceptional(), version=1),
        grid.edits.split(ADMIN, grid.entry.id, THIRD, Following(), version=1),
        grid.edits.join(ADMIN, grid.entry.id, grid.entry.spec, grid.entry.id, version=1),
    ):
        with pytest.raises(ConflictError) as caught:
            await edit
        assert caught.value.code == "changed_since"
    stranger = Actor("us_s", "s", (RoleGrant(Role.VIEWER, None),))
    with pytest.raises(ForbiddenError):
        await grid.edits.change(stranger, grid.entry.id, THIRD, Exceptional(), version=2)


async def test_this_and_following_and_back_again(grid: Grid) -> None:
    later = THIRD_LOCAL + timedelta(hours=1)
    await grid.change(THIRD + DAY, cancelled=True)
    whole = grid.now
    said = Following(start=later, title="Bản tin muộn")
    assert await grid.edits.preview_split(ADMIN, grid.entry.id, THIRD, said) == ()
    done = await grid.edits.split(ADMIN, grid.entry.id, THIRD, said, version=whole.version)
    plan = await grid.planned()
    assert {at for rule, at in plan if rule == grid.entry.id} == {FIRST, FIRST + DAY}
    following = sorted(at for rule, at in plan if rule == done.following.id)
    assert following[:2] == [THIRD + timedelta(hours=1), THIRD + 2 * DAY + timedelta(hours=1)]  # one stays left out
    assert done.following.spec.title == "Bản tin muộn"
    joined = await grid.edits.join(ADMIN, grid.entry.id, done.before, done.following.id, version=done.entry.version)
    assert joined.spec == whole.spec
    assert grid.stage.air.catalogue.programmes[done.following.id].state == "withdrawn"
    with pytest.raises(ConflictError) as caught:
        await grid.edits.join(ADMIN, grid.entry.id, done.before, grid.entry.id, version=joined.version)
    assert caught.value.code == "same_programme"


async def test_a_cut_that_would_overlap_what_it_leaves_behind(grid: Grid) -> None:
    said = Following(start=THIRD_LOCAL - DAY + timedelta(seconds=30))  # into the last one of the old programme
    found = await grid.edits.preview_split(ADMIN, grid.entry.id, THIRD, said)
    assert [each.code for each in found] == ["overlap"]
    with pytest.raises(ConflictError) as caught:
        await grid.edits.split(ADMIN, grid.entry.id, FIRST, Following(), version=1)
    assert caught.value.code == "split_nothing_before"


async def test_a_withdrawn_occurrence_is_withdrawn_wherever_it_was_moved(grid: Grid) -> None:
    await grid.change(start=THIRD_LOCAL + timedelta(hours=1))
    await grid.stage.air.programmes.withdraw(ADMIN, grid.entry.id, THIRD)
    assert (grid.entry.id, THIRD) not in await grid.planned()
    with pytest.raises(NotFoundError):
        await grid.change()  # boxes were told: it does not come back


async def test_one_occurrence_of_a_relay_has_no_recordings(grid: Grid) -> None:
    spec = replace(grid.entry.spec, content=RelaySpec("so_x"), slot=timedelta(minutes=5))
    grid.stage.air.catalogue.put_programme(replace(grid.entry, spec=spec))
    recordings = RecordedSpec(grid.entry.spec.recordings)
    with pytest.raises(InvalidError) as caught:
        await grid.change(content=recordings)
    assert caught.value.code == "no_own_sound"
    with pytest.raises(InvalidError):
        await grid.edits.split(ADMIN, grid.entry.id, THIRD, Following(content=recordings), version=1)
