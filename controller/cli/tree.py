"""``loa-controller``: mounts every command, turns errors into words and exit codes.

Exit codes: 0 did it, 1 did not, 2 wrong usage. Nothing ends in a traceback; an unexpected fault says how to report it.

A command module exposes ``app`` (a :class:`typer.Typer` with sub-commands, mounted under its name), or
``register(app)`` to add commands of its own to the top. Modules are imported only when their command is called or help
is shown, so that ``schedule expand`` does not pay for a web server.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec

import typer

from controller.cli.output import CliError, note

#: Command -> module that has it.
GROUPS = {
    "area": "controller.cli.area",
    "cluster": "controller.cli.cluster",
    "zone": "controller.cli.zone",
    "user": "controller.cli.user",
    "media": "controller.cli.media",
    "programme": "controller.cli.programme",
    "source": "controller.cli.source",
    "live": "controller.cli.live",
    "agent": "controller.cli.agent",
    "warning": "controller.cli.warning",
    "schedule": "controller.cli.schedule",
    "keys": "controller.cli.keys",
    "audit": "controller.cli.audit",
    "template": "controller.cli.template",
    "alert": "controller.cli.alert",
    "cap": "controller.cli.cap",
    "drill": "controller.cli.drill",
}
COMMANDS = {
    "serve": "controller.cli.serve",
    "login": "controller.cli.login",
    "logout": "controller.cli.login",
    "stop": "controller.cli.orders",
    "release": "controller.cli.orders",
    "play": "controller.cli.orders",
    "withdraw": "controller.cli.orders",
    "volume": "controller.cli.orders",
    "listen": "controller.cli.listen",
    "report": "controller.cli.report",
    "backup": "controller.cli.backup",
    "restore": "controller.cli.backup",
    "doctor": "controller.cli.doctor",
    "openapi": "controller.cli.openapi",
    "demo": "controller.demo.cli",
}

_HELP = """Loa controller: runs a district's village loudspeakers.

First steps: start it with [bold]serve --data DIR[/bold] (it prints an administrator's password once), then
[bold]login admin[/bold], [bold]area add[/bold], [bold]cluster add[/bold], [bold]media add[/bold],
[bold]programme add[/bold].
Most commands talk to a running controller: LOA_URL and LOA_TOKEN say where and as whom, or the saved login.
"""


def build(wanted: str | None) -> typer.Typer:
    """The command tree. ``wanted``: the only command needed; None for all of them (help, completion)."""
    app = typer.Typer(
        name="loa-controller", help=_HELP, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
    for name, module in GROUPS.items():
        if wanted in {None, name} and _there(module):
            app.add_typer(import_module(module).app, name=name)
    for module in dict.fromkeys(module for name, module in COMMANDS.items() if wanted in {None, name}):
        if _there(module):
            import_module(module).register(app)

    @app.callback()
    def top() -> None: ...  # keeps a lone command a sub-command

    return app


def main() -> None:
    """Entry point of the console script."""
    first = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    known = first in GROUPS or first in COMMANDS
    try:
        build(first if known else None)()
    except CliError as error:
        first_line, newline, rest = error.detail.partition("\n")
        note(f"loa-controller: {first_line} [{error.code}]{newline}{rest}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # head(1) has seen enough
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the edge: no traceback reaches a user
        note(f"loa-controller: unexpected fault: {type(error).__name__}: {error}")
        if os.environ.get("LOA_DEBUG"):
            traceback.print_exc()
        else:
            note("Set LOA_DEBUG=1 to see where, and report it.")
        sys.exit(1)


def _there(module: str) -> bool:
    parent = module.rpartition(".")[0]
    return find_spec(parent) is not None and find_spec(module) is not None
