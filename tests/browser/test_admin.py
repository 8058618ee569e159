"""The administrator's day: places and their quiet hours, people, warnings, the log, a backup to take away."""

from __future__ import annotations

import tarfile

from playwright.sync_api import Page, expect

from tests.browser.conftest import Come
from tests.browser.village import Village


def test_a_village_with_quiet_hours_of_its_own(come: Come, village: Village) -> None:
    person = come("quantri")
    page = person.go("admin/areas")
    page.get_by_role("button", name="Thêm khu vực dưới Xã A Vao").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tên").fill("Thôn Ro Ró")
    dialog.get_by_label("Loại").fill("thôn")
    dialog.get_by_label("Giờ yên tĩnh").select_option("own")
    dialog.get_by_label("Từ").fill("20:00")
    dialog.get_by_label("Đến").fill("05:00")
    expect(dialog.get_by_text("Yên tĩnh từ 8 giờ tối đến 5 giờ sáng.")).to_be_visible()
    person.shot("admin-area")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Lưu").click()
    expect(page.get_by_role("listitem").filter(has_text="Thôn Ro Ró")).to_contain_text("8 giờ tối")
    person.shot("admin-areas")
    page.get_by_role("button", name="Xóa khu vực Thôn Ro Ró?").click()
    page.get_by_role("dialog").get_by_role("button", name="Xóa").click()
    expect(page.get_by_role("listitem").filter(has_text="Thôn Ro Ró")).to_have_count(0)
    with village.desk.api() as api:
        assert "Thôn Ro Ró" not in {area["name"] for area in api.get("/api/v1/areas")["items"]}


def test_somebody_new_at_the_desk(come: Come, village: Village) -> None:
    person = come("quantri")
    page = person.go("admin/users")
    page.get_by_role("button", name="Thêm người dùng").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tên đăng nhập").fill("lan.ho")
    dialog.get_by_label("Họ tên, chức vụ").fill("Hồ Thị Lan")
    dialog.get_by_label("Vai trò", exact=True).select_option("editor")
    dialog.get_by_label("Ở", exact=True).select_option(label="Xã Tà Rụt")
    person.shot("admin-user")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Thêm người dùng").click()
    password = dialog.locator("code").inner_text()
    dialog.get_by_role("button", name="Đóng").last.click()
    newcomer = come()
    newcomer.sign_in("lan.ho", password)
    expect(newcomer.go().get_by_role("heading", name="Đổi mật khẩu")).to_be_visible()

    page.get_by_role("button", name="lan.ho").click()
    page.get_by_role("button", name="Khóa tài khoản").click()
    page.get_by_role("dialog", name="Khóa tài khoản lan.ho?").get_by_role("button", name="Khóa tài khoản").click()
    expect(page.get_by_text("Đã khóa lan.ho.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Thôi").click()
    expect(page.get_by_role("row").filter(has_text="lan.ho")).to_contain_text("Đã khóa")
    person.shot("admin-users")


def test_a_source_of_warnings(come: Come, village: Village) -> None:
    person = come("quantri")
    page = person.go("admin/warnings")
    page.get_by_role("button", name="Thêm nguồn cảnh báo").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tên").fill("Đài khí tượng thủy văn")
    dialog.get_by_label("Tin được đi tới đâu").select_option("propose")
    dialog.get_by_label("Đề xuất từ mức").select_option("Severe")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Lưu").click()
    card = page.get_by_role("region", name="Đài khí tượng thủy văn", exact=True)
    expect(card).to_contain_text("Đề xuất: điền sẵn")
    card.get_by_label("Tên mã").fill("máy chủ dự báo")
    card.get_by_role("button", name="Tạo mã").click()
    expect(card.get_by_text("Chép ngay: mã không hiện lại.")).to_be_visible()
    person.shot("admin-warnings")
    assert person.barriers() == []
    with village.desk.api() as api:
        (source,) = [each for each in api.get("/api/v1/warning-sources")["items"] if "khí tượng" in each["name"]]
        assert (source["policy"]["mode"], source["policy"]["propose_from"]) == ("propose", "Severe")
        api.delete(f"/api/v1/warning-sources/{source['id']}")


def test_the_log_keys_and_the_system(come: Come) -> None:
    person = come("quantri")
    page = person.go("admin/audit")
    page.get_by_role("textbox", name="Tìm").fill("them khu vuc ba nang")
    page.get_by_role("button", name="Lọc").click()
    row = page.get_by_role("list", name="Nhật ký").get_by_role("listitem").first
    expect(row).to_contain_text("Thêm khu vực Xã Ba Nang")
    row.get_by_role("button", name="Chi tiết").click()
    expect(page.get_by_role("dialog")).to_contain_text("area.create")
    page.get_by_role("dialog").get_by_role("button", name="Đóng").last.click()
    page.get_by_role("textbox", name="Tìm").fill("")
    page.get_by_role("button", name="Lọc").click()
    expect(row).not_to_contain_text("Thêm khu vực Xã Ba Nang")
    page.get_by_role("button", name="Kiểm tra nhật ký").click()
    expect(page.get_by_text("Nguyên vẹn:")).to_be_visible()
    person.shot("admin-audit")
    assert person.barriers() == []
    for part, said in (
        ("keys", "Bộ khóa đang dùng"),
        ("system", "Kiểm tra toàn hệ thống"),
        ("sources", "Nguồn tiếp sóng"),
    ):
        page = person.go(f"admin/{part}")
        expect(page.get_by_role("heading", name=said)).to_be_visible()
        person.shot(f"admin-{part}")
        assert person.barriers() == []


def test_a_backup_is_cancelled_and_another_taken_away(come: Come, village: Village) -> None:
    person = come("quantri")
    page: Page = person.go("admin/backup")
    long = village.desk.data / "media" / "ab" / ("ab" * 32)
    long.parent.mkdir(exist_ok=True)
    with long.open("wb") as file:
        file.truncate(1 << 33)  # a hole: nothing to write, much to read
    try:
        page.get_by_role("textbox", name="Câu mật khẩu").fill("nuoc len thi bao loa")
        page.get_by_role("button", name="Sao lưu ngay").click()
        page.get_by_role("button", name="Thôi").click()
        expect(page.get_by_text("Đã hủy, không để lại gì.")).to_be_visible()
    finally:
        long.unlink()
    page.get_by_role("textbox", name="Câu mật khẩu").fill("nuoc len thi bao loa")
    page.get_by_role("button", name="Sao lưu ngay").click()
    link = page.get_by_role("link", name="Tải loa-").first
    link.wait_for(timeout=30_000)
    person.shot("admin-backup")
    assert person.barriers() == []
    with page.expect_download() as download:
        link.click()
    with tarfile.open(download.value.path()) as tar:
        assert {"manifest.json", "loa.db", "keys.enc"} <= set(tar.getnames())
