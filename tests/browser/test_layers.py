"""Every dialog: no barriers there either, by day and in the dark, and the way back is Escape."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Come
from tests.browser.people import Person
from tests.browser.village import Village

#: Dialogs, by the page and the button that opens them.
DIALOGS = {
    "bientap": (
        ("library", "Tải lên"),
        ("library", "Thu âm"),
        ("library", "Đọc văn bản"),
        ("library/stations", "Thêm nguồn"),
        ("schedule", "Đặt lịch phát"),
    ),
    "quantri": (
        ("admin/areas", "Thêm khu vực"),
        ("admin/areas", "Thêm cụm loa"),
        ("admin/areas", "Sửa Huyện"),
        ("admin/users", "Thêm người dùng"),
        ("admin/users", "bientap"),
        ("admin/warnings", "Thêm nguồn cảnh báo"),
        ("admin/sources", "Thêm đài"),
    ),
}
#: What opens above every page.
SHELL = ("Dừng", "Thông báo", "Tài khoản")


def _quiet(page: Page) -> None:
    expect(page.locator('main [aria-busy="true"]')).to_have_count(0)


@pytest.mark.parametrize("name", DIALOGS)
def test_a_dialog_without_barriers(come: Come, village: Village, name: str) -> None:
    person = come(name)
    for path, opener in DIALOGS[name]:
        page = person.go(path)
        _quiet(page)
        button = page.locator("main").get_by_role("button", name=opener).first
        button.click()
        _looked_at(person, f"{path} {opener}")
        expect(button).to_be_focused()


def test_what_hangs_from_the_shell_has_no_barriers(come: Come) -> None:
    person = come("truc1")
    page = person.go()
    _quiet(page)
    for name in SHELL:
        button = page.get_by_role("banner").get_by_role("button", name=name).first
        button.click()
        person.shot(f"shell-{name}")
        assert person.barriers() == [], name
        page.keyboard.press("Escape")
        expect(button).to_be_focused()


def test_what_belongs_to_ones_account_has_no_barriers(come: Come) -> None:
    person = come("xem")
    page = person.go()
    for name in ("Đổi mật khẩu", "Xác thực hai bước", "Phiên đăng nhập"):
        page.get_by_role("banner").get_by_role("button", name="Tài khoản").click()
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("dialog").get_by_role("heading", name=name)).to_be_visible()
        _looked_at(person, name)


def test_a_cluster_asks_before_a_deed_without_barriers(come: Come, village: Village) -> None:
    person = come("quantri")
    page = person.go(f"cluster/{village.clusters['Ba Nang 1']}")
    for opener in ("Dừng phát ở đây", "Giữ im lặng"):
        page.get_by_role("button", name=opener, exact=True).click()
        _looked_at(person, opener)
    page = person.go(f"cluster/{village.clusters['Ba Nang 1']}?part=boxes")
    for opener in ("Chuyển cụm", "Thu hồi"):
        page.get_by_role("button", name=opener, exact=True).click()
        _looked_at(person, opener)


def _looked_at(person: Person, name: str) -> None:
    """One dialog is open: no barriers; Escape closes it."""
    dialog = person.page.get_by_role("dialog")
    expect(dialog, name).to_have_count(1)
    expect(dialog.locator(".skeleton"), name).to_have_count(0)
    assert dialog.evaluate("(it) => it.contains(document.activeElement)"), name
    person.shot(f"dialog-{name.replace('/', '-').replace('?', '-').replace('=', '-')}")
    for theme in ("dark", "light"):
        person.page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        assert person.barriers() == [], (name, theme)
    person.page.keyboard.press("Escape")
    expect(dialog, name).to_have_count(0)
