"""From a warning to the right loudspeakers by two people, and back to silence; and the drill that is never one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from controller.demo.flood import flash_flood
from controller.keys.cap_identity import ensure_identity
from tests.browser.conftest import Come
from tests.browser.people import Person
from tests.browser.village import Village

#: An alert from a template to a commune, both people together (issue 5).
_CLICKS = 6
_SLOW = 20_000


def _chosen(page: Page, commune: str) -> None:
    page.get_by_role("treeitem", name=re.compile(commune)).first.click()


@pytest.mark.usefixtures("quiet")
def test_two_people_warn_a_commune_and_take_it_back(come: Come, village: Village) -> None:
    village.until_held()
    composer, second = come(), come()
    mine = composer.enter("", "truc1", village.passwords["truc1"])
    theirs = second.enter("drills", "truc2", village.passwords["truc2"])

    mine.get_by_role("link", name="Khẩn cấp", exact=True).click()
    mine.get_by_text("Cảnh báo lũ").first.click()
    _chosen(mine, "Xã Tà Rụt")
    sentence = mine.get_by_label("Câu phải đọc trước khi xác nhận")
    expect(sentence).to_contain_text("3 cụm loa")
    said = sentence.inner_text()
    composer.shot("emergency-compose")
    mine.evaluate("document.activeElement.blur()")
    mine.keyboard.press("Enter")  # nothing happens by accident
    expect(mine.get_by_text("Chờ người thứ hai xác nhận")).to_have_count(0)
    mine.get_by_role("button", name="Soạn xong, lấy mã xác nhận").click()
    code = mine.get_by_label("Mã xác nhận", exact=True).inner_text()
    assert re.fullmatch(r"\d{6}", code)
    composer.shot("emergency-waiting")

    theirs.get_by_role("link", name="Xem và xác nhận").click()  # told on a page about something else
    expect(theirs.get_by_label("Câu phải đọc trước khi xác nhận")).to_have_text(said)
    theirs.get_by_label("Mã 6 số của người soạn").press_sequentially(code)
    theirs.keyboard.press("Enter")
    expect(theirs.get_by_role("button", name="XÁC NHẬN, PHÁT NGAY")).to_be_enabled()
    second.shot("emergency-confirm")
    theirs.get_by_role("button", name="XÁC NHẬN, PHÁT NGAY").click()
    assert composer.clicks + second.clicks <= _CLICKS

    for page in (mine, theirs):
        expect(page.get_by_label("Bảng theo dõi")).to_contain_text(re.compile(r"3\s*/ 3 cụm loa đã kêu"), timeout=_SLOW)
    composer.shot("emergency-board")
    assert composer.barriers() == []
    assert second.barriers() == []

    mine.get_by_role("button", name="Hủy cảnh báo").click()
    expect(mine.get_by_role("dialog")).to_contain_text("Đã hủy.")  # the twin, as it will be said
    composer.shot("emergency-cancel")
    mine.get_by_role("button", name="Hủy và phát lời hủy").click()
    expect(mine.get_by_text("Đã hủy", exact=True).first).to_be_visible()
    expect(theirs.get_by_text("Đã hủy", exact=True).first).to_be_visible()
    told = mine.get_by_role("region", name="Lời kết thúc")
    expect(told).to_contain_text(re.compile(r"3\s*/ 3 cụm loa đã phát lời hủy"), timeout=_SLOW)
    composer.shot("emergency-cancelled")
    assert composer.barriers() == []


@pytest.mark.usefixtures("quiet")
def test_words_of_ones_own_for_a_place_on_the_map_and_a_second_person_who_says_no(come: Come, village: Village) -> None:
    composer, second = come("truc1"), come("truc2")
    mine, theirs = composer.go("emergency"), second.go("drills")
    mine.get_by_role("tab", name="Viết lời").click()
    mine.get_by_label("Tên cảnh báo").fill("Vỡ kè Ba Nang")
    mine.get_by_label("Lời đọc (Tiếng Việt)").first.fill("Nước lên.")
    mine.get_by_role("tab", name="Trên bản đồ").click()
    ground = Ground(mine)
    mine.get_by_role("button", name="Vẽ vùng").click()
    for x, y in ((0.02, 0.02), (0.98, 0.02), (0.98, 0.36), (0.02, 0.36)):
        ground.click(x, y)
    mine.get_by_role("button", name="Xong", exact=True).click()
    drawn = mine.get_by_role("list", name="Hình đã vẽ")
    expect(drawn).to_contain_text("Vùng 1: 2 cụm loa")
    mine.get_by_role("button", name="Vẽ vòng tròn").click()
    ground.click(0.5, 0.54)
    ground.click(0.5, 0.64)
    mine.get_by_label("Bán kính, km").fill("3.8")  # to the one beside, not to the next commune
    mine.get_by_label("Bán kính, km").blur()
    expect(drawn).to_contain_text("Vòng tròn 2: 2 cụm loa")
    sentence = mine.get_by_label("Câu phải đọc trước khi xác nhận")
    expect(sentence).to_contain_text("4 cụm loa")
    expect(sentence).to_contain_text("Xã Ba Nang (2)")
    expect(sentence).to_contain_text("Xã A Vao (2)")
    composer.shot("emergency-drawn", whole=True)
    assert composer.barriers() == []
    mine.get_by_role("button", name="Soạn xong, lấy mã xác nhận").click()
    mine.get_by_label("Mã xác nhận", exact=True).wait_for()

    theirs.get_by_role("link", name="Xem và xác nhận").click(timeout=_SLOW)  # once its words are spoken
    expect(theirs.get_by_label("Câu phải đọc trước khi xác nhận")).to_contain_text("Xã A Vao (2)")
    theirs.get_by_role("button", name="Không xác nhận").click()
    dialog = theirs.get_by_role("dialog", name="Không xác nhận cảnh báo này?")
    drop = dialog.get_by_role("button", name="Bỏ, không phát")
    expect(drop).to_be_disabled()
    dialog.get_by_label("Vì sao không phát?").fill("A Vao không ngập.\nSoạn lại cho Ba Nang.")
    second.shot("emergency-decline")
    assert second.barriers() == []
    drop.click()
    for page in (mine, theirs):
        expect(page.get_by_text("A Vao không ngập.")).to_be_visible()
        expect(page.get_by_text("Cảnh báo này không được phát")).to_be_visible()
    composer.shot("emergency-declined")

    mine.get_by_role("link", name="Về phòng Khẩn cấp").click()
    mine.get_by_role("tab", name="Viết lời").click()
    mine.get_by_label("Tên cảnh báo").fill("Vỡ kè Ba Nang")
    mine.get_by_label("Lời đọc (Tiếng Việt)").first.fill("Nước lên.")
    _chosen(mine, "Xã Ba Nang")
    mine.get_by_role("button", name="Soạn xong, lấy mã xác nhận").click()
    code = mine.get_by_label("Mã xác nhận", exact=True).inner_text()
    theirs.get_by_role("link", name="Xem và xác nhận").click(timeout=_SLOW)  # once its words are spoken
    theirs.get_by_label("Mã 6 số của người soạn").press_sequentially(code)
    theirs.get_by_role("button", name="XÁC NHẬN, PHÁT NGAY").click()
    for page in (mine, theirs):
        expect(page.get_by_label("Bảng theo dõi")).to_contain_text(re.compile(r"2\s*/ 2 cụm loa đã kêu"), timeout=_SLOW)


class Ground:
    """The map, to be pointed at by shares of its width and height."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._map = page.get_by_role("application", name="Nơi phát")
        self._map.wait_for()

    def click(self, x: float, y: float) -> None:
        """Press there."""
        self._map.scroll_into_view_if_needed()
        box = self._map.bounding_box()
        assert box is not None
        self._page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


