"""The library: a bulletin comes in, says what is wrong with it, is approved once it was heard, and plays at once."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import FilePayload, expect

from tests.browser.conftest import Come
from tests.browser.village import Village

RATE = 48_000


def wav(name: str, seconds: float, level: float = 0.3) -> FilePayload:
    """A file somebody brings: a warble, so that it is no clipped or silent one unless ``level`` says so."""
    t = np.arange(round(seconds * RATE)) / RATE
    samples = np.clip(level * np.sin(2 * np.pi * (300 + 40 * np.sin(2 * np.pi * t)) * t), -1, 1)
    return {"name": name, "mimeType": "audio/wav", "buffer": _wav((samples * 32767).astype("<i2").tobytes())}


def _wav(frames: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(frames)
    return out.getvalue()


def test_a_bulletin_from_the_phone_to_the_loudspeakers(come: Come, village: Village) -> None:
    officer = come("bientap")
    page = officer.go("library")
    page.get_by_role("button", name="Tải lên").click()
    dialog = page.get_by_role("dialog", name="Tải bản thu lên")
    dialog.locator("input[type=file]").set_input_files(
        [
            wav("tiem_phong.wav", 3.0),
            wav("cau_hong.wav", 3.0, level=4.0),
            FilePayload(name="anh.txt", mimeType="text/plain", buffer=b"x" * 999),
        ]
    )
    officer.shot("library-upload")
    assert officer.barriers() == []
    dialog.get_by_role("button", name="Tải lên 3 tệp").click()
    table = page.get_by_role("table", name="Bản thu")
    expect(table.get_by_role("row", name="tiem phong").get_by_text("Chờ phê duyệt")).to_be_visible(timeout=30_000)
    expect(table.get_by_role("row", name="anh").get_by_text("Không dùng được")).to_be_visible(timeout=30_000)
    table.get_by_role("link", name="anh").click()
    expect(page.get_by_text("Đây không phải tệp âm thanh đọc được")).to_be_visible()
    table.get_by_role("link", name="cau hong").click()
    expect(page.get_by_text("Tiếng bị rè vì thu quá to")).to_be_visible()
    table.get_by_role("link", name="tiem phong").click()
    expect(page.get_by_text("Đang chờ người có quyền phê duyệt")).to_be_visible()
    officer.shot("library")
    assert officer.barriers() == []

    approver = come("duyet")
    theirs = approver.go(page.url.partition("/console/")[2])
    approve = theirs.get_by_role("button", name="Phê duyệt")
    expect(approve).to_be_disabled()
    theirs.get_by_role("slider").fill("2.5")  # who jumps to the end has not heard it
    theirs.get_by_role("button", name="Nghe: tiem phong").click()
    expect(theirs.get_by_text("Đã nghe")).to_be_visible()
    expect(theirs.get_by_role("button", name="Nghe: tiem phong")).to_be_visible(timeout=5_000)
    expect(approve).to_be_disabled()
    theirs.get_by_role("button", name="Nghe: tiem phong").click()
    expect(approve).to_be_enabled(timeout=10_000)
    approver.shot("library-approve")
    approve.click()
    expect(theirs.get_by_text("Đã phê duyệt “tiem phong”")).to_be_visible()

    page.get_by_role("link", name="Phát ngay").click()
    tree = page.get_by_role("tree", name="Phát ra đâu")
    tree.get_by_role("treeitem", name="Xã A Vao").click()
    expect(page.get_by_text("Phát ngay ra 2 cụm loa, loại thông báo")).to_be_visible()
    officer.shot("play-now")
    assert officer.barriers() == []
    page.get_by_role("button", name="Phát ngay").click()
    page.get_by_role("button", name="Phát ra 2 cụm loa").click()
    expect(page.get_by_text("2 trên 2 cụm loa đang phát")).to_be_visible(timeout=10_000)
    officer.shot("play-now-board")
    page.get_by_role("button", name="Dừng bản này").click()
    expect(page.get_by_text("Đã ra lệnh dừng").first).to_be_visible()


def test_what_is_sought_is_found_and_what_is_wrong_goes_back(come: Come, village: Village, tmp_path: Path) -> None:
    area = village.communes["A Vao"]
    (tmp_path / "hop.wav").write_bytes(wav("hop", 1.0)["buffer"])
    with village.desk.api() as api:
        made = []
        for title in ("Mời họp thôn Pa Linh", "Lịch tiêm chủng"):
            content = io.BytesIO((tmp_path / "hop.wav").read_bytes())
            query = {"area_id": area, "title": title, "file_name": "hop.wav"}
            size = (tmp_path / "hop.wav").stat().st_size
            kind = "application/octet-stream"
            made.append(api.upload("/api/v1/recordings", content, size=size, query=query, media_type=kind)["id"])
    officer, approver = come("bientap"), come("duyet")
    page = officer.go("library")
    table = page.get_by_role("table", name="Bản thu")
    seek = page.get_by_role("searchbox", name="Tìm theo tên, tệp, người gửi")
    seek.fill("hop thon pa")  # as one types without marks
    expect(table.get_by_role("link", name="Mời họp thôn Pa Linh")).to_be_visible()
    expect(table.get_by_role("link", name="Lịch tiêm chủng")).to_have_count(0)
    page.reload()
    expect(seek).to_have_value("hop thon pa")
    officer.shot("library-sought")
    seek.fill("khong co bai nay")
    expect(page.get_by_text("Không có bản thu nào khớp")).to_be_visible()

    theirs = approver.go(f"library/{made[0]}")
    theirs.get_by_role("button", name="Trả lại").click()
    dialog = theirs.get_by_role("dialog", name="Trả lại")
    back = dialog.get_by_role("button", name="Trả lại")
    expect(back).to_be_disabled()
    dialog.get_by_label("Lý do").fill("Đọc sai ngày họp.\nĐề nghị thu lại.")
    approver.shot("library-return")
    assert approver.barriers() == []
    back.click()
    expect(theirs.get_by_text("Đã trả lại “Mời họp thôn Pa Linh”")).to_be_visible()
    page = officer.go(f"library/{made[0]}")
    expect(page.get_by_text("Đọc sai ngày họp.")).to_be_visible()
    expect(page.locator(".detail").get_by_text("Bị trả lại")).to_be_visible()
    expect(page.get_by_role("link", name="Phát ngay")).to_have_count(0)
    officer.shot("library-returned")


def test_a_text_is_tried_out_and_becomes_a_recording(come: Come) -> None:
    officer = come("bientap")
    page = officer.go("library")
    page.get_by_role("button", name="Đọc văn bản").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tên").fill("Mời họp thôn")
    dialog.get_by_label("Văn bản").fill("Kính mời bà con bảy giờ tối nay đến nhà văn hóa họp thôn.")
    dialog.get_by_role("button", name="Nghe thử giọng đọc").click()
    expect(dialog.locator("audio[aria-label='Giọng đọc thử']")).to_be_visible()
    officer.shot("library-text")
    dialog.get_by_role("button", name="Tạo bản thu").click()
    row = page.get_by_role("table").get_by_role("row", name="Mời họp thôn")
    expect(row.get_by_text("Chờ phê duyệt")).to_be_visible(timeout=30_000)

    page.get_by_role("button", name="Đọc văn bản").click()
    dialog.get_by_label("Tên").fill("Dán nhầm cả báo cáo")
    dialog.get_by_label("Văn bản").fill("Kính mời bà con đến nhà văn hóa họp thôn. " * 400)  # minutes of work
    dialog.get_by_role("button", name="Tạo bản thu").click()
    page.get_by_role("table").get_by_role("link", name="Dán nhầm").click()
    officer.shot("library-processing")
    page.get_by_role("button", name="Thôi").click()
    expect(page.get_by_text("Đã hủy xử lý “Dán nhầm cả báo cáo”")).to_be_visible()
    expect(page.get_by_role("table").get_by_role("link", name="Dán nhầm")).to_have_count(0)


def test_a_recording_is_made_put_away_and_brought_back(come: Come) -> None:
    officer = come("bientap")
    page = officer.go("library")
    page.get_by_role("button", name="Thu âm").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Bắt đầu thu").click()
    expect(dialog.get_by_role("timer")).to_have_text("0:02", timeout=8_000)
    officer.shot("library-record")
    dialog.get_by_role("button", name="Xong").click()
    dialog.get_by_label("Tên").fill("Thu tại bàn")
    dialog.get_by_role("button", name="Đưa vào kho").click()
    table = page.get_by_role("table", name="Bản thu")
    expect(table.get_by_role("row", name="Thu tại bàn").get_by_text("Chờ phê duyệt")).to_be_visible(timeout=30_000)
    table.get_by_role("link", name="Thu tại bàn").click()
    page.get_by_role("button", name="Cất vào lưu trữ").click()
    expect(table.get_by_role("row", name="Thu tại bàn")).to_have_count(0)
    page.get_by_role("button", name="Lấy lại").click()
    expect(table.get_by_role("row", name="Thu tại bàn")).to_be_visible()


@pytest.mark.parametrize("width", [1366, 390])
def test_stations(come: Come, width: int) -> None:
    officer = come("bientap", width=width)
    page = officer.go("library/stations")
    page.get_by_role("button", name="Thêm nguồn").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tên đài").fill(f"Đài tỉnh {width}")
    dialog.get_by_label("Địa chỉ").fill("ftp://dai.example/")
    dialog.get_by_role("button", name="Lưu").click()
    expect(dialog.get_by_text("Địa chỉ không đúng")).to_be_visible()
    dialog.get_by_label("Địa chỉ").fill("http://127.0.0.1:9/stream")
    dialog.get_by_role("button", name="Lưu").click()
    page.get_by_role("button", name=f"Nghe thử Đài tỉnh {width}").click()
    expect(page.get_by_role("alert")).to_be_visible(timeout=20_000)
    officer.shot(f"stations-{width}")
    assert officer.barriers() == []
