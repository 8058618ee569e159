"""Today: what sounded, what sounds, what will, and what went wrong, without asking again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import expect

from audio.pcm import write_wav
from tests.browser.conftest import Come
from tests.browser.test_studio import beeps
from tests.browser.village import Village
from tests.system.desk import local, soon


@pytest.fixture
def plans(village: Village) -> Iterator[ExitStack]:
    """What is scheduled for a test goes with it."""
    with ExitStack() as stack:
        yield stack


def _programme(village: Village, stack: ExitStack, title: str, recording: str, seconds: float) -> None:
    with village.desk.api() as api:
        area = village.communes["Tà Rụt"]
        made = api.post("/api/v1/programmes", {
            "area_id": area, "title": title, "dtstart": local(soon(seconds)), "targets": {"areas": [area]},
            "content": {"kind": "recorded", "recordings": [recording]},
        })  # fmt: skip
    stack.callback(_withdraw, village, made["id"])


def _withdraw(village: Village, programme: str) -> None:
    with village.desk.api() as api:
        api.post("/api/v1/orders/withdraw", {"rule_id": programme})


def test_a_day_as_it_goes(come: Come, village: Village, plans: ExitStack, tmp_path: Path) -> None:
    write_wav(tmp_path / "v.wav", beeps(4))
    area = village.communes["Tà Rụt"]
    said = village.desk.recording(area, tmp_path / "v.wav", "Bản tin trưa")
    changed = village.desk.recording(area, tmp_path / "v.wav", "Bản tin sửa")
    person = come("bientap")
    page = person.go()
    _programme(village, plans, "Bản tin chiều", said, 3_600)
    _programme(village, plans, "Bản tin chưa duyệt", changed, 7_200)
    write_wav(tmp_path / "v.wav", beeps(2))
    with village.desk.api() as api, (tmp_path / "v.wav").open("rb") as content:
        api.upload(f"/api/v1/recordings/{changed}/sound", content, size=(tmp_path / "v.wav").stat().st_size, query={},
                   media_type="application/octet-stream", method="PUT")  # fmt: skip
    ahead = page.get_by_role("region", name="Sắp phát trong 24 giờ")
    expect(ahead.get_by_text("Bản tin chiều")).to_be_visible()
    wrong = page.get_by_role("region", name="Cần xem")
    expect(wrong.get_by_text("Bản tin chưa duyệt")).to_be_visible()
    expect(wrong).to_contain_text("chưa được phê duyệt")
    with village.desk.api() as api:
        api.post("/api/v1/orders/play", {"recordings": [said], "areas": [area], "title": "Phát ngay trưa nay"})
    on = page.get_by_role("region", name="Đang phát", exact=True)
    expect(on.get_by_text("Phát ngay trưa nay")).to_be_visible(timeout=15_000)
    person.shot("today-on-air")
    assert person.barriers() == []
    done = page.get_by_role("region", name="Đã phát trong 24 giờ qua")
    line = done.get_by_role("listitem").filter(has_text="Phát ngay trưa nay")
    expect(line).to_contain_text(re.compile("3"), timeout=20_000)
    expect(on.get_by_text("Phát ngay trưa nay")).to_have_count(0, timeout=15_000)
    person.shot("today-sounded", whole=True)
    assert person.barriers() == []
