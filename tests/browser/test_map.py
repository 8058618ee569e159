"""The map beneath the clusters: a file the operator brought, read from the controller and from nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page, Request, Response, expect

from tests.browser.conftest import Come
from tests.browser.village import PLACE, Village
from tests.map_file import EXTENT, archive, tile_at, vector_tile
from tests.system.processes import wait_until

_ZOOM: Final = 8
#: A river every kilometre or so.
_BAND: Final = 32
_COLOURS: Final = """() => {
  const found = new Set();
  for (const canvas of document.querySelectorAll(".leaflet-tile-pane canvas")) {
    if (canvas.width === 0) continue;
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 64) if (data[i + 3] === 255) found.add(`${data.slice(i, i + 3)}`);
  }
  return found.size;
}"""


@pytest.fixture
def _map_file(village: Village) -> Iterator[None]:
    """Dropped into the running controller's folder; gone afterwards."""
    earth = [(0, 0), (EXTENT, 0), (EXTENT, EXTENT), (0, EXTENT)]
    rivers = [[(0, y), (EXTENT, y), (EXTENT, y + _BAND // 2), (0, y + _BAND // 2)] for y in range(0, EXTENT, _BAND)]
    _, x, y = tile_at(*PLACE, _ZOOM)
    content = vector_tile({"earth": [earth], "water": rivers})
    file = village.desk.data / "map.pmtiles"
    file.write_bytes(archive({(_ZOOM, x + dx, y + dy): content for dx in (-1, 0, 1) for dy in (-1, 0, 1)}))
    yield
    file.unlink()


@pytest.mark.usefixtures("_map_file")
def test_the_operators_map_is_drawn_and_nothing_is_asked_elsewhere(come: Come, village: Village) -> None:
    person = come("kythuat")
    asked, pieces = _heard(person.page)
    page = person.go("fleet")
    expect(page.get_by_text("© OpenStreetMap")).to_be_visible()
    wait_until(lambda: page.evaluate(_COLOURS) >= 2, 20, "land and water are drawn")
    person.shot("fleet-map")
    assert {each.url.split("/")[2] for each in asked if each.url.startswith("http")} == {village.url.split("/")[2]}
    assert pieces
    assert {each.status for each in pieces} == {206}
    assert person.barriers() == []


def test_without_a_file_the_clusters_have_a_map_all_the_same(come: Come) -> None:
    person = come("kythuat")
    asked, pieces = _heard(person.page)
    page = person.go("fleet")
    expect(page.get_by_role("application")).to_be_visible()
    expect(page.get_by_text("© OpenStreetMap")).to_have_count(0)
    page.wait_for_load_state("load")
    assert asked
    assert not pieces


def _heard(page: Page) -> tuple[list[Request], list[Response]]:
    """What the page asks from now on, and the pieces of a map that it gets."""
    asked: list[Request] = []
    pieces: list[Response] = []

    def ask(request: Request) -> None:
        asked.append(request)

    def get(response: Response) -> None:
        if "tiles.pmtiles" in response.url:
            pieces.append(response)

    page.on("request", ask)
    page.on("response", get)
    return asked, pieces
