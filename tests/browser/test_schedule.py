"""The radio officer's grid: a bulletin planned from the door in few clicks, moved by hand, and taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Come
from tests.browser.people import Person
from tests.browser.village import Village
from tests.system.desk import ZONE
from tests.unit.controller.test_air_api import voice


def tomorrow() -> datetime:
    """Midnight of the next day on the village's clocks."""
    return datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


@pytest.fixture(scope="session")
def bulletin(village: Village, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An approved recording in the library."""
    file = voice(tmp_path_factory.mktemp("sounds") / "bulletin.wav", 2.0)
    return village.desk.recording(village.district, file, "Bản tin tiêm phòng")


@pytest.fixture
def planned(village: Village, bulletin: str) -> Iterator[dict[str, Any]]:
    """A daily programme at nine in the morning from tomorrow; gone afterwards."""
    said = {
        "area_id": village.district,
        "title": "Bản tin hàng ngày",
        "dtstart": (tomorrow() + timedelta(hours=9)).replace(tzinfo=None).isoformat(),
        "rrule": "FREQ=DAILY",
        "content": {"kind": "recorded", "recordings": [bulletin]},
        "targets": {"areas": [village.district]},
    }
    with village.desk.api() as api:
        made = api.post("/api/v1/programmes", said)
        yield made
        active = api.get("/api/v1/programmes", {"state": "active"})["items"]
        for each in active:
            api.post("/api/v1/orders/withdraw", {"rule_id": each["id"]})


def starts(village: Village, title: str) -> list[str]:
    """Local starts of what is on the grid, for some days."""
    begin = tomorrow()
    span = {"since": begin.isoformat(), "until": (begin + timedelta(days=4)).isoformat()}
    with village.desk.api() as api:
        items = api.get("/api/v1/schedule", span)["items"]
    found = [datetime.fromisoformat(item["start"]).astimezone(ZONE) for item in items if item["title"] == title]
    return [f"{(each - begin).days} {each:%H:%M}" for each in sorted(found)]


def tile(page: Page, title: str, nth: int = 0) -> Locator:
    return page.locator(".ec-event").filter(has_text=title).nth(nth)


def test_from_the_door_to_three_communes_in_eight_clicks(come: Come, village: Village, bulletin: str) -> None:
    """An uploaded bulletin, tomorrow at five, to three communes."""
    assert bulletin
    person = come()
    page = person.go()
    page.get_by_label("Tên đăng nhập").fill("bientap")
    page.locator("input[type=password]").fill(village.passwords["bientap"])
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Đặt lịch phát").click()
    form = page.get_by_role("dialog", name="Đặt lịch phát")
    form.get_by_text("Bản tin tiêm phòng").click()
    for commune in ("Xã Tà Rụt", "Xã A Vao", "Xã Ba Nang"):
        form.get_by_role("treeitem", name=re.compile(commune)).click()
    expect(form.get_by_text("5 giờ sáng").first).to_be_visible()
    expect(form.get_by_text("Không vướng gì.")).to_be_visible()
    person.shot("schedule-form")
    assert person.barriers() == []
    form.get_by_role("button", name="Đặt lịch", exact=True).click()
    expect(page.get_by_text("Đã đặt lịch Bản tin tiêm phòng: 5 giờ sáng")).to_be_visible()
    assert person.clicks <= 8, person.clicks
    assert starts(village, "Bản tin tiêm phòng") == ["0 05:00"]
    with village.desk.api() as api:
        (made,) = [each for each in api.get("/api/v1/programmes")["items"] if each["title"] == "Bản tin tiêm phòng"]
        assert sorted(made["targets"]["areas"]) == sorted(village.communes.values())
        api.post("/api/v1/orders/withdraw", {"rule_id": made["id"]})


def test_a_refused_plan_says_so_where_it_is_seen_and_what_it_meets(
    come: Come, village: Village, planned: dict[str, Any]
) -> None:
    person = come("bientap")
    page = person.go("schedule?new=1")
    form = page.get_by_role("dialog", name="Đặt lịch phát")
    form.get_by_text("Bản tin tiêm phòng").click()
    form.get_by_role("treeitem", name=re.compile("Xã A Vao")).click()
    day, time = form.get_by_label("Ngày phát đầu tiên"), form.get_by_label("Giờ phát")
    expect(day).to_have_value(f"{tomorrow():%d/%m/%Y}")
    time.fill("24 giờ")
    time.blur()
    expect(form.get_by_text("Viết giờ theo 24 giờ")).to_be_visible()
    time.fill("9h")
    time.blur()
    expect(time).to_have_value("09:00")
    expect(form.get_by_text(f"Trùng giờ với “{planned['title']}”")).to_be_visible()
    form.get_by_role("button", name="Đặt lịch", exact=True).click()
    refused = form.get_by_role("alert").filter(has_text="Chưa đặt được lịch")
    expect(refused).to_be_in_viewport(ratio=1)
    person.shot("schedule-refused")
    assert person.barriers() == []
    time.fill("9:30")
    expect(refused).to_have_count(0)
    expect(form.get_by_text("Không vướng gì.")).to_be_visible()


def test_a_file_is_uploaded_right_there_and_waits_for_its_approval(
    come: Come, village: Village, tmp_path: Path
) -> None:
    person = come("bientap")
    page = person.go("schedule?new=1")
    form = page.get_by_role("dialog", name="Đặt lịch phát")
    form.get_by_text("Ghi âm", exact=True).click()
    file = voice(tmp_path / "Thông báo mới.wav", 2.0)
    form.get_by_label("Tệp âm thanh").set_input_files(file)
    expect(form.get_by_text("Đã xong, dài 2 giây.")).to_be_visible(timeout=30_000)
    form.get_by_role("treeitem", name=re.compile("Xã A Vao")).click()
    form.get_by_role("button", name="Đặt lịch", exact=True).click()
    expect(page.get_by_text("Đã đặt lịch Thông báo mới")).to_be_visible()
    hole = tile(page, "Thông báo mới")
    expect(hole).to_have_class(re.compile(r"\bmissing\b"))
    hole.click()
    expect(page.get_by_text("Bản thu chưa được phê duyệt: chỉ phát nếu được duyệt trước giờ này.")).to_be_visible()
    person.shot("schedule-hole")
    assert person.barriers() == []
    page.get_by_role("button", name="Gỡ cả chương trình").click()
    page.get_by_role("dialog").last.get_by_role("button", name="Gỡ cả chương trình").click()
    expect(page.get_by_text("Đã gỡ Thông báo mới")).to_be_visible()
    assert starts(village, "Thông báo mới") == []


def test_dragged_for_one_day_or_for_all_and_taken_back(come: Come, village: Village, planned: dict[str, Any]) -> None:
    title = planned["title"]
    person = come("bientap")
    page = person.go(f"schedule?day={tomorrow():%Y-%m-%d}")
    page.get_by_label("Cỡ lịch").select_option("small")  # so that the way is not near the edge, which would scroll
    expect(tile(page, title)).to_be_visible()
    drag(page, tile(page, title), hours=1, person=person)
    dialog = page.get_by_role("dialog", name=re.compile("Đổi giờ phát"))
    expect(dialog.get_by_text("10 giờ sáng")).to_be_visible()
    dialog.get_by_role("button", name="Đổi giờ", exact=True).click()
    expect(page.get_by_text(f"{title}: phát lúc 10 giờ sáng")).to_be_visible()
    assert starts(village, title)[:2] == ["0 10:00", "1 09:00"]
    page.get_by_role("button", name="Hoàn tác").click()
    expect(page.get_by_text("Đã hoàn tác")).to_be_visible()
    assert starts(village, title)[:2] == ["0 09:00", "1 09:00"]

    drag(page, tile(page, title), hours=-1, person=person)
    dialog.get_by_label("Lần này và về sau").check()
    dialog.get_by_role("button", name="Đổi giờ", exact=True).click()
    expect(page.get_by_text(f"{title}: từ nay phát lúc 8 giờ sáng")).to_be_visible()
    assert starts(village, title) == ["0 08:00", "1 08:00", "2 08:00", "3 08:00"]


def test_one_day_has_a_recording_of_its_own_and_keeps_it_when_it_is_moved(
    come: Come, village: Village, planned: dict[str, Any], tmp_path: Path
) -> None:
    title = planned["title"]
    village.desk.recording(village.district, voice(tmp_path / "other.wav", 3.0), "Bản tin lũ")
    person = come("bientap")
    page = person.go(f"schedule?day={tomorrow():%Y-%m-%d}")
    tile(page, title).click()
    page.get_by_role("button", name="Đổi bản thu cho lần này").click()
    dialog = page.get_by_role("dialog", name=re.compile("Bản thu riêng cho lần này"))
    dialog.get_by_text("Bản tin lũ").click()
    expect(dialog.get_by_text("Không vướng gì.")).to_be_visible()
    person.shot("schedule-own")
    assert person.barriers() == []
    dialog.get_by_role("button", name="Phát bản thu này").click()
    expect(page.get_by_text(re.compile(f"{title} lúc .*: phát bản thu riêng"))).to_be_visible()
    assert own_sounds(village, title) == [True, False, False, False]

    tile(page, title).click()
    expect(page.get_by_text("Lần này phát bản thu riêng.")).to_be_visible()
    page.get_by_role("button", name="Đổi giờ", exact=True).click()
    move = page.get_by_role("dialog", name=re.compile("Đổi giờ phát"))
    move.get_by_label("Giờ bắt đầu").fill("10:00")
    move.get_by_role("button", name="Đổi giờ", exact=True).click()
    expect(page.get_by_text(f"{title}: phát lúc 10 giờ sáng")).to_be_visible()
    assert starts(village, title)[:2] == ["0 10:00", "1 09:00"]
    assert own_sounds(village, title) == [True, False, False, False]

    tile(page, title).click()
    page.get_by_role("button", name="Đổi bản thu cho lần này").click()
    dialog.get_by_role("button", name="Phát như chương trình").click()
    expect(page.get_by_text(re.compile(f"{title} lúc .*: phát như chương trình"))).to_be_visible()
    assert own_sounds(village, title) == [False] * 4
    assert starts(village, title)[:1] == ["0 10:00"]


def own_sounds(village: Village, title: str) -> list[bool]:
    """Which of the next four days have a recording of their own."""
    begin = tomorrow()
    span = {"since": begin.isoformat(), "until": (begin + timedelta(days=4)).isoformat()}
    with village.desk.api() as api:
        items = api.get("/api/v1/schedule", span)["items"]
    found = sorted((item for item in items if item["title"] == title), key=lambda item: str(item["start"]))
    return [item["own"] is not None for item in found]


def test_somebody_else_was_quicker(come: Come, village: Village, planned: dict[str, Any]) -> None:
    person = come("bientap")
    page = person.go(f"schedule?day={tomorrow():%Y-%m-%d}")
    tile(page, planned["title"]).click()
    page.get_by_role("button", name="Đổi giờ", exact=True).click()
    dialog = page.get_by_role("dialog", name=re.compile("Đổi giờ phát"))
    dialog.get_by_label("Giờ bắt đầu").fill("07:00")
    expect(dialog.get_by_text("Không vướng gì.")).to_be_visible()
    with village.desk.api() as api:
        names = ("area_id", "title", "dtstart", "rrule", "content", "targets")
        api.put(f"/api/v1/programmes/{planned['id']}", {name: planned[name] for name in names} | {"title": "Khác"})
    dialog.get_by_role("button", name="Đổi giờ", exact=True).click()
    expect(page.get_by_text("Có người vừa thay đổi mục này")).to_be_visible()
    assert starts(village, "Khác")[:1] == ["0 09:00"]


def test_what_stands_there_is_said_before_anything_is_drawn(come: Come, planned: dict[str, Any]) -> None:
    person = come("bientap")
    page = person.go(f"schedule?day={tomorrow():%Y-%m-%d}")
    page.get_by_label("Cỡ lịch").select_option("small")
    x, y, hour = middle(page, tile(page, planned["title"]))
    page.mouse.move(x, y - hour - 6)  # from the whole hour
    page.mouse.down()
    page.mouse.move(x, y - hour / 2, steps=4)
    expect(page.get_by_text("Giờ này còn trống.")).to_be_visible()
    page.mouse.move(x, y + hour / 2, steps=4)
    note = page.locator(".note")
    expect(note.get_by_text("Giờ này đã có 1 chương trình")).to_be_visible()
    expect(note.get_by_text(planned["title"])).to_be_visible()
    person.shot("schedule-draw")
    page.mouse.up()
    form = page.get_by_role("dialog", name="Đặt lịch phát")
    expect(form.get_by_label("Giờ phát")).to_have_value("08:00")


def test_a_longer_window_says_what_it_would_meet_before_it_is_let_go(come: Come, village: Village) -> None:
    with village.desk.api() as api, ExitStack() as stack:
        source = {"area_id": village.district, "title": "Đài tỉnh", "url": "http://127.0.0.1:9/"}
        content = {"kind": "relay", "source": api.post("/api/v1/sources", source)["id"]}
        for title, hour in (("Tiếp sóng sáng", 6), ("Tiếp sóng trưa", 7)):
            start = (tomorrow() + timedelta(hours=hour)).replace(tzinfo=None).isoformat()
            said = {"area_id": village.district, "title": title, "dtstart": start, "slot_s": 1800, "content": content,
                    "priority": "RELAY", "targets": {"areas": [village.district]}}  # fmt: skip
            made = api.post("/api/v1/programmes", said)
            stack.callback(api.post, "/api/v1/orders/withdraw", {"rule_id": made["id"]})
        person = come("bientap")
        page = person.go(f"schedule?day={tomorrow():%Y-%m-%d}")
        page.get_by_label("Cỡ lịch").select_option("small")
        window = tile(page, "Tiếp sóng sáng")
        x, _, height = middle(page, window)
        box = window.bounding_box()
        assert box is not None
        edge = box["y"] + box["height"] - 3
        page.mouse.move(x, edge)
        page.mouse.down()
        page.mouse.move(x, edge + height / 4, steps=4)
        expect(page.get_by_text("Tiếp sóng sáng: dài 45 phút")).to_be_visible()
        expect(page.get_by_text("Không vướng gì.")).to_be_visible()
        page.mouse.move(x, edge + height, steps=4)
        expect(page.get_by_text("Trùng giờ với “Tiếp sóng trưa” cùng mức ưu tiên")).to_be_visible()
        person.shot("schedule-resize")
        page.mouse.move(x, edge + height / 4, steps=4)
        page.mouse.up()
        dialog = page.get_by_role("dialog", name=re.compile("Đổi thời lượng"))
        dialog.get_by_role("button", name="Đổi thời lượng").click()
        expect(page.get_by_text("Tiếp sóng sáng: kéo dài 45 phút")).to_be_visible()


def middle(page: Page, what: Locator) -> tuple[float, float, float]:
    """Where a tile begins, across its middle, and how many pixels an hour is (a label stands at each)."""
    what.scroll_into_view_if_needed()
    box = what.bounding_box()
    slot = page.locator(".ec-slot").nth(4).bounding_box()
    assert box is not None
    assert slot is not None
    return box["x"] + box["width"] / 2, box["y"] + min(8, box["height"] / 2), slot["height"]


def drag(page: Page, what: Locator, *, hours: int, person: Person) -> None:
    """Press on a tile, go down or up so many hours, see what is said there, let go."""
    x, y, hour = middle(page, what)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + hours * hour / 2, steps=4)
    page.mouse.move(x, y + hours * hour, steps=4)
    expect(page.get_by_text("Không vướng gì.")).to_be_visible()
    person.shot("schedule-drag")
    page.mouse.up()
