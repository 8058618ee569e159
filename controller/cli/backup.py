"""``loa-controller backup`` and ``restore``: on the controller itself."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import CliError, JsonFlag, note, show_one
from controller.cli.secrets import ask_secret
from controller.cli.serve import start_errors

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="The controller's data folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to make, best on another disk.")],
    *,
    data: Data,
    keys: Annotated[bool, typer.Option("--keys/--no-keys", help="With the keys, encrypted.")] = True,
    database: Annotated[bool, typer.Option("--database/--no-database", help="Without: PostgreSQL has its own.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """A consistent copy of everything in one file, also while the controller runs.

    The passphrase that encrypts the keys comes from LOA_PASSPHRASE, a prompt, or standard input.
    """
    from controller.services.backup import back_up  # noqa: PLC0415 - the rest of the tree starts without it

    passphrase = (
        ask_secret("LOA_PASSPHRASE", "Passphrase for the keys (12 characters or more)", twice=True) if keys else None
    )
    with start_errors(), _disk_errors():
        report = back_up(data, file, passphrase=passphrase, now=datetime.now(UTC), database=database)
    if not keys:
        note("without keys: a restore will need the keys folder from elsewhere, or every agent must enrol again")
    show_one(
        {
            "file": str(report.file),
            "bytes": report.bytes,
            "recordings": report.recordings,
            "with_keys": report.with_keys,
        },
        as_json=as_json,
    )


def restore(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    *,
    data: Data,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="FILE", help="The sealed root key, when it was sealed before the backup."),
    ] = None,
    replace: Annotated[bool, typer.Option(help="Move what is in the folder aside first.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a backup back, with the controller stopped, and raise the term so that agents follow.

    Passphrases: LOA_PASSPHRASE (of the backup) and LOA_ROOT_PASSPHRASE (of the root key), prompts, or standard input.
    """
    from controller.foundation import folder_in_use  # noqa: PLC0415 - the rest of the tree starts without it
    from controller.keys import RootSource  # noqa: PLC0415
    from controller.services.restore import holds_keys  # noqa: PLC0415
    from controller.services.restore import restore as put_back  # noqa: PLC0415

    with start_errors(), _disk_errors():
        if data.exists() and folder_in_use(data):
            raise CliError(f"a controller is using {data}; stop it first", code="in_use")
        passphrase = ask_secret("LOA_PASSPHRASE", "Passphrase of the backup") if holds_keys(file) else None
        source = None
        if root is not None:
            source = RootSource(root, ask_secret("LOA_ROOT_PASSPHRASE", "Passphrase of the root key"))
        report = put_back(file, data, passphrase=passphrase, root=source, now=datetime.now(UTC), replace=replace)
    if report.moved_aside is not None:
        note(f"what was there is now in {report.moved_aside}")
    if report.term is None:
        note("the backup held no keys: put the keys folder back before the controller starts")
    else:
        note("if keys were revoked since this backup, revoke them again: loa-controller keys rotate --revoke")
    show_one(
        {
            "data": str(report.data),
            "created": report.created,
            "recordings": report.recordings,
            "with_keys": report.with_keys,
            "term": report.term,
        },
        as_json=as_json,
    )


class _disk_errors:  # noqa: N801 - reads as a statement
    """A disk that refuses is an answer, not a fault of the program."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise CliError(f"the disk refuses: {error}", code="disk") from error
        if isinstance(error, sqlite3.Error):
            raise CliError(
                f"the database cannot be copied: {error}; run: loa-controller doctor --data DIR", code="database"
            ) from error
