"""From the door to the desk: the first day of a duty officer, who may stop what, and a banner that never pretends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, expect

from controller.cli.client import ApiClient, Login
from tests.browser.conftest import Come
from tests.browser.people import Person
from tests.browser.village import Village, newcomer
from tests.system.desk import Desk


@pytest.fixture
def strict_desk(tmp_path: Path) -> Iterator[Desk]:
    """A controller as it is delivered: alerts want a second factor."""
    with Desk(tmp_path, {"LOA_SECOND_FACTOR_REQUIRED": "true"}) as desk:
        yield desk


def test_the_first_day_of_a_duty_officer(strict_desk: Desk, browser: Browser) -> None:
    strict_desk.cluster(strict_desk.area(), "Tà Rụt 1")
    with strict_desk.api() as api:
        grants = [{"role": "duty_officer", "area_id": None}]
        first = api.post("/api/v1/users", {"name": "hung", "display_name": "Nguyễn Văn Hùng", "grants": grants})
    person = Person(browser, strict_desk.url)
    page = person.go("emergency")

    page.get_by_label("Tên đăng nhập").fill("hung")
    page.get_by_label("Mật khẩu").fill("sai mat khau")
    page.get_by_role("button", name="Đăng nhập").click()
    expect(page.get_by_role("alert")).to_have_text("Tên hoặc mật khẩu không đúng.")
    page.get_by_label("Mật khẩu").fill(first["password"])
    page.get_by_role("button", name="Đăng nhập").click()

    expect(page.get_by_role("heading", name="Đổi mật khẩu")).to_be_visible()
    assert person.barriers() == []
    page.get_by_label("Mật khẩu hiện tại").fill(first["password"])
    page.get_by_label("Mật khẩu mới", exact=False).first.fill("nuoc len thi bao loa")
    page.get_by_label("Nhập lại mật khẩu mới").fill("nuoc len thi bao loa")
    page.get_by_role("button", name="Đổi mật khẩu").click()

    page.get_by_role("button", name="Bật ngay").click()
    secret = page.get_by_role("dialog").locator("code").inner_text().replace(" ", "")
    person.shot("second-factor")
    assert person.barriers() == []
    page.get_by_label("6 số trong ứng dụng").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Bật xác thực hai bước").click()
    recovery = page.get_by_role("dialog").get_by_role("listitem").first.inner_text()
    page.get_by_role("button", name="Tôi đã ghi lại").click()
    expect(page.get_by_role("button", name="Bật ngay")).to_be_hidden()

    page.get_by_role("button", name="Tài khoản: Nguyễn Văn Hùng").click()
    page.get_by_role("button", name="Đăng xuất").click()
    page.get_by_label("Tên đăng nhập").fill("hung")
    page.get_by_label("Mật khẩu").fill("nuoc len thi bao loa")
    page.get_by_role("button", name="Đăng nhập").click()
    page.get_by_label("Mã xác thực").fill(recovery)
    page.get_by_role("button", name="Đăng nhập").click()
    expect(page.get_by_role("navigation", name="Danh mục chính")).to_be_visible()
    assert page.url.endswith("/console/emergency"), "they are where they wanted to go"

    second = Person(browser, strict_desk.url)
    theirs = second.enter("", "lan", *_with_second_factor(strict_desk, "lan"))
    page.get_by_role("tab", name="Viết lời").click()
    page.get_by_label("Tên cảnh báo").fill("Vỡ đập Tà Rụt")
    page.get_by_label("Lời đọc (Tiếng Việt)").first.fill("Nước lên.")
    page.get_by_role("treeitem", name="Tà Rụt").first.click()
    page.get_by_role("button", name="Soạn xong, lấy mã xác nhận").click()
    code = page.get_by_label("Mã xác nhận", exact=True).inner_text()
    theirs.get_by_role("link", name="Xem và xác nhận").click(timeout=20_000)  # once its words are spoken
    theirs.get_by_label("Mã 6 số của người soạn").press_sequentially(code)
    theirs.get_by_role("button", name="XÁC NHẬN, PHÁT NGAY").click()
    expect(page.get_by_label("Bảng theo dõi")).to_contain_text(re.compile(r"0\s*/ 1 cụm loa đã kêu"))
    expect(page.get_by_text("Chưa có thiết bị").first).to_be_visible()
    second.close()
    person.close()


def _with_second_factor(desk: Desk, name: str) -> tuple[str, str]:
    """A duty officer whose app is set up; their password, and the next code that it shows."""
    password = newcomer(desk, name, ("duty_officer",), None)
    with ApiClient(Login(desk.url)) as api:
        token = api.post("/api/v1/login", {"name": name, "password": password})["token"]
    with ApiClient(Login(desk.url, token)) as api:
        app = pyotp.TOTP(api.post("/api/v1/me/totp", {"password": password})["secret"])
        api.put("/api/v1/me/totp", {"code": app.now()})
    return password, app.at(datetime.now(UTC) + timedelta(seconds=app.interval))


def test_stop_is_two_clicks_away_on_every_page(come: Come, village: Village) -> None:
    person = come("bientap")
    page = person.go("library")
    page.get_by_role("button", name="DỪNG", exact=True).click()
    expect(page.get_by_role("button", name="DỪNG TẤT CẢ")).to_be_focused()
    person.shot("stop")
    assert person.barriers() == []
    page.get_by_role("button", name="DỪNG TẤT CẢ").click()
    expect(page.get_by_role("status").filter(has_text="Đã gửi lệnh dừng")).to_contain_text(
        f"Đã gửi lệnh dừng tới {len(village.clusters)} thiết bị."
    )
    assert person.clicks == 2

    page.keyboard.press("F8")
    page.get_by_role("button", name="Chỉ dừng một phần").click()
    page.get_by_role("dialog").get_by_role("searchbox").fill("ta rut 2")
    page.get_by_role("treeitem", name=re.compile("Tà Rụt 2")).click()
    page.get_by_role("button", name="Dừng 1 cụm đã chọn").click()
    expect(page.get_by_text("Đã gửi lệnh dừng tới 1 thiết bị.")).to_be_visible()


def test_a_page_shows_only_what_the_role_may_do(come: Come) -> None:
    person = come("xem")
    page = person.go()
    links = page.get_by_role("navigation", name="Danh mục chính").get_by_role("link")
    names = [name.strip() for name in links.all_inner_texts()]
    assert "Hôm nay" in names
    assert not {"Khẩn cấp", "Diễn tập", "Quản trị", "Thiết bị mới", "Phát trực tiếp"} & set(names)
    expect(page.get_by_role("button", name="DỪNG", exact=True)).to_have_count(0)
    person.go("emergency")
    expect(page.get_by_role("heading", name="Bạn chưa được vào trang này")).to_be_visible()
    person.go("khong-co")
    expect(page.get_by_role("heading", name="Không có trang này")).to_be_visible()
    page.get_by_role("link", name="Về trang Hôm nay").click()
    expect(page.get_by_role("heading", name="Hôm nay", level=1)).to_be_visible()


def test_the_banner_never_pretends(strict_desk: Desk, browser: Browser) -> None:
    person = Person(browser, strict_desk.url)
    person.expected += [
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
        "ERR_SOCKET_NOT_CONNECTED",
        "Couldn't load preload assets",  # axe, which looks at the page meanwhile
    ]
    with strict_desk.api() as api:
        first = api.post("/api/v1/users", {"name": "xem", "grants": [{"role": "viewer", "area_id": None}]})
    with ApiClient(Login(strict_desk.url)) as api:
        token = api.post("/api/v1/login", {"name": "xem", "password": first["password"]})["token"]
    with ApiClient(Login(strict_desk.url, token)) as api:
        api.put("/api/v1/me/password", {"old": first["password"], "new": "chi xem thoi nhe"})
    person.sign_in("xem", "chi xem thoi nhe")
    page = person.go("fleet")
    expect(page.get_by_text("Trực tuyến")).to_be_visible()
    strict_desk.crash()
    expect(page.get_by_role("alert").filter(has_text="Không liên lạc được với bộ điều khiển (lần cuối")).to_be_visible()
    expect(page.get_by_text("Trực tuyến")).to_be_hidden()
    person.shot("offline")
    assert person.barriers() == []
    strict_desk.start()
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_text("Trực tuyến")).to_be_visible()
    expect(page.get_by_text("Không liên lạc được với bộ điều khiển")).to_be_hidden()
    person.close()


def test_the_dark_is_chosen_and_remembered(come: Come) -> None:
    person = come("xem")
    page = person.go()
    page.get_by_role("banner").get_by_role("button", name="Tài khoản").click()
    page.get_by_label("Giao diện").select_option("dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    person.go("fleet")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.emulate_media(color_scheme="light")  # a choice is stronger than the machine
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("banner").get_by_role("button", name="Tài khoản").click()
    page.get_by_label("Giao diện").select_option("system")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_no_door_of_the_demo_is_here(come: Come) -> None:
    person = come()
    page = person.go("?as=duty_officer")
    expect(page.get_by_label("Tên đăng nhập")).to_be_visible()
    expect(page.get_by_text("Bản dùng thử: vào ngay với vai")).to_have_count(0)


def test_the_language_is_switched_at_once_and_remembered(come: Come) -> None:
    person = come("xem")
    page = person.go()
    page.get_by_role("button", name="English").first.click()
    expect(page.get_by_role("heading", name="Today", level=1)).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
    person.go()
    expect(page.get_by_role("heading", name="Today", level=1)).to_be_visible()
