"""``loa-controller alert``: warn people. Two people, or one with a reason."""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id
from controller.cli.client import ApiClient
from controller.cli.cluster import cluster_id
from controller.cli.output import CliError, JsonFlag, UsageFault, note, show, show_one
from controller.cli.programme import seconds
from controller.cli.template import template_id, words_of
from controller.cli.zone import Zones, zone_id

app = typer.Typer(
    help="""Alerts: real emergencies. Drills have a command of their own.

One person composes and gets a code of six digits:
  loa-controller alert compose --template "Cảnh báo lũ" --area "Tà Rụt"
Another one, signed in as themselves, reads the sentence and confirms with that code:
  loa-controller alert confirm al_… --code 123456
Nobody else there? loa-controller alert override al_… --reason "…" (logged; every superior is told).
Who does not sound, and whom to call: loa-controller alert board al_… ; loa-controller alert call-sheet al_…
It is over: loa-controller alert cancel al_… (the cancel message goes out). To silence everything: stop --all.
""",
    no_args_is_help=True,
)

_PATH: Final = "/api/v1/alerts"
_COLUMNS: Final = ("id", "title", "state", "clusters", "composed_at", "given_at")
_ROWS: Final = ("area", "cluster", "state", "code", "rounds", "contact_name", "contact_phone")
#: How long the speech of a text alert may take to be made.
_PATIENCE_S: Final = 120.0
_LOOK_S: Final = 0.3
_BOARD_S: Final = 3.0

Alert = Annotated[str, typer.Argument(help="Id: al_…")]
Repeated = list[str] | None
Areas = Annotated[Repeated, typer.Option("--area", help="Id or unique name; with everything below it.")]
Clusters = Annotated[Repeated, typer.Option("--cluster", help="Id or unique name. May be repeated.")]
All = Annotated[bool, typer.Option("--all", help="Everywhere.")]
Polygons = Annotated[Repeated, typer.Option("--polygon", help="'lat,lon lat,lon …' as in CAP. May be repeated.")]
Circles = Annotated[Repeated, typer.Option("--circle", help="'lat,lon radius_km' as in CAP. May be repeated.")]
Template = Annotated[str | None, typer.Option(help="Active template, by id or unique title.")]
Say = Annotated[Repeated, typer.Option(help="LANGUAGE=TEXT: words to be spoken. May be repeated.")]
CancelSay = Annotated[Repeated, typer.Option("--cancel-say", help="LANGUAGE=TEXT of the cancel message.")]
Recording = Annotated[Repeated, typer.Option(help="LANGUAGE=RECORDING that says the words.")]
Voice = Annotated[bool, typer.Option("--voice", help="A person at the microphone (class 90).")]
Title = Annotated[str, typer.Option(help="What it is called; with a template, the template's by default.")]
Category = Annotated[str, typer.Option(help="flood, storm … For --say and --voice.")]
ToneOption = Annotated[str, typer.Option(help="siren, warble, pulse, gong or none. For --say.")]
Repeat = Annotated[int | None, typer.Option(help="Times in a row; by default as the template says.")]
Gap = Annotated[str, typer.Option(help="Silence between repetitions.")]
Every = Annotated[str | None, typer.Option(help="The same again every …, such as 2h, until cancelled.")]
Until = Annotated[str | None, typer.Option(help="With --every: 2026-12-01T18:00:00+07:00.")]
Valid = Annotated[str, typer.Option(help="How long a cluster that was away may come back and sound it.")]
Again = Annotated[bool, typer.Option("--again", help="The same once more within 3 minutes is meant.")]
Replaces = Annotated[
    list[str] | None, typer.Option(help="An alert whose place it takes: that ends where this sounds. May be repeated.")
]
Yes = Annotated[bool, typer.Option("--yes", help="For scripts, with --clusters N: asks nothing.")]
Count = Annotated[int | None, typer.Option("--clusters", help="How many clusters you expect; refused when it differs.")]


