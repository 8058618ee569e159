"""Shapes of what the API takes and gives: strict outside, frozen inside.

Rules kept here: unknown fields are refused; numbers are finite; texts are bounded and carry no control characters;
lists are bounded. Every shape ends up in the OpenAPI document under its class name, so names are chosen for readers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from controller.services.errors import FieldProblem, InvalidError

#: Most entries a list gives at once.
PAGE_MAX = 500
PAGE_DEFAULT = 100

#: What a line for people is made of. No signs that turn the reading order around: what is confirmed reads as sent.
LINE: Final = r"^[^\x00-\x1f\x7f\u2028-\u202e\u2066-\u2069]*$"
#: What a text of several lines is made of.
PROSE: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]*$"
#: One line for people: a name, a title.
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=LINE)]
#: A line that may be empty.
OptionalLine = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=LINE)]
#: Why somebody did something; it is kept, and shown. Whoever presses Enter while writing it is not refused.
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=PROSE)]
#: A reason that may be left out.
OptionalReason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=PROSE)]
#: An id of something.
Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]

#: What the house reckons with. At the ends of what a date can be, an offset or a span leaves it.
YEARS: Final = range(1970, 2200)


def _within_reach(at: datetime) -> datetime:
    if at.year not in YEARS:
        raise ValueError(f"must lie between {YEARS[0]} and {YEARS[-1]}")
    return at.astimezone(UTC)


#: A moment that somebody names, with its time zone; UTC inside.
Instant = Annotated[AwareDatetime, AfterValidator(_within_reach)]


class Schema(BaseModel):
    """Base of every shape of the API."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        from_attributes=True,
        json_schema_serialization_defaults_required=True,  # what is answered is always whole
    )


def _no_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class Patch(Schema):
    """Base of what changes a thing: a field that is not named stays as it is, so the document shows no defaults."""

    model_config = ConfigDict(json_schema_extra=_no_defaults)


class Empty(Schema):
    """No body, or no query."""


class PageQuery(Schema):
    """How much of a list, and from where."""

    limit: int = Field(PAGE_DEFAULT, ge=1, le=PAGE_MAX, description="Most entries to give")
    cursor: str | None = Field(None, max_length=1024, description="'next' of the page before")


ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")


class Page(Schema, Generic[ItemT]):
    """A part of a list."""

    items: tuple[ItemT, ...]
    next: str | None = Field(None, description="Give it as 'cursor' to go on; null at the end")


def paginate(
    rows: Sequence[RowT], query: PageQuery, *, key: Callable[[RowT], str], show: Callable[[RowT], ItemT]
) -> Page[ItemT]:
    """One page of ``rows``, ordered by ``key`` (which must be unique among them).

    The cursor names the last row given, so rows that come or go in between shift nothing.

    Raises:
        InvalidError: the cursor was not made by this function.
    """
    ordered = sorted(rows, key=key)
    if query.cursor is not None:
        after = _decode_cursor(query.cursor)
        ordered = [row for row in ordered if key(row) > after]
    page = ordered[: query.limit]
    more = len(ordered) > len(page)
    return Page[ItemT](items=tuple(show(row) for row in page), next=encode_cursor(key(page[-1])) if more else None)


def encode_cursor(key: str) -> str:
    """A cursor after the row with this key."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def _decode_cursor(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        fields = [FieldProblem("cursor", "not a cursor of this list")]
        raise InvalidError("the cursor is not one this list gave", fields=fields) from error