@pytest.mark.usefixtures("quiet")
def test_one_person_alone_needs_a_reason(come: Come, village: Village) -> None:
    village.until_held()
    composer, viewer = come("truc2", width=390, height=844), come("xem")
    page, elsewhere = composer.go("emergency"), viewer.go()
    page.get_by_text("Cảnh báo lũ").first.click()
    _chosen(page, "Xã A Vao")
    composer.shot("emergency-compose-phone", whole=True)
    page.get_by_role("button", name="Soạn xong, lấy mã xác nhận").click()
    page.get_by_role("button", name="Tự phát một mình").click()
    act = page.get_by_role("button", name="TỰ PHÁT NGAY")
    expect(act).to_be_disabled()
    page.get_by_label("Vì sao không ai khác xác nhận được?").fill("Mất sóng, nước lên nhanh")
    composer.shot("emergency-alone-phone")
    act.click()
    expect(page.get_by_label("Bảng theo dõi")).to_contain_text(re.compile(r"2\s*/ 2 cụm loa đã kêu"), timeout=_SLOW)
    composer.shot("emergency-board-phone", whole=True)
    expect(elsewhere.get_by_role("status").filter(has_text="ĐANG PHÁT CẢNH BÁO THẬT")).to_be_visible()


def test_a_drill_is_a_drill(come: Come, village: Village) -> None:
    person = come("truc1")
    page = person.go("drills")
    expect(page.get_by_role("heading", name="DIỄN TẬP", exact=True)).to_be_visible()
    page.get_by_label("Kiểm tra không tiếng").check()
    _chosen(page, "Xã Ba Nang")
    person.shot("drill-start")
    assert person.barriers() == []
    page.get_by_role("button", name="Kiểm tra không tiếng").click()
    expect(page.get_by_text("Đã tự kiểm tra")).to_be_visible()
    expect(page.locator(".ladder li", has_text="Đã tự kiểm tra")).to_contain_text("2", timeout=_SLOW)
    person.shot("drill-results")
    assert person.barriers() == []
    page.go_back()
    page.get_by_role("link", name="Bảng điểm thiết bị").click()
    expect(page.get_by_role("region", name="Bảng điểm thiết bị").get_by_role("link", name="Ba Nang 1")).to_be_visible()
    person.shot("drill-card")