@app.command("review")
def review(
    *,
    template: Template = None,
    say: Say = None,
    recording: Recording = None,
    voice: Voice = False,
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    polygon: Polygons = None,
    circle: Circles = None,
    title: Title = "",
    category: Category = "custom",
    tone: ToneOption = "siren",
    repeat: Repeat = None,
    gap: Gap = "10s",
    every: Every = None,
    until: Until = None,
    replaces: Replaces = None,
    as_json: JsonFlag = False,
) -> None:
    """What an alert would do: how many clusters where, who is away, which words, for how long. Changes nothing."""
    with ApiClient() as api:
        body = _content(api, template, say, None, recording, voice=voice) | _where(
            api, everywhere, area, zone, cluster, polygon, circle
        )
        body |= {"title": title, "category": category, "tone": tone, "replaces": replaces or []}
        body |= _how_often(repeat, gap, every, until)
        _show_review(api.post(f"{_PATH}/review", body), as_json=as_json)


@app.command("compose")
def compose(
    *,
    template: Template = None,
    say: Say = None,
    cancel_say: CancelSay = None,
    recording: Recording = None,
    voice: Voice = False,
    everywhere: All = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    polygon: Polygons = None,
    circle: Circles = None,
    title: Title = "",
    category: Category = "custom",
    tone: ToneOption = "siren",
    repeat: Repeat = None,
    gap: Gap = "10s",
    every: Every = None,
    until: Until = None,
    valid: Valid = "1h",
    again: Again = False,
    replaces: Replaces = None,
    as_json: JsonFlag = False,
) -> None:
    """Compose an alert: alert compose --template "Cảnh báo lũ" --area "Tà Rụt". It sounds when someone else confirms.

    Prints the code that the second person needs within ten minutes.
    """
    with ApiClient() as api:
        body = _content(api, template, say, cancel_say, recording, voice=voice)
        body |= _where(api, everywhere, area, zone, cluster, polygon, circle)
        body |= {"title": title, "category": category, "tone": tone, "valid_s": seconds(valid, "--valid")}
        body |= {"again": again, "replaces": replaces or [], **_how_often(repeat, gap, every, until)}
        before = api.post(f"{_PATH}/review", body)
        _show_review(before, as_json=False)
        made = api.post(_PATH, body, idempotency_key=secrets.token_hex(16))
        waited = made["state"] == "composed"
        made = _armed(api, made)
        if waited:  # only now it is known how long it sounds
            _show_review(api.get(f"{_PATH}/{made['id']}/review"), as_json=False)
        if as_json:
            show_one(made, as_json=True)
            return
        shown = {name: made[name] for name in ("id", "title", "state", "clusters", "code", "code_expires")}
        show_one(shown, as_json=False)
        note(f"Tell the code to the second person. They run: loa-controller alert confirm {made['id']} --code CODE")


@app.command("confirm")
def confirm(
    alert: Alert,
    *,
    code: Annotated[str, typer.Option(help="What the composer was shown.")],
    yes: Yes = False,
    clusters: Count = None,
    as_json: JsonFlag = False,
) -> None:
    """Confirm as the second person: it sounds at once. Type the number of clusters when asked."""
    with ApiClient() as api:
        _agree(api, alert, yes=yes, clusters=clusters)
        done = api.post(f"{_PATH}/{alert}/confirm", {"code": code}, idempotency_key=secrets.token_hex(16))
        _follow(api, done, as_json=as_json)


@app.command("override")
def override(
    alert: Alert,
    *,
    reason: Annotated[str, typer.Option(help="Why nobody else can confirm it.")],
    yes: Yes = False,
    clusters: Count = None,
    as_json: JsonFlag = False,
) -> None:
    """Go on alone with what you composed: it sounds at once, and every superior is told."""
    with ApiClient() as api:
        _agree(api, alert, yes=yes, clusters=clusters)
        done = api.post(f"{_PATH}/{alert}/override", {"reason": reason}, idempotency_key=secrets.token_hex(16))
        _follow(api, done, as_json=as_json)


