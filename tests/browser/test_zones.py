"""A group of clusters along a river: made once by the administrator, picked at once by the officer who warns."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Come
from tests.browser.village import Village


@pytest.fixture
def no_zones(village: Village) -> Iterator[None]:
    """The village is left as it was."""
    yield
    with village.desk.api() as api:
        for zone in api.get("/api/v1/zones")["items"]:
            api.delete(f"/api/v1/zones/{zone['id']}")


@pytest.mark.usefixtures("no_zones")
def test_a_zone_is_made_and_an_alert_is_composed_to_it(come: Come, village: Village) -> None:
    village.until_held()
    keeper, officer = come("quantri"), come("truc1")
    page = keeper.go("admin/zones")
    expect(page.get_by_text("Chưa có nhóm cụm loa nào")).to_be_visible()
    page.get_by_role("button", name="Thêm nhóm").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tên").fill("Ven sông Đakrông")
    dialog.get_by_label("Thuộc khu vực").select_option(village.district)
    for name in ("Tà Rụt 1", "A Vao 2", "Ba Nang 1"):
        dialog.get_by_label("Tìm").fill(name)
        dialog.get_by_role("treeitem", name=name, exact=True).click()
    expect(dialog.get_by_text("Đã chọn 3 cụm loa")).to_be_visible()
    keeper.shot("admin-zone")
    assert keeper.barriers() == []
    dialog.get_by_role("button", name="Lưu").click()
    row = page.get_by_role("row").filter(has_text="Ven sông Đakrông")
    expect(row).to_contain_text("3 cụm loa")
    keeper.shot("admin-zones")

    alert = officer.go("emergency")
    alert.get_by_text("Cảnh báo lũ").first.click()
    zone = alert.get_by_role("button", name="Ven sông Đakrông (3)")
    zone.click()
    expect(zone).to_have_attribute("aria-pressed", "true")
    sentence = alert.get_by_label("Câu phải đọc trước khi xác nhận")
    expect(sentence).to_contain_text("3 cụm loa")
    for commune in ("Xã Tà Rụt (1)", "Xã A Vao (1)", "Xã Ba Nang (1)"):
        expect(sentence).to_contain_text(commune)
    officer.shot("emergency-zone")
    assert officer.barriers() == []
    zone.click()
    expect(alert.get_by_text("Chưa chọn nơi nào")).to_be_visible()

    week = keeper.go("schedule")
    week.get_by_role("button", name="Đặt lịch phát").first.click()
    form = week.get_by_role("dialog")
    form.get_by_role("button", name="Ven sông Đakrông (3)").click()
    expect(form.get_by_text("Đã chọn 3 cụm loa")).to_be_visible()
    keeper.shot("schedule-zone")
    page = keeper.go("admin/zones")
    row.get_by_role("button", name=re.compile("^Xóa nhóm")).click()
    page.get_by_role("dialog").get_by_role("button", name="Xóa").click()
    expect(page.get_by_text("Chưa có nhóm cụm loa nào")).to_be_visible()
    expect(zone).to_have_count(0)  # told at once to whoever is choosing
