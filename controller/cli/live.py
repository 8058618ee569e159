"""``loa-controller live``: go on air from a line-in, a file, an address or a station; see and end sessions."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controller.cli.area import area_id
from controller.cli.client import ApiClient
from controller.cli.cluster import cluster_id
from controller.cli.orders import Areas, Clusters
from controller.cli.output import CliError, JsonFlag, UsageFault, meter, note, note_over_meter, show, show_one
from controller.cli.source import source_id
from controller.cli.zone import Zones, zone_id

app = typer.Typer(
    help="""Speak live: from a line-in of this machine, a file, an address, or a station.

A chime is played before and after. A session stops after 10 minutes unless extended; what went on air is recorded.
""",
    no_args_is_help=True,
)

_PATH: Final = "/api/v1/live"
_TAPES: Final = "/api/v1/tapes"
_LOOK_S: Final = 0.5
_CLOSING_S: Final = 20.0
#: Whatever ends this program ends what it put on air.
_ENDING: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
#: Somebody ended it, its time was up, or all of it was heard; everything else went wrong.
_GOOD_ENDS: Final = ("ended_by_speaker", "ended_by_desk", "time_is_up", "source_ended", "stopped")
Session = Annotated[str, typer.Argument(help="Id of the session, such as lv_k3v7qzt2ma.")]


@app.command("start")
def start(
    *,
    everywhere: Annotated[bool, typer.Option("--all", help="Everywhere.")] = False,
    area: Areas = None,
    zone: Zones = None,
    cluster: Clusters = None,
    device: Annotated[
        str | None, typer.Option("--input", help="Line-in of this machine: see 'live inputs'; pulse[:SOURCE].")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A sound file of this machine.")] = None,
    url: Annotated[str | None, typer.Option(help="An address the controller fetches.")] = None,
    source: Annotated[str | None, typer.Option(help="A station, by id or title.")] = None,
    title: Annotated[str, typer.Option(help="What it is.")] = "",
    chime: Annotated[bool, typer.Option("--chime/--no-chime", help="A chime before and after.")] = True,
    minutes: Annotated[int, typer.Option(help="Hard stop, 1 to 120.")] = 10,
    as_json: JsonFlag = False,
) -> None:
    """Go on air: live start --area "Tà Rụt" --input pulse. Ctrl-C ends it, with the closing chime."""
    sources = (("--input", device), ("--file", file), ("--url", url), ("--source", source))
    given = [name for name, value in sources if value]
    if len(given) != 1:
        raise typer.BadParameter("say where the sound comes from: one of --input, --file, --url, --source")
    if file is not None:
        _check(file)
    with ApiClient() as api:
        body: dict[str, Any] = {
            "everywhere": everywhere,
            "areas": [area_id(api, each) for each in area or ()],
            "zones": [zone_id(api, each) for each in zone or ()],
            "clusters": [cluster_id(api, each) for each in cluster or ()],
            "title": title,
            "chime_before": chime,
            "chime_after": chime,
            "minutes": minutes,
            "input": {"--input": "microphone", "--file": "file", "--url": "url", "--source": "source"}[given[0]],
            "url": url or "",
            "source_id": source_id(api, source) if source is not None else None,
        }
        session = api.post(_PATH, body)
        note(f"session {session['id']}: {len(session['clusters'])} clusters, {session['agents']} agents")
        if session["left_out"]:
            note(f"{session['left_out']} agents will NOT sound: their lines are too slow for live sound (agent list)")
        try:
            _speak_out(api, session["id"], device, file, as_json=as_json)
        except CliError:  # nobody will speak any more: the place is free for others at once
            with contextlib.suppress(CliError):
                api.post(f"{_PATH}/{session['id']}/stop")
            raise


@app.command("speak")
def speak(
    session: Session,
    *,
    device: Annotated[
        str | None, typer.Option("--input", help="Line-in of this machine: see 'live inputs'; pulse[:SOURCE].")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A sound file of this machine.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Speak into a session that waits for you, as an emergency does: live speak lv_… --input pulse. Ctrl-C ends it."""
    if (device is None) == (file is None):
        raise typer.BadParameter("say where the sound comes from: --input or --file")
    if file is not None:
        _check(file)
    with ApiClient() as api:
        _speak_out(api, session, device, file, as_json=as_json)


