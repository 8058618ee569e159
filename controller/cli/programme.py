"""``loa-controller programme``: the grid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient
from controller.cli.cluster import cluster_id
from controller.cli.media import recording_id
from controller.cli.output import JsonFlag, note, show, show_one
from controller.cli.source import source_id
from controller.cli.zone import zone_id

app = typer.Typer(
    help="""Programmes: what sounds when and where.

Every morning at five, chime, bulletin, chime:
  loa-controller programme add "Bản tin sáng" --area "Tà Rụt" --recording "Bản tin" --at 2026-12-01T05:00
    --rrule FREQ=DAILY --chime-before opening --chime-after closing
A station for half an hour on workdays:
  loa-controller programme add "VOV1" --area "Tà Rụt" --source VOV1 --at 2026-12-01T06:00
    --rrule "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR" --slot 30m
To take one off: loa-controller withdraw PROGRAMME [--at TIME].
""",
    no_args_is_help=True,
)

_PATH: Final = "/api/v1/programmes"
_COLUMNS: Final = ("id", "title", "priority", "state", "dtstart", "rrule", "next_start", "problems")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}

#: What a programme's view tells beyond what a person said about it.
_NOT_SAID: Final = frozenset({"id", "state", "version", "next_start", "problems", "created_by", "created_at"})

Programme = Annotated[str, typer.Argument(help="Id or unique title.")]
Repeated = list[str] | None


@app.command("list")
def list_programmes(
    *,
    area: Annotated[str | None, typer.Option(help="Only those that belong to this area.")] = None,
    state: Annotated[str | None, typer.Option(help="active, withdrawn or ended.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Programmes, with what is wrong with them."""
    with ApiClient() as api:
        query = {"area_id": area_id(api, area) if area else None, "state": state}
        rows = api.pages(_PATH, query)
        show(rows if as_json else (_flat(row) for row in rows), _COLUMNS, as_json=as_json)


@app.command("show")
def show_programme(programme: Programme, *, as_json: JsonFlag = False) -> None:
    """One programme."""
    with ApiClient() as api:
        show_one(api.get(f"{_PATH}/{programme_id(api, programme)}"), as_json=as_json)


@app.command("add")
def add(
    title: str,
    *,
    at: Annotated[str, typer.Option(help="First local time: 2026-12-01T05:00.")],
    area: Annotated[str, typer.Option(help="The area it belongs to; it sounds there unless targets are named.")],
    recording: Annotated[Repeated, typer.Option(help="Recording, in the order of reading; may be repeated.")] = None,
    source: Annotated[str | None, typer.Option(help="Station to relay, instead of recordings.")] = None,
    fallback: Annotated[Repeated, typer.Option(help="Recording that sounds while the station is silent.")] = None,
    rrule: Annotated[str | None, typer.Option(help="RFC 5545, such as FREQ=DAILY; left out = once.")] = None,
    zone: Annotated[str | None, typer.Option("--timezone", help="IANA zone; by default the area's.")] = None,
    exdate: Annotated[Repeated, typer.Option(help="Local time or date on which it does not come.")] = None,
    rdate: Annotated[Repeated, typer.Option(help="Local time at which it comes besides.")] = None,
    target_area: Annotated[Repeated, typer.Option(help="Area it sounds in; may be repeated.")] = None,
    target_cluster: Annotated[Repeated, typer.Option(help="Cluster it sounds at; may be repeated.")] = None,
    target_zone: Annotated[Repeated, typer.Option(help="Zone it sounds in; may be repeated.")] = None,
    priority: Annotated[str | None, typer.Option(help="priority_bulletin, programme, relay or filler.")] = None,
    slot: Annotated[str | None, typer.Option(help="Its place in the grid: 90s, 30m, 1h. A relay needs one.")] = None,
    repeat: Annotated[int, typer.Option(help="Times in a row, 1 to 10.")] = 1,
    gap: Annotated[str, typer.Option(help="Silence between repetitions.")] = "30s",
    chime_before: Annotated[str | None, typer.Option(help="opening or closing.")] = None,
    chime_after: Annotated[str | None, typer.Option(help="opening or closing.")] = None,
    late: Annotated[str, typer.Option(help="join, skip, or play_full_within:10m.")] = "join",
    after_preempt: Annotated[str, typer.Option(help="resume, restart, skip or join.")] = "resume",
    overrun: Annotated[str, typer.Option(help="let_finish or cut_with_fade.")] = "let_finish",
    max_delay: Annotated[str, typer.Option(help="How much later than planned it may still end.")] = "10m",
    as_json: JsonFlag = False,
) -> None:
    """Put a programme on the grid. What stands in the way is named, and nothing is written."""
    if bool(recording) == (source is not None):
        raise typer.BadParameter("name recordings or a source, and not both", param_hint="--recording / --source")
    with ApiClient() as api:
        own = area_id(api, area)
        targets = {
            "areas": [area_id(api, each) for each in target_area or ()],
            "clusters": [cluster_id(api, each) for each in target_cluster or ()],
            "zones": [zone_id(api, each) for each in target_zone or ()],
        }
        content: dict[str, Any]
        if source is not None:
            content = {"kind": "relay", "source": source_id(api, source)}
            content["fallback"] = [recording_id(api, each) for each in fallback or ()]
        else:
            content = {
                "kind": "recorded",
                "recordings": [recording_id(api, each) for each in recording or ()],
                "repeat": repeat,
                "gap_s": seconds(gap, "--gap"),
                "chime_before": chime_before,
                "chime_after": chime_after,
            }
        body = {
            "area_id": own,
            "title": title,
            "priority": (priority or ("relay" if source else "programme")).upper(),
            "dtstart": at,
            "timezone": zone,
            "rrule": rrule,
            "exdates": list(exdate or ()),
            "rdates": list(rdate or ()),
            "content": content,
            "targets": targets if any(targets.values()) else {"areas": [own]},
            "late": _late(late),
            "after_preempt": after_preempt,
            "overrun": overrun,
            "slot_s": None if slot is None else seconds(slot, "--slot"),
            "max_delay_s": seconds(max_delay, "--max-delay"),
        }
        made = api.post(_PATH, body)
        for problem in made["problems"]:
            note(f"note: {problem['message']}")
        show_one(made, as_json=as_json)


