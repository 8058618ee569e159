"""Items and days as bytes: the part of a plan that clusters share.

Rules kept here:

1. A day document names no cluster, so all clusters with the same programme share its bytes, its SHA-256 and its
   one download.
2. What is read back equals what was written, value for value (a property test holds it).
3. A day is authorised through the manifest that names its hash, which the plan role signs; therefore a day may
   hold classes up to 60 only, whatever it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol

from protocol.errors import MalformedError, TrustError
from protocol.fields import Fields
from protocol.jsonsafe import dumps, loads_object
from protocol.keys import Role, roles_for
from protocol.limits import MAX_DAY, MAX_FRAMES, MAX_ITEMS_PER_DAY, MAX_PIECES, MAX_TITLE
from schedules.instants import Frames, to_unix_us
from schedules.ladder import Priority
from schedules.model import (
    AfterPreempt,
    Approval,
    Clip,
    Content,
    Item,
    LateKind,
    LatePolicy,
    Overrun,
    Pause,
    Piece,
    Recorded,
    Relay,
)

_DAY_VERSION: Final = 1
_LONGEST_LATE: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class DayLike(Protocol):
    """What the compiler makes: a local date and its items."""

    @property
    def date(self) -> date: ...  # noqa: D102 - see the class

    @property
    def items(self) -> Sequence[Item]: ...  # noqa: D102 - see the class


@dataclass(frozen=True, slots=True)
class DayDocument:
    """One local day of a plan: the items that start on it, in the order they were compiled."""

    date: date
    items: tuple[Item, ...]


def encode_day(day: DayLike) -> bytes:
    """The bytes of a day; equal days give equal bytes.

    Raises:
        MalformedError: ``too_large``: an agent would refuse it.
    """
    body = dumps({"v": _DAY_VERSION, "date": day.date.isoformat(), "items": [encode_item(each) for each in day.items]})
    if len(body) > MAX_DAY:
        raise MalformedError("too_large", f"the day {day.date} has {len(body)} bytes; {MAX_DAY} are allowed")
    return body


def day_sha256(body: bytes) -> str:
    """The name under which a day is fetched."""
    return hashlib.sha256(body).hexdigest()


def decode_day(body: bytes) -> DayDocument:
    """Read a day whose hash was checked against a verified manifest.

    Raises:
        MalformedError: it breaks the format.
        TrustError: ``wrong_role``: it holds a class that a plan may not carry.
    """
    fields = Fields(loads_object(body, max_bytes=MAX_DAY))
    fields.integer("v", _DAY_VERSION, _DAY_VERSION)
    items = tuple(decode_item(each) for each in fields.objects("items", MAX_ITEMS_PER_DAY))
    for item in items:
        if Role.PLAN not in roles_for(item.priority, streamed=False):
            raise TrustError("wrong_role", f"a plan may not carry class {int(item.priority)}")
    return DayDocument(fields.day("date"), items)


def encode_item(item: Item) -> dict[str, Any]:
    """An item as JSON values."""
    late: dict[str, Any] = {"kind": item.late.kind.value}
    if item.late.within is not None:
        late["within_us"] = item.late.within // _MICROSECOND
    value: dict[str, Any] = {
        "rule": item.rule_id,
        "recurrence": to_unix_us(item.recurrence),
        "title": item.title,
        "priority": int(item.priority),
        "start": to_unix_us(item.start),
        "expires": to_unix_us(item.expires),
        "late": late,
        "after_preempt": item.after_preempt.value,
        "overrun": item.overrun.value,
        "content": _encode_content(item.content),
    }
    if item.slot_end is not None:
        value["slot_end"] = to_unix_us(item.slot_end)
    return value


def decode_item(fields: Fields) -> Item:
    """An item from JSON values.

    Raises:
        MalformedError: a field is missing, of the wrong type, out of bounds, or contradicts another.
    """
    late = fields.object("late")
    try:
        return Item(
            rule_id=fields.identifier("rule"),
            recurrence=fields.instant("recurrence"),
            title=fields.text("title", MAX_TITLE, shortest=0),
            priority=fields.choice("priority", Priority),
            start=fields.instant("start"),
            expires=fields.instant("expires"),
            content=_decode_content(fields.object("content")),
            slot_end=fields.optional("slot_end", fields.instant),
            late=LatePolicy(
                late.choice("kind", LateKind),
                late.optional("within_us", lambda name: late.duration(name, _LONGEST_LATE)),
            ),
            after_preempt=fields.choice("after_preempt", AfterPreempt),
            overrun=fields.choice("overrun", Overrun),
        )
    except ValueError as error:
        raise MalformedError("bad_field", f"an item contradicts itself: {error}") from None


def _encode_content(content: Content) -> dict[str, Any]:
    if isinstance(content, Relay):
        return {"source": content.source_id, "fallback": [_encode_piece(each) for each in content.fallback]}
    return {"pieces": [_encode_piece(each) for each in content.pieces]}


def _encode_piece(piece: Piece) -> dict[str, Any]:
    if isinstance(piece, Pause):
        return {"pause": piece.frames}
    value: dict[str, Any] = {"clip": piece.sha256, "frames": piece.frames}
    if piece.approval is not None:
        value["approval"] = {"by": piece.approval.by, "at": to_unix_us(piece.approval.at)}
    return value


def _decode_content(fields: Fields) -> Content:
    if fields.has("source"):
        fallback = tuple(_decode_clip(each) for each in fields.objects("fallback", MAX_PIECES))
        return Relay(fields.identifier("source"), fallback)
    pieces = tuple(_decode_piece(each) for each in fields.objects("pieces", MAX_PIECES))
    if not pieces or sum(piece.frames for piece in pieces) > MAX_FRAMES:
        fields.refuse("pieces", "expected sound, and no more of it than twelve hours")
    return Recorded(pieces)


def _decode_piece(fields: Fields) -> Piece:
    if fields.has("pause"):
        return Pause(Frames(fields.integer("pause", 1, MAX_FRAMES)))
    return _decode_clip(fields)


def _decode_clip(fields: Fields) -> Clip:
    return Clip(
        fields.hexadecimal("clip", 64),
        Frames(fields.integer("frames", 1, MAX_FRAMES)),
        fields.optional("approval", lambda name: _decode_approval(fields.object(name))),
    )


def _decode_approval(fields: Fields) -> Approval:
    at: datetime = fields.instant("at")
    return Approval(fields.text("by", MAX_TITLE), at)
