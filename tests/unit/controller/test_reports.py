"""Reports: what agents said, counted; silence is never counted as played; duplicates are found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.services.context import Actor, Role, RoleGrant
from controller.services.errors import InvalidError
from controller.services.reports import ReportQuery
from controller.store import tables
from schedules.model import occurrence_id
from tests.unit.controller.air_kit import ADMIN, Stage, open_stage

AT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


async def say(stage: Stage, cluster: str, outcome: str, seq: int, **more: Any) -> None:
    """An agent's record about the occurrence at AT."""
    agent = stage.agent_of(cluster)
    rule = more.pop("rule_id", "pr_one")
    values: dict[str, Any] = {
        "agent_id": agent,
        "journal": "ab" * 16,
        "seq": seq,
        "cluster_id": cluster,
        "occurrence_id": occurrence_id(rule, AT, cluster),
        "rule_id": rule,
        "recurrence": AT,
        "title": "Bản tin",
        "priority": 40,
        "outcome": outcome,
        "planned_start": AT,
        "received_at": AT,
    }
    async with stage.base.db.telemetry() as session:
        session.add(tables.PlayRecordRow(**(values | more)))


async def test_an_occurrence_in_numbers(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        area = await stage.area()
        a, b, c, d = [await stage.cluster(area, name) for name in "ABCD"]
        recording = await stage.recording(area)
        entry, _ = await stage.air.programmes.create(ADMIN, stage.bulletin(area, recording.id))
        await stage.air.planner.compile()
        await say(stage, a, "played", 1, rule_id=entry.id, start_error_us=-4200)
        await say(stage, a, "played", 2, rule_id=entry.id, start_error_us=900)  # the same once more
        await say(stage, b, "partial", 1, rule_id=entry.id, start_error_us=7000, silence_frames=48_000)
        await say(stage, c, "missed", 1, rule_id=entry.id)
        (line,) = await stage.air.reports.occurrences(ADMIN, ReportQuery())
        assert (line.rule_id, line.recurrence, line.planned_start) == (entry.id, AT, AT)
        assert (line.count("played"), line.count("partial"), line.count("missed"), line.duplicates) == (1, 1, 1, 1)
        assert (line.reported, line.expected, line.silent) == (3, 4, (d,))
        assert line.start_error_us_max == 7000
        assert line.silence_frames == 48_000


async def test_a_cluster_whose_box_was_replaced_counts_once_with_the_better(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        old = await stage.cluster(await stage.area("elsewhere"), "where the old box is now")
        await say(stage, cluster, "played", 1)
        await say(stage, cluster, "stopped", 1, agent_id=stage.agent_of(old))
        (line,) = await stage.air.reports.occurrences(ADMIN, ReportQuery())
        assert (line.reported, line.outcomes, line.duplicates) == (1, {"played": 1}, 0)


async def test_filters_and_rights(tmp_path: Path) -> None:
    async with open_stage(tmp_path, tasks=False) as stage:
        here, there = await stage.area("here"), await stage.area("there")
        near, far = await stage.cluster(here, "A"), await stage.cluster(there, "B")
        await say(stage, near, "played", 1)
        await say(stage, far, "played", 1)
        await say(stage, far, "stopped", 2, rule_id="pr_two", planned_start=AT + timedelta(hours=1))
        reports = stage.air.reports
        assert [line.rule_id for line in await reports.occurrences(ADMIN, ReportQuery())] == ["pr_two", "pr_one"]
        (line,) = await reports.occurrences(ADMIN, ReportQuery(area_id=here))
        assert line.count("played") == 1
        (line,) = await reports.occurrences(ADMIN, ReportQuery(since=AT + timedelta(minutes=1)))
        assert (line.rule_id, line.count("stopped"), line.expected) == ("pr_two", 1, None)
        viewer = Actor("us_v", "v", (RoleGrant(Role.VIEWER, here),))
        (line,) = await reports.occurrences(viewer, ReportQuery())
        assert line.reported == 1
        assert await reports.occurrences(ADMIN, ReportQuery(rule_id="pr_none")) == []
        assert len(await reports.occurrences(ADMIN, ReportQuery(limit=1))) == 1
        for query, code in ((ReportQuery(since=AT, until=AT), "bad_span"), (ReportQuery(limit=0), "bad_limit")):
            with pytest.raises(InvalidError) as caught:
                await reports.occurrences(ADMIN, query)
            assert caught.value.code == code
