"""The audit log over HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from controller.api.routing import Call, Route, route
from controller.api.schema import PAGE_DEFAULT, PAGE_MAX, Empty, Schema
from controller.services.audit import AuditService
from controller.services.context import Permission
from controller.services.errors import ForbiddenError


class AuditQuery(Schema):
    """Which rows; newest first."""

    limit: int = Field(PAGE_DEFAULT, ge=1, le=PAGE_MAX)
    before: int | None = Field(None, ge=1, le=2**53, description="'next' of the page before")
    subject: str | None = Field(None, max_length=128)
    action: str | None = Field(None, max_length=64)
    user_id: str | None = Field(None, max_length=64)


class AuditView(Schema):
    """One row."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    hash: str


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


class AuditRoutes:
    """Operations on the log."""

    def __init__(self, audit: AuditService) -> None:
        self._audit = audit

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        right = Permission.AUDIT_READ
        return (
            route("GET", "/api/v1/audit", "listAudit", right, self.rows, summary="Who did what, newest first",
                  query=AuditQuery, returns=AuditPage, errors=(ForbiddenError,)),
            route("GET", "/api/v1/audit/verdict", "verifyAudit", right, self.verify, summary="Walk the chain of hashes",
                  returns=AuditVerdictView, errors=(ForbiddenError,)),
        )  # fmt: skip

    async def rows(self, call: Call[Empty, AuditQuery]) -> AuditPage:
        """Rows, newest first."""
        said = call.query
        rows = await self._audit.rows(
            call.actor,
            before=said.before,
            limit=said.limit,
            subject=said.subject,
            action=said.action,
            user_id=said.user_id,
        )
        more = len(rows) == said.limit and rows[-1].seq > 1
        return AuditPage(
            items=tuple(AuditView.model_validate(row) for row in rows), next=rows[-1].seq if more else None
        )

    async def verify(self, call: Call[Empty, Empty]) -> AuditVerdictView:
        """Walk the chain."""
        return AuditVerdictView.model_validate(await self._audit.verify(call.actor))
