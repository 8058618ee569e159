"""An alert by keyboard alone, one that lasts longer, and whom to telephone where nothing sounds."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Come
from tests.browser.village import Village
from tests.system.siren_desk import as_officer

_SLOW = 20_000
#: More presses of a key than a page has places to stop.
_STOPS = 120


def _given(village: Village, commune: str) -> str:
    """An alert that sounds in a commune; its id."""
    village.until_held()
    with village.desk.api() as api:
        said = {"template": village.template, "areas": [village.communes[commune]]}
        made = api.post("/api/v1/alerts", said)
        token = api.post("/api/v1/login", {"name": "truc2", "password": village.passwords["truc2"]})["token"]
    with as_officer(village.desk, token) as second:
        second.post(f"/api/v1/alerts/{made['id']}/confirm", {"code": made["code"]})
    return str(made["id"])


def _walk(page: Page, to: Locator, key: str = "Tab") -> None:
    """Press a key until the focus stands there, where one can see it."""
    to.wait_for()
    for _ in range(_STOPS):
        if to.evaluate("(it) => it === document.activeElement"):
            assert to.evaluate("(it) => it.matches(':focus-visible')")
            return
        page.keyboard.press(key)
    raise AssertionError(f"no {key} leads to {to}")


@pytest.mark.usefixtures("quiet")
def test_two_people_warn_a_commune_without_a_mouse(come: Come, village: Village) -> None:
    village.until_held()
    composer, second = come("truc1"), come("truc2")
    mine, theirs = composer.go(), second.go("drills")

    _walk(mine, mine.get_by_role("link", name="Khẩn cấp", exact=True))
    mine.keyboard.press("Enter")
    _walk(mine, mine.get_by_role("radio", name=re.compile("Cảnh báo lũ")))
    mine.keyboard.press("Space")
    _walk(mine, mine.get_by_role("treeitem").first)
    _walk(mine, mine.get_by_role("treeitem", name=re.compile("Xã A Vao")), "ArrowDown")
    mine.keyboard.press("Space")
    expect(mine.get_by_label("Câu phải đọc trước khi xác nhận")).to_contain_text("2 cụm loa")
    composer.shot("keyboard-compose")
    send = mine.get_by_role("button", name="Soạn xong, lấy mã xác nhận")
    expect(send).to_be_enabled()
    _walk(mine, send)
    mine.keyboard.press("Enter")
    code = mine.get_by_label("Mã xác nhận", exact=True).inner_text()

    _walk(theirs, theirs.get_by_role("link", name="Xem và xác nhận"))
    theirs.keyboard.press("Enter")
    field = theirs.get_by_label("Mã 6 số của người soạn")
    _walk(theirs, field)
    theirs.keyboard.type(code)
    yes = theirs.get_by_role("button", name="XÁC NHẬN, PHÁT NGAY")
    expect(yes).to_be_enabled()
    _walk(theirs, yes)
    theirs.keyboard.press("Enter")
    expect(mine.get_by_label("Bảng theo dõi")).to_contain_text(re.compile(r"2\s*/ 2 cụm loa đã kêu"), timeout=_SLOW)

    _walk(mine, mine.get_by_role("button", name="Hủy cảnh báo"))
    mine.keyboard.press("Enter")
    act = mine.get_by_role("button", name="Hủy và phát lời hủy")
    _walk(mine, act)
    assert composer.barriers() == []
    composer.shot("keyboard-cancel")
    mine.keyboard.press("Escape")
    expect(mine.get_by_role("dialog")).to_have_count(0)
    expect(mine.get_by_role("button", name="Hủy cảnh báo")).to_be_focused()
    mine.keyboard.press("Enter")
    _walk(mine, act)
    mine.keyboard.press("Enter")
    expect(mine.get_by_text("Đã hủy", exact=True).first).to_be_visible()
    assert composer.clicks == second.clicks == 0


@pytest.mark.usefixtures("quiet")
def test_an_alert_lasts_longer(come: Come, village: Village) -> None:
    alert = _given(village, "Ba Nang")
    person = come("truc1")
    page = person.go(f"emergency/{alert}")
    page.get_by_role("button", name="Gia hạn").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Đến").select_option("4")
    person.shot("emergency-extend")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Gia hạn").click()
    expect(page.get_by_text("Đã gia hạn.")).to_be_visible()
    expect(page.get_by_text(re.compile("^Nhắc lại đến"))).to_be_visible()
    with village.desk.api() as api:
        kept = api.get(f"/api/v1/alerts/{alert}")
    assert kept["until"] is not None
    assert kept["every_s"] == 7_200
    person.shot("emergency-extended")


@pytest.mark.usefixtures("quiet")
def test_whom_to_telephone_stands_on_one_sheet_of_paper(come: Come, village: Village) -> None:
    with ExitStack() as stack:
        about = {"contact_name": "Hồ Thị Nữ", "contact_phone": "0913000777"}
        village.spare("Ba Nang", "Thôn Vắng", stack, **about)
        alert = _given(village, "Ba Nang")
        person = come("truc1")
        page = person.go(f"emergency/{alert}")
        expect(page.get_by_role("heading", name="Chưa kêu: 1 cụm, gọi ngay")).to_be_visible(timeout=_SLOW)
        expect(page.get_by_role("link", name="Gọi Hồ Thị Nữ 0913000777")).to_have_attribute("href", "tel:0913000777")
        person.shot("emergency-red")
        assert person.barriers() == []
        with page.expect_popup() as opened:
            page.get_by_role("link", name="In danh sách gọi điện").click()
        address = opened.value.url
        opened.value.close()
        page.goto(address)
        row = page.get_by_role("row").filter(has_text="Thôn Vắng")
        expect(row).to_contain_text("Hồ Thị Nữ")
        expect(row).to_contain_text("0913000777")
        page.emulate_media(media="print")
        person.shot("call-sheet", whole=True)
        assert row.get_by_role("cell").first.evaluate("(it) => getComputedStyle(it).borderTopStyle") == "solid"
        assert person.barriers() == []
