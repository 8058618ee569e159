"""``loa-controller template``: the library of emergency messages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient
from controller.cli.media import recording_id
from controller.cli.output import CliError, JsonFlag, note, show, show_one
from controller.cli.programme import seconds

app = typer.Typer(
    help="""Emergency templates: the messages that are kept ready on every box, each with its cancel message.

The default set in Vietnamese, as drafts:
  loa-controller template seed --area "Quảng Trị"
Listen to them, then approve the sounds and put the template in force:
  loa-controller template listen "Cảnh báo lũ" --to /tmp
  loa-controller template approve "Cảnh báo lũ"
Which villages do not hold them yet:
  loa-controller template readiness
""",
    no_args_is_help=True,
)

_PATH: Final = "/api/v1/templates"
_COLUMNS: Final = ("id", "category", "title", "state", "version", "active_version", "languages", "tone")

Template = Annotated[str, typer.Argument(help="Id or unique title.")]
Repeated = list[str] | None
_SAY: Final = "LANGUAGE=TEXT, such as vi='Lũ đang về'. May be repeated."
_USE: Final = "LANGUAGE=RECORDING that says it, by id or title. May be repeated."


@app.command("list")
def list_templates(*, as_json: JsonFlag = False) -> None:
    """Templates, with their state."""
    with ApiClient() as api:
        rows = api.pages(_PATH)
        show(rows if as_json else (_flat(row) for row in rows), _COLUMNS, as_json=as_json)


@app.command("show")
def show_template(template: Template, *, as_json: JsonFlag = False) -> None:
    """One template, with its words."""
    with ApiClient() as api:
        row = api.get(f"{_PATH}/{template_id(api, template)}")
        show_one(row if as_json else _spoken(row), as_json=as_json)


@app.command("seed")
def seed(*, area: Annotated[str, typer.Option(help="The area they belong to.")], as_json: JsonFlag = False) -> None:
    """Make the default templates in Vietnamese, as drafts to listen to and approve. What is there is left alone."""
    with ApiClient() as api:
        made = api.post(f"{_PATH}/seed", {"area_id": area_id(api, area)})["templates"]
        show(made if as_json else [_flat(row) for row in made], _COLUMNS, as_json=as_json)


@app.command("add")
def add(
    title: str,
    *,
    area: Annotated[str, typer.Option(help="The area it belongs to.")],
    category: Annotated[
        str,
        typer.Option(help="flood, flash_flood, storm, landslide, fire, dam_release, evacuation, all_clear or custom."),
    ] = "custom",
    say: Annotated[Repeated, typer.Option(help=_SAY)] = None,
    cancel: Annotated[Repeated, typer.Option(help="The cancel message: " + _SAY)] = None,
    recording: Annotated[Repeated, typer.Option(help=_USE)] = None,
    cancel_recording: Annotated[Repeated, typer.Option(help="For the cancel message: " + _USE)] = None,
    tone: Annotated[str, typer.Option(help="siren, warble, pulse, gong or none.")] = "siren",
    repeat: Annotated[int, typer.Option(help="Times in a row, 1 to 10.")] = 3,
    gap: Annotated[str, typer.Option(help="Silence between repetitions.")] = "10s",
    every: Annotated[str | None, typer.Option(help="The same again every …, such as 2h.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a template. Words without a recording are spoken; it is a draft until someone approves it."""
    with ApiClient() as api:
        body = {
            "area_id": area_id(api, area),
            "category": category,
            "title": title,
            "tone": tone,
            "words": words_of(api, say, recording),
            "cancel_words": words_of(api, cancel, cancel_recording),
            "times": repeat,
            "gap_s": seconds(gap, "--gap"),
            "every_s": None if every is None else seconds(every, "--every"),
        }
        row = api.post(_PATH, body)
        show_one(row if as_json else _spoken(row), as_json=as_json)


