"""``loa-controller openapi``: the staff API's description, without a controller that runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("openapi")(openapi)


def openapi() -> None:
    """Print the OpenAPI document of the staff API as JSON."""
    typer.echo(json.dumps(asyncio.run(_document()), ensure_ascii=False, sort_keys=True))


async def _document() -> dict[str, Any]:
    """Of a controller that is put together in a folder of its own and put away at once: its routes cannot lie."""
    from controller.app import running  # noqa: PLC0415 - heavy; other commands start without it
    from controller.config import load_config  # noqa: PLC0415
    from controller.logs import set_up_logging  # noqa: PLC0415

    set_up_logging("warning", as_json=False)
    with TemporaryDirectory(prefix="loa-openapi-") as folder:
        own = {"staff_listen": "127.0.0.1:0", "agent_listen": "127.0.0.1:0", "announce": False}
        async with running(load_config(Path(folder), None, own, {})) as controller:
            return controller.document()
