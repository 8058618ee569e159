"""The map an operator puts into the controller's folder: found at once, served in pieces, only to who may read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.map_file import archive
from tests.unit.controller.staff import open_staff

_MAP = archive({(0, 0, 0): b"", (2, 1, 1): b"tile"})
_TYPE_AT = 99


async def test_a_map_is_found_and_served_in_pieces(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as admin:
        assert await admin.call("GET", "/api/v1/map") == (
            200,
            {"tiles": None, "size_bytes": None, "max_zoom": None},
        )
        status, answer = await admin.call("GET", "/api/v1/map/tiles.pmtiles")
        assert (status, answer["code"]) == (404, "not_found")

        file = tmp_path / "map.pmtiles"
        file.write_bytes(_MAP)
        _, first = await admin.call("GET", "/api/v1/map")
        assert (first["size_bytes"], first["max_zoom"]) == (len(_MAP), 2)
        own = {"Authorization": f"Bearer {admin.token}", "Range": "bytes=8-11"}
        async with admin.http.get(admin.running.staff_url + first["tiles"], headers=own) as response:
            assert response.status == 206
            assert response.content_type == "application/vnd.pmtiles"
            assert await response.read() == _MAP[8:12]

        file.write_bytes(_MAP + b"more")
        assert (await admin.call("GET", "/api/v1/map"))[1]["tiles"] != first["tiles"]


async def test_who_may_not_read_gets_no_map(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as admin:
        (tmp_path / "map.pmtiles").write_bytes(_MAP)
        async with admin.http.get(admin.running.staff_url + "/api/v1/map/tiles.pmtiles") as response:
            assert response.status == 401


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"something else" * 20, id="of-another-kind"),
        pytest.param(_MAP[:100], id="cut-off"),
        pytest.param(_MAP[:_TYPE_AT] + b"\x02" + _MAP[_TYPE_AT + 1 :], id="of-pictures"),
    ],
)
async def test_what_is_no_map_of_vectors_is_none(tmp_path: Path, content: bytes) -> None:
    async with open_staff(tmp_path) as admin:
        (tmp_path / "map.pmtiles").write_bytes(content)
        assert (await admin.call("GET", "/api/v1/map"))[1]["tiles"] is None
        assert (await admin.call("GET", "/api/v1/map/tiles.pmtiles"))[0] == 404
