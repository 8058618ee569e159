"""``loa-controller drill``: drills and tests of the loudspeakers. Never an alert."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id
from controller.cli.client import ApiClient
from controller.cli.cluster import cluster_id
from controller.cli.output import JsonFlag, show, show_one
from controller.cli.template import template_id
from controller.cli.zone import Zones, zone_id

app = typer.Typer(
    help="""Drills and tests. People hear "đây là diễn tập" before and after; a drill can never become an alert.

Is every box ready for an emergency (no sound at all)?
  loa-controller drill silent --all
A short audible test, and how each box did lately:
  loa-controller drill test --area "Tà Rụt"
  loa-controller drill scorecard
""",
    no_args_is_help=True,
)

_PATH: Final = "/api/v1/drills"
_COLUMNS: Final = ("id", "kind", "title", "start", "boxes", "verified", "started", "finished", "tested", "missing")
_RESULTS: Final = ("cluster", "agent_id", "passed", "missing", "code", "started_at", "start_error_us", "tested_at")
_CARDS: Final = (
    *("cluster", "agent_id", "tries", "passed", "availability", "verified", "started_in_time", "finished"),
    *("clock_ok", "stock_ok", "last_passed", "last_code"),
)
#: How long a command waits for the boxes before it shows what there is.
_PATIENCE_S: Final = 8.0
_LOOK_S: Final = 0.3

Repeated = list[str] | None
Areas = Annotated[Repeated, typer.Option("--area", help="Id or unique name; with everything below it.")]
Clusters = Annotated[Repeated, typer.Option("--cluster", help="Id or unique name. May be repeated.")]
All = Annotated[bool, typer.Option("--all", help="Everywhere.")]
Title = Annotated[str, typer.Option(help="For the list; not heard.")]
Drill = Annotated[str, typer.Argument(help="Its id.")]


@app.command("start")
def start(
    *,
    template: Annotated[str | None, typer.Option(help="Emergency template to drill, by id or unique title.")] = None,
    say: Annotated[Repeated, typer.Option(help="Instead: LANGUAGE=TEXT, such as vi='Nước sông đang lên'.")] = None,
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    times: Annotated[int, typer.Option(min=1, max=3, help="In a row.")] = 1,
    title: Title = "",
    as_json: JsonFlag = False,
) -> None:
    """Start a drill now: an emergency's words between two notices that it is a drill. Not in quiet hours."""
    words = [_words(each) for each in say or ()]
    with ApiClient() as api:
        where = _where(api, everywhere=everywhere, areas=area, zones=zone, clusters=cluster)
        drilled = None if template is None else template_id(api, template)
        body = where | {"kind": "drill", "template": drilled, "words": words, "times": times, "title": title}
        _begin(api, body, as_json=as_json, patience_s=0.0)


@app.command("test")
def audible_test(
    *,
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    title: Title = "",
    as_json: JsonFlag = False,
) -> None:
    """Start a short audible test now, announced as one. Not in quiet hours."""
    with ApiClient() as api:
        where = _where(api, everywhere=everywhere, areas=area, zones=zone, clusters=cluster)
        _begin(api, where | {"kind": "test", "title": title}, as_json=as_json, patience_s=0.0)


@app.command("silent")
def silent(
    *,
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    as_json: JsonFlag = False,
) -> None:
    """Let the boxes prove themselves without a sound: stock, clock, output, disk, plan, mute."""
    with ApiClient() as api:
        where = _where(api, everywhere=everywhere, areas=area, zones=zone, clusters=cluster)
        _begin(api, where | {"kind": "silent"}, as_json=as_json, patience_s=_PATIENCE_S)


@app.command("list")
def list_drills(*, as_json: JsonFlag = False) -> None:
    """Drills and tests, newest first."""
    with ApiClient() as api:
        show(api.pages(_PATH), _COLUMNS, as_json=as_json)


@app.command("show")
def show_drill(drill: Drill, *, as_json: JsonFlag = False) -> None:
    """One drill with every box, the worst first."""
    with ApiClient() as api:
        _show(api.get(f"{_PATH}/{drill}"), as_json=as_json)


@app.command("cancel")
def cancel(drill: Drill, *, as_json: JsonFlag = False) -> None:
    """End a drill that sounds."""
    with ApiClient() as api:
        _show(api.post(f"{_PATH}/{drill}/cancel", {}), as_json=as_json)


@app.command("scorecard")
def cards(
    *,
    last: Annotated[int, typer.Option(min=1, max=60, help="Tries of each box that are looked at.")] = 12,
    as_json: JsonFlag = False,
) -> None:
    """How each box did in its last tests, the worst first."""
    with ApiClient() as api:
        show(api.pages(f"{_PATH}/scorecard", {"last": last}), _CARDS, as_json=as_json)


def _begin(api: ApiClient, body: dict[str, Any], *, as_json: bool, patience_s: float) -> None:
    drill = api.post(_PATH, body, idempotency_key=secrets.token_hex(16))
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends and any(not row["tested_at"] and not row["code"] for row in drill["results"]):
        time.sleep(_LOOK_S)
        drill = api.get(f"{_PATH}/{drill['id']}")
    _show(drill, as_json=as_json)


def _show(drill: dict[str, Any], *, as_json: bool) -> None:
    results = drill["results"]
    show_one(drill if as_json else {name: drill[name] for name in _COLUMNS}, as_json=as_json)
    if not as_json:
        show(results, _RESULTS, as_json=False)


def _where(api: ApiClient, *, everywhere: bool, areas: Repeated, zones: Repeated, clusters: Repeated) -> dict[str, Any]:
    if everywhere is bool(areas or zones or clusters):
        raise typer.BadParameter("say where: --all, or --area, --zone and --cluster")
    return {
        "everywhere": everywhere,
        "areas": [area_id(api, each) for each in areas or ()],
        "zones": [zone_id(api, each) for each in zones or ()],
        "clusters": [cluster_id(api, each) for each in clusters or ()],
    }


def _words(text: str) -> dict[str, str]:
    language, equals, words = text.partition("=")
    if not equals or not words.strip():
        raise typer.BadParameter(f"{text!r}: say it as LANGUAGE=TEXT, such as vi='Nước đang lên'")
    return {"language": language.strip(), "text": words.strip()}
