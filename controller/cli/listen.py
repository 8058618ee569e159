"""``loa-controller listen``: hear a cluster, or a source, now."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from controller.cli.client import ApiClient
from controller.cli.cluster import cluster_id
from controller.cli.output import CliError, UsageFault, note
from controller.cli.source import source_id

_HELP = """Hear what a cluster's loudspeaker sounds now, or what a source sends.

The sound is Ogg Opus, as it comes. Give it to a player, or keep it:

  loa-controller listen "A Vao 3" | ffplay -nodisp -

  loa-controller listen "A Vao 3" -o a-vao-3.ogg --seconds 60

  loa-controller listen --source VOV1 | mpv -

It ends with Ctrl-C, after --seconds, or after ten minutes. Nothing sounds because of it. What is heard is what the
amplifier gets: silence while nothing is on air. Eight people may listen to one cluster at the same time.

On a metered link it costs about 0.15 MB a minute of the cluster's SIM card; it is refused there without --anyway.
"""


def register(app: typer.Typer) -> None:
    """Mount the command."""
    app.command("listen", help=_HELP)(listen)


def listen(
    cluster: Annotated[str | None, typer.Argument(help="Id or unique name of a cluster.")] = None,
    *,
    source: Annotated[str | None, typer.Option(help="Id or unique title of a source, instead of a cluster.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; without it, standard output.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.5, max=600, help="Stop after so long.")] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also on a metered link, whatever it costs.")] = False,
) -> None:
    """See ``_HELP``."""
    if (cluster is None) == (source is None):
        raise UsageFault("name a cluster, or a source with --source", code="nothing_named")
    if output is None and sys.stdout.isatty():
        words = "sound does not belong on a terminal: add -o FILE.ogg, or '| ffplay -nodisp -'"
        raise UsageFault(words, code="terminal")
    with ApiClient() as api:
        if cluster is not None:
            path, query = f"/api/v1/clusters/{cluster_id(api, cluster)}/listen", {"anyway": str(anyway).lower()}
        else:
            path, query = f"/api/v1/sources/{source_id(api, source or '')}/listen", {}
        pieces = api.stream(path, query)  # refused before a file is made
        with _target(output) as target:
            size = _copy(pieces, target, seconds)
    note(f"{size} bytes of Ogg Opus" + (f" in {output}" if output else ""))


def _copy(pieces: Iterator[bytes], target: IO[bytes], seconds: float | None) -> int:
    size, until = 0, None if seconds is None else time.monotonic() + seconds
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):  # the listener has heard enough
        for piece in pieces:
            target.write(piece)
            target.flush()
            size += len(piece)
            if until is not None and time.monotonic() >= until:
                break
    return size


@contextlib.contextmanager
def _target(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        file = output.open("xb")
    except FileExistsError:
        raise CliError(f"{output} is there already; name another file", code="file_exists") from None
    except OSError as error:
        raise CliError(f"{output} cannot be written: {error.strerror}", code="bad_file") from error
    with file:
        yield file
