"""``loa-controller warning``: warnings that others issue (CAP), and who may issue them to us."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient, Login, current_login
from controller.cli.output import CliError, JsonFlag, UsageFault, line, note, show, show_one
from controller.cli.zone import Zones, zone_id

app = typer.Typer(
    help="""Warnings by CAP: what came, what it would do, saying yes or no.

Yes composes an alert; a second person confirms it (loa-controller alert confirm).
""",
    no_args_is_help=True,
)
sources = typer.Typer(help="Who may warn us, and what their warnings may do.", no_args_is_help=True)
app.add_typer(sources, name="source")

_PATH: Final = "/api/v1/warnings"
_SOURCES: Final = "/api/v1/warning-sources"
_COLUMNS: Final = ("id", "received_at", "source", "state", "msg_type", "status", "signature", "reached", "headline")
_SOURCE_COLUMNS: Final = ("id", "name", "kind", "mode", "enabled", "state")
_PAGE: Final = 100

WarningId = Annotated[str, typer.Argument(metavar="WARNING", help="Its id (wa_…).")]
SourceName = Annotated[str, typer.Argument(metavar="SOURCE", help="Id or unique name.")]
Certificates = Annotated[
    list[Path] | None, typer.Option("--certificate", help="PEM that their XML signatures lead to; repeat.")
]
Clients = Annotated[
    list[Path] | None, typer.Option("--client-certificate", help="PEM of a client that pushes by mutual TLS; repeat.")
]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="JSON file with the whole policy, rules included.")]
ModeOption = Annotated[str | None, typer.Option("--mode", help="show, propose or automatic.")]
Codes = Annotated[
    list[str] | None,
    typer.Option("--geocode", help="NAME=VALUE=AREA: a code of theirs and the area of ours it means; repeat."),
]
Templates = Annotated[
    list[str] | None, typer.Option("--template", help="EVENT=TEMPLATE: emergency template for an event; repeat.")
]
Interval = Annotated[int | None, typer.Option("--interval", help="Seconds between two looks at a feed.")]


@app.command("list")
def list_warnings(
    *,
    state: Annotated[str | None, typer.Option(help="For example proposed.")] = None,
    source: Annotated[str | None, typer.Option(help="Id or unique name of a source.")] = None,
    status: Annotated[str | None, typer.Option(help="Actual, Test, Exercise …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=5_000, help="Most warnings to show.")] = _PAGE,
    as_json: JsonFlag = False,
) -> None:
    """Warnings that came, newest first."""
    with ApiClient() as api:
        query = {"state": state, "status": status, "source_id": None if source is None else _source_id(api, source)}
        show(_newest(api, query, limit), _COLUMNS, as_json=as_json)


@app.command("show")
def show_warning(warning: WarningId, *, as_json: JsonFlag = False) -> None:
    """One warning: whom it reaches, what it would say, what kept it from more."""
    with ApiClient() as api:
        found = api.get(f"{_PATH}/{warning}")
    show_one(found if as_json else _plain(found), as_json=as_json)


@app.command("document")
def document(
    warning: WarningId,
    file: Annotated[Path | None, typer.Argument(help="Where to write it; without it to the standard output.")] = None,
) -> None:
    """The document as it came, to the byte."""
    with ApiClient() as api:
        body = api.download(f"{_PATH}/{warning}/document")
    if file is None:
        typer.get_binary_stream("stdout").write(body)
        return
    try:
        file.write_bytes(body)
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}", code="not_written") from error


@app.command("accept")
def accept(
    warning: WarningId,
    *,
    template: Annotated[str | None, typer.Option(help="Send this emergency template instead.")] = None,
    title: Annotated[str | None, typer.Option(help="Another title.")] = None,
    area: Annotated[list[str] | None, typer.Option(help="For these areas instead; repeat.")] = None,
    zone: Zones = None,
    again: Annotated[bool, typer.Option("--again", help="The same sounded a moment ago, and shall again.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Compose the alert it asks for. Prints the code that the second person needs."""
    with ApiClient() as api:
        body: dict[str, Any] = {"again": again, "template": template, "title": title}
        if area:
            body["areas"] = [area_id(api, one) for one in area]
        if zone:
            body["zones"] = [zone_id(api, one) for one in zone]
        said = {name: value for name, value in body.items() if value is not None}
        made = api.post(f"{_PATH}/{warning}/accept", said)
    if as_json:
        line(made)
    elif made["code"] is None:
        note(f"alert {made['alert_id']} is cancelled")
    else:
        note(f"alert {made['alert_id']} waits for a second person; the code is {made['code']}")


