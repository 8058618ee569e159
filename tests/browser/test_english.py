"""What the controller writes for two people at once, each in their own language; and news above a dialog."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Come
from tests.browser.people import Person
from tests.browser.village import Village

_ENGLISH = "localStorage.setItem('loa.language', 'en')"


def english(come: Come, name: str, **options: str) -> Person:
    person = come(name, **options)
    person.context.add_init_script(_ENGLISH)
    return person


@pytest.mark.usefixtures("quiet")
def test_two_people_read_an_alert_each_in_their_own_language(come: Come, village: Village) -> None:
    village.until_held()
    composer, second = come("truc1"), english(come, "truc2", color_scheme="dark")
    mine, theirs = composer.go("emergency"), second.go("drills")
    mine.get_by_text("Cảnh báo lũ").first.click()
    mine.get_by_role("treeitem", name=re.compile("Xã A Vao")).first.click()
    sentence = mine.get_by_label("Câu phải đọc trước khi xác nhận")
    expect(sentence).to_contain_text("CẢNH BÁO THẬT “Cảnh báo lũ”: phát ngay tại 2 cụm loa")
    mine.get_by_role("button", name="English").first.click()
    mine.get_by_label("Read this sentence before confirming").filter(has_text="REAL ALERT").wait_for()
    mine.get_by_role("button", name="Tiếng Việt").first.click()
    mine.get_by_role("button", name="Soạn xong, lấy mã xác nhận").click()
    theirs.get_by_role("link", name="Look and confirm").click()
    same = theirs.get_by_label("Read this sentence before confirming")
    expect(same).to_contain_text("REAL ALERT “Cảnh báo lũ”: sounds at once at 2 clusters")
    second.shot("english-confirm", whole=True)
    assert second.barriers() == []
    mine.get_by_role("button", name="Tự phát một mình").click()
    mine.get_by_label("Vì sao không ai khác xác nhận được?").fill("Mất sóng")
    mine.get_by_role("button", name="TỰ PHÁT NGAY").click()
    expect(theirs.get_by_label("Board", exact=True)).to_contain_text("2", timeout=20_000)
    second.shot("english-board", whole=True)
    assert second.barriers() == []
    theirs.get_by_role("button", name=re.compile("Notices")).click()
    notices = theirs.get_by_role("group", name=re.compile("Notices"))
    expect(
        notices.get_by_role("heading", name="An alert went out that no second person confirmed").first
    ).to_be_visible()
    second.shot("english-notices")


def test_news_shows_above_the_dialog_that_is_open(come: Come) -> None:
    person = come("quantri")
    page = person.go("design")
    page.get_by_role("button", name="Thử báo lỗi").click()
    page.get_by_role("button", name="Mở hộp thoại").click()
    news = page.get_by_role("dialog").locator(".toasts")
    expect(news.get_by_role("alert")).to_be_visible()
    person.shot("toast-dialog")
    news.get_by_role("button", name="Đóng").click()
    expect(news.get_by_role("alert")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Thử báo lỗi").click()
    expect(page.locator(".toasts").get_by_role("alert")).to_be_visible()
