"""A drill that is heard, and what each box is worth afterwards."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Come
from tests.browser.village import Village

_SLOW = 40_000


def test_a_drill_is_heard_and_scored(come: Come, village: Village) -> None:
    village.until_held()
    person, elsewhere = come("truc1"), come("xem")
    page, other = person.go("drills"), elsewhere.go()
    page.get_by_label("Diễn tập có tiếng").check()
    page.get_by_label("Mẫu cảnh báo", exact=True).select_option("own")
    page.get_by_label("Lời đọc (Tiếng Việt)").fill("Lũ.")
    page.get_by_label("Tên buổi diễn tập").fill("Diễn tập tháng này")
    page.get_by_role("treeitem", name=re.compile("Xã Ba Nang")).first.click()
    expect(page.get_by_text("DIỄN TẬP: Diễn tập có tiếng tại 2 cụm loa.")).to_be_visible()
    expect(page.get_by_text("Loa sẽ nói (Tiếng Việt)")).to_be_visible()
    expect(page.get_by_text("Đây là diễn tập.").first).to_be_visible()  # the notice around it, too
    person.shot("drill-audible")
    assert person.barriers() == []
    page.get_by_role("button", name="Bắt đầu DIỄN TẬP").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("kèm lời “diễn tập”")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Bắt đầu DIỄN TẬP").click()

    expect(page.get_by_role("heading", name="DIỄN TẬP: Diễn tập tháng này")).to_be_visible(timeout=_SLOW)
    expect(page.locator(".ladder li", has_text="Đã kêu")).to_contain_text("2", timeout=_SLOW)
    expect(other.get_by_text("ĐANG PHÁT CẢNH BÁO THẬT")).to_have_count(0)  # a drill is not an alert, anywhere
    person.shot("drill-sounding")
    expect(page.locator(".ladder li", has_text="Kêu xong")).to_contain_text("2", timeout=_SLOW)
    expect(page.get_by_role("row").filter(has_text="Ba Nang 1")).to_contain_text("Đạt")
    person.shot("drill-heard")
    assert person.barriers() == []
    page.get_by_role("link", name="Về trang Diễn tập").click()
    page.get_by_role("link", name="Bảng điểm thiết bị").click()
    row = page.get_by_role("region", name="Bảng điểm thiết bị").get_by_role("row").filter(has_text="Ba Nang 1")
    expect(row).to_contain_text(re.compile(r"1/1"))
    person.shot("drill-score-card")
    assert person.barriers() == []
    page.get_by_role("link", name="Các lần đã làm").click()
    expect(page.get_by_role("row").filter(has_text="Diễn tập tháng này")).to_contain_text("Đã xong")
