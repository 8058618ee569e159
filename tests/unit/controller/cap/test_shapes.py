"""Polygons and circles: the CAP forms, the edges, the antimeridian, the poles, and the size of real ones."""

from __future__ import annotations

import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cap import Circle, Polygon, Shape, ShapeError, inside
from controller.cap.shapes import MAX_POINTS, distance_km

COMMUNE = "16.5,106.9 16.5,107.1 16.7,107.1 16.7,106.9 16.5,106.9"


def test_a_commune() -> None:
    polygon = Polygon.parse(COMMUNE)
    assert not polygon.closed_here
    assert polygon.contains(16.6, 107.0)
    assert not polygon.contains(16.6, 107.2)
    assert not polygon.contains(16.8, 107.0)
    assert not polygon.contains(107.0, 16.6)
    assert hash(polygon) == hash(Polygon.parse(COMMUNE))


@pytest.mark.parametrize("point", [(16.5, 107.0), (16.7, 107.0), (16.6, 106.9), (16.6, 107.1), (16.5, 106.9)])
def test_on_the_edge_is_inside(point: tuple[float, float]) -> None:
    assert Polygon.parse(COMMUNE).contains(*point)


def test_a_hole_by_a_bay_and_a_vertex_at_the_same_latitude() -> None:
    bay = Polygon.parse("0,0 0,10 10,10 5,5 10,0 0,0")
    assert bay.contains(5, 2)
    assert not bay.contains(9, 5)
    assert bay.contains(5, 5)
    assert bay.contains(5, 8)


