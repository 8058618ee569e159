"""A template is written, heard, approved, put in force, and lies ready in the boxes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Come
from tests.browser.village import Village

_TITLE = "Sạt lở đường 14"
#: Speech, then seven boxes that fetch it.
#: A box tells of its stock with its next heartbeat (20 s), and the page asks every 15 s.
_SLOW = 60_000


@pytest.fixture
def gone(village: Village) -> Iterator[None]:
    """The village forgets the template afterwards."""
    yield
    with village.desk.api() as api:
        for each in api.get("/api/v1/templates")["items"]:
            if each["title"] == _TITLE and each["state"] != "retired":
                api.delete(f"/api/v1/templates/{each['id']}")


@pytest.mark.usefixtures("gone")
def test_from_the_first_word_to_every_box(come: Come) -> None:
    writer, approver = come("bientap"), come("duyet")
    page = writer.go("templates")
    page.get_by_role("link", name="Viết mẫu mới").click()
    page.get_by_label("Tên mẫu").fill(_TITLE)
    page.get_by_label("Thuộc khu vực").select_option(label="Huyện Đakrông")
    page.get_by_label("Loại", exact=True).select_option("landslide")
    page.get_by_label("Còi báo trước").select_option("warble")
    warning = page.get_by_role("region", name="Lời cảnh báo")
    warning.get_by_label("Lời đọc (Tiếng Việt)").fill("Sạt lở.")
    cancel = page.get_by_role("region", name="Lời hủy")
    cancel.get_by_label("Lời đọc (Tiếng Việt)").fill("Đã thông.")
    writer.shot("template-editor")
    assert writer.barriers() == []
    page.get_by_role("button", name="Lưu bản nháp").click()
    expect(page.get_by_role("heading", name=_TITLE)).to_be_visible(timeout=_SLOW)
    expect(page.get_by_role("button", name="Đưa vào sử dụng")).to_have_count(0)  # somebody else decides

    theirs = approver.go("templates")
    theirs.get_by_role("link", name=_TITLE).click()
    activate = theirs.get_by_role("button", name="Đưa vào sử dụng")
    expect(activate).to_be_disabled()
    expect(theirs.get_by_role("button", name="Duyệt", exact=True)).to_have_count(2, timeout=_SLOW)  # both are spoken
    for _ in range(2):
        _hear_and_approve(theirs)
    approver.shot("template-approved")
    assert approver.barriers() == []
    activate.click()
    expect(theirs.get_by_text("Mọi cụm đã có sẵn mẫu này")).to_be_visible(timeout=_SLOW)
    approver.shot("template-in-every-box")
    theirs.get_by_role("link", name="Về danh sách mẫu").click()
    expect(theirs.get_by_role("row").filter(has_text=_TITLE)).to_contain_text("7/7")


def _hear_and_approve(page: Page) -> None:
    """The next words that nobody approved: they are heard to their end first."""
    words = page.locator("section").filter(has=page.get_by_role("button", name="Duyệt", exact=True)).last
    approve = words.get_by_role("button", name="Duyệt", exact=True)
    expect(approve).to_be_disabled(timeout=_SLOW)
    left = page.get_by_role("button", name="Duyệt", exact=True).count()
    words.get_by_role("button", name="Nghe Tiếng Việt trên máy này").click()
    expect(approve).to_be_enabled()
    approve.click()
    expect(page.get_by_role("button", name="Duyệt", exact=True)).to_have_count(left - 1)