@pytest.mark.usefixtures("quiet")
def test_a_pushed_warning_becomes_an_alert(come: Come, village: Village) -> None:
    person = come("truc1")
    page = person.go("warnings")
    with village.desk.api() as api:
        source = api.post(
            "/api/v1/warning-sources",
            {"name": "Đài khí tượng", "area_id": village.district, "policy": {"mode": "propose"}},
        )
        token = api.post(f"/api/v1/warning-sources/{source['id']}/tokens", {"label": "thử"})["token"]
    _push(person, token, _unsigned())
    expect(page.get_by_role("heading", name="Lũ quét trên sông Tà Rụt")).to_be_visible(timeout=_SLOW)  # by itself
    expect(page.get_by_text("Không có chữ ký").first).to_be_visible()
    person.shot("warning-card")
    assert person.barriers() == []
    page.get_by_role("link", name="Mở và quyết định").first.click()
    expect(page.get_by_text("Không chứng minh được ai gửi")).to_be_visible()
    expect(page.get_by_label("Tên cảnh báo")).to_have_value(re.compile("Lũ quét"))
    page.locator("canvas").first.wait_for()
    person.shot("warning", whole=True)
    assert person.barriers() == []
    page.get_by_role("button", name="Soạn cảnh báo, lấy mã").click()
    expect(page.get_by_text("Chờ người thứ hai xác nhận").first).to_be_visible(timeout=_SLOW)
    person.shot("warning-accepted")
    with village.desk.api() as api:
        api.delete(f"/api/v1/warning-sources/{source['id']}")