def test_an_open_polygon_is_closed_and_says_so() -> None:
    polygon = Polygon.parse("16.5,106.9 16.5,107.1 16.7,107.1")
    assert polygon.closed_here
    assert polygon.points[0] == polygon.points[-1]
    assert polygon.contains(16.55, 107.05)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "polygon_empty"),
        ("  \n ", "polygon_empty"),
        ("1,2", "polygon_too_few_points"),
        ("1,2 1,2 1,2 1,2", "polygon_too_few_points"),
        ("54.54509,-2.95255 54.54498,-2.95268...", "polygon_unreadable"),
        ("40.85,-118.09, +40.86,-118.09, +41.12,-117.61", "polygon_unreadable"),
        ("1;2 3;4 5;6", "polygon_unreadable"),
        ("nan,1 2,2 3,3", "polygon_unreadable"),
        ("1e9,1 2,2 3,3", "polygon_unreadable"),
        ("91,1 2,2 3,3", "polygon_out_of_range"),
        ("1,181 2,2 3,3", "polygon_out_of_range"),
        ("1,1 " * (MAX_POINTS + 1), "polygon_too_large"),
    ],
)
def test_what_is_no_polygon(text: str, code: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Polygon.parse(text)
    assert caught.value.code == code


def test_numbers_that_are_none() -> None:
    with pytest.raises(ShapeError):
        Polygon(((math.nan, 1.0), (2.0, 2.0), (3.0, 4.0)))
    with pytest.raises(ShapeError):
        Circle(1.0, 2.0, math.inf)


def test_across_the_antimeridian() -> None:
    fiji = Polygon.parse("-20,177 -20,-178 -15,-178 -15,177 -20,177")
    assert fiji.contains(-18, 179)
    assert fiji.contains(-18, -179)
    assert fiji.contains(-18, 180)
    assert fiji.contains(-18, -180)
    assert not fiji.contains(-18, 0)
    assert not fiji.contains(-18, -177)


def test_the_whole_world_and_the_pole() -> None:
    world = Polygon.parse("-90,-180 -90,180 90,180 90,-180 -90,-180")
    assert world.contains(16.6, 107.0)
    assert world.contains(-33, -70)
    arctic = Polygon.parse("70,0 70,90 70,180 70,-90 70,0")
    assert arctic.contains(90, 0)
    assert arctic.contains(80, 45)
    assert arctic.contains(80, -135)
    assert not arctic.contains(60, 45)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "circle_unreadable"),
        ("1,2", "circle_unreadable"),
        ("1,2 -3", "circle_unreadable"),
        ("1,2 3 4", "circle_unreadable"),
        ("91,2 3", "circle_out_of_range"),
        ("1,2 99999", "circle_out_of_range"),
    ],
)
def test_what_is_no_circle(text: str, code: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Circle.parse(text)
    assert caught.value.code == code


def test_circles_are_in_kilometres() -> None:
    hanoi, hue = (21.0278, 105.8342), (16.4637, 107.5909)
    assert distance_km(*hanoi, *hue) == pytest.approx(540, abs=5)
    assert Circle.parse("21.0278,105.8342 545").contains(*hue)
    assert not Circle.parse("21.0278,105.8342 530").contains(*hue)
    assert Circle.parse("-18,179.9 50").contains(-18, -179.9)
    assert Circle.parse("1,2 0.0").contains(1, 2)
    assert not Circle.parse("1,2 0").contains(1.001, 2)


def test_an_area_is_the_union_of_its_shapes() -> None:
    shapes: list[Shape] = [Polygon.parse(COMMUNE), Circle.parse("10,10 5")]
    assert inside(shapes, 16.6, 107.0)
    assert inside(shapes, 10.01, 10.01)
    assert not inside(shapes, 11, 11)
    assert not inside([], 11, 11)


degrees_lat = st.floats(-90, 90)
degrees_lon = st.floats(-180, 180)


@given(st.lists(st.tuples(degrees_lat, degrees_lon), min_size=3, max_size=12, unique=True))
def test_writing_and_reading_again(points: list[tuple[float, float]]) -> None:
    try:
        polygon = Polygon(tuple(points))
        again = Polygon.parse(polygon.text())
    except ShapeError as error:  # 5e-324 and the like have more digits than a sender may write
        assert error.code == "polygon_unreadable"  # noqa: PT017
    else:
        assert again == polygon
        assert all(polygon.contains(*point) for point in points)


@given(degrees_lat, degrees_lon, degrees_lat, degrees_lon)
def test_distance_is_symmetric_and_bounded(a: float, b: float, c: float, d: float) -> None:
    there, back = distance_km(a, b, c, d), distance_km(c, d, a, b)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0 <= there <= 20_016


@given(st.floats(-60, 60), degrees_lon, st.integers(3, 40), st.integers(0, 10**9))
def test_against_a_plain_ray_casting(lat: float, lon: float, corners: int, seed: int) -> None:
    chance = random.Random(seed)  # points that fall on an edge exactly do not come out of it
    centre_lon = (lon + 180) % 360 - 180
    ring = [
        (
            max(-89.0, min(89.0, lat + chance.uniform(0.5, 3) * math.sin(2 * math.pi * at / corners))),
            centre_lon + chance.uniform(0.5, 3) * math.cos(2 * math.pi * at / corners),
        )
        for at in range(corners)
    ]
    polygon = Polygon(tuple((y, (x + 180) % 360 - 180) for y, x in ring))
    for _ in range(20):
        y, x = lat + chance.uniform(-4, 4), centre_lon + chance.uniform(-4, 4)
        odd = False
        for (y1, x1), (y2, x2) in zip(ring, ring[1:] + ring[:1], strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                odd = not odd
        assert polygon.contains(y, (x + 180) % 360 - 180) == odd


@pytest.mark.slow
def test_the_largest_real_polygon_against_a_district() -> None:
    chance = random.Random(7)
    ring = [(i, 1 + 0.02 * chance.random()) for i in range(34_066)]
    text = " ".join(
        f"{16 + r * math.sin(2 * math.pi * i / len(ring)):.5f},{107 + r * math.cos(2 * math.pi * i / len(ring)):.5f}"
        for i, r in ring
    )
    begun = time.process_time()
    polygon = Polygon.parse(text)
    hits = sum(polygon.contains(chance.uniform(14.5, 17.5), chance.uniform(105.5, 108.5)) for _ in range(2_000))
    took = time.process_time() - begun
    assert 550 < hits < 850  # π/9 of the square
    assert took < 5, f"{took:.2f} s"
