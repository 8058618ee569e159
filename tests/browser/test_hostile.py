"""Payloads in every text that people, files, other houses' warnings and boxes can fill: all are shown as text.

A house of its own, so that no other journey meets these names. What was put in goes through the real doors (the API,
an upload, a pushed CAP document, the boxes' protocol); then an administrator opens every room and detail page in a real
browser, in which nothing may run, nothing may be asked of elsewhere, and the policy may have nothing to forbid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from controller.cli.client import ApiError
from tests.browser.hostile_house import LINES, PASSWORD, House, Witness, furnished
from tests.browser.payloads import PAYLOADS, REFUSED
from tests.browser.people import Person

_ROOMS: Final = (
    "", "schedule", "library", "studio", "emergency", "warnings", "drills", "fleet", "enrolment", "admin",
)  # fmt: skip
_ADMIN: Final = ("areas", "zones", "users", "warnings", "sources", "keys", "audit", "backup", "system")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield furnished(tmp_path_factory.mktemp("hostile"), stack)


@pytest.fixture
def looked_at(browser: Browser, house: House) -> Iterator[tuple[Person, Witness]]:
    """An administrator of it, and who sees what their pages do."""
    person, witness = Person(browser, house.desk.url), Witness(house.desk.url)
    witness.watch(person)
    person.sign_in("admin", PASSWORD)
    yield person, witness
    witness.verdict()
    person.close()


def test_texts_of_people_files_warnings_and_boxes_stay_texts(house: House, looked_at: tuple[Person, Witness]) -> None:
    person, witness = looked_at
    seen = ""
    for path in (*_ROOMS, *(f"admin/{each}" for each in _ADMIN), *house.pages):
        seen += _read(person, path)
        witness.verdict()
    page = person.go()
    page.get_by_role("button", name="Thông báo").click()
    expect(page.get_by_role("group", name="Thông báo").locator("p").first).to_be_visible()
    lacking = [name for name, payload in PAYLOADS.items() if " ".join(payload.split()) not in seen]
    assert not lacking, lacking


def test_so_they_do_in_what_opens_above_the_page(house: House, looked_at: tuple[Person, Witness]) -> None:
    """Dialogs, questions before a deed, toasts, names on the map, tiles that gather, one row of the log, the sheet."""
    person, witness = looked_at
    layers = Layers(person, witness)
    layers.map()
    layers.schedule()
    layers.administration()
    layers.library()
    layers.cluster(house.clusters[0])
    layers.alert(house.alert)


class Layers:
    """Opens what lies above pages, and reads it."""

    def __init__(self, person: Person, witness: Witness) -> None:
        self._person, self._witness = person, witness
        self._page = person.page

    def _go(self, path: str) -> Page:
        page = self._person.go(path)
        expect(page.locator("main .skeleton"), path).to_have_count(0)
        return page

    def _hostile(self, text: str | None, name: str) -> None:
        """It says a payload, as text; nothing ran."""
        said = " ".join((text or "").split())
        assert any(" ".join(each.split()) in said for each in PAYLOADS.values()), (name, said)
        self._person.shot(f"hostile-layer-{name}")
        self._witness.verdict()

    def _dialog(self, name: str) -> None:
        dialog = self._page.get_by_role("dialog").last
        dialog.wait_for()
        fields = dialog.locator("input, textarea").evaluate_all("(all) => all.map((each) => each.value).join(' ')")
        self._hostile(f"{dialog.text_content()} {fields}", name)
        self._page.keyboard.press("Escape")
        expect(self._page.get_by_role("dialog")).to_have_count(0)

    def map(self) -> None:
        page = self._go("fleet")
        ground = page.get_by_role("application", name="Bản đồ các cụm loa")
        box = ground.bounding_box()
        assert box is not None
        tip = page.locator(".leaflet-tooltip:not(.map-area)")
        middle = box["x"] + box["width"] / 2
        for y in range(round(box["y"]) + 8, round(box["y"] + box["height"]) - 8, 4):
            page.mouse.move(middle, y)
            if tip.count():
                break
        self._hostile(tip.first.text_content(), "map-name")
        page.mouse.click(middle, y)
        self._hostile(page.locator("section.chosen").text_content(), "map-chosen")
        self._hostile(page.locator(".map-area").first.text_content(), "map-area")

    def schedule(self) -> None:
        page = self._go("schedule")
        page.locator(".ec-event:not(.many)").first.click()
        self._dialog("schedule-tile")
        page.locator(".ec-event.many").first.click()
        self._dialog("schedule-tiles")

    def administration(self) -> None:
        page = self._go("admin/areas")
        page.get_by_role("button", name="Sửa").nth(1).click()
        self._dialog("area-edit")
        page.get_by_role("button", name="Xóa khu vực").first.click()
        self._dialog("area-remove")
        page = self._go("admin/users")
        page.get_by_role("button", name="n0").click()
        self._dialog("user-edit")
        page = self._go("admin/audit?action=area.create")
        page.get_by_role("button", name="Chi tiết").first.click()
        self._dialog("audit-row")

    def library(self) -> None:
        page = self._go("library")
        page.get_by_role("link", name=LINES[0]).first.click()
        page.get_by_role("button", name="Sửa tên, tiếng").click()
        self._dialog("recording-edit")

    def cluster(self, cluster: str) -> None:
        page = self._go(f"cluster/{cluster}")
        page.get_by_role("button", name="Dừng phát ở đây").click()
        dialog = page.get_by_role("dialog")
        self._hostile(dialog.text_content(), "cluster-stop")
        dialog.get_by_role("button", name="Dừng phát ở đây").click()
        self._hostile(page.locator(".toast").last.text_content(), "toast")

    def alert(self, alert: str) -> None:
        page = self._go(f"emergency/{alert}")
        page.get_by_role("button", name="Hủy cảnh báo").click()
        self._dialog("alert-cancel")
        page.goto(f"{self._person.url}/api/v1/alerts/{alert}/call-sheet")
        self._hostile(page.locator("body").text_content(), "call-sheet")


def _read(person: Person, path: str) -> str:
    """Open a page, open what can be opened in it without a deed, and read it."""
    page: Page = person.go(path)
    page.get_by_role("button", name="DỪNG").first.wait_for()  # the house, not its door
    page.get_by_role("heading").first.wait_for()
    expect(page.locator("main .skeleton"), path).to_have_count(0, timeout=10_000)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    person.shot(f"hostile-{path.partition('/')[0] or 'today'}")
    return " ".join((page.locator("main").text_content() or "").split())


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_signs_that_no_line_may_carry_are_refused(house: House, name: str) -> None:
    text = REFUSED[name]
    bodies: dict[str, dict[str, Any]] = {
        "/api/v1/areas": {"name": text, "kind": "xã"},
        "/api/v1/clusters": {"area_id": house.area, "name": text},
        "/api/v1/users": {"name": text.replace(" ", ""), "grants": []},
        "/api/v1/sources": {"area_id": house.area, "title": text, "url": "http://127.0.0.1/"},
        "/api/v1/warning-sources": {"name": text, "area_id": house.area},
        "/api/v1/drills": {"kind": "silent", "title": text, "areas": [house.area]},
        "/api/v1/live": {"title": text, "areas": [house.area]},
        "/api/v1/sessions": {"label": text},
    }
    with house.desk.api() as api:
        for path, body in bodies.items():
            with pytest.raises(ApiError) as refused:
                api.post(path, body)
            assert (path, refused.value.status, refused.value.code) == (path, 422, "invalid_input")
