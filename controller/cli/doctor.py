"""``loa-controller doctor``: what is wrong and what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import CliError, JsonFlag, line
from controller.cli.serve import ConfigOption, start_errors

_MARKS = {"ok": "ok     ", "warning": "WARNING", "bad": "BAD    "}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    *,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="The controller's data folder.")] = None,
    config: ConfigOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Examine database, audit log, keys, certificates, disk and backups. Exit 1 if anything is bad."""
    from controller.config import load_config  # noqa: PLC0415 - the rest of the tree starts without them
    from controller.services.doctor import examine  # noqa: PLC0415

    with start_errors():
        findings = examine(load_config(data, config, {}), now=datetime.now(UTC))
    for one in findings:
        if as_json:
            line({"check": one.check, "level": one.level, "message": one.said.en, "remedy": one.cure.en})
        else:
            remedy = f"\n                       -> {one.cure.en}" if one.cure.en else ""
            typer.echo(f"{_MARKS[one.level]}  {one.check:<12}  {one.said.en}{remedy}")
    bad = sum(one.level == "bad" for one in findings)
    if bad:
        raise CliError(f"{bad} of {len(findings)} checks are bad", code="unwell")
