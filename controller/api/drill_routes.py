"""Drills and tests over HTTP. Paths, bodies and permission of their own: nothing here takes or gives an alert.

What makes a sound takes the right to drill. The self-test of one cluster has an operation of its own, which can mean
nothing else: it is also for who looks after the boxes there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from controller.api.alert_shapes import WhereShape, WordsShape
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Id, OptionalLine, Page, PageQuery, Schema, paginate
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.drills import (
    LAST,
    NOTICE_WORDS,
    TEST_WORDS,
    Card,
    Drill,
    DrillDesk,
    DrillDraft,
    DrillKind,
    Result,
    scorecard,
)
from controller.services.errors import BusyError, ConflictError, ForbiddenError, InvalidError, NotFoundError


class DrillShape(WhereShape):
    """What to try, and where. The notices before and after are the system's; they cannot be left out."""

    kind: Literal["drill", "test", "silent"] = Field(
        "drill", description="silent: no sound, the boxes prove themselves"
    )
    title: OptionalLine = ""
    template: Id | None = Field(None, description="A template whose words are drilled")
    words: tuple[WordsShape, ...] = Field((), max_length=8, description="Instead of a template")
    times: int = Field(1, ge=1, le=3, description="In a row")

    def draft(self) -> DrillDraft:
        """As the services know it."""
        words = tuple(each.value() for each in self.words)
        return DrillDraft(self.where(), DrillKind(self.kind), self.title, self.template, words, self.times)


class CheckView(Schema):
    """One thing a silent test looked at."""

    name: str
    ok: bool
    detail: str


class ResultView(Schema):
    """What one box made of it."""

    agent_id: str
    cluster_id: str
    cluster: str
    passed: bool
    missing: bool = Field(description="Told nothing for a minute")
    code: str
    received_at: datetime | None
    verified_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    tested_at: datetime | None
    start_error_us: int | None
    checks: tuple[CheckView, ...]


class DrillView(Schema):
    """A drill or a test, in numbers."""

    id: str
    kind: str
    title: str
    started_by: str
    started_by_name: str = Field(description="What people call who started it; empty = nothing else is known")
    start: datetime
    expires: datetime
    cancelled_at: datetime | None
    over: bool
    clusters: int
    boxes: int
    received: int
    verified: int
    started: int
    finished: int
    tested: int
    passed: int
    missing: int


class DrillDetails(DrillView):
    """The same with every box, the worst first."""

    words: dict[str, str]
    notices: dict[str, str] = Field(description="Spoken before and after, by language")
    results: tuple[ResultView, ...]


class CardView(Schema):
    """One box over its last tries."""

    agent_id: str
    cluster_id: str
    cluster: str
    tries: int
    passed: int
    availability: float | None
    received: int
    verified: int
    audible: int
    started_in_time: int
    finished: int
    silent: int
    clock_ok: bool | None
    stock_ok: bool | None
    last_try: datetime | None
    last_passed: datetime | None
    last_code: str
    worst_start_error_us: int | None


class CardQuery(PageQuery):
    """Over how many."""

    last: int = Field(LAST, ge=1, le=60, description="Tries of each box that are looked at")


class ScriptView(Schema):
    """What the system says by itself, by language."""

    notices: dict[str, str] = Field(description="Before and after whatever sounds; a language without hears the 'vi'")
    test: dict[str, str] = Field(description="The words of an audible test")


