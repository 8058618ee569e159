"""``loa-controller zone``: named groups of clusters across the tree."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient
from controller.cli.cluster import cluster_id
from controller.cli.output import JsonFlag, note, show, show_one

app = typer.Typer(help="Zones: named groups of clusters, such as the villages along a river.", no_args_is_help=True)

_PATH = "/api/v1/zones"
_COLUMNS = ("id", "name", "area_id", "clusters")
ZoneName = Annotated[str, typer.Argument(help="Id or unique name.")]
#: For every command that is told where.
Zones = Annotated[list[str] | None, typer.Option("--zone", help="Zone: id or unique name. May be repeated.")]


@app.command("list")
def list_zones(*, as_json: JsonFlag = False) -> None:
    """The zones of areas you may read."""
    with ApiClient() as api:
        show(api.pages(_PATH), _COLUMNS, as_json=as_json)


@app.command("add")
def add(
    name: str,
    *,
    area: Annotated[str, typer.Option(help="Id or unique name of the area whose people keep it.")],
    cluster: Annotated[list[str], typer.Option(help="A cluster of that area, by id or unique name. Repeated.")],
    as_json: JsonFlag = False,
) -> None:
    """Add a zone: loa-controller zone add "Ven sông" --area Đakrông --cluster "Tà Rụt 1" --cluster "A Vao 2"."""
    with ApiClient() as api:
        clusters = [cluster_id(api, each) for each in cluster]
        show_one(api.post(_PATH, {"name": name, "area_id": area_id(api, area), "clusters": clusters}), as_json=as_json)


@app.command("change")
def change(
    zone: ZoneName,
    *,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    area: Annotated[str | None, typer.Option(help="New area whose people keep it.")] = None,
    cluster: Annotated[list[str] | None, typer.Option(help="The clusters it has from now on. Repeated.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change what is named; everything else stays."""
    with ApiClient() as api:
        body: dict[str, Any] = {"name": name} if name else {}
        if area is not None:
            body["area_id"] = area_id(api, area)
        if cluster:
            body["clusters"] = [cluster_id(api, each) for each in cluster]
        show_one(api.patch(f"{_PATH}/{zone_id(api, zone)}", body), as_json=as_json)


@app.command("remove")
def remove(zone: ZoneName) -> None:
    """Delete a zone. Its clusters stay."""
    with ApiClient() as api:
        api.delete(f"{_PATH}/{zone_id(api, zone)}")
    note("deleted")


def zone_id(api: ApiClient, text: str) -> str:
    """The id that an id or a unique name means."""
    return unique_id(text, "zn_", api.pages(_PATH))
