"""What was heard: play records summed up by occurrence.

Rules kept here:

1. Only what agents said counts. A cluster that has said nothing about an occurrence is *silent*, never *played*.
2. A duplicate is a second record ``played`` of the same occurrence at the same cluster.
3. The start error is that of everything that sounded, in milliseconds; its maximum is the figure that is promised.
4. A reader sees the clusters of the areas they may read.

Not here: storing records (:mod:`controller.services.play_records`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import case
from sqlmodel import col, func, select

from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.services.errors import InvalidError
from controller.services.planning import Planner
from controller.store import Database, tables

#: Occurrences one report lists at most, newest first.
MAX_LINES: Final = 500
#: Clusters named in a SQL list at a time (SQLite's bound on variables is far above it).
_MAX_CLUSTERS: Final = 20_000
_ROW = tables.PlayRecordRow
#: What became of an occurrence at a cluster, the best first.
_OUTCOMES: Final = ("played", "partial", "stopped", "withdrawn", "skipped", "refused", "missed")


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Which occurrences; None = any. Times are of the planned start."""

    rule_id: str | None = None
    area_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100


@dataclass(slots=True)
class ReportLine:
    """One occurrence in numbers of clusters; ``duplicates``: times it sounded once more.

    ``expected`` and ``silent`` are None when the plan has forgotten it.
    """

    rule_id: str
    recurrence: datetime | None
    title: str
    priority: int
    planned_start: datetime | None
    outcomes: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    start_error_us_max: int | None = None
    silence_frames: int = 0
    expected: int | None = None
    silent: tuple[str, ...] | None = None

    @property
    def reported(self) -> int:
        """Clusters that said something."""
        return sum(self.outcomes.values())

    def count(self, outcome: str) -> int:
        """How many clusters reported this outcome."""
        return self.outcomes.get(outcome, 0)


class ReportService:
    """Sums up."""

    def __init__(self, db: Database, directory: Directory, planner: Planner) -> None:
        self._db = db
        self._directory = directory
        self._planner = planner

    async def occurrences(self, actor: Actor, query: ReportQuery) -> list[ReportLine]:
        """Occurrences that somebody reported, newest first.

        Raises:
            InvalidError: ``bad_span``, ``bad_limit``.
            NotFoundError, ForbiddenError: no such area, or it may not be read.
        """
        if query.since is not None and query.until is not None and query.until <= query.since:
            raise InvalidError("'until' must be after 'since'", code="bad_span")
        if not 1 <= query.limit <= MAX_LINES:
            raise InvalidError(f"a report lists 1 to {MAX_LINES} occurrences", code="bad_limit")
        clusters = self._readable(actor, query.area_id)
        where = self._conditions(query, clusters)
        lines: dict[tuple[str, datetime | None], ReportLine] = {}
        async with self._db.read() as session:
            keys = await _newest(session, where, query.limit)
            for row in await session.exec(_sums(where)):
                key = (row.rule_id or "", row.recurrence)
                if key in keys:
                    _add(lines.setdefault(key, _line(key, row)), row)
            for row in await session.exec(_doubles(where)):
                key = (row.rule_id or "", row.recurrence)
                if key in lines:
                    lines[key].duplicates += row.count - 1
            heard = await _heard(session, where, {key for key in lines if key[1] is not None})
        self._compare_with_plan(lines, heard, clusters)
        return sorted(lines.values(), key=_order, reverse=True)

    def _readable(self, actor: Actor, area_id: str | None) -> frozenset[str] | None:
        """The clusters a reader may see; None = all there ever were."""
        if area_id is not None:
            self._directory.area(area_id)
            self._directory.require(actor, Permission.READ, area_id)
            return frozenset(each.id for each in self._directory.clusters_in(area_id))
        if actor.may_everywhere(Permission.READ):
            return None
        roots = {grant.area_id for grant in actor.grants if grant.area_id and grant.allows(Permission.READ)}
        return self._directory.clusters_of(areas=roots)

    def _conditions(self, query: ReportQuery, clusters: frozenset[str] | None) -> list[Any]:
        where: list[Any] = []
        if clusters is not None:
            where.append(col(_ROW.cluster_id).in_(sorted(clusters)[:_MAX_CLUSTERS]))
        if query.rule_id is not None:
            where.append(col(_ROW.rule_id) == query.rule_id)
        if query.since is not None:
            where.append(col(_ROW.planned_start) >= query.since)
        if query.until is not None:
            where.append(col(_ROW.planned_start) < query.until)
        return where

    def _compare_with_plan(
        self,
        lines: dict[tuple[str, datetime | None], ReportLine],
        heard: dict[tuple[str, datetime | None], set[str]],
        clusters: frozenset[str] | None,
    ) -> None:
        """Name the clusters that have an occurrence in their plan and said nothing about it."""
        if not lines:
            return
        planned: defaultdict[tuple[str, datetime | None], set[str]] = defaultdict(set)
        for cluster_id in self._directory.clusters if clusters is None else clusters:
            for item in self._planner.items_of(cluster_id):
                if (item.rule_id, item.recurrence) in lines:
                    planned[item.rule_id, item.recurrence].add(cluster_id)
        for key, expected in planned.items():
            lines[key].expected = len(expected)
            lines[key].silent = tuple(sorted(expected - heard.get(key, set())))