@app.command("set")
def change(
    programme: Programme,
    *,
    title: Annotated[str | None, typer.Option(help="New title.")] = None,
    at: Annotated[str | None, typer.Option(help="New first local time.")] = None,
    rrule: Annotated[str | None, typer.Option(help="New rule; 'none' = once.")] = None,
    slot: Annotated[str | None, typer.Option(help="New slot: 90s, 30m, 1h.")] = None,
    recording: Annotated[Repeated, typer.Option(help="New recordings, in the order of reading.")] = None,
    move: Annotated[Repeated, typer.Option(help="Move one occurrence: FROM=TO, both local times.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change what is named; everything else stays. Checked like a new programme."""
    with ApiClient() as api:
        path = f"{_PATH}/{programme_id(api, programme)}"
        view = api.get(path)
        body = {name: value for name, value in view.items() if name not in _NOT_SAID}
        body |= {name: value for name, value in (("title", title), ("dtstart", at)) if value is not None}
        if rrule is not None:
            body["rrule"] = None if rrule == "none" else rrule
        if slot is not None:
            body["slot_s"] = seconds(slot, "--slot")
        if recording:
            body["content"] = {**body["content"], "recordings": [recording_id(api, each) for each in recording]}
        for each in move or ():
            old, equals, new = each.partition("=")
            if not equals:
                raise typer.BadParameter(
                    "write FROM=TO, such as 2026-12-24T05:00=2026-12-24T06:30", param_hint="--move"
                )
            body["moved"] = [*body["moved"], {"recurrence": old, "start": new}]
        show_one(api.put(path, {**body, "version": view["version"]}), as_json=as_json)


@app.command("preview")
def preview(
    programme: Programme,
    *,
    days: Annotated[int, typer.Option(help="How many days from now.", min=1, max=31)] = 2,
    as_json: JsonFlag = False,
) -> None:
    """What its clusters will sound, hour by hour, by the same arbiter that the agents play by."""
    with ApiClient() as api:
        own = programme_id(api, programme)
        view = api.get(f"{_PATH}/{own}")
        now = datetime.now(UTC)
        body = {
            "programme": {name: value for name, value in view.items() if name not in _NOT_SAID},
            "programme_id": own,
            "begin": now.isoformat(),
            "end": (now + timedelta(days=days)).isoformat(),
        }
        found = api.post(f"{_PATH}/preview", body)
        for problem in found["problems"]:
            note(f"note: {problem['message']}")
        rows = [{"cluster": each["cluster_id"], **span} for each in found["clusters"] for span in each["spans"]]
        show(rows, ("cluster", "begin", "end", "priority", "title"), as_json=as_json)


def programme_id(api: ApiClient, text: str) -> str:
    """The id that an id or a unique title of an active programme means."""
    rows = api.pages(_PATH, {"state": "active"})
    return unique_id(text, "pr_", ({"id": row["id"], "name": row["title"]} for row in rows))


def seconds(text: str, hint: str) -> int:
    """``90s``, ``30m``, ``1h`` or plain seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not number.isascii() or not number.isdecimal():
        raise typer.BadParameter("write a length as 90s, 30m or 1h", param_hint=hint)
    return int(number) * _UNITS[unit]


def _late(text: str) -> dict[str, Any]:
    kind, _, within = text.partition(":")
    return {"kind": kind, "within_s": seconds(within, "--late") if within else None}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "problems": [problem["code"] for problem in row["problems"]]}
