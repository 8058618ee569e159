"""A map as an operator would bring it: a PMTiles archive of version 3 with vector tiles, written by hand and tiny.

The layout is that of the PMTiles specification, version 3, and of the Mapbox vector tile specification, version 2.1;
layers and kinds are those of the Protomaps basemap.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

#: Units across a tile.
EXTENT: Final = 4096
_HEADER: Final = 127
_PLAIN: Final = 1  # compression: none
_VECTOR: Final = 1  # type: Mapbox vector tiles

Tile = tuple[int, int, int]
Corners = Sequence[tuple[int, int]]


def tile_at(latitude: float, longitude: float, zoom: int) -> Tile:
    """The tile a place lies in."""
    size = 1 << zoom
    across = (longitude + 180) / 360
    down = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2
    return zoom, int(across * size), int(down * size)


def archive(tiles: Mapping[Tile, bytes]) -> bytes:
    """All of it, with the directory in one piece."""
    by_id = sorted((_id(tile), content) for tile, content in tiles.items())
    data = b"".join(content for _, content in by_id)
    root = _directory(by_id)
    meta = b"{}"
    zooms = [zoom for zoom, _, _ in tiles]
    counts = (len(by_id),) * 3
    places = (_HEADER, len(root), _HEADER + len(root), len(meta), 0, 0, _HEADER + len(root) + len(meta), len(data))
    head = b"PMTiles\x03" + struct.pack("<11Q", *places, *counts)
    head += bytes((1, _PLAIN, _PLAIN, _VECTOR, min(zooms), max(zooms)))
    head += struct.pack("<4iB2i", -1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000, max(zooms), 0, 0)
    assert len(head) == _HEADER
    return head + root + meta + data


def vector_tile(layers: Mapping[str, Iterable[Corners]]) -> bytes:
    """Layers of polygons, each by its corners in units of the tile, clockwise."""
    return b"".join(_field(3, _layer(name, polygons)) for name, polygons in layers.items())


def _layer(name: str, polygons: Iterable[Corners]) -> bytes:
    shapes = b"".join(_field(2, _varint(3 << 3) + _varint(3) + _field(4, _geometry(each))) for each in polygons)
    return _field(1, name.encode()) + shapes + _varint(5 << 3) + _varint(EXTENT) + _varint(15 << 3) + _varint(2)


def _geometry(corners: Corners) -> bytes:
    """MoveTo the first corner, LineTo the others, ClosePath."""
    out = b""
    at = (0, 0)
    for index, corner in enumerate(corners):
        if index == 0:
            out += _varint(1 << 3 | 1)
        elif index == 1:
            out += _varint((len(corners) - 1) << 3 | 2)
        out += b"".join(_zigzag(there - here) for there, here in zip(corner, at, strict=True))
        at = corner
    return out + _varint(1 << 3 | 7)


def _directory(by_id: Sequence[tuple[int, bytes]]) -> bytes:
    """Ids as differences, run lengths, lengths, and offsets, of which only the first is said."""
    out = _varint(len(by_id))
    last = 0
    for tile_id, _ in by_id:
        out += _varint(tile_id - last)
        last = tile_id
    out += b"".join(_varint(1) for _ in by_id)
    out += b"".join(_varint(len(content)) for _, content in by_id)
    return out + _varint(1) + b"".join(_varint(0) for _ in by_id[1:])


def _id(tile: Tile) -> int:
    """Where a tile stands on the Hilbert curves of all zooms, one behind the other."""
    zoom, x, y = tile
    found = ((1 << (2 * zoom)) - 1) // 3
    for level in reversed(range(zoom)):
        side = 1 << level
        right, down = (x >> level) & 1, (y >> level) & 1
        found += side * side * ((3 * right) ^ down)
        if not down:
            if right:
                x, y = side - 1 - (x & (side - 1)), side - 1 - (y & (side - 1))
            x, y = y, x
        x, y = x & (side - 1), y & (side - 1)
    return found


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
