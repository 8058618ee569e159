"""The map beneath the clusters, when an operator has put one into the controller's folder.

Rules kept here:

1. One file, ``map.pmtiles``, of whatever size; browsers ask for pieces of it (Range). It is looked for at every
   question, so that it can be put there, replaced or taken away while the controller runs.
2. Its address changes with its content: pieces of two maps never meet in one browser.
3. Only vector tiles count: the console draws its map itself, in the colours of its theme.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
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
#: How a PMTiles file of version 3 begins, how long its header is, and where that says what the tiles are (1 = Mapbox
#: vector tiles) and how deep they go; see the PMTiles specification, version 3, section 3.
_MAGIC: Final = b"PMTiles\x03"
_HEADER: Final = 127
_TYPE_AT: Final = 99
_MAX_ZOOM_AT: Final = 101
_VECTOR: Final = 1


class MapView(Schema):
    """Whether there is a map."""

    tiles: str | None = Field(description="Where its PMTiles file is; null: the controller has none")
    size_bytes: int | None
    max_zoom: int | None = Field(description="The deepest zoom that has tiles; what is deeper is drawn from these")


class TilesQuery(Schema):
    """Which state of the file."""

    v: str | None = Field(None, max_length=64, description="As getMap gave it, so that browsers may keep pieces")


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that is a map."""

    size: int
    changed: int  # nanoseconds
    max_zoom: int


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
            return MapView(tiles=None, size_bytes=None, max_zoom=None)
        return MapView(
            tiles=f"{_TILES}?v={found.changed:x}-{found.size:x}", size_bytes=found.size, max_zoom=found.max_zoom
        )

    async def tiles(self, _call: Call[Empty, TilesQuery]) -> web.FileResponse:
        """The file; aiohttp answers ranges of it and whether it changed."""
        if await asyncio.to_thread(self._look) is None:
            raise NotFoundError("the controller has no map; put one into its folder as map.pmtiles")
        headers = {"Content-Type": "application/vnd.pmtiles", "Cache-Control": "private, max-age=86400"}
        return web.FileResponse(self._file, headers=headers)

    def _look(self) -> _Found | None:
        """The file as it is now; None: there is none, or it is no map."""
        try:
            with self._file.open("rb") as file:
                header = file.read(_HEADER)
            said = self._file.stat()
        except FileNotFoundError:
            return None
        if len(header) < _HEADER or not header.startswith(_MAGIC) or header[_TYPE_AT] != _VECTOR:
            return None
        return _Found(said.st_size, said.st_mtime_ns, header[_MAX_ZOOM_AT])
