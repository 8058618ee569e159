"""``loa-controller area``: the tree of places."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from controller.cli.client import ApiClient
from controller.cli.output import CliError, JsonFlag, note, show, show_one

app = typer.Typer(help="Areas: the tree of places and their quiet hours.", no_args_is_help=True)

_HOUR = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_COLUMNS = ("id", "name", "kind", "parent_id", "effective_timezone", "clusters")
Quiet = Annotated[str | None, typer.Option(help="21:30-04:45, 'none', or 'inherit'.")]
Zone = Annotated[str | None, typer.Option("--timezone", help="IANA zone, for example Asia/Ho_Chi_Minh; or 'inherit'.")]
Parent = Annotated[str | None, typer.Option(help="Id or unique name of the area above.")]


@app.command("list")
def list_areas(*, as_json: JsonFlag = False) -> None:
    """Every area you may read."""
    with ApiClient() as api:
        show(api.pages("/api/v1/areas"), _COLUMNS, as_json=as_json)


@app.command("show")
def show_area(area: Annotated[str, typer.Argument(help="Id or unique name.")], *, as_json: JsonFlag = False) -> None:
    """One area, with what holds there."""
    with ApiClient() as api:
        show_one(api.get(f"/api/v1/areas/{area_id(api, area)}"), as_json=as_json)


@app.command("add")
def add(
    name: str,
    *,
    kind: Annotated[str, typer.Option(help="What it is: huyện, xã, thôn …")] = "xã",
    parent: Parent = None,
    zone: Zone = None,
    quiet: Quiet = None,
    as_json: JsonFlag = False,
) -> None:
    """Add an area: loa-controller area add "Tà Rụt" --kind xã --parent Đakrông."""
    with ApiClient() as api:
        body = {"name": name, "kind": kind, **_policy(zone, quiet)}
        if parent is not None:
            body["parent_id"] = area_id(api, parent)
        show_one(api.post("/api/v1/areas", body), as_json=as_json)


@app.command("set")
def change(
    area: Annotated[str, typer.Argument(help="Id or unique name.")],
    *,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    kind: Annotated[str | None, typer.Option(help="New kind.")] = None,
    parent: Parent = None,
    zone: Zone = None,
    quiet: Quiet = None,
    as_json: JsonFlag = False,
) -> None:
    """Change what is named; everything else stays."""
    with ApiClient() as api:
        body = {**({"name": name} if name else {}), **({"kind": kind} if kind else {}), **_policy(zone, quiet)}
        if parent is not None:
            body["parent_id"] = area_id(api, parent)
        show_one(api.patch(f"/api/v1/areas/{area_id(api, area)}", body), as_json=as_json)


@app.command("delete")
def delete(area: Annotated[str, typer.Argument(help="Id or unique name.")]) -> None:
    """Delete an empty area."""
    with ApiClient() as api:
        api.delete(f"/api/v1/areas/{area_id(api, area)}")
    note("deleted")


def area_id(api: ApiClient, text: str) -> str:
    """The id that an id or a unique name means."""
    return unique_id(text, "ar_", api.pages("/api/v1/areas"))


def unique_id(text: str, prefix: str, rows: Any) -> str:
    """The id of the only row called ``text``; an id stands for itself.

    Raises:
        CliError: no row, or several, are called so.
    """
    if text.startswith(prefix):
        return text
    found = [str(row["id"]) for row in rows if row["name"] == text]
    if len(found) != 1:
        why = "nothing is called" if not found else f"several ({', '.join(found[:5])}) are called"
        raise CliError(f"{why} {text!r}; see the list command, or use the id", code="not_found")
    return found[0]


def _policy(zone: str | None, quiet: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if zone is not None:
        body["timezone"] = None if zone == "inherit" else zone
    if quiet == "inherit":
        body["quiet_hours"] = None
    elif quiet == "none":
        body["quiet_hours"] = "none"
    elif quiet is not None:
        begin, dash, end = quiet.partition("-")
        if not dash or not all(_HOUR.fullmatch(one.strip()) for one in (begin, end)):
            raise typer.BadParameter("write quiet hours as 21:30-04:45, 'none' or 'inherit'", param_hint="--quiet")
        body["quiet_hours"] = {"begin": begin.strip(), "end": end.strip()}
    return body
