"""``loa-controller cluster``: the loudspeaker clusters."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient
from controller.cli.output import CliError, JsonFlag, note, show, show_one

app = typer.Typer(help="Loudspeaker clusters: where they stand, what they speak, whom to call.", no_args_is_help=True)

_COLUMNS = ("id", "name", "area_id", "languages", "state", "agents", "contact_name", "contact_phone")
_NUMBERS = {"latitude": float, "longitude": float, "output_delay_ms": int}
Named = Annotated[str, typer.Argument(help="Id or unique name.")]
Languages = Annotated[str | None, typer.Option(help="BCP 47, in the order of reading: vi,bru")]
Place = Annotated[str | None, typer.Option(help="LATITUDE,LONGITUDE in degrees.")]
Contact = Annotated[str | None, typer.Option(help="Name of the person to call.")]
Phone = Annotated[str | None, typer.Option(help="Their telephone number.")]
Delay = Annotated[int | None, typer.Option(help="Milliseconds this cluster sounds later.")]
Duck = Annotated[
    str | None,
    typer.Option(
        help="How a relay or music goes on beneath a live announcement: so much softer (-20 is usual, -40 to -6 dB), "
        "or 'off' for silent beneath it. Beneath an emergency or a drill all is silent, whatever is said here."
    ),
]
Amplifier = Annotated[str | None, typer.Option(help="'none' or gpio:PIN[:LEAD_MS[:TAIL_MS]].")]


@app.command("list")
def list_clusters(
    *,
    area: Annotated[str | None, typer.Option(help="Only in this area and below it.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Every cluster you may read."""
    with ApiClient() as api:
        query = {"area_id": area_id(api, area)} if area else {}
        show(api.pages("/api/v1/clusters", query), _COLUMNS, as_json=as_json)


@app.command("show")
def show_cluster(cluster: Named, *, as_json: JsonFlag = False) -> None:
    """One cluster."""
    with ApiClient() as api:
        show_one(api.get(f"/api/v1/clusters/{cluster_id(api, cluster)}"), as_json=as_json)


@app.command("add")
def add(
    name: str,
    *,
    area: Annotated[str, typer.Option(help="Id or unique name of its area.")],
    languages: Languages = None,
    at: Place = None,
    contact: Contact = None,
    phone: Phone = None,
    delay: Delay = None,
    duck: Duck = None,
    amplifier: Amplifier = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a cluster: loa-controller cluster add "A Vao 3" --area "A Vao" --languages vi,pac --phone 0233..."""
    with ApiClient() as api:
        body = {"name": name, "area_id": area_id(api, area)}
        body |= _fields(
            languages=languages, at=at, contact=contact, phone=phone, delay=delay, duck=duck, amplifier=amplifier
        )
        show_one(api.post("/api/v1/clusters", body), as_json=as_json)


@app.command("set")
def change(
    cluster: Named,
    *,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    area: Annotated[str | None, typer.Option(help="New area.")] = None,
    languages: Languages = None,
    at: Place = None,
    contact: Contact = None,
    phone: Phone = None,
    delay: Delay = None,
    duck: Duck = None,
    amplifier: Amplifier = None,
    state: Annotated[str | None, typer.Option(help="active or disabled.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change what is named; everything else stays."""
    with ApiClient() as api:
        body = _fields(
            languages=languages, at=at, contact=contact, phone=phone, delay=delay, duck=duck, amplifier=amplifier
        )
        body |= {field: value for field, value in (("name", name), ("state", state)) if value is not None}
        if area is not None:
            body["area_id"] = area_id(api, area)
        show_one(api.patch(f"/api/v1/clusters/{cluster_id(api, cluster)}", body), as_json=as_json)


@app.command("delete")
def delete(cluster: Named) -> None:
    """Delete a cluster that was never used; disable others: cluster set NAME --state disabled."""
    with ApiClient() as api:
        api.delete(f"/api/v1/clusters/{cluster_id(api, cluster)}")
    note("deleted")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV with a header line, or JSON: a list of objects.")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Add many clusters, all or none.

    Columns: name, area (id or unique name), latitude, longitude, languages (space between), contact_name,
    contact_phone, output_delay_ms.
    """
    with ApiClient() as api:
        areas: dict[str, str] = {}
        clusters = [_row(api, row, number, areas) for number, row in enumerate(_rows(file), start=1)]
        answer = api.post("/api/v1/clusters/import", {"clusters": clusters})
    show(answer["clusters"], _COLUMNS, as_json=as_json)
    note(f"{len(answer['clusters'])} clusters added")


def cluster_id(api: ApiClient, text: str) -> str:
    """The id that an id or a unique name means."""
    return unique_id(text, "cl_", api.pages("/api/v1/clusters"))


def _fields(
    *,
    languages: str | None,
    at: str | None,
    contact: str | None,
    phone: str | None,
    delay: int | None,
    duck: str | None,
    amplifier: str | None,
) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if languages is not None:
        body["languages"] = [part.strip() for part in languages.split(",")]
    if at is not None:
        body["latitude"], body["longitude"] = _coordinates(at)
    if amplifier is not None:
        body["amplifier"] = _amplifier(amplifier)
    if duck is not None:
        body["duck_db"] = _duck(duck)
    plain = (("contact_name", contact), ("contact_phone", phone), ("output_delay_ms", delay))
    return body | {field: value for field, value in plain if value is not None}


def _coordinates(text: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter("write degrees as 16.65,106.83", param_hint="--at") from None
    return latitude, longitude


def _duck(text: str) -> float | None:
    try:
        return None if text == "off" else float(text)
    except ValueError:
        raise typer.BadParameter("write decibels as -20, or off", param_hint="--duck") from None


def _amplifier(text: str) -> dict[str, Any]:
    port, *numbers = text.split(":")
    try:
        values = dict(zip(("pin", "lead_ms", "tail_ms"), (int(number) for number in numbers), strict=False))
    except ValueError:
        raise typer.BadParameter("write 'none' or gpio:17:500:1000", param_hint="--amplifier") from None
    return {"port": port, **values}


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".json":
            rows = json.loads(text)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise CliError(f"{file}: expected a list of objects", code="bad_file")
            yield from rows
        else:
            yield from csv.DictReader(text.splitlines())
    except (OSError, ValueError, csv.Error) as error:
        raise CliError(f"{file} cannot be read: {error}", code="bad_file") from error


def _row(api: ApiClient, row: dict[str, Any], number: int, areas: dict[str, str]) -> dict[str, Any]:
    said = {
        str(name).strip(): value
        for name, value in row.items()
        if name is not None and value is not None and value != ""
    }
    area = str(said.pop("area", said.pop("area_id", "")))
    if not area or "name" not in said:
        raise CliError(f"row {number}: 'name' and 'area' are needed", code="bad_file")
    if area not in areas:
        areas[area] = area_id(api, area)
    if isinstance(said.get("languages"), str):
        said["languages"] = said["languages"].replace(",", " ").split()
    for field, kind in _NUMBERS.items():
        if isinstance(said.get(field), str):
            try:
                said[field] = kind(said[field].strip())
            except ValueError:
                raise CliError(f"row {number}: {field} is not a number: {said[field]!r}", code="bad_file") from None
    return {**said, "area_id": areas[area]}
