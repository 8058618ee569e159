"""``loa-controller schedule expand``: when a rule comes, by the code that plans are compiled with. Needs no controller.

Rules kept here:

1. One occurrence a line, ascending: local time in the zone with its numeric offset, to the second.
2. No occurrence is exit 0 without a line; a rule or time that cannot be read is wrong usage: exit 2, a word on stderr.
3. A rule without an end, asked without ``--limit`` or ``--to``, gives its first :data:`ENDLESS_SHOWN`.

Not here: recurrence itself (:mod:`schedules.recurrence`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer

from controller.cli.output import JsonFlag, line, note
from schedules.recurrence import Recurrence, RecurrenceError, expand, parse_time, resolve, zone_of

#: How much of an endless rule is shown when nobody said how much.
ENDLESS_SHOWN = 1000

_DAY = timedelta(days=1)
_LEAST = timedelta(microseconds=1)

app = typer.Typer(help="Look at schedule rules.", no_args_is_help=True)


@app.callback()
def schedule() -> None:
    """Look at schedule rules."""


@app.command("expand")
def expand_command(
    *,
    rrule: Annotated[str, typer.Option(help="RFC 5545 rule, such as FREQ=WEEKLY;BYDAY=MO,FR")],
    dtstart: Annotated[str, typer.Option(help="First local time, such as 2026-08-30T05:00:00, or a date.")],
    tz: Annotated[str, typer.Option(help="IANA time zone, such as Asia/Ho_Chi_Minh.")],
    exdate: Annotated[list[str] | None, typer.Option(help="Left out; repeat it or separate by commas.")] = None,
    rdate: Annotated[list[str] | None, typer.Option(help="Added; repeat it or separate by commas.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Nothing before it.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Nothing after it; a date means its whole day.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="At most so many.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print when a rule comes."""
    try:
        recurrence = Recurrence(_local(dtstart, tz), tz, rrule, _times(exdate), _times(rdate))
        after, before = _bound(begin, tz, last=False), _bound(end, tz, last=True)
        shown = _shown(recurrence, before, limit)
        for number, occurrence in enumerate(expand(recurrence, after=after, before=before, limit=shown), start=1):
            _tell(occurrence, as_json=as_json)
            if limit is None and number == shown:
                note(f"the rule has no end: these are its first {ENDLESS_SHOWN}; say --limit or --to")
    except RecurrenceError as error:
        note(f"loa-controller schedule expand: {error} [{error.code}]")
        raise typer.Exit(2) from None


def _tell(occurrence: datetime, *, as_json: bool) -> None:
    text = occurrence.isoformat(timespec="seconds")
    if as_json:
        line({"at": text})
    else:
        sys.stdout.write(text + "\n")


def _shown(recurrence: Recurrence, before: datetime | None, limit: int | None) -> int | None:
    parts = recurrence.parts
    endless = parts is not None and parts.count is None and parts.until is None and before is None
    return ENDLESS_SHOWN if limit is None and endless else limit


def _times(texts: Sequence[str] | None) -> tuple[date | datetime, ...]:
    parts = [part for text in texts or () for part in text.split(",")]
    return tuple(parse_time(part) for part in parts if part.strip())


def _local(text: str, tz: str) -> date | datetime:
    """The first time, which is local; an offset is taken only when it is the zone's own."""
    moment = parse_time(text)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        return moment
    local = moment.astimezone(zone_of(tz)).replace(tzinfo=None)
    if local != moment.replace(tzinfo=None):
        raise RecurrenceError("time_not_local", f"--dtstart is local time in {tz}; leave out the offset of {text!r}")
    return local


def _bound(text: str | None, tz: str, *, last: bool) -> datetime | None:
    """The instant of a bound; ``last`` makes one that expand() excludes out of one that is included."""
    if text is None:
        return None
    moment = parse_time(text)
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time()) + (_DAY - _LEAST if last else timedelta())
    instant = moment.astimezone(UTC) if moment.tzinfo is not None else resolve(moment, zone_of(tz))
    return instant + _LEAST if last else instant
