"""Whom a warning reaches."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from controller.cap import Circle, Polygon
from controller.services.warnings.matching import GeocodeMap, Site, match
from controller.services.warnings.notice import NoticeArea

HERE = Polygon(((16.0, 106.0), (16.0, 107.0), (17.0, 107.0), (17.0, 106.0)))
INSIDE = Site("cl_in", frozenset({"ar_a", "ar_top"}), 16.5, 106.5)
OUTSIDE = Site("cl_out", frozenset({"ar_b", "ar_top"}), 15.0, 106.5)
BLIND = Site("cl_blind", frozenset({"ar_a", "ar_top"}))
SITES = (INSIDE, OUTSIDE, BLIND)
CODES = GeocodeMap.of([("XA", "19567", ["ar_a"]), ("*", "QTR", ["ar_top"])])


def reached(*places: NoticeArea, speaks_for: str = "ar_top") -> tuple[str, ...]:
    return match(places, SITES, CODES, speaks_for=speaks_for).clusters


def test_a_figure_decides_for_those_who_know_where_they_stand() -> None:
    place = NoticeArea("a", (HERE,), (("*", "qtr"), ("any", "QTR")))
    assert reached(place) == ("cl_blind", "cl_in")


def test_geocodes_decide_where_there_is_no_figure() -> None:
    assert reached(NoticeArea("a", (), (("xa", " 19567 "),))) == ("cl_blind", "cl_in")
    assert reached(NoticeArea("a", (), (("UGC", "QTR"),))) == ("cl_blind", "cl_in", "cl_out")
    assert reached(NoticeArea("a", (), (("UGC", "19567"),))) == ()


def test_areas_are_a_union() -> None:
    place = NoticeArea("a", (HERE, Circle(15.0, 106.5, 1.0)))
    assert reached(place) == ("cl_in", "cl_out")


def test_a_source_speaks_for_its_own_area_only() -> None:
    place = NoticeArea("a", (), (("x", "QTR"),))
    found = match((place,), SITES, CODES, speaks_for="ar_b")
    assert (found.clusters, found.outside) == (("cl_out",), 2)


def test_what_is_nowhere_of_ours_is_named() -> None:
    found = match(
        (NoticeArea("Nơi khác", (), (("x", "y"),)), NoticeArea("Không gì")), SITES, CODES, speaks_for="ar_top"
    )
    assert found.unplaced == ("Nơi khác", "Không gì")


@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=8))
def test_no_cluster_without_coordinates_is_inside_a_figure(points: list[tuple[float, float]]) -> None:
    figures = tuple(Circle(lat, lon, 20_000.0) for lat, lon in points)
    assert "cl_blind" not in reached(NoticeArea("a", figures))


def test_two_thousand_clusters_against_a_coastline_take_no_time() -> None:
    corners = tuple((16 + 0.5 * (i % 2) / 100 + i * 1e-5, 106 + i * 1e-5) for i in range(34_000))
    place = NoticeArea("a", (Polygon((*corners, (10.0, 106.0))),))
    sites = [Site(f"cl_{i}", frozenset({"ar_top"}), 10 + i * 0.004, 106 + i * 0.0005) for i in range(2_000)]
    begun = time.monotonic()
    match((place,), sites, CODES, speaks_for="ar_top")
    assert time.monotonic() - begun < 5  # a fraction of a second on a quiet machine; bounded by the reader anyway
