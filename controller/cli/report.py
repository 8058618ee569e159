"""``loa-controller report``: what was heard, by the agents' own records."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id
from controller.cli.client import ApiClient
from controller.cli.output import JsonFlag, note, show
from controller.cli.programme import programme_id

_COLUMNS: Final = (
    "planned_start",
    "title",
    "expected",
    "played",
    "partial",
    "missed",
    "skipped",
    "refused",
    "stopped",
    "duplicate",
    "start_error_ms_max",
)
_NAMED: Final = 10


def register(app: typer.Typer) -> None:
    """Add the command to the top."""
    app.command("report")(report)


def report(
    programme: Annotated[
        str | None, typer.Argument(help="Programme by id or title, or the rule_id of a play-now order.")
    ] = None,
    *,
    area: Annotated[str | None, typer.Option(help="Only clusters of this area.")] = None,
    since: Annotated[str | None, typer.Option(help="Planned at or after: 2026-12-01T00:00:00+07:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Planned before.")] = None,
    limit: Annotated[int, typer.Option(help="Most occurrences.", min=1, max=500)] = 50,
    as_json: JsonFlag = False,
) -> None:
    """What was heard: for each occurrence, how many clusters played it, missed it, or said nothing.

    Only what agents reported counts as played.
    """
    with ApiClient() as api:
        query = {
            "rule_id": _rule(api, programme),
            "area_id": area_id(api, area) if area else None,
            "since": since,
            "until": until,
            "limit": limit,
        }
        rows: list[dict[str, Any]] = api.get("/api/v1/reports/occurrences", query)["occurrences"]
        show(rows, _COLUMNS, as_json=as_json)
        if not as_json:
            for row in rows:
                if row["silent"]:
                    names = ", ".join(row["silent"][:_NAMED]) + (" …" if len(row["silent"]) > _NAMED else "")
                    note(f"{row['title']} {row['planned_start']}: nothing heard from {len(row['silent'])}: {names}")


def _rule(api: ApiClient, text: str | None) -> str | None:
    if text is None or text.startswith(("now_", "pr_")):
        return text
    return programme_id(api, text)
