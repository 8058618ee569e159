"""The map beneath the clusters, when an operator has put one into the controller's folder.

Rules kept here:

1. One file, ``map.pmtiles``, of whatever size; browsers ask for pieces of it (Range). It is looked for at every
   question, so that it can be put there, replaced or taken away while the controller runs.
2. Its address changes with its content: pieces of two maps never meet in one browser.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from aiohttp import web
from pydantic import Field

from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.context import Permission
from controller.services.errors import NotFoundError

#: The name of the file in the controller's folder.
MAP_FILE: Final = "map.pmtiles"
_TILES: Final = "/api/v1/map/tiles.pmtiles"
#: How a PMTiles file of version 3 begins.
_MAGIC: Final = b"PMTiles\x03"


class MapView(Schema):
    """Whether there is a map."""

    tiles: str | None = Field(description="Where its PMTiles file is; null: the controller has none")
    size_bytes: int | None


class TilesQuery(Schema):
    """Which state of the file."""

    v: str | None = Field(None, max_length=64, description="As getMap gave it, so that browsers may keep pieces")


class MapRoutes:
    """Operations on the map."""

    def __init__(self, folder: Path) -> None:
        """Prepare; ``folder`` is where an operator may put the file."""
        self._file = folder / MAP_FILE

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        return (
            route("GET", "/api/v1/map", "getMap", Permission.READ, self.describe, returns=MapView,
                  summary="Whether the controller has a map to show clusters on"),
            route("GET", _TILES, "getMapTiles", Permission.READ, self.tiles, query=TilesQuery, errors=(NotFoundError,),
                  raw_returns="application/vnd.pmtiles",
                  summary="The map as a PMTiles file, whole or a range of its bytes"),
        )  # fmt: skip

    async def describe(self, _call: Call[Empty, Empty]) -> MapView:
        """Whether it is there."""
        found = await asyncio.to_thread(self._look)
        if found is None:
            return MapView(tiles=None, size_bytes=None)
        size, changed = found
        return MapView(tiles=f"{_TILES}?v={changed:x}-{size:x}", size_bytes=size)

    async def tiles(self, _call: Call[Empty, TilesQuery]) -> web.FileResponse:
        """The file; aiohttp answers ranges of it and whether it changed."""
        if await asyncio.to_thread(self._look) is None:
            raise NotFoundError("the controller has no map; put one into its folder as map.pmtiles")
        headers = {"Content-Type": "application/vnd.pmtiles", "Cache-Control": "private, max-age=86400"}
        return web.FileResponse(self._file, headers=headers)

    def _look(self) -> tuple[int, int] | None:
        """Size and instant of change, of a file that is a map."""
        try:
            with self._file.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    return None
            said = self._file.stat()
        except FileNotFoundError:
            return None
        return said.st_size, said.st_mtime_ns