@app.command("extend")
def extend(
    alert: Alert,
    *,
    until: Annotated[str, typer.Option(help="Within 24 hours: 2026-12-01T18:00:00+07:00.")],
    as_json: JsonFlag = False,
) -> None:
    """Let it go on longer, at its cadence or every two hours."""
    with ApiClient() as api:
        done = api.post(f"{_PATH}/{alert}/extend", {"until": until}, idempotency_key=secrets.token_hex(16))
        show_one(done if as_json else _flat(done), as_json=as_json)


@app.command("cancel")
def cancel(
    alert: Alert,
    *,
    all_clear: Annotated[bool, typer.Option("--all-clear", help="Send the all-clear template instead.")] = False,
    reason: Annotated[str, typer.Option(help="For the log.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Silence it, and send its cancel message to the same clusters."""
    with ApiClient() as api:
        body = {"all_clear": all_clear, "reason": reason}
        done = api.post(f"{_PATH}/{alert}/cancel", body, idempotency_key=secrets.token_hex(16))
        show_one(done if as_json else _flat(done), as_json=as_json)


@app.command("list")
def list_alerts(*, as_json: JsonFlag = False) -> None:
    """Alerts of the last days, newest first."""
    with ApiClient() as api:
        rows = api.pages(_PATH)
        show(rows if as_json else (_flat(row) for row in rows), _COLUMNS, as_json=as_json)


@app.command("show")
def show_alert(alert: Alert, *, as_json: JsonFlag = False) -> None:
    """One alert."""
    with ApiClient() as api:
        show_one(api.get(f"{_PATH}/{alert}"), as_json=as_json)


@app.command("board")
def board(
    alert: Alert,
    *,
    every: Annotated[bool, typer.Option("--rows", help="Every cluster, not only those that do not sound.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """How far it came: numbers, and the red list with whom to call."""
    with ApiClient() as api:
        _show_board(api.get(f"{_PATH}/{alert}/board"), rows=every, as_json=as_json)


@app.command("call-sheet")
def call_sheet(
    alert: Alert, *, html: Annotated[bool, typer.Option("--html", help="To print from a browser.")] = False
) -> None:
    """Whom to telephone, in Vietnamese: alert call-sheet al_… | lp."""
    with ApiClient() as api:
        query = None if html else {"plain": "true"}
        typer.echo(api.download(f"{_PATH}/{alert}/call-sheet", query).decode(), nl=False)


def _content(
    api: ApiClient,
    template: str | None,
    say: list[str] | None,
    cancel_say: list[str] | None,
    recording: list[str] | None,
    *,
    voice: bool,
) -> dict[str, Any]:
    if sum((template is not None, bool(say), voice)) != 1:
        raise UsageFault("say what: --template TITLE, --say LANGUAGE=TEXT, or --voice", code="no_content")
    if voice:
        return {"kind": "voice"}
    if template is not None:
        return {"kind": "template", "template": template_id(api, template)}
    return {
        "kind": "text",
        "words": words_of(api, say, recording),
        "cancel_words": words_of(api, cancel_say, None),
    }


def _where(  # noqa: PLR0917 - as the command line gives it
    api: ApiClient,
    everywhere: bool,  # noqa: FBT001 - it is
    areas: list[str] | None,
    zones: list[str] | None,
    clusters: list[str] | None,
    polygons: list[str] | None,
    circles: list[str] | None,
) -> dict[str, Any]:
    if not (everywhere or areas or zones or clusters or polygons or circles):
        raise UsageFault("say where: --area, --zone, --cluster, --polygon, --circle or --all", code="no_target")
    return {
        "everywhere": everywhere,
        "areas": [area_id(api, each) for each in areas or ()],
        "zones": [zone_id(api, each) for each in zones or ()],
        "clusters": [cluster_id(api, each) for each in clusters or ()],
        "polygons": polygons or [],
        "circles": circles or [],
    }


def _how_often(repeat: int | None, gap: str, every: str | None, until: str | None) -> dict[str, Any]:
    if repeat is None and every is None and until is None:
        return {}
    return {
        "repetition": {
            "times": repeat or 3,
            "gap_s": seconds(gap, "--gap"),
            "every_s": None if every is None else seconds(every, "--every"),
            "until": until,
        }
    }


def _show_review(view: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_one(view, as_json=True)
        return
    note(view["sentence"])
    for caution in view["cautions"]:
        note(f"  ! {caution['text']} [{caution['code']}]")
    for language, words in view["first_words"].items():
        note(f"  {language}: {words}")


def _armed(api: ApiClient, made: dict[str, Any]) -> dict[str, Any]:
    """Wait until the speech of a text alert is made."""
    code, deadline = made["code"], time.monotonic() + _PATIENCE_S
    while made["state"] == "composed" and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        made = api.get(f"{_PATH}/{made['id']}")
    if made["state"] != "armed":
        raise CliError(f"it could not be made: {made['fault'] or made['state']}", code="not_armed")
    return {**made, "code": code}


def _agree(api: ApiClient, alert: str, *, yes: bool, clusters: int | None) -> None:
    """Read the sentence, then type the number of clusters: a number cannot be clicked away."""
    view = api.get(f"{_PATH}/{alert}/review")
    _show_review(view, as_json=False)
    if yes:
        if clusters is None:
            raise UsageFault("--yes needs --clusters N: how many you expect", code="no_count")
        typed = clusters
    else:
        typed = typer.prompt("Gõ số cụm loa để phát thật (type the number of clusters)", type=int, err=True)
    if typed != view["clusters"]:
        raise CliError(f"{typed} is not {view['clusters']}; nothing was sent", code="wrong_count")


def _follow(api: ApiClient, done: dict[str, Any], *, as_json: bool) -> None:
    """The board after a moment; of a voice, how to speak."""
    if done["live_session"]:
        note(f"{done['composed']['by']} speaks now: loa-controller live speak {done['live_session']} --input pulse")
    if done["counts"] is None or done["live_session"]:
        show_one(done if as_json else _flat(done), as_json=as_json)
        return
    deadline = time.monotonic() + _BOARD_S
    path = f"{_PATH}/{done['id']}"
    view = api.get(f"{path}/board")
    while time.monotonic() < deadline and view["sounded"] < done["clusters"]:
        time.sleep(_LOOK_S)
        view = api.get(f"{path}/board", {"since": view["revision"]})
    if as_json:
        show_one({**done, "board": {**view, "rows": []}}, as_json=True)
    else:
        _show_board(view, rows=False, as_json=False)


def _show_board(view: dict[str, Any], *, rows: bool, as_json: bool) -> None:
    if as_json:
        show_one(view, as_json=True)
        return
    counts = {state: number for state, number in view["counts"].items() if number}
    show_one({"alert": view["alert_id"], "state": view["state"], "sounded": view["sounded"], **counts}, as_json=False)
    told = view["farewell"]
    if told is not None:
        heard = f"{told['sounded']} of {told['clusters']} clusters"
        show_one({"end_heard_at": heard, "heard_no_end": told["unaware"]}, as_json=False)
    listed = view["rows"] if rows else view["red"] if told is None else told["red"]
    if listed:
        show(({"contact_name": "", "contact_phone": "", **row} for row in listed), _ROWS, as_json=False)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    given = row["given"] or {}
    return {
        **{name: row[name] for name in ("id", "title", "state", "clusters")},
        "composed_at": f"{row['composed']['at']} {row['composed']['by']}",
        "given_at": f"{given['at']} {given['by']}" if given else None,
    }
