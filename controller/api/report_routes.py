"""Reports over HTTP: what was heard."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, Instant, Schema
from controller.services.context import Permission
from controller.services.errors import ForbiddenError, InvalidError, NotFoundError
from controller.services.reports import MAX_LINES, ReportLine, ReportQuery, ReportService
from schedules.instants import SAMPLE_RATE

RuleId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class ReportFilter(Schema):
    """Which occurrences; times are of the planned start."""

    rule_id: RuleId | None = Field(None, description="A programme's id, or the rule_id of a play-now order")
    area_id: Id | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: int = Field(100, ge=1, le=MAX_LINES)


class OccurrenceReport(Schema):
    """One occurrence, in numbers of clusters."""

    rule_id: str
    recurrence: datetime | None
    title: str
    priority: int
    planned_start: datetime | None
    expected: int | None = Field(description="Clusters that had it in their plan; null when the plan has forgotten it")
    reported: int
    played: int
    partial: int
    missed: int
    skipped: int
    refused: int
    stopped: int
    withdrawn: int
    duplicate: int
    silent: tuple[str, ...] | None = Field(description="Clusters that said nothing about it")
    start_error_ms_max: float | None
    silence_s: float


class Report(Schema):
    """Occurrences that were reported, newest first."""

    occurrences: tuple[OccurrenceReport, ...]


class ReportRoutes:
    """Operations on reports."""

    def __init__(self, reports: ReportService) -> None:
        self._reports = reports

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        return (
            route("GET", "/api/v1/reports/occurrences", "reportOccurrences", Permission.READ, self.occurrences,
                  query=ReportFilter, returns=Report, errors=(NotFoundError, ForbiddenError, InvalidError),
                  summary="What was heard, by occurrence"),
        )  # fmt: skip

    async def occurrences(self, call: Call[Empty, ReportFilter]) -> Report:
        """What was heard."""
        asked = call.query
        query = ReportQuery(asked.rule_id, asked.area_id, asked.since, asked.until, asked.limit)
        lines = await self._reports.occurrences(call.actor, query)
        return Report(occurrences=tuple(_view(line) for line in lines))


def _view(line: ReportLine) -> OccurrenceReport:
    error = line.start_error_us_max
    return OccurrenceReport(
        rule_id=line.rule_id,
        recurrence=line.recurrence,
        title=line.title,
        priority=line.priority,
        planned_start=line.planned_start,
        expected=line.expected,
        reported=line.reported,
        played=line.count("played"),
        partial=line.count("partial"),
        missed=line.count("missed"),
        skipped=line.count("skipped"),
        refused=line.count("refused"),
        stopped=line.count("stopped"),
        withdrawn=line.count("withdrawn"),
        duplicate=line.duplicates,
        silent=line.silent,
        start_error_ms_max=None if error is None else round(error / 1000, 3),
        silence_s=round(line.silence_frames / SAMPLE_RATE, 3),
    )
