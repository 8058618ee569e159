"""Notices over HTTP: what you must come to know."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Page, PageQuery, Schema, paginate
from controller.services.alerts.notices import NoticeBook, NoticeEntry
from controller.services.errors import NotFoundError


class NoticeView(Schema):
    """One notice."""

    id: str
    kind: str
    subject: str = Field(description="The alert's id, or what else it is about")
    text: str
    at: datetime
    seen_at: datetime | None


class NoticeQuery(PageQuery):
    """Which."""

    unseen: bool = False


class NoticeRoutes:
    """Operations on one's own notices."""

    def __init__(self, book: NoticeBook) -> None:
        self._book = book

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        root = "/api/v1/notices"
        return (
            route("GET", root, "listNotices", Access.SIGNED_IN, self.list_notices, query=NoticeQuery,
                  returns=Page[NoticeView], summary="Your notices, newest first"),
            route("POST", f"{root}/{{notice_id}}/seen", "seeNotice", Access.SIGNED_IN, self.see, returns=NoticeView,
                  errors=(NotFoundError,), summary="You have seen it"),
        )  # fmt: skip

    async def list_notices(self, call: Call[Empty, NoticeQuery]) -> Page[NoticeView]:
        """Your notices."""
        rows = list(enumerate(self._book.of(call.actor, unseen=call.query.unseen)))
        return paginate(rows, call.query, key=lambda row: f"{row[0]:06d}", show=lambda row: _view(row[1]))

    async def see(self, call: Call[Empty, Empty]) -> NoticeView:
        """You have seen it."""
        return _view(self._book.see(call.actor, call.path["notice_id"]))


def _view(notice: NoticeEntry) -> NoticeView:
    return NoticeView(
        id=notice.id,
        kind=notice.kind,
        subject=notice.subject,
        text=notice.text,
        at=notice.at,
        seen_at=notice.seen_at,
    )
