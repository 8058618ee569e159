"""``loa-controller media``: recordings, from the file to the approval."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controller.cli import media_check
from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient
from controller.cli.output import CliError, JsonFlag, note, show, show_one

app = typer.Typer(
    help="""Recordings: bring them, listen, approve.

A file becomes a recording (decoded, brought to one loudness) in the background. Before it may go on air someone with
the right to approve has to approve exactly what was made of it.
""",
    no_args_is_help=True,
)
app.command("check")(media_check.check)

_PATH: Final = "/api/v1/recordings"
_COLUMNS: Final = ("id", "title", "language", "state", "duration_s", "approved", "area_id")
#: Longest wait for the processing of one file.
_PATIENCE_S: Final = 3_600.0
_LOOK_S: Final = 0.5

Recording = Annotated[str, typer.Argument(help="Id or unique title.")]
Area = Annotated[str, typer.Option(help="Id or unique name of the area it belongs to.")]
Title = Annotated[str | None, typer.Option(help="What it is called; by default the name of the file.")]
Language = Annotated[
    str | None, typer.Option(help="Who understands it: vi, bru …; left out = for everybody (music, a signal).")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is processed.")]


@app.command("list")
def list_recordings(
    *,
    area: Annotated[str | None, typer.Option(help="Only of this area.")] = None,
    state: Annotated[str | None, typer.Option(help="processing, ready or refused.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recordings, newest first."""
    with ApiClient() as api:
        query = {"area_id": area_id(api, area) if area else None, "state": state}
        show((_flat(row) for row in api.pages(_PATH, query)), _COLUMNS, as_json=as_json)


@app.command("show")
def show_recording(recording: Recording, *, as_json: JsonFlag = False) -> None:
    """One recording, with everything that was found out about its file."""
    with ApiClient() as api:
        show_one(_flat(api.get(f"{_PATH}/{recording_id(api, recording)}")), as_json=as_json)


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="Any sound or video file.")],
    *,
    area: Area,
    title: Title = None,
    language: Language = None,
    wait: Wait = True,
    as_json: JsonFlag = False,
) -> None:
    """Bring a file: loa-controller media add bulletin.mp3 --area "Tà Rụt" --language vi.

    Exit code 1 when the file cannot be read as sound.
    """
    with ApiClient() as api:
        query = {
            "area_id": area_id(api, area),
            "title": title or file.stem[:120],
            "language": language,
            "file_name": file.name[:200],
        }
        made = _upload(api, _PATH, file, query)
        _finish(api, made, wait=wait, as_json=as_json)


@app.command("replace")
def replace(recording: Recording, file: Path, *, wait: Wait = True, as_json: JsonFlag = False) -> None:
    """Bring another file for a recording. It must be approved again before it goes on air."""
    with ApiClient() as api:
        path = f"{_PATH}/{recording_id(api, recording)}/sound"
        made = _upload(api, path, file, {"file_name": file.name[:200]}, method="PUT")
        _finish(api, made, wait=wait, as_json=as_json)


@app.command("speak")
def speak(
    text: Annotated[str, typer.Argument(help="The text; '-' reads it from standard input.")],
    *,
    area: Area,
    title: Annotated[str, typer.Option(help="What it is called.")],
    language: Annotated[str, typer.Option(help="The language it is written in.")] = "vi",
    wait: Wait = True,
    as_json: JsonFlag = False,
) -> None:
    """Have a text spoken: loa-controller media speak "Mời bà con …" --area "Tà Rụt" --title "Tiêm chủng"."""
    words = sys.stdin.read() if text == "-" else text
    with ApiClient() as api:
        body = {"area_id": area_id(api, area), "title": title, "language": language, "text": words}
        _finish(api, api.post(f"{_PATH}/speech", body), wait=wait, as_json=as_json)


@app.command("approve")
def approve(
    recording: Recording,
    *,
    sha256: Annotated[
        str | None, typer.Option(help="Only if it is still exactly this; by default what is there.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Allow exactly these bytes on air. Listen first: loa-controller media fetch."""
    _decide(recording, "approved", "", sha256, as_json=as_json)


@app.command("reject")
def reject(
    recording: Recording,
    *,
    reason: Annotated[str, typer.Option(help="Why; its author reads it.")],
    sha256: Annotated[str | None, typer.Option(help="Only if it is still exactly this.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Refuse it, with a reason."""
    _decide(recording, "rejected", reason, sha256, as_json=as_json)


@app.command("fetch")
def fetch(recording: Recording, out: Annotated[Path, typer.Argument(help="Where to, for example heard.ogg.")]) -> None:
    """Save what would be heard (Ogg Opus)."""
    with ApiClient() as api:
        content = api.download(f"{_PATH}/{recording_id(api, recording)}/sound")
    try:
        out.write_bytes(content)
    except OSError as error:
        raise CliError(f"cannot write {out}: {error.strerror}") from error
    note(f"{len(content)} bytes written to {out}")


@app.command("archive")
def archive(recording: Recording) -> None:
    """Take it out of use."""
    with ApiClient() as api:
        api.delete(f"{_PATH}/{recording_id(api, recording)}")
    note("archived")


def recording_id(api: ApiClient, text: str) -> str:
    """The id that an id or a unique title means."""
    return unique_id(text, "rc_", ({"id": row["id"], "name": row["title"]} for row in api.pages(_PATH)))


def _upload(api: ApiClient, path: str, file: Path, query: dict[str, Any], *, method: str = "POST") -> dict[str, Any]:
    try:
        with file.open("rb") as source:
            size = file.stat().st_size
            made: dict[str, Any] = api.upload(
                path, source, size=size, query=query, media_type="application/octet-stream", method=method
            )
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}", code="unreadable") from error
    return made


def _finish(api: ApiClient, made: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Wait for the processing, tell how it goes, and show the end of it."""
    deadline = time.monotonic() + _PATIENCE_S
    told = ""
    while wait and made["state"] == "processing" and time.monotonic() < deadline:
        told = _tell(made.get("progress"), told)
        time.sleep(_LOOK_S)
        made = api.get(f"{_PATH}/{made['id']}")
    show_one(_flat(made), as_json=as_json)
    if made["state"] == "refused":
        raise CliError(str(made["report"].get("reason", "it was refused")), code=str(made["report"].get("code")))


def _tell(progress: dict[str, Any] | None, told: str) -> str:
    if progress is None:
        return told
    share = f" {progress['share']:.0%}" if progress["stage"] == "decoding" else ""
    queue = f", {progress['before']} before it" if progress["before"] else ""
    text = f"{progress['stage']}{share}{queue}"
    if text != told:
        note(text)
    return text


def _decide(recording: str, decision: str, reason: str, sha256: str | None, *, as_json: bool) -> None:
    with ApiClient() as api:
        path = f"{_PATH}/{recording_id(api, recording)}"
        exactly = sha256 or api.get(path)["sha256"]
        if exactly is None:
            raise CliError(
                "there is nothing to decide on yet; see: loa-controller media show", code="recording_not_ready"
            )
        body = {"sha256": exactly, "decision": decision, "reason": reason}
        show_one(_flat(api.post(f"{path}/decision", body)), as_json=as_json)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row with one word for the decision."""
    decision = row.get("decision")
    word = "no" if decision is None else ("yes" if decision["approved"] else "rejected")
    return {**row, "approved": word}