def test_the_verdict_on_a_signature_is_said_in_words(come: Come, village: Village, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ours, strangers = (ensure_identity(tmp_path / name, name, now=now) for name in ("dai", "la"))
    genuine = flash_flood(now, ours)
    documents = {
        "valid": genuine,
        "invalid": flash_flood(now + timedelta(seconds=1), ours).replace("Rời ngay".encode(), "Ở lại".encode()),
        "untrusted": flash_flood(now + timedelta(seconds=2), strangers),
    }
    said = {
        "valid": ("Chữ ký đúng", "nội dung còn nguyên"),
        "invalid": ("Chữ ký SAI", "KHÔNG được phát"),
        "untrusted": ("Chữ ký lạ", "Nên gọi lại cơ quan phát tin"),
    }
    person = come("truc1")
    with village.desk.api() as api:
        source = {"name": "Đài tỉnh", "area_id": village.district, "policy": {"mode": "propose"}}
        made = api.post("/api/v1/warning-sources", {**source, "certificates": [ours.pem]})["id"]
        token = api.post(f"/api/v1/warning-sources/{made}/tokens", {"label": "thử"})["token"]
        for verdict, document in documents.items():
            warning = _push(person, token, document)
            page = person.go(f"warnings/{warning}")
            badge, words = said[verdict]
            expect(page.locator(".verdict").first).to_contain_text(badge)
            expect(page.locator(".verdict").first).to_contain_text(words)
            expect(page.get_by_role("application").first).to_be_visible()
            page.locator("canvas").first.wait_for()
            expect(page.get_by_role("button", name="Soạn cảnh báo, lấy mã")).to_have_count(int(verdict != "invalid"))
            person.shot(f"warning-{verdict}", whole=True)
        assert person.barriers() == []
        cards = person.go("warnings")
        for badge, _ in said.values():
            expect(cards.get_by_role("listitem").filter(has_text=badge).first).to_be_visible()
        page = person.go(f"warnings/{warning}")
        page.get_by_label("Vì sao từ chối?").fill("Không rõ người gửi")
        page.get_by_role("button", name="Từ chối", exact=True).click()
        expect(page.get_by_text("Không rõ người gửi")).to_be_visible()
        api.delete(f"/api/v1/warning-sources/{made}")


def test_templates_say_what_they_will_say(come: Come, village: Village) -> None:
    village.until_held()
    person = come("duyet")
    page = person.go("templates")
    expect(page.get_by_text("7/7")).to_be_visible()
    person.shot("templates")
    assert person.barriers() == []
    page.get_by_role("link", name="Cảnh báo lũ").click()
    expect(page.get_by_text("Đã hủy.", exact=True)).to_be_visible()
    person.shot("template")
    assert person.barriers() == []


_CAP = """<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>VN-{stamp}</identifier><sender>khituong@example.vn</sender><sent>{sent}</sent>
  <status>Actual</status><msgType>Alert</msgType><scope>Public</scope>
  <info><language>vi</language><category>Met</category><event>Lũ quét</event>
    <urgency>Immediate</urgency><severity>Extreme</severity><certainty>Likely</certainty><expires>{expires}</expires>
    <headline>Lũ quét trên sông Tà Rụt</headline><description>Nước lên rất nhanh.</description>
    <instruction>Lên chỗ cao ngay.</instruction>
    <area><areaDesc>Xã Tà Rụt</areaDesc><circle>16.55,107.0 6</circle></area>
  </info>
</alert>"""


def _unsigned() -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    return _CAP.format(
        stamp=now.timestamp(),
        sent=now.isoformat().replace("+00:00", "-00:00"),
        expires=(now + timedelta(hours=3)).isoformat().replace("+00:00", "-00:00"),
    ).encode()


def _push(person: Person, token: str, document: bytes) -> str:
    """Send a warning as its source does; which one it is here."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/cap+xml"}
    answer = person.context.request.post(f"{person.url}/api/v1/cap", data=document, headers=headers)
    [kept] = answer.json()["results"]
    assert kept["code"] == "received", answer.text()
    return str(kept["id"])
