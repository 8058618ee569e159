"""``loa-controller audit``: who did what, and proof that nobody changed the log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.client import ApiClient
from controller.cli.output import CliError, JsonFlag, line, note, show
from controller.cli.serve import start_errors

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.command("list")
def list_rows(
    *,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most rows.")] = 50,
    subject: Annotated[str | None, typer.Option(help="Only about this id.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, such as cluster.volume.")] = None,
    user: Annotated[str | None, typer.Option(help="Only by this user id.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this chapter: alerts, orders, programmes, people …")] = None,
    text: Annotated[str | None, typer.Option(help="Only sentences with these words.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Who did what, newest first."""
    with ApiClient() as api:
        query = {"limit": limit, "subject": subject, "action": action, "user_id": user, "kind": kind, "text": text}
        rows = api.get("/api/v1/audit", query)["items"]
    if not as_json:
        rows = [{**row, "what": "".join(part["text"] for part in row["sentence"])} for row in rows]
    show(rows, ("seq", "at", "who", "what", "action", "subject"), as_json=as_json)


@app.command("verify")
def verify(
    *,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The data folder; no server is needed.")],
    expect: Annotated[
        str | None, typer.Option(metavar="SEQ:HASH", help="A head that was written down earlier and must be there.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Walk the chain and name every row that was altered, removed or moved. Exit 1 if there is one.

    Write the head down from time to time, on paper: with --expect even a log that was rewritten as a whole is found.
    """
    from controller.services.audit import verify_file  # noqa: PLC0415 - the API commands start without it

    with start_errors():
        verdict = verify_file(data / "loa.db", expect=_head(expect))
    faults = [{"seq": fault.seq, "code": fault.code, "message": fault.message} for fault in verdict.faults]
    head = {"rows": verdict.rows, "head_seq": verdict.head_seq, "head_hash": verdict.head_hash}
    if as_json:
        line({"ok": verdict.ok, **head, "faults": faults})
    else:
        for fault in faults:
            note(f"row {fault['seq']}: {fault['message']}")
        typer.echo(f"{verdict.rows} rows, head {verdict.head_seq}:{verdict.head_hash}")
    if not verdict.ok:
        raise CliError(f"the log was changed: {len(faults)} faults", code="audit_broken")
    note("unbroken")


def _head(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    seq, colon, digest = text.partition(":")
    if not colon or not seq.isdigit():
        raise typer.BadParameter("write it as audit verify printed it: SEQ:HASH", param_hint="--expect")
    return int(seq), digest