class DrillRoutes:
    """Operations on drills and tests."""

    def __init__(self, desk: DrillDesk, directory: Directory, clock: Clock) -> None:
        self._desk = desk
        self._directory = directory
        self._clock = clock

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        missing = (NotFoundError, ForbiddenError)
        step = (*missing, InvalidError, ConflictError, BusyError)
        root, one = "/api/v1/drills", "/api/v1/drills/{drill_id}"
        drill, read = Permission.DRILL, Permission.READ
        return (
            route("GET", f"{root}/scorecard", "drillScorecard", read, self.cards, query=CardQuery,
                  returns=Page[CardView], summary="How each box did in the last tests, the worst first"),
            route("GET", f"{root}/script", "drillScript", read, self.script, returns=ScriptView,
                  summary="What the system says in drills by itself"),
            route("POST", root, "startDrill", drill, self.start, body=DrillShape, returns=DrillDetails, errors=step,
                  status=201, idempotent=True, summary="Start a drill, an audible test or a silent one now"),
            route("POST", "/api/v1/clusters/{cluster_id}/self-test", "testCluster", (Permission.AGENT_CONTROL, drill),
                  self.prove, returns=DrillDetails, errors=(*missing, InvalidError, BusyError), status=201,
                  idempotent=True, summary="Let the boxes of one cluster test themselves; nothing sounds"),
            route("GET", root, "listDrills", read, self.list_drills, query=PageQuery, returns=Page[DrillView],
                  summary="Drills and tests, newest first"),
            route("GET", one, "getDrill", read, self.get, returns=DrillDetails, errors=missing,
                  summary="One drill with every box"),
            route("POST", f"{one}/cancel", "cancelDrill", drill, self.cancel, returns=DrillDetails, errors=step,
                  summary="End a drill that sounds"),
        )  # fmt: skip

    async def script(self, _call: Call[Empty, Empty]) -> ScriptView:
        """The fixed words, in the languages there is a voice for."""
        made = self._desk.notices.languages(NOTICE_WORDS)
        return ScriptView(
            notices={each: NOTICE_WORDS[each] for each in made},
            test={each: TEST_WORDS[each] for each in TEST_WORDS if each in made},
        )

    async def start(self, call: Call[DrillShape, Empty]) -> DrillDetails:
        """Try it."""
        return self._details(await self._desk.start(call.actor, call.body.draft()))

    async def prove(self, call: Call[Empty, Empty]) -> DrillDetails:
        """Test one cluster silently."""
        return self._details(await self._desk.prove(call.actor, call.path["cluster_id"]))

    async def list_drills(self, call: Call[Empty, PageQuery]) -> Page[DrillView]:
        """Newest first."""
        rows = list(enumerate(self._desk.drills(call.actor)))
        return paginate(rows, call.query, key=lambda row: f"{row[0]:06d}", show=lambda row: self._view(row[1]))

    async def get(self, call: Call[Empty, Empty]) -> DrillDetails:
        """One drill."""
        return self._details(self._desk.get(call.actor, call.path["drill_id"]))

    async def cancel(self, call: Call[Empty, Empty]) -> DrillDetails:
        """End it."""
        return self._details(await self._desk.cancel(call.actor, call.path["drill_id"]))

    async def cards(self, call: Call[Empty, CardQuery]) -> Page[CardView]:
        """The scorecard."""
        found = scorecard(self._desk.book.all(), self._clock.now(), last=call.query.last)
        mine = [card for card in found if self._may_see(call.actor, card.cluster_id)]
        rows = list(enumerate(mine))
        return paginate(rows, call.query, key=lambda row: f"{row[0]:06d}", show=lambda row: self._card(row[1]))

    def _may_see(self, actor: Actor, cluster_id: str) -> bool:
        cluster = self._directory.clusters.get(cluster_id)
        return cluster is not None and self._directory.allows(actor, Permission.READ, cluster.area_id)

    def _name(self, cluster_id: str) -> str:
        cluster = self._directory.clusters.get(cluster_id)
        return cluster_id if cluster is None else cluster.name

    def _view(self, drill: Drill) -> DrillView:
        return DrillView(**self._numbers(drill))

    def _details(self, drill: Drill) -> DrillDetails:
        late = {result.agent_id for result in drill.missing(self._clock.now())}
        results = sorted(drill.results.values(), key=lambda each: (each.passed, each.cluster_id, each.agent_id))
        rows = tuple(self._result(result, missing=result.agent_id in late) for result in results)
        return DrillDetails(**self._numbers(drill), words=dict(drill.words), notices=self._notices(drill), results=rows)

    def _notices(self, drill: Drill) -> dict[str, str]:
        spoken = {} if drill.kind is DrillKind.SILENT else drill.words
        return {each: NOTICE_WORDS[each] for each in self._desk.notices.languages(spoken)} if spoken else {}

    def _numbers(self, drill: Drill) -> dict[str, object]:
        now, results = self._clock.now(), drill.results.values()
        return {
            "id": drill.id,
            "kind": drill.kind.value,
            "title": drill.title,
            "started_by": drill.started_by,
            "started_by_name": self._directory.called(drill.started_by),
            "start": drill.start,
            "expires": drill.expires,
            "cancelled_at": drill.cancelled_at,
            "over": drill.over(now),
            "clusters": len(drill.clusters),
            "boxes": len(results),
            "received": sum(each.received_at is not None for each in results),
            "verified": sum(each.verified_at is not None for each in results),
            "started": sum(each.started_at is not None for each in results),
            "finished": sum(each.finished_at is not None for each in results),
            "tested": sum(each.tested_at is not None for each in results),
            "passed": sum(each.passed for each in results),
            "missing": len(drill.missing(now)),
        }

    def _result(self, result: Result, *, missing: bool) -> ResultView:
        return ResultView(
            agent_id=result.agent_id,
            cluster_id=result.cluster_id,
            cluster=self._name(result.cluster_id),
            passed=result.passed,
            missing=missing,
            code=result.code,
            received_at=result.received_at,
            verified_at=result.verified_at,
            started_at=result.started_at,
            finished_at=result.finished_at,
            tested_at=result.tested_at,
            start_error_us=result.start_error_us,
            checks=tuple(CheckView(name=name, ok=ok, detail=said) for name, (ok, said) in result.checks.items()),
        )

    def _card(self, card: Card) -> CardView:
        return CardView(
            agent_id=card.agent_id,
            cluster_id=card.cluster_id,
            cluster=self._name(card.cluster_id),
            tries=card.tries,
            passed=card.passed,
            availability=None if card.availability is None else round(card.availability, 3),
            received=card.received,
            verified=card.verified,
            audible=card.audible,
            started_in_time=card.started_in_time,
            finished=card.finished,
            silent=card.silent,
            clock_ok=card.clock_ok,
            stock_ok=card.stock_ok,
            last_try=card.last_try,
            last_passed=card.last_passed,
            last_code=card.last_code,
            worst_start_error_us=card.worst_start_error_us,
        )