@app.command("list")
def list_sessions(*, as_json: JsonFlag = False) -> None:
    """Sessions that are open, and those that ended lately."""
    columns = ("id", "state", "title", "speaker", "agents", "on_air", "ends", "rms_db", "code")
    with ApiClient() as api:
        show(api.pages(_PATH), columns, as_json=as_json)


@app.command("extend")
def extend(
    session: Session,
    *,
    minutes: Annotated[int, typer.Option(help="How much longer.")] = 10,
    as_json: JsonFlag = False,
) -> None:
    """Let a session last longer than its hard stop; two hours at most."""
    with ApiClient() as api:
        show_one(api.post(f"{_PATH}/{session}/extend", {"minutes": minutes}), as_json=as_json)


@app.command("stop")
def stop(session: Session, *, as_json: JsonFlag = False) -> None:
    """End a session, with its closing chime. To silence at once: loa-controller stop."""
    with ApiClient() as api:
        show_one(api.post(f"{_PATH}/{session}/stop"), as_json=as_json)


@app.command("recordings")
def recordings(
    recording: Annotated[str | None, typer.Argument(help="Id of one of them.")] = None,
    *,
    to: Annotated[Path | None, typer.Option(help="Write its sound (Ogg Opus) into this file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """What went on air live or as a relay, as it was sent: live recordings [ID --to FILE]."""
    columns = ("id", "kind", "title", "started_at", "length_s", "state", "subject")
    with ApiClient() as api:
        if recording is None:
            show(api.pages(_TAPES), columns, as_json=as_json)
            return
        show_one(api.get(f"{_TAPES}/{recording}"), as_json=as_json)
        if to is not None:
            to.write_bytes(api.download(f"{_TAPES}/{recording}/sound"))
            note(f"written to {to}")


@app.command("inputs")
def list_inputs(*, as_json: JsonFlag = False) -> None:
    """Inputs of this machine, for --input."""
    from audio.capture import inputs  # noqa: PLC0415 - loads PortAudio

    columns = ("number", "name", "api", "channels", "rate", "default")
    show(({name: getattr(each, name) for name in columns} for each in inputs()), columns, as_json=as_json)


def _check(file: Path) -> None:
    """Make sure of a file before anything is on air."""
    from controller.cli.speaking import check_file  # noqa: PLC0415 - loads aiohttp and PortAudio

    if not file.is_file():
        raise UsageFault(f"there is no file {file}", code="no_file")
    check_file(file)


def _speak_out(api: ApiClient, session_id: str, device: str | None, file: Path | None, *, as_json: bool) -> None:
    """Speak, and show how it ended.

    Raises:
        CliError: it ended otherwise than somebody meant.
    """
    _speak(api, session_id, device, file)
    ended = _ended(api, session_id)
    show_one(ended, as_json=as_json)
    if ended["code"] not in _GOOD_ENDS:
        raise CliError(f"the session ended: {ended['code'] or ended['state']}", code=ended["code"] or "not_ended")


def _speak(api: ApiClient, session_id: str, device: str | None, file: Path | None) -> None:
    """Send what is to be heard, or watch the controller fetch it, until the session is over."""
    from controller.cli.speaking import speak_file, speak_line  # noqa: PLC0415 - loads aiohttp and PortAudio

    if device is not None:
        speak_line(api.login, session_id, device)
    elif file is not None:
        speak_file(api.login, session_id, file)
    else:
        _watch(api, session_id)


def _watch(api: ApiClient, session_id: str) -> None:
    """Until it is over; Ctrl-C, SIGTERM and a terminal that is closed end it."""
    told = ""
    try:
        with _ended_by_signals():
            while True:
                session = api.get(f"{_PATH}/{session_id}")
                words = f"{session['state']}{': ' + session['code'] if session['code'] else ''}"
                if words != told:
                    told = words
                    note_over_meter(words)
                if session["ended"]:
                    return
                if session["rms_db"] is not None:
                    meter(session["rms_db"])
                time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        api.post(f"{_PATH}/{session_id}/stop")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP do what Ctrl-C does. Only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _ended(api: ApiClient, session_id: str) -> dict[str, Any]:
    """The session, once it is over."""
    deadline = time.monotonic() + _CLOSING_S
    session: dict[str, Any] = api.get(f"{_PATH}/{session_id}")
    while not session["ended"] and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        session = api.get(f"{_PATH}/{session_id}")
    return session
