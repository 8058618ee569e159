"""What commands print: a table for people, or with ``--json`` one object a line for scripts; errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer

_BAR = 30

#: The ``--json`` flag, the same everywhere.
JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON object per line on stdout.")]


class CliError(Exception):
    """The command did not do what it was asked; shown on stderr with its stable code."""

    #: What the process ends with: 1 = did not do it.
    exit_code = 1

    def __init__(self, detail: str, *, code: str = "failed") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


class UsageFault(CliError):  # noqa: N818 - reads as what it is
    """What was typed cannot be meant, whatever the controller's state."""

    exit_code = 2


def line(value: Mapping[str, object]) -> None:
    """One JSON object on stdout, always UTF-8: a file's name whose bytes are no text is escaped, as JSON allows."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A word for people, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def note_over_meter(text: str) -> None:
    """A word for people, in the place of a :func:`meter`."""
    note(f"\r{text}".ljust(_BAR + 30) if sys.stderr.isatty() else text)


def meter(rms_db: float) -> None:
    """How loud it is, in one line that is written over; on a terminal only."""
    if not sys.stderr.isatty():
        return
    filled = max(0, min(_BAR, round((rms_db + 60) / 60 * _BAR)))
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {rms_db:6.1f} dB  ")
    sys.stderr.flush()


def show(rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, as_json: bool) -> None:
    """Rows as JSON lines, or as a table of the named columns."""
    if as_json:
        for row in rows:
            line(row)
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    if not cells:
        note("nothing to show")
        return
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    for texts in [list(columns), *cells]:
        text = "  ".join(cell.ljust(width) for cell, width in zip(texts, widths, strict=True))
        sys.stdout.write(text.rstrip() + "\n")


def show_one(value: Mapping[str, object], *, as_json: bool) -> None:
    """One thing as a JSON line, or as ``name: value`` lines."""
    if as_json:
        line(value)
        return
    width = max((len(name) for name in value), default=0)
    for name, content in value.items():
        sys.stdout.write(f"{name.ljust(width)}  {_cell(content)}\n")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(one) for one in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name}={_cell(one)}" for name, one in value.items()) or "-"
    # A terminal must not obey what someone typed into a title.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(value))
