"""``loa-controller agent``: the boxes; letting them in, seeing how they are, putting them out."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.cli.area import unique_id
from controller.cli.client import ApiClient, ApiError
from controller.cli.output import CliError, JsonFlag, note, show, show_one

app = typer.Typer(help="Agents: the boxes at the loudspeakers.", no_args_is_help=True)

_COLUMNS = (
    "id",
    "cluster",
    "state",
    "online",
    "last_seen",
    "clips",
    "clock",
    "clock_sigma_ms",
    "output",
    "timing",
    "sound_error_ms",
    "sounding",
    "faults",
)
_RECORD_COLUMNS = ("received_at", "cluster_id", "title", "outcome", "planned_start", "start_error_us", "code")
_FAULT_COLUMNS = ("since", "cluster", "code", "detail", "flapping", "contact_name", "contact_phone")
_FLEET_COLUMNS = ("name", "clusters", "online", "cached", "playing", "played", "missed", "faults")
_LIFE = re.compile(r"(\d{1,5})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}

Agent = Annotated[str, typer.Argument(help="Id, or its first digits if only one begins so.")]
Cluster = Annotated[str, typer.Option("--cluster", help="Id or unique name of the cluster.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="Most rows.")]


@app.command("list")
def list_agents(
    *,
    pending: Annotated[bool, typer.Option("--pending", help="Boxes that wait for approval instead.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Every box you may read."""
    with ApiClient() as api:
        if pending:
            show(api.pages("/api/v1/pending-agents"), ("agent_id", "address", "software", "since"), as_json=as_json)
        else:
            rows = api.pages("/api/v1/agents")
            show(rows if as_json else map(_short, rows), _COLUMNS, as_json=as_json)
            if not as_json:
                _tell_of_waiting(api)


@app.command("show")
def show_agent(agent: Agent, *, as_json: JsonFlag = False) -> None:
    """One box, with its last status."""
    with ApiClient() as api:
        show_one(api.get(f"/api/v1/agents/{agent_id(api, agent)}"), as_json=as_json)


@app.command("approve")
def approve(
    agent: Agent,
    *,
    cluster: Cluster,
    code: Annotated[str, typer.Option(help="The eight digits the box itself shows (loa-agent status).")],
    as_json: JsonFlag = False,
) -> None:
    """Let one waiting box in, after comparing the digits it shows."""
    with ApiClient() as api:
        wanted = agent_id(api, agent, pending=True)
        body = {"cluster_id": cluster_id(api, cluster), "code": code}
        show_one(api.post(f"/api/v1/agents/{wanted}/approve", body), as_json=as_json)
    note(f'the digits agree; it is let in as soon as the box confirms too: loa-agent confirm "{code}" --data DIR')


@app.command("move")
def move(agent: Agent, *, cluster: Cluster, as_json: JsonFlag = False) -> None:
    """Let a box serve another cluster."""
    with ApiClient() as api:
        body = {"cluster_id": cluster_id(api, cluster)}
        show_one(api.post(f"/api/v1/agents/{agent_id(api, agent)}/move", body), as_json=as_json)


@app.command("revoke")
def revoke(agent: Agent, *, as_json: JsonFlag = False) -> None:
    """Never speak to a box again; its connection ends within seconds."""
    with ApiClient() as api:
        show_one(api.post(f"/api/v1/agents/{agent_id(api, agent)}/revoke"), as_json=as_json)


@app.command("provision")
def provision(
    *,
    cluster: Annotated[list[str], typer.Option(help="Id or unique name; repeat it for more boxes.")],
    out: Annotated[Path, typer.Option(help="The file to write (mode 0600).")],
    url: Annotated[str | None, typer.Option(help="Where boxes find the controller; none = by mDNS.")] = None,
    life: Annotated[str, typer.Option(help="How long the tokens are good: 90m, 12h, 30d.")] = "30d",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a provisioning file: one one-time token for each --cluster."""
    seconds = _seconds(life)
    if out.exists() and not force:
        raise CliError(f"{out} is there already; choose another name, or say --force", code="file_exists")
    with ApiClient() as api:
        clusters = list(api.pages("/api/v1/clusters"))
        body: dict[str, Any] = {
            "clusters": [unique_id(name, "cl_", clusters) for name in cluster],
            "life_s": seconds,
        }
        if url is not None:
            body["controller"] = url
        made = api.post("/api/v1/provisioning", body)
    _write_secret(out, json.dumps(made["provisioning"]) + "\n")
    show_one({"file": str(out), "tokens": len(cluster), "expires": made["expires"]}, as_json=as_json)
    if not as_json:
        note("Keep it secret until the boxes are enrolled: whoever has it can enrol a box of their own.")


@app.command("faults")
def faults(*, as_json: JsonFlag = False) -> None:
    """What is wrong now, newest first, with whom to call."""
    with ApiClient() as api:
        show(api.pages("/api/v1/faults"), _FAULT_COLUMNS, as_json=as_json)


@app.command("fleet")
def fleet(*, as_json: JsonFlag = False) -> None:
    """The fleet in numbers, by area."""
    with ApiClient() as api:
        view = api.get("/api/v1/fleet")
    show([*view["areas"], {**view["total"], "name": "total"}], _FLEET_COLUMNS, as_json=as_json)


@app.command("records")
def records(
    *,
    cluster: Annotated[str | None, typer.Option(help="Only of this cluster.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only of this box.")] = None,
    outcome: Annotated[str | None, typer.Option(help="played, partial, missed, skipped, refused, stopped …")] = None,
    limit: Limit = 100,
    as_json: JsonFlag = False,
) -> None:
    """What boxes say they played, newest first."""
    with ApiClient() as api:
        query: dict[str, object] = {"outcome": outcome, "limit": limit}
        if cluster is not None:
            query["cluster_id"] = cluster_id(api, cluster)
        if agent is not None:
            query["agent_id"] = agent_id(api, agent)
        show(api.get("/api/v1/play-records", query)["items"], _RECORD_COLUMNS, as_json=as_json)


def cluster_id(api: ApiClient, text: str) -> str:
    """The id that an id or a unique name of a cluster means."""
    return unique_id(text, "cl_", api.pages("/api/v1/clusters"))


def agent_id(api: ApiClient, text: str, *, pending: bool = False) -> str:
    """The id that an id, or its first digits, means.

    Raises:
        CliError: no box, or several, begin so.
    """
    if re.fullmatch(r"[0-9a-f]{32}", text):
        return text
    path, name = ("/api/v1/pending-agents", "agent_id") if pending else ("/api/v1/agents", "id")
    found = [str(row[name]) for row in api.pages(path) if str(row[name]).startswith(text)] if text else []
    if len(found) != 1:
        why = "no box begins" if not found else f"several boxes ({', '.join(found[:5])}) begin"
        raise CliError(f"{why} with {text!r}; see the list command", code="not_found")
    return found[0]


def _tell_of_waiting(api: ApiClient) -> None:
    try:
        waiting = sum(1 for _ in api.pages("/api/v1/pending-agents"))
    except ApiError:  # not everybody may see them
        return
    if waiting:
        note(f"waiting for approval: {waiting}; see agent list --pending")


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "faults": [fault["code"] for fault in row["faults"]]}


def _seconds(life: str) -> int:
    match = _LIFE.fullmatch(life)
    if match is None:
        raise typer.BadParameter("write a time as 90m, 12h or 30d", param_hint="--life")
    return int(match.group(1)) * _SECONDS[match.group(2)]


def _write_secret(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}", code="cannot_write") from error