async def _newest(session: Any, where: list[Any], limit: int) -> set[tuple[str, datetime | None]]:
    newest = func.max(col(_ROW.id))
    query = select(_ROW.rule_id, _ROW.recurrence).where(*where).group_by(col(_ROW.rule_id), col(_ROW.recurrence))
    rows = await session.exec(query.order_by(newest.desc()).limit(limit))
    return {(row.rule_id or "", row.recurrence) for row in rows}


def _sums(where: list[Any]) -> Any:
    """Per occurrence and outcome, in numbers of clusters: where two boxes told (one was replaced), the better."""
    ranks = {name: rank for rank, name in enumerate(_OUTCOMES)}
    outcome = case(ranks, value=col(_ROW.outcome), else_=len(_OUTCOMES) - 1)
    best = (
        select(
            _ROW.rule_id,
            _ROW.recurrence,
            func.min(outcome).label("rank"),
            func.min(_ROW.title).label("title"),
            func.min(_ROW.priority).label("priority"),
            func.min(_ROW.planned_start).label("planned_start"),
            func.max(func.abs(_ROW.start_error_us)).label("start_error_us"),
            func.sum(_ROW.silence_frames).label("silence_frames"),
        )  # type: ignore[call-overload] # more columns than sqlmodel's stubs count
        .where(*where)
        .group_by(col(_ROW.rule_id), col(_ROW.recurrence), func.coalesce(col(_ROW.cluster_id), col(_ROW.agent_id)))
        .subquery()
    )
    each = best.c
    return select(
        each.rule_id,
        each.recurrence,
        each.rank,
        func.min(each.title).label("title"),
        func.min(each.priority).label("priority"),
        func.min(each.planned_start).label("planned_start"),
        func.count().label("count"),
        func.max(each.start_error_us).label("start_error_us"),
        func.sum(each.silence_frames).label("silence_frames"),
    ).group_by(each.rule_id, each.recurrence, each.rank)  # type: ignore[call-overload] # as above


def _doubles(where: list[Any]) -> Any:
    return (
        select(_ROW.rule_id, _ROW.recurrence, func.count().label("count"))
        .where(*where, col(_ROW.outcome) == "played")
        .group_by(col(_ROW.rule_id), col(_ROW.recurrence), col(_ROW.occurrence_id), col(_ROW.cluster_id))
        .having(func.count() > 1)
    )


async def _heard(
    session: Any, where: list[Any], keys: set[tuple[str, datetime | None]]
) -> dict[tuple[str, datetime | None], set[str]]:
    found: defaultdict[tuple[str, datetime | None], set[str]] = defaultdict(set)
    rules = sorted({key[0] for key in keys})
    for rule_id in rules:
        query = (
            select(_ROW.rule_id, _ROW.recurrence, _ROW.cluster_id)
            .where(*where, col(_ROW.rule_id) == rule_id)
            .distinct()
        )
        for row in await session.exec(query):
            if (row.rule_id or "", row.recurrence) in keys and row.cluster_id is not None:
                found[row.rule_id or "", row.recurrence].add(row.cluster_id)
    return found


def _line(key: tuple[str, datetime | None], row: Any) -> ReportLine:
    return ReportLine(key[0], key[1], row.title or "", row.priority, row.planned_start)


def _add(line: ReportLine, row: Any) -> None:
    line.outcomes[_OUTCOMES[row.rank]] = row.count
    line.silence_frames += row.silence_frames or 0
    if row.start_error_us is not None:
        line.start_error_us_max = max(line.start_error_us_max or 0, row.start_error_us)
    if row.planned_start is not None and (line.planned_start is None or row.planned_start < line.planned_start):
        line.planned_start = row.planned_start


def _order(line: ReportLine) -> float:
    return line.planned_start.timestamp() if line.planned_start is not None else 0.0
