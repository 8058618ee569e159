"""``loa-controller demo``: the main job on one machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import CliError, line, note
from controller.cli.serve import start_errors


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    *,
    clusters: Annotated[int, typer.Option("--clusters", min=1, max=2000, help="Loudspeaker clusters.")] = 141,
    once: Annotated[bool, typer.Option("--once", help="End after the first bulletin and the first relay.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Progress on stderr, one summary line on stdout.")] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="An empty folder to keep everything in.")] = None,
) -> None:
    """Run a seeded district on this machine: agents find the controller, enrol, and play together.

    A controller, a radio station and, in a process of their own, one agent for each cluster. They enrol, receive a
    signed plan and its audio, play a Vietnamese bulletin at the same instant and then relay the station's live stream.
    Without --once it goes on until Ctrl-C. Exit 0: everything was heard everywhere; 1: not.
    """
    from controller.demo.board import Board  # noqa: PLC0415 - other commands start without it
    from controller.demo.run import DemoOptions, Summary, run_demo  # noqa: PLC0415
    from controller.logs import set_up_logging  # noqa: PLC0415

    set_up_logging("warning", as_json=False)
    options = DemoOptions(clusters, once, data)
    board = Board(live=sys.stdout.isatty() and not as_json)

    async def life() -> Summary | None:
        task = asyncio.ensure_future(run_demo(options, board))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            return await task
        return None

    with start_errors():
        summary = asyncio.run(life())
    if summary is None:
        note("The demo was ended.")
        if once:
            raise CliError("the demo was ended before everything was heard", code="interrupted")
        return
    if as_json:
        line(summary.as_json())
    else:
        verdict = "Everything was heard everywhere." if summary.ok else "NOT everything was heard everywhere."
        note(f"{verdict} " + "  ".join(f"{name} {value}" for name, value in summary.as_json().items()))
    if not summary.ok:
        raise CliError("see the summary", code="demo_failed")
