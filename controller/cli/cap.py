"""``loa-controller cap check FILE…``: what warnings in files are, and whether they would sound.

Rules kept here:

1. One line per alert, in the order given, as soon as it is known; ``file`` is exactly what was typed. A document in
   which no alert can be read has one line as well. ``-`` is standard input.
2. Nothing is written, and nothing that a document names is opened. One file's fault does not stop the rest.
3. Exit 0 when every alert of every file is ok, 1 when any is not, 2 for wrong usage.

Needs no controller. Not here: the reading itself (:mod:`controller.cap`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates

from controller.cap import CapError, Reading, dispose, read_alerts, reading_json, refusal_json
from controller.cap.document import MAX_BYTES
from controller.cli.output import JsonFlag, UsageFault, line

app = typer.Typer(help="Warnings in the Common Alerting Protocol (CAP 1.0, 1.1, 1.2).", no_args_is_help=True)

#: A bundle of certificates is smaller than this.
_MAX_TRUST: Final = 1024 * 1024
_SHOWN_FAULTS: Final = 20

Files = Annotated[list[str], typer.Argument(metavar="FILE…", help="CAP documents, whatever their names; - is stdin.")]
Trust = Annotated[
    list[Path],
    typer.Option(
        "--trust", metavar="CERT", help="Certificate (PEM or DER) of a sender, or of an authority. May be repeated."
    ),
]


@app.callback()
def cap() -> None:
    """Warnings in the Common Alerting Protocol (CAP 1.0, 1.1, 1.2)."""


@app.command("check")
def check(files: Files, *, trust: Trust = [], as_json: JsonFlag = False) -> None:  # noqa: B006 - typer wants a list
    """Say what CAP documents are, who signed them, and whether they would sound now. Writes nothing."""
    certificates = [one for path in trust for one in _certificates(path)]
    refused = False
    for file in files:
        for row, reading in _check_file(file, certificates):
            refused = refused or not row["ok"]
            _tell(row, reading, as_json=as_json)
    if refused:
        raise typer.Exit(1)


def _check_file(file: str, trust: Sequence[Certificate]) -> Iterable[tuple[dict[str, Any], Reading | None]]:
    try:
        readings = read_alerts(_read(file), now=datetime.now(UTC), trust=trust)
    except CapError as error:
        return [({"file": file} | refusal_json(error), None)]
    except Exception as error:  # noqa: BLE001 - one file's fault does not stop the rest
        fault = CapError("unexpected", f"unexpected fault, please report it: {type(error).__name__}: {error}")
        return [({"file": file} | refusal_json(fault), None)]
    return [({"file": file} | reading_json(reading), reading) for reading in readings]


def _read(file: str) -> bytes:
    """The document's bytes, never more than one over the limit.

    Raises:
        CapError: ``not_found``, ``not_permitted``, ``not_a_file`` or ``unreadable``.
    """
    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(file).open("rb") as document:
            return document.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise CapError("not_found", "there is no such file") from error
    except PermissionError as error:
        raise CapError("not_permitted", "this file may not be read") from error
    except IsADirectoryError as error:
        raise CapError("not_a_file", "this is a folder") from error
    except (OSError, ValueError) as error:
        raise CapError("unreadable", f"it cannot be read: {error}") from error


def _certificates(path: Path) -> list[Certificate]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TRUST)
        return load_pem_x509_certificates(data) if b"-----BEGIN" in data else [load_der_x509_certificate(data)]
    except OSError as error:
        raise UsageFault(f"--trust {path}: {error.strerror}", code="bad_trust") from error
    except ValueError as error:
        raise UsageFault(f"--trust {path}: there is no certificate in it", code="bad_trust") from error


def _tell(row: dict[str, Any], reading: Reading | None, *, as_json: bool) -> None:
    if as_json:
        line(row)
        return
    for text in _lines(row, reading):
        # A terminal must not obey what is in a file or its name.
        safe = text.encode("utf-8", "replace").decode()
        typer.echo("".join(letter if letter.isprintable() else "\ufffd" for letter in safe))


def _lines(row: dict[str, Any], reading: Reading | None) -> Iterable[str]:
    verdict = "refused" if not row["ok"] else "quarantine" if row["quarantine"] else "ok"
    named = "" if row["identifier"] is None else f"  {row['status']} {row['msg_type']} {row['identifier']}"
    yield f"{verdict:<10} {'-' if reading is None else 'signature ' + row['signature']:<19}  {row['file']}{named}"
    if row["reason"]:
        yield f"{'':<11}{row['reason']} [{row['code']}]"
    if reading is None or reading.alert is None:
        return
    verdict_now = dispose(reading, now=datetime.now(UTC))
    yield f"{'':<11}{row['sender']}, {row['sent']}: {verdict_now.effect.value} now ({verdict_now.code})"
    for info in reading.alert.infos:
        areas = "; ".join(area.desc for area in info.areas) or "no area"
        scales = f"{info.urgency}, {info.severity}, {info.certainty}"
        yield f"{'':<11}{info.spoken_language}: {info.event} – {scales} – {areas}"
    for fault in reading.faults[:_SHOWN_FAULTS]:
        yield f"{'':<11}! {fault.where}: {fault.detail} [{fault.code}]"
    if len(reading.faults) > _SHOWN_FAULTS:
        yield f"{'':<11}! and {len(reading.faults) - _SHOWN_FAULTS} more"
