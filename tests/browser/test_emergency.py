"""From a warning to the right loudspeakers by two people, and back to silence; and the drill that is never one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

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
    composer, second = come("truc1"), come("truc2")
    mine, theirs = composer.go(), second.go("drills")

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
    _push(person, token)
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


def _push(person: Person, token: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    body = _CAP.format(
        stamp=now.timestamp(),
        sent=now.isoformat().replace("+00:00", "-00:00"),
        expires=(now + timedelta(hours=3)).isoformat().replace("+00:00", "-00:00"),
    )
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/cap+xml"}
    answer = person.context.request.post(f"{person.url}/api/v1/cap", data=body.encode(), headers=headers)
    assert [each["code"] for each in answer.json()["results"]] == ["received"], answer.text()
