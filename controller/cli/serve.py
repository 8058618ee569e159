"""``loa-controller serve``: the controller itself."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import CliError, UsageFault, note
from controller.notify import Notifier

DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Where everything lives (made if new).")]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML settings.")]


_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    *,
    data: DataOption = None,
    config: ConfigOption = None,
    staff_listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Staff API.")] = None,
    staff_tls: Annotated[bool | None, typer.Option("--staff-tls/--no-staff-tls")] = None,
    agent_listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Agents.")] = None,
    agent_tls: Annotated[bool | None, typer.Option("--agent-tls/--no-agent-tls")] = None,
    announce: Annotated[bool | None, typer.Option("--announce/--no-announce", help="mDNS advertisement.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Run the controller until SIGTERM or Ctrl-C.

    The first start makes keys, database and an administrator whose password is printed once, here, on stderr.
    """
    # Heavy imports here: other commands of this program start without them.
    from controller.config import load_config  # noqa: PLC0415
    from controller.logs import set_up_logging  # noqa: PLC0415

    flags = {
        "staff_listen": staff_listen,
        "staff_tls": staff_tls,
        "agent_listen": agent_listen,
        "agent_tls": agent_tls,
        "announce": announce,
        "log_level": log_level,
    }
    with start_errors():
        settings = load_config(data, config, flags)
        set_up_logging(settings.log_level, as_json=settings.log_json)
        from controller.app import running  # noqa: PLC0415
        from controller.garbage import GarbageCare  # noqa: PLC0415

        async def life() -> None:
            notifier, stop = Notifier(), asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            async with running(settings) as controller:
                if controller.first_admin is not None:
                    name, password = controller.first_admin
                    note(f"\nFirst start. Administrator: {name}   Password: {password}\nIt is not shown again.\n")
                    if settings.second_factor_required:
                        note("Alerts and drills need a second factor; set up yours after signing in:")
                        note("  loa-controller user second-factor   (or in the console, under your account)\n")
                if controller.staff_fingerprint is not None:
                    note(f"Certificate fingerprint: {controller.staff_fingerprint}")
                note(f"Staff API: {controller.staff_url}")
                streams, clock = controller.boxes.gateway.fanout.streams, controller.foundation.clock
                GarbageCare(lambda: bool(streams), clock.mono_us).open(controller.supervisor)
                seconds = notifier.watchdog_seconds
                if seconds is not None:
                    controller.supervisor.every("watchdog", seconds, lambda: _pat(notifier))
                notifier.tell("READY=1", f"STATUS=serving {controller.staff_url}")
                try:
                    await controller.wait(stop)
                finally:
                    notifier.tell("STOPPING=1")

        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(life())


class start_errors:  # noqa: N801 - reads as a statement
    """Turns every known reason not to start (or to end) into words and exit code 1; settings that are wrong into 2."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        code = getattr(error, "code", None)
        if isinstance(error, Exception) and not isinstance(error, CliError) and isinstance(code, str):
            fault = UsageFault if code == "bad_config" else CliError
            raise fault(str(error), code=code) from error
        if isinstance(error, OSError) and error.errno in _DISK:
            raise CliError(f"the disk refuses: {error.strerror}; see loa-controller doctor", code="disk") from error


async def _pat(notifier: Notifier) -> None:
    notifier.tell("WATCHDOG=1")


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.Loop