@app.command("listen")
def listen(
    template: Template,
    *,
    to: Annotated[Path, typer.Option(help="Folder for the Ogg Opus files.")] = Path(),
) -> None:
    """Save the sounds of the newest version, to be listened to before they are approved."""
    with ApiClient() as api:
        row = api.get(f"{_PATH}/{template_id(api, template)}")
        to.mkdir(parents=True, exist_ok=True)
        for kind in ("words", "cancel_words"):
            for each in row[kind]:
                path = to / f"{row['id']}-v{row['version']}-{kind.removesuffix('_words')}-{each['language']}.opus"
                path.write_bytes(api.download(f"/api/v1/recordings/{each['recording']}/sound"))
                note(f"{path}: {each['text']}")


@app.command("approve")
def approve(
    template: Template,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="For scripts: every sound was listened to.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Approve the sounds of the newest version (exactly these bytes) and put it in force."""
    with ApiClient() as api:
        path = f"{_PATH}/{template_id(api, template)}"
        row = api.get(path)
        for each in (*row["words"], *row["cancel_words"]):
            _approve_sound(api, each, yes=yes)
        done = api.post(f"{path}/activate", {"version": row["version"]})
        show_one(done if as_json else _flat(done), as_json=as_json)


@app.command("retire")
def retire(template: Template) -> None:
    """Take a template out of use; boxes let go of its sound."""
    with ApiClient() as api:
        api.delete(f"{_PATH}/{template_id(api, template)}")
        note("retired")


@app.command("readiness")
def readiness(*, as_json: JsonFlag = False) -> None:
    """Which clusters do not hold the sound of an active template yet."""
    with ApiClient() as api:
        rows = api.get(f"{_PATH}/readiness")["templates"]
        if not as_json:
            names = {row["id"]: row["name"] for row in api.pages("/api/v1/clusters")}
            rows = [{**row, "lacking": [names.get(each, each) for each in row["lacking"]]} for row in rows]
            if not rows:
                note("No template is in force, so nothing is kept ready: loa-controller template approve TITLE")
        show(rows, ("template_id", "title", "clusters", "holding", "lacking"), as_json=as_json)


def template_id(api: ApiClient, text: str) -> str:
    """The id of a template named by id or unique title."""
    return unique_id(text, "tp_", ({"id": row["id"], "name": row["title"]} for row in api.pages(_PATH)))


def words_of(api: ApiClient, say: list[str] | None, recording: list[str] | None) -> list[dict[str, Any]]:
    """What is said, from ``LANGUAGE=TEXT`` and ``LANGUAGE=RECORDING``."""
    texts, sounds = _pairs(say), _pairs(recording)
    unknown = sounds.keys() - texts.keys()
    if unknown:
        raise typer.BadParameter(f"write down what the recording says, too: --say {min(unknown)}=TEXT")
    return [
        {
            "language": language,
            "text": text,
            "recording": recording_id(api, sounds[language]) if language in sounds else None,
        }
        for language, text in texts.items()
    ]


def _pairs(given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given or ():
        language, equals, text = each.partition("=")
        if not equals or not text.strip():
            raise typer.BadParameter("write LANGUAGE=TEXT, such as vi='Lũ đang về'")
        found[language.strip()] = text.strip()
    return found


def _approve_sound(api: ApiClient, words: dict[str, Any], *, yes: bool) -> None:
    path = f"/api/v1/recordings/{words['recording']}"
    row = api.get(path)
    if (row["decision"] or {}).get("approved"):
        return
    if row["state"] == "processing":
        raise CliError(f"{row['title']!r} is still being made; try again in a moment", code="recording_not_ready")
    note(f"[{words['language']}] {words['text']}")
    if not yes and not typer.confirm("Did you listen to it, and is it right?", err=True):
        raise typer.Abort
    api.post(f"{path}/decision", {"sha256": row["sha256"], "decision": "approved"})


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**{name: row[name] for name in _COLUMNS if name != "languages"},
            "languages": [each["language"] for each in row["words"]]}  # fmt: skip


def _spoken(row: dict[str, Any]) -> dict[str, Any]:
    said = {f"words {each['language']}": each["text"] for each in row["words"]}
    cancelled = {f"cancel {each['language']}": each["text"] for each in row["cancel_words"]}
    rest = {name: row[name] for name in ("tone", "cancel_tone", "times", "gap_s", "every_s", "activated_by")}
    return {**_flat(row), **said, **cancelled, **rest}