@app.command("decline")
def decline(
    warning: WarningId, *, reason: Annotated[str, typer.Option(help="Why; it is kept.")], as_json: JsonFlag = False
) -> None:
    """Say no to it."""
    with ApiClient() as api:
        found = api.post(f"{_PATH}/{warning}/decline", {"reason": reason})
    if as_json:
        line(found)
    else:
        note("declined")


@app.command("push")
def push(
    file: Annotated[Path, typer.Argument(help="A CAP document.")],
    *,
    token: Annotated[str | None, typer.Option(help="A source's token; LOA_CAP_TOKEN is safer.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Push a document as a source does: LOA_CAP_TOKEN=… loa-controller warning push alert.xml."""
    secret = token or os.environ.get("LOA_CAP_TOKEN")
    if not secret:
        raise UsageFault(
            "give the source's token in LOA_CAP_TOKEN (loa-controller warning source token)", code="no_token"
        )
    login = current_login()
    try:
        with file.open("rb") as content, ApiClient(Login(login.url, secret, login.fingerprint)) as api:
            size = file.stat().st_size
            answer = api.upload("/api/v1/cap", content, size=size, query={}, media_type="application/cap+xml")
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", code="unreadable_file") from error
    show(answer["results"], ("code", "id", "sender", "identifier", "detail"), as_json=as_json)
    if not any(one["id"] for one in answer["results"]):
        raise CliError("none of its alerts was taken", code="nothing_taken")


# --- sources ---


@sources.command("list")
def list_sources(*, as_json: JsonFlag = False) -> None:
    """Sources, and how they are."""
    with ApiClient() as api:
        rows = api.pages(_SOURCES)
        show((row if as_json else _flat(row) for row in rows), _SOURCE_COLUMNS, as_json=as_json)


@sources.command("show")
def show_source(source: SourceName, *, as_json: JsonFlag = False) -> None:
    """One source: policy, feed, faults, certificates with their end."""
    with ApiClient() as api:
        show_one(api.get(f"{_SOURCES}/{_source_id(api, source)}"), as_json=as_json)


@sources.command("add")
def add(
    name: str,
    *,
    area: Annotated[str, typer.Option(help="Id or unique name of the area it speaks for.")],
    feed: Annotated[str | None, typer.Option(help="Address of its feed; without it the source pushes.")] = None,
    interval: Interval = None,
    certificate: Certificates = None,
    client_certificate: Clients = None,
    mode: ModeOption = None,
    policy: PolicyFile = None,
    geocode: Codes = None,
    template: Templates = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a source: loa-controller warning source add "KTTV" --area Đakrông --mode propose --certificate kttv.pem."""
    with ApiClient() as api:
        body = {
            "name": name,
            "area_id": area_id(api, area),
            "kind": "push" if feed is None else "poll",
            **_said(feed, interval, certificate, client_certificate),
            **_rules(mode, policy),
            **_tables(api, geocode, template),
        }
        show_one(api.post(_SOURCES, body), as_json=as_json)


@sources.command("set")
def change(
    source: SourceName,
    *,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    feed: Annotated[str | None, typer.Option(help="New address of its feed.")] = None,
    interval: Interval = None,
    certificate: Certificates = None,
    client_certificate: Clients = None,
    mode: ModeOption = None,
    policy: PolicyFile = None,
    geocode: Codes = None,
    template: Templates = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Take its warnings, or none.")] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Give it back its automatic way after it was demoted.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Change what is named; lists (certificates, geocodes, templates) are replaced as a whole."""
    with ApiClient() as api:
        path = f"{_SOURCES}/{_source_id(api, source)}"
        body: dict[str, Any] = {
            **_said(feed, interval, certificate, client_certificate),
            **_tables(api, geocode, template),
        }
        if policy is not None or mode is not None:
            body |= _rules(mode, policy, api.get(path)["policy"])
        body |= {"name": name} if name is not None else {}
        body |= {"enabled": enabled} if enabled is not None else {}
        body |= {"restore": True} if restore else {}
        show_one(api.patch(path, body), as_json=as_json)


@sources.command("remove")
def remove(source: SourceName) -> None:
    """Take it out of use, with its tokens. What it sent is kept."""
    with ApiClient() as api:
        api.delete(f"{_SOURCES}/{_source_id(api, source)}")
    note("removed")


@sources.command("token")
def token(
    source: SourceName,
    *,
    label: Annotated[str, typer.Option(help="Where it will be used.")] = "push",
    revoke: Annotated[str | None, typer.Option(help="Id of a token to make worthless instead.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """A token to push with, shown once: export LOA_CAP_TOKEN=$(loa-controller warning source token KTTV)."""
    with ApiClient() as api:
        path = f"{_SOURCES}/{_source_id(api, source)}/tokens"
        if revoke is not None:
            api.delete(f"{path}/{revoke}")
            note("revoked")
            return
        made = api.post(path, {"label": label})
    if as_json:
        line(made)
    else:
        typer.echo(made["token"])


def _source_id(api: ApiClient, text: str) -> str:
    return unique_id(text, "ws_", api.pages(_SOURCES))


def _newest(api: ApiClient, query: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before: int | None = None
    while len(found) < limit:
        page = api.get(_PATH, {**query, "limit": min(_PAGE, limit - len(found)), "before": before})
        found += page["items"]
        before = page["next"]
        if before is None:
            break
    return found


def _said(
    feed: str | None,
    interval: int | None,
    certificates: list[Path] | None,
    clients: list[Path] | None,
) -> dict[str, Any]:
    body: dict[str, Any] = {"url": feed, "interval_s": interval}
    body["certificates"] = None if certificates is None else [_text(one) for one in certificates]
    body["client_certificates"] = None if clients is None else [_text(one) for one in clients]
    return {name: value for name, value in body.items() if value is not None}


def _rules(mode: str | None, policy: Path | None, before: dict[str, Any] | None = None) -> dict[str, Any]:
    said = dict(before or {})
    if policy is not None:
        try:
            said = json.loads(_text(policy))
        except ValueError as error:
            raise UsageFault(f"{policy} is not JSON: {error}", code="bad_policy") from error
        if not isinstance(said, dict):
            raise UsageFault(f"{policy} must hold one JSON object", code="bad_policy")
    if mode is not None:
        said["mode"] = mode
    return {"policy": said} if said else {}


def _tables(api: ApiClient, geocodes: list[str] | None, templates: list[str] | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if geocodes is not None:
        body["geocodes"] = [_geocode(api, one) for one in geocodes]
    if templates is not None:
        pairs = [one.rpartition("=") for one in templates]
        if any(not event or not name for event, _, name in pairs):
            raise UsageFault("write a template as EVENT=TEMPLATE", code="bad_template")
        body["templates"] = {event: name for event, _, name in pairs}
    return body


def _geocode(api: ApiClient, text: str) -> dict[str, Any]:
    name, first, rest = text.partition("=")
    value, second, area = rest.partition("=")
    if not (first and second and name and value and area):
        raise UsageFault("write a geocode as NAME=VALUE=AREA, for example XA=19567=Tà Rụt", code="bad_geocode")
    return {"name": name, "value": value, "areas": [area_id(api, area)]}


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {file}: {error}", code="unreadable_file") from error


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    poll = row["poll"]
    if row["demoted_at"]:
        state = "demoted"
    elif poll and poll["failures"]:
        state = f"failing {poll['code']}"
    else:
        state = row["arrivals"]["fault_code"] or "ok"
    return {**row, "mode": row["policy"]["mode"], "state": state}


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """A warning as lines for people: the long parts left out."""
    rest = {
        name: value for name, value in found.items() if name not in {"reading", "proposal", "clusters", "references"}
    }
    proposal = found.get("proposal") or {}
    said = {f"text {one['language']}": one["text"] for one in proposal.get("words", ())}
    shown = ("title", "category", "template", "communes", "spoken", "unplaced", "outside", "replaces")
    return {**rest, **{name: proposal[name] for name in shown if proposal.get(name)}, **said}
