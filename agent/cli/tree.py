"""The commands and their options. What they do is elsewhere and is imported when it is needed."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.output import clean_errors, say, set_up_logs

app = typer.Typer(
    name="loa-agent",
    help="Plays what this loudspeaker cluster's signed plan says.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Data = Annotated[Path, typer.Option("--data", help="The agent's folder: keys, plan, sounds, journal.")]
Controller = Annotated[
    str | None, typer.Option("--controller", help="Where the controller is (the rule on 4G); else mDNS is asked.")
]
ProvisioningFile = Annotated[
    Path | None,
    typer.Option("--provisioning", help="One-time enrolment file (default: DATA/provisioning.json)."),
]
Interfaces = Annotated[
    list[str] | None, typer.Option("--interface", help="Address of an interface to look for controllers on.")
]
Metered = Annotated[bool, typer.Option("--metered", help="The link costs by the byte: speak less often.")]
LogLevel = Annotated[str, typer.Option("--log", help="debug, info, warning or error.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line on stdout.")]


@app.command()
def run(  # noqa: PLR0917 - typer's own way to take options
    data: Data,
    output: Annotated[str, typer.Option("--output", help="alsa[:DEV], pulse[:SINK], wav:FILE or null.")] = "alsa",
    controller: Controller = None,
    provisioning: ProvisioningFile = None,
    interface: Interfaces = None,
    metered: Metered = False,  # noqa: FBT002
    log: LogLevel = "info",
) -> None:
    """Run one agent until it is told to end."""
    with clean_errors():
        set_up_logs(log)
        from agent.config import AgentConfig, check_config, make_data_folder, read_provisioning  # noqa: PLC0415
        from agent.process import run_until_signal  # noqa: PLC0415
        from agent.run import run_agent  # noqa: PLC0415

        folder = make_data_folder(data)
        config = check_config(
            AgentConfig(folder, output, controller, read_provisioning(provisioning, folder), metered=metered)
        )
        run_until_signal(lambda: run_agent(config, folder, tuple(interface or ())))


@app.command()
def swarm(  # noqa: PLR0917
    count: Annotated[int, typer.Option("--count", min=1, max=5000, help="How many agents.")],
    processes: Annotated[int, typer.Option("--processes", min=1, max=64, help="Over how many processes.")] = 1,
    decode: Annotated[int, typer.Option("--decode", min=0, help="How many really decode (null output).")] = 16,
    data: Annotated[str, typer.Option("--data", help="A folder with one sub-folder per agent, or: memory.")] = "memory",
    controller: Controller = None,
    provisioning: ProvisioningFile = None,
    output_one: Annotated[str | None, typer.Option("--output-one", help="The first agent sounds here.")] = None,
    interface: Interfaces = None,
    first: Annotated[int, typer.Option("--first", min=0, hidden=True)] = 0,
    log: LogLevel = "warning",
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Run many complete agents, for demonstrations and measurements."""
    with clean_errors(as_json=as_json):
        set_up_logs(log)
        from agent.cli.swarming import SwarmOptions, run_swarm  # noqa: PLC0415

        options = SwarmOptions(
            count=count,
            processes=processes,
            decode=decode,
            data=None if data == "memory" else Path(data),
            controller=controller,
            provisioning=provisioning,
            output_one=output_one,
            interfaces=tuple(interface or ()),
            first=first,
            log=log,
            as_json=as_json,
        )
        run_swarm(options)


@app.command()
def status(data: Data = Path("/var/lib/loa-agent"), as_json: AsJson = False) -> None:  # noqa: FBT002
    """What the running agent thinks and plays, and the enrolment digits."""
    with clean_errors(as_json=as_json):
        from agent.asking import ask  # noqa: PLC0415
        from agent.cli.tables import print_status  # noqa: PLC0415

        said = ask(data, {"ask": "status"})
        if as_json:
            say(said)
        else:
            print_status(said)


@app.command()
def confirm(
    digits: Annotated[str, typer.Argument(help="The eight digits that the desk shows.")],
    data: Data = Path("/var/lib/loa-agent"),
) -> None:
    """Say that the desk shows the same enrolment digits as this agent."""
    with clean_errors():
        from agent.asking import ask  # noqa: PLC0415
        from agent.errors import StatusError  # noqa: PLC0415

        if not ask(data, {"ask": "confirm", "digits": digits})["ok"]:
            message = "these are not the digits this agent shows: do NOT approve at the desk, and look who answers"
            raise StatusError("digits_differ", message)
        typer.echo("đúng số / the digits match: it joins as soon as the desk has typed them, too", err=True)


@app.command()
def mute(
    data: Data = Path("/var/lib/loa-agent"),
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=1440, help="For how long; at most a day.")] = 60,
) -> None:
    """Silence this box at once, EMERGENCIES INCLUDED, until the time is over or ``unmute``. The desk sees it."""
    with clean_errors():
        from agent.asking import ask  # noqa: PLC0415
        from agent.errors import StatusError  # noqa: PLC0415

        said = ask(data, {"ask": "mute", "minutes": minutes})
        if not said["ok"]:
            raise StatusError(str(said.get("code")), "the agent does not obey; is it enrolled?")
        typer.echo(f"mute for {minutes} minutes, emergencies included; loa-agent unmute ends it", err=True)


@app.command()
def unmute(data: Data = Path("/var/lib/loa-agent")) -> None:
    """End the mute that was set at this box. A mute that the desk ordered stays: the desk ends it."""
    with clean_errors():
        from agent.asking import ask  # noqa: PLC0415
        from agent.errors import StatusError  # noqa: PLC0415

        said = ask(data, {"ask": "unmute"})
        if not said["ok"]:
            raise StatusError(str(said.get("code")), "the agent does not obey; is it enrolled?")
        if said["muted"] is not None:
            raise StatusError("muted_by_order", "the desk made this box mute; only the desk, or time, ends that")
        typer.echo("it may sound again" if said["had"] else "it was not mute", err=True)


@app.command()
def selftest(
    data: Data = Path("/var/lib/loa-agent"),
    output: Annotated[str, typer.Option("--output", help="alsa[:DEV], pulse[:SINK], wav:FILE or null.")] = "alsa",
    controller: Controller = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Try tone, level, clock, disk and network, and say what is wrong."""
    with clean_errors(as_json=as_json):
        set_up_logs("error")
        from agent.cli.tables import print_checks  # noqa: PLC0415
        from agent.selftest import run_checks  # noqa: PLC0415

        checks = run_checks(data, output, controller)
        if as_json:
            for check in checks:
                say(check.plain())
        else:
            print_checks(checks)
        if not all(check.ok for check in checks):
            raise typer.Exit(1)


def main() -> None:
    """Entry point of ``loa-agent``."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the last place: a person gets a sentence, LOA_DEBUG=1 shows the rest
        if os.environ.get("LOA_DEBUG"):
            traceback.print_exc()
        message = f"an unexpected fault: {error!r}. Please report it; LOA_DEBUG=1 shows where it happened"
        sys.stderr.write(f"loa-agent: {message} (unexpected)\n")
        sys.exit(1)
