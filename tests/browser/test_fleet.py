"""The technician's day: who is silent and why, a box let in by its digits, a file for many, a page for each cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Come
from tests.browser.village import Village
from tests.system.boxes import Box
from tests.system.desk import ZONE
from tests.system.processes import BIN, Process, run, wait_until
from tests.system.siren_desk import swarm
from tests.unit.controller.test_air_api import voice

#: From login to the reason, at most (issue of the console).
CLICKS = 3


def _row(page: Page, name: str) -> str:
    row = page.get_by_role("row").filter(has_text=name)
    row.wait_for()
    return row.inner_text()


@pytest.fixture
def spare(village: Village) -> Iterator[Callable[..., str]]:
    """``spare("Ba Nang", "Thôn Vắng")``: one more cluster for the time of a test."""
    with ExitStack() as stack:
        yield partial(village.spare, stack=stack)


def test_why_a_cluster_is_silent(come: Come, village: Village, spare: Callable[..., str]) -> None:
    spare("Ba Nang", "Thôn Vắng", contact_phone="0913000999")
    person = come()
    page = person.go()
    page.get_by_label("Tên đăng nhập").fill("kythuat")
    page.get_by_label("Mật khẩu").fill(village.passwords["kythuat"])
    page.get_by_role("button", name="Đăng nhập", exact=True).click()
    page.get_by_role("link", name="Cụm loa", exact=True).click()
    assert "Chưa có thiết bị nào được nhận" in _row(page, "Thôn Vắng")
    assert person.clicks <= CLICKS
    person.shot("fleet")
    assert person.barriers() == []


def test_why_others_are_silent(come: Come, village: Village, spare: Callable[..., str], tmp_path: Path) -> None:
    """Held, out of use, switched off, in quiet hours, or with nothing planned: each says so, from the door."""
    spare("Ba Nang", "Thôn Ngừng", state="disabled")
    gone = spare("Ba Nang", "Thôn Mất", contact_phone="0913000998")
    command = swarm(village.desk, [gone], tmp_path)
    with Process("gone", [*command, "--decode", "0"], tmp_path):
        wait_until(lambda: _state(village, gone) == "idle", 30, "its box is there")
    held, quiet = {"clusters": [village.clusters["Tà Rụt 2"]]}, village.communes["A Vao"]
    local = datetime.now(ZONE)
    hours = {"begin": f"{local - timedelta(hours=2):%H:%M}", "end": f"{local + timedelta(hours=2):%H:%M}"}
    with village.desk.api() as api, ExitStack() as stack:
        (box,) = [one["id"] for one in api.get("/api/v1/agents")["items"] if one["cluster_id"] == gone]
        stack.callback(api.post, f"/api/v1/agents/{box}/revoke")
        stack.callback(api.patch, f"/api/v1/areas/{quiet}", {"quiet_hours": "none"})
        api.patch(f"/api/v1/areas/{quiet}", {"quiet_hours": hours})
        stack.callback(api.post, "/api/v1/orders/release", held)
        api.post("/api/v1/orders/stop", {**held, "hold_s": 600})
        wait_until(lambda: _state(village, gone) == "offline", 60, "its box is missed")
        person = come()
        page = person.enter("", "kythuat", village.passwords["kythuat"])
        page.get_by_role("link", name="Cụm loa", exact=True).click()
        for name, why in (
            ("Thôn Ngừng", "Cụm loa được cho tạm ngừng sử dụng"),
            ("Thôn Mất", "Gọi người phụ trách kiểm tra nguồn điện và mạng"),
            ("Tà Rụt 2", "Bị giữ im lặng theo lệnh DỪNG"),
            ("A Vao 2", "Đang trong giờ yên tĩnh"),
            ("Ba Nang 2", "lúc này không có mục nào trong lịch"),
        ):
            expect(page.get_by_role("row").filter(has_text=name)).to_contain_text(why)
        assert person.clicks <= CLICKS
        person.shot("fleet-why")


def _state(village: Village, cluster: str) -> str:
    with village.desk.api() as api:
        return str(
            next(one for one in api.get("/api/v1/clusters/states")["states"] if one["cluster_id"] == cluster)["state"]
        )


def test_what_a_cluster_played_and_how_it_fared(come: Come, village: Village, tmp_path: Path) -> None:
    name = "Ba Nang 2"
    cluster = village.clusters[name]
    recording = village.desk.recording(village.communes["Ba Nang"], voice(tmp_path / "v.wav", 1.0), "Bản tin ngắn")
    person = come("kythuat")
    page = person.go(f"cluster/{cluster}?part=records")
    with village.desk.api() as api:
        api.post("/api/v1/orders/play", {"recordings": [recording], "clusters": [cluster], "title": "Phát thử sổ"})
    row = page.get_by_role("row").filter(has_text="Phát thử sổ")  # by itself, as it is reported
    expect(row).to_contain_text("Đã phát đủ", timeout=20_000)
    expect(row).to_contain_text(re.compile(r"\d ms"))
    person.shot("cluster-records")
    assert person.barriers() == []
    page.get_by_role("navigation", name="Phần của trang").get_by_role("link", name="Sức khỏe").click()
    chart = page.get_by_role("img", name=re.compile("Số phút có liên lạc trong mỗi giờ"))
    expect(chart).to_be_visible()
    page.get_by_label("Khoảng thời gian").select_option("168")
    expect(chart).to_be_visible()
    person.shot("cluster-health-week")


def test_a_change_of_state_shows_and_filters_survive_a_reload(come: Come, village: Village) -> None:
    person = come("kythuat")
    page = person.go("fleet?q=a+vao")
    expect(page.get_by_role("row").filter(has_text="A Vao")).to_have_count(2)
    scope = {"clusters": [village.clusters["A Vao 1"]]}
    with village.desk.api() as api:
        api.post("/api/v1/orders/stop", {**scope, "hold_s": 600})
    row = page.get_by_role("row").filter(has_text="A Vao 1")
    expect(row).to_contain_text("Bị giữ im lặng theo lệnh DỪNG")
    page.get_by_role("button", name="Tắt tiếng").click()
    expect(page.get_by_role("row").filter(has_text="A Vao")).to_have_count(1)
    page.reload()
    expect(page.get_by_role("row").filter(has_text="A Vao")).to_have_count(1)
    person.shot("fleet-filtered")
    with village.desk.api() as api:
        api.post("/api/v1/orders/release", scope)
    expect(page.get_by_text("Không có cụm loa nào khớp bộ lọc")).to_be_visible()


def test_the_fleet_on_a_phone(come: Come) -> None:
    person = come("kythuat", width=390, height=844)
    page = person.go("fleet")
    expect(page.get_by_role("link", name="Tà Rụt 1")).to_be_visible()
    page.get_by_role("tab", name="Bản đồ").click()
    expect(page.get_by_role("application", name="Bản đồ các cụm loa")).to_be_visible()
    person.shot("fleet-phone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert person.barriers() == []


def test_a_page_for_each_cluster(come: Come, village: Village) -> None:
    person = come("kythuat")
    cluster = village.clusters["Tà Rụt 1"]
    page = person.go(f"cluster/{cluster}")
    expect(page.get_by_role("heading", name="Đang thế nào, và vì sao")).to_be_visible()
    expect(page.get_by_text(re.compile("^đáng tin")).first).to_be_visible()
    person.shot("cluster")
    assert person.barriers() == []
    slider = page.get_by_label("Tiếp sóng")
    slider.press("ArrowLeft")
    expect(page.get_by_text("Tiếp sóng: -1 dB")).to_be_visible()
    page.get_by_role("button", name="Hoàn tác").click()
    expect(page.get_by_text("Tiếp sóng: 0 dB")).to_be_visible()
    for part, said in (("Sức khỏe", "Số phút có liên lạc trong mỗi giờ"), ("Thiết bị", "Phần mềm")):
        page.get_by_role("navigation", name="Phần của trang").get_by_role("link", name=part).click()
        expect(page.get_by_text(said, exact=True)).to_be_visible()
        person.shot(f"cluster-{'health' if part == 'Sức khỏe' else 'boxes'}")
        assert person.barriers() == []
    page.get_by_text("Điều thiết bị đã từ chối").click()
    expect(page.get_by_text("Thứ mà phía trung thực không gửi")).to_be_visible()


def test_a_technician_at_the_pole(come: Come, village: Village) -> None:
    """Test in silence, keep one cluster silent while working at it, let it sound again; the duty officer knows."""
    name = "A Vao 2"
    person, duty = come("kythuat"), come("truc1")
    page, room = person.go(f"cluster/{village.clusters[name]}"), duty.go()
    page.get_by_role("button", name="Tự kiểm tra").click()
    expect(page.get_by_text("Kho cảnh báo", exact=True)).to_be_visible()
    expect(page.get_by_text("Đồng hồ", exact=True)).to_be_visible()
    page.get_by_label("Giữ im lặng trong").select_option("600")
    page.get_by_role("button", name="Giữ im lặng").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("KỂ CẢ CẢNH BÁO KHẨN CẤP")
    person.shot("cluster-hold")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Giữ im lặng 10 phút").click()
    expect(page.get_by_text("Đang bị giữ im lặng, do kythuat")).to_be_visible()
    expect(page.get_by_text("Tắt tiếng").first).to_be_visible()
    person.shot("cluster-held", whole=True)
    assert person.barriers() == []

    wrong = room.get_by_role("region", name="Cần xem")
    expect(wrong.get_by_role("link", name="kythuat giữ im lặng, kể cả cảnh báo khẩn cấp")).to_be_visible()
    duty.shot("today-held")
    room.get_by_role("button", name="Thông báo").click()
    notice = room.get_by_role("article").filter(has_text="kythuat giữ im lặng cụm loa “A Vao 2”")
    duty.shot("notice-held")
    notice.get_by_role("link", name="Mở").click()
    expect(room.get_by_role("heading", name=name)).to_be_visible()
    expect(room.get_by_role("button", name="Cho phát lại")).to_be_visible()

    page = person.go(f"cluster/{village.clusters['A Vao 1']}")
    page.get_by_role("button", name="Giữ im lặng").click()
    page.get_by_role("dialog").get_by_role("button", name="Giữ im lặng 30 phút").click()
    expect(page.get_by_text("Bạn đang giữ im lặng một cụm khác")).to_be_visible()
    page = person.go(f"cluster/{village.clusters[name]}")
    page.get_by_role("button", name="Cho phát lại").click()
    page.get_by_role("dialog").get_by_role("button", name="Cho phát lại").click()
    expect(page.get_by_role("button", name="Giữ im lặng")).to_be_visible()


def test_settings_of_a_cluster(come: Come, village: Village) -> None:
    person = come("quantri")
    cluster = village.clusters["Tà Rụt 3"]
    page = person.go(f"cluster/{cluster}?part=settings")
    page.get_by_label("Người phụ trách").fill("Hồ Văn Nơi")
    page.get_by_label("Kinh độ").fill("106,9812")
    page.get_by_label("Thêm tiếng").select_option("bru")
    person.shot("cluster-settings")
    assert person.barriers() == []
    page.get_by_role("button", name="Lưu", exact=True).click()
    expect(page.get_by_text("Đã lưu.")).to_be_visible()
    with village.desk.api() as api:
        kept = api.get(f"/api/v1/clusters/{cluster}")
    assert (kept["contact_name"], kept["longitude"]) == ("Hồ Văn Nơi", 106.9812)
    assert kept["languages"] == ["vi", "bru"]


def test_a_box_is_let_in_by_its_digits(come: Come, village: Village, spare: Callable[..., str], tmp_path: Path) -> None:
    cluster = spare("A Vao", "A Vao 9")
    box = Box(tmp_path, "new", wav=False).start("--controller", village.desk.agent_url)
    try:
        box.wait(lambda said: said.get("digits"), 20, "shows its digits")
        digits = box.status()["digits"].replace(" ", "")
        person = come("kythuat")
        page = person.go(f"enrolment?cluster={cluster}")
        page.get_by_role("button", name="Nhận thiết bị").click()
        dialog = page.get_by_role("dialog")
        wrong = "00000000" if digits != "00000000" else "00000001"
        dialog.get_by_label("Tám chữ số").fill(wrong)
        dialog.get_by_role("button", name="Nhận thiết bị").click()
        expect(dialog.get_by_text("Không đúng. Đọc lại")).to_be_visible()
        person.shot("enrolment-code")
        assert person.barriers() == []
        assert run([BIN / "loa-agent", "confirm", digits, "--data", box.data]).returncode == 0
        dialog.get_by_label("Tám chữ số").fill(f"{digits[:4]} {digits[4:]}")
        dialog.get_by_role("button", name="Nhận thiết bị").click()
        expect(page.get_by_text("Đã nhận thiết bị cho A Vao 9")).to_be_visible()
        expect(page.get_by_text("Không có thiết bị nào đang chờ")).to_be_visible()
        page = person.go(f"cluster/{cluster}?part=boxes")
        page.get_by_role("button", name="Thu hồi").click()
        page.get_by_role("dialog").get_by_role("button", name="Thu hồi").click()
        expect(page.get_by_text("Cụm này chưa có thiết bị")).to_be_visible()
    finally:
        box.close()


def test_a_provisioning_file_for_many(come: Come, spare: Callable[..., str]) -> None:
    spare("Tà Rụt", "Thôn Mới")
    person = come("kythuat")
    page = person.go("enrolment?part=file")
    page.get_by_role("treeitem", name="Xã Tà Rụt").click()
    page.get_by_role("button", name="Tạo tệp cho 1 cụm loa").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Tải tệp về máy").click()
    person.shot("enrolment-file")
    assert person.barriers() == []
    assert len(json.loads(download.value.path().read_text())["tokens"]) == 1
