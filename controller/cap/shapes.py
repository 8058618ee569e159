"""Polygons and circles as CAP writes them, and the question whether a village lies inside.

Rules kept here (CAP 1.2, 3.2.4):

1. A polygon is ``lat,lon lat,lon …`` and a circle ``lat,lon radius``: WGS 84 degrees, latitude first, radius in
   kilometres. Anything else is refused with a code; nothing is guessed.
2. A polygon has at least three corners and ends where it began. One that was left open is closed and says so
   (:attr:`Polygon.closed_here`), because real warnings do it.
3. What lies on the edge is inside: a siren too many is better than one too few.
4. An edge takes the short way round the Earth, so a polygon may cross the antimeridian, and one that goes round a
   pole contains it. Only an edge of exactly 360° is taken at its word: a box over the whole world.
5. Sizes are bounded: :data:`MAX_POINTS` corners. A test of 2 000 villages against 34 066 corners takes a fraction of
   a second: the bounding box first, then only the edges at the village's latitude.

Inside a polygon the lines are straight on the map (plate carrée), as senders draw them; distance for circles is
great-circle on the mean sphere, within 0.5 % of the ellipsoid. Not here: geocodes, which only their source can place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import asin, cos, isfinite, radians, sin, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from controller.cap.errors import ShapeError

#: Corners a polygon may have. The largest real one in a year of feeds had 34 066.
MAX_POINTS: Final = 100_000
#: Mean radius of the Earth in kilometres (IUGG R1).
EARTH_KM: Final = 6371.0088
#: Half the way round the Earth: no circle is larger.
MAX_RADIUS_KM: Final = 20_038.0

#: Fewer distinct corners enclose nothing.
_MIN_CORNERS: Final = 3
#: About a tenth of a millimetre: what counts as "on the edge".
_EDGE_DEGREES: Final = 1e-9
#: One metre: what counts as "at the centre" of a circle without extent.
_POINT_KM: Final = 0.001

_NUMBER: Final = r"[+-]?\d{1,3}(?:\.\d{0,30})?"
_PAIR: Final = re.compile(rf"{_NUMBER},{_NUMBER}")
_CIRCLE: Final = re.compile(rf"({_NUMBER}),({_NUMBER})\s+(\+?\d{{1,6}}(?:\.\d{{0,30}})?)")

Floats = npt.NDArray[np.float64]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Edges:
    """The sides of a polygon as arrays, longitudes unrolled so that no side jumps across the antimeridian."""

    lat_a: Floats
    lon_a: Floats
    lat_b: Floats
    lon_b: Floats
    south: Floats
    north: Floats
    box: tuple[float, float, float, float]  # south, west, north, east

    @classmethod
    def of(cls, points: Sequence[Point]) -> _Edges:
        corners = np.asarray(points, dtype=np.float64)
        lats, lons = corners[:, 0], corners[:, 1]
        steps = np.diff(lons)
        short = np.where(np.abs(steps) == 360.0, steps, (steps + 180.0) % 360.0 - 180.0)  # noqa: PLR2004 - degrees
        # Half a turn has no short way; keep the direction it was written in.
        short = np.where((np.abs(steps) == 180.0), steps, short)  # noqa: PLR2004 - degrees
        lons = lons[0] + np.concatenate(([0.0], np.cumsum(short)))
        if abs(lons[-1] - lons[0]) > 180.0:  # noqa: PLR2004 - it goes round a pole: close it over that pole
            pole = 90.0 if lats.mean() >= 0 else -90.0
            lats = np.concatenate((lats, [pole, pole, lats[0]]))
            lons = np.concatenate((lons, [lons[-1], lons[0], lons[0]]))
        lat_a, lat_b = lats[:-1], lats[1:]
        box = (float(lats.min()), float(lons.min()), float(lats.max()), float(lons.max()))
        return cls(lat_a, lons[:-1], lat_b, lons[1:], np.minimum(lat_a, lat_b), np.maximum(lat_a, lat_b), box)

    def contain(self, lat: float, lon: float) -> bool:
        """Whether the point is inside; ``lon`` is tried on every turn the unrolled polygon reaches."""
        south, west, north, east = self.box
        if not south - _EDGE_DEGREES <= lat <= north + _EDGE_DEGREES:
            return False
        turn = lon + 360.0 * np.ceil((west - _EDGE_DEGREES - lon) / 360.0)
        while turn <= east + _EDGE_DEGREES:
            if self._contain_unrolled(lat, turn):
                return True
            turn += 360.0
        return False

    def _contain_unrolled(self, lat: float, lon: float) -> bool:
        near = np.flatnonzero((self.south <= lat + _EDGE_DEGREES) & (self.north >= lat - _EDGE_DEGREES))
        lat_a, lon_a, lat_b, lon_b = self.lat_a[near], self.lon_a[near], self.lat_b[near], self.lon_b[near]
        if _touches(lat_a - lat, lon_a - lon, lat_b - lat_a, lon_b - lon_a):
            return True
        crossing = (lat_a > lat) != (lat_b > lat)
        lat_a, lon_a, lat_b, lon_b = lat_a[crossing], lon_a[crossing], lat_b[crossing], lon_b[crossing]
        at = lon_a + (lat - lat_a) * (lon_b - lon_a) / (lat_b - lat_a)
        return bool(np.count_nonzero(at > lon) % 2)


def _touches(lat: Floats, lon: Floats, along_lat: Floats, along_lon: Floats) -> bool:
    """Whether a side passes within :data:`_EDGE_DEGREES` of the origin: its beginning and its direction are given."""
    length = along_lat**2 + along_lon**2
    share = np.clip(-(lat * along_lat + lon * along_lon) / np.where(length == 0.0, 1.0, length), 0.0, 1.0)
    off = (lat + share * along_lat) ** 2 + (lon + share * along_lon) ** 2
    return bool(np.any(off <= _EDGE_DEGREES**2))


@dataclass(frozen=True)
class Polygon:
    """A closed polygon on WGS 84. ``points`` are (latitude, longitude) in degrees, the first repeated at the end.

    Raises:
        ShapeError: ``polygon_too_few_points``, ``polygon_too_large`` or ``polygon_out_of_range``.
    """

    points: tuple[Point, ...]
    #: True when the sender had left it open.
    closed_here: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        points = tuple((float(lat), float(lon)) for lat, lon in self.points)
        if len(points) > MAX_POINTS:
            raise ShapeError("polygon_too_large", f"a polygon has at most {MAX_POINTS} corners, not {len(points)}")
        for lat, lon in points:
            _require_on_earth("polygon_out_of_range", lat, lon)
        if len(set(points)) < _MIN_CORNERS:
            raise ShapeError("polygon_too_few_points", "a polygon needs at least three different corners")
        if points[0] != points[-1]:
            points = (*points, points[0])
            object.__setattr__(self, "closed_here", True)
        object.__setattr__(self, "points", points)

    @classmethod
    def parse(cls, text: str) -> Polygon:
        """A polygon from ``lat,lon lat,lon …``.

        Raises:
            ShapeError: ``polygon_empty``, ``polygon_unreadable``, or what :class:`Polygon` says.
        """
        pairs = text.split(None, MAX_POINTS + 1)
        if not pairs:
            raise ShapeError("polygon_empty", "the polygon is empty")
        if len(pairs) > MAX_POINTS:
            raise ShapeError("polygon_too_large", f"a polygon has at most {MAX_POINTS} corners")
        points: list[Point] = []
        for pair in pairs:
            if not _PAIR.fullmatch(pair):
                raise ShapeError("polygon_unreadable", f"{pair[:40]!r} is not a latitude,longitude pair in degrees")
            lat, _, lon = pair.partition(",")
            points.append((float(lat), float(lon)))
        return cls(tuple(points))

    def text(self) -> str:
        """The polygon as CAP writes it."""
        return " ".join(f"{_digits(lat)},{_digits(lon)}" for lat, lon in self.points)

    @cached_property
    def _edges(self) -> _Edges:
        """Made when somebody asks for a point, not while reading."""
        return _Edges.of(self.points)

    def contains(self, lat: float, lon: float) -> bool:
        """Whether the point (degrees) is inside or on the edge."""
        return self._edges.contain(lat, lon)


@dataclass(frozen=True, slots=True)
class Circle:
    """All points at most ``radius_km`` kilometres from (``lat``, ``lon``). Radius 0 is a point: one metre around it.

    Raises:
        ShapeError: ``circle_out_of_range``.
    """

    lat: float
    lon: float
    radius_km: float

    def __post_init__(self) -> None:
        _require_on_earth("circle_out_of_range", self.lat, self.lon)
        if not (isfinite(self.radius_km) and 0 <= self.radius_km <= MAX_RADIUS_KM):
            raise ShapeError("circle_out_of_range", f"a radius is between 0 and {MAX_RADIUS_KM:.0f} km")

    @classmethod
    def parse(cls, text: str) -> Circle:
        """A circle from ``lat,lon radius``.

        Raises:
            ShapeError: ``circle_unreadable`` or ``circle_out_of_range``.
        """
        found = _CIRCLE.fullmatch(text.strip()[:200])
        if not found:
            raise ShapeError("circle_unreadable", f"{text.strip()[:40]!r} is not latitude,longitude and a radius in km")
        return cls(*(float(number) for number in found.groups()))

    def text(self) -> str:
        """The circle as CAP writes it."""
        return f"{_digits(self.lat)},{_digits(self.lon)} {_digits(self.radius_km)}"

    def contains(self, lat: float, lon: float) -> bool:
        """Whether the point (degrees) is at most the radius away."""
        return distance_km(self.lat, self.lon, lat, lon) <= max(self.radius_km, _POINT_KM)


Shape = Polygon | Circle


def distance_km(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance in kilometres (haversine, exact for near points)."""
    up, over = radians(lat_b - lat_a), radians(lon_b - lon_a)
    half = sin(up / 2) ** 2 + cos(radians(lat_a)) * cos(radians(lat_b)) * sin(over / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half)))


def inside(shapes: Iterable[Shape], lat: float, lon: float) -> bool:
    """Whether the point is in any of ``shapes`` (CAP: an area is the union of its polygons and circles)."""
    return any(shape.contains(lat, lon) for shape in shapes)


def _require_on_earth(code: str, lat: float, lon: float) -> None:
    # NaN fails both comparisons.
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):  # noqa: PLR2004 - degrees
        raise ShapeError(code, f"({lat}, {lon}) is not on Earth: latitude first, then longitude, in degrees")


def _digits(number: float) -> str:
    """A number without an exponent, shortest form that reads back the same."""
    return np.format_float_positional(number, trim="-")
