"""``loa-controller media check FILE…``: what files are and how they would sound on air. Needs no controller.

Rules kept here:

1. One line per file, in the order given, as soon as it is known; ``file`` is exactly what was typed.
2. Nothing is written. One file's crash does not stop the rest.
3. Exit 0 when every file has sound that can be decoded, 1 when any has not, 2 for wrong usage.

Not here: the verdict itself (:mod:`audio.ingest`). ``controller.cli.media`` mounts :func:`check`.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Annotated

import typer

from audio.ingest import IngestLimits, Ingestor, MediaReport
from controller.cli.output import JsonFlag, line

#: A check takes files that would be refused as programmes for their length or size alone.
LIMITS = IngestLimits(
    max_bytes=64 * 1024**3, max_duration=timedelta(hours=24), timeout_s=14_400.0, workers=max(1, os.cpu_count() or 1)
)


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Sound or video files, whatever their names.")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Say what files are, how loud they would sound, and what is wrong with them. Writes nothing."""
    refused = asyncio.run(_check_all(files, as_json=as_json))
    if refused:
        raise typer.Exit(1)


async def _check_all(files: list[str], *, as_json: bool) -> int:
    """Tell about every file; returns how many are not ok."""
    ingestor = Ingestor(LIMITS)
    refused = 0
    async with asyncio.TaskGroup() as group:
        checks = [group.create_task(ingestor.check(file), name=f"check {file!r}") for file in files]
        for running in checks:
            report = await running
            refused += not report.ok
            _tell(report, as_json=as_json)
    return refused


def _tell(report: MediaReport, *, as_json: bool) -> None:
    if as_json:
        line(report.as_dict())
        return
    verdict = "refused" if not report.ok else "warning" if report.warnings else "ok"
    length = "-" if report.duration_s is None else f"{report.duration_s:.1f} s"
    loudness = "-" if report.lufs_in is None else f"{report.lufs_in:.1f} LUFS"
    name = report.file.encode("utf-8", "replace").decode()
    # A terminal must not obey what is in a file's name.
    name = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    typer.echo(
        f"{verdict:<8} {length:>10} {loudness:>12}  {name}" + (f"\n{'':<9}{report.reason}" if report.reason else "")
    )
