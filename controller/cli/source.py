"""``loa-controller source``: radio stations that may be relayed."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient
from controller.cli.output import JsonFlag, note, show, show_one

app = typer.Typer(
    help="""Radio stations that may be relayed (Icecast, SHOUTcast, HLS, any endless HTTP sound; .m3u and .pls).

A programme carries one through a window: loa-controller programme add --source …
""",
    no_args_is_help=True,
)

_PATH: Final = "/api/v1/sources"
_COLUMNS: Final = ("id", "title", "url", "live", "area_id")
Source = Annotated[str, typer.Argument(help="Id or unique title.")]


@app.command("list")
def list_sources(*, as_json: JsonFlag = False) -> None:
    """Stations, and how those that are being carried are."""
    with ApiClient() as api:
        show((_flat(row, as_json=as_json) for row in api.pages(_PATH)), _COLUMNS, as_json=as_json)


@app.command("show")
def show_source(source: Source, *, as_json: JsonFlag = False) -> None:
    """One station."""
    with ApiClient() as api:
        show_one(api.get(f"{_PATH}/{source_id(api, source)}"), as_json=as_json)


@app.command("add")
def add(
    title: str,
    url: Annotated[str, typer.Argument(help="http:// or https:// address of the stream.")],
    *,
    area: Annotated[str, typer.Option(help="Id or unique name of the area it belongs to.")],
    as_json: JsonFlag = False,
) -> None:
    """Add a station: loa-controller source add VOV1 http://radio.example/vov1 --area Đakrông."""
    with ApiClient() as api:
        body = {"area_id": area_id(api, area), "title": title, "url": url}
        show_one(api.post(_PATH, body), as_json=as_json)


@app.command("set")
def change(
    source: Source,
    *,
    title: Annotated[str | None, typer.Option(help="New title.")] = None,
    url: Annotated[str | None, typer.Option(help="New address.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change title or address; a window that is open takes the new address at its next connection."""
    with ApiClient() as api:
        body = {name: value for name, value in (("title", title), ("url", url)) if value is not None}
        show_one(api.patch(f"{_PATH}/{source_id(api, source)}", body), as_json=as_json)


@app.command("archive")
def archive(source: Source) -> None:
    """Take it out of use."""
    with ApiClient() as api:
        api.delete(f"{_PATH}/{source_id(api, source)}")
    note("archived")


def source_id(api: ApiClient, text: str) -> str:
    """The id that an id or a unique title means."""
    return unique_id(text, "so_", ({"id": row["id"], "name": row["title"]} for row in api.pages(_PATH)))


def _flat(row: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    live = row.get("live")
    if as_json or live is None:
        return row
    return {**row, "live": f"{live['state']} {live['code']}".strip()}
