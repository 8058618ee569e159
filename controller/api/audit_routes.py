"""The audit log over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from controller.api.languages import tongue_of
from controller.api.routing import Call, Route, route
from controller.api.schema import PAGE_DEFAULT, PAGE_MAX, Empty, Instant, Schema
from controller.services.audit import AuditFilter, AuditKind, AuditRow, AuditService, ChainCheck, Checked
from controller.services.audit.names import ThingKind
from controller.services.context import Permission
from controller.services.errors import ForbiddenError


class AuditQuery(Schema):
    """Which rows; newest first."""

    limit: int = Field(PAGE_DEFAULT, ge=1, le=PAGE_MAX)
    before: int | None = Field(None, ge=1, le=2**53, description="'next' of the page before")
    kind: AuditKind | None = None
    text: str | None = Field(None, max_length=200, description="Words of the sentence; accents and case do not matter")
    subject: str | None = Field(None, max_length=128)
    action: str | None = Field(None, max_length=64)
    user_id: str | None = Field(None, max_length=64)


class ThingView(Schema):
    """Something the log speaks of; ``page`` is null when it is gone."""

    kind: ThingKind
    page: str | None


class PartView(Schema):
    """A piece of a sentence: text, perhaps the name of a thing, perhaps an instant to be said in the reader's way."""

    text: str
    thing: ThingView | None
    at: Instant | None


class AuditView(Schema):
    """One row, as it is kept and in words (in the language of Accept-Language: vi or en)."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    hash: str
    kind: AuditKind | None
    who: str
    sentence: tuple[PartView, ...]


class AuditPage(Schema):
    """Rows, newest first."""

    items: tuple[AuditView, ...]
    next: int | None = Field(description="Give it as 'before' to go on; null at the end")


class AuditFaultView(Schema):
    """One thing wrong with the chain."""

    seq: int
    code: str
    message: str


class AuditVerdictView(Schema):
    """Outcome of walking the chain."""

    ok: bool
    rows: int
    head_seq: int
    head_hash: str
    faults: tuple[AuditFaultView, ...]


class AuditCheckView(Schema):
    """Where the walk over the chain stands."""

    running: bool
    rows: int = Field(description="Looked at so far")
    of: int = Field(description="How many there are, as far as is known")
    verdict: AuditVerdictView | None = Field(description="Of the last walk that went to the end")
    fault: str = Field(description="Why it did not come to an end; empty when nothing was wrong")

    @classmethod
    def of_state(cls, state: Checked) -> AuditCheckView:
        """From the service."""
        verdict = None if state.verdict is None else AuditVerdictView.model_validate(state.verdict)
        return cls(running=state.running, rows=state.rows, of=state.of, verdict=verdict, fault=state.fault)


class AuditRoutes:
    """Operations on the log."""

    def __init__(self, audit: AuditService, check: ChainCheck) -> None:
        self._audit = audit
        self._check = check

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        right, walk = Permission.AUDIT_READ, "/api/v1/audit/verification"
        return (
            route("GET", "/api/v1/audit", "listAudit", right, self.rows, summary="Who did what, newest first",
                  query=AuditQuery, returns=AuditPage, errors=(ForbiddenError,)),
            route("GET", "/api/v1/audit/verdict", "verifyAudit", right, self.verify, summary="Walk the chain of hashes",
                  returns=AuditVerdictView, errors=(ForbiddenError,)),
            route("POST", walk, "beginAuditCheck", right, self.begin, returns=AuditCheckView, status=202,
                  errors=(ForbiddenError,), summary="Walk it beside the work; a walk that is on is joined"),
            route("GET", walk, "getAuditCheck", right, self.state, returns=AuditCheckView, errors=(ForbiddenError,),
                  summary="How far the walk is, and what it found"),
            route("POST", f"{walk}/cancel", "cancelAuditCheck", right, self.cancel, returns=AuditCheckView,
                  errors=(ForbiddenError,), summary="End the walk"),
        )  # fmt: skip

    async def rows(self, call: Call[Empty, AuditQuery]) -> AuditPage:
        """Rows, newest first."""
        said = call.query
        wanted = AuditFilter(said.subject, said.action, said.user_id, said.kind, said.text)
        page = await self._audit.rows(
            call.actor, before=said.before, limit=said.limit, wanted=wanted, tongue=tongue_of(call.request)
        )
        return AuditPage(items=tuple(_view(row) for row in page.rows), next=page.next)

    async def verify(self, call: Call[Empty, Empty]) -> AuditVerdictView:
        """Walk the chain."""
        return AuditVerdictView.model_validate(await self._audit.verify(call.actor))

    async def begin(self, call: Call[Empty, Empty]) -> AuditCheckView:
        """Walk it beside the work."""
        self._check.begin(call.actor)
        return await self.state(call)

    async def state(self, call: Call[Empty, Empty]) -> AuditCheckView:
        """How far it is."""
        return AuditCheckView.of_state(self._check.state(call.actor))

    async def cancel(self, call: Call[Empty, Empty]) -> AuditCheckView:
        """End it."""
        await self._check.cancel(call.actor)
        return await self.state(call)


def _view(row: AuditRow) -> AuditView:
    said = row.said
    return AuditView(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        details=row.details,
        hash=row.hash,
        kind=said.kind,
        who=said.who,
        sentence=tuple(
            PartView(
                text=part.text,
                thing=None if part.thing is None else ThingView(kind=part.thing.kind, page=part.thing.page),
                at=part.at,
            )
            for part in said.parts
        ),
    )
