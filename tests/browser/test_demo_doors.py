"""The doors that the demo prints: one click, no password, each person in their own room."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.people import Person
from tests.system.processes import BIN, Process

#: Role, who they are, and the address to which their work begins.
_PEOPLE = {
    "radio_officer": ("Hồ Thị Lan", "Lịch phát"),
    "duty_officer": ("Nguyễn Văn Hùng", "Khẩn cấp"),
    "technician": ("Trần Minh", "Thiết bị mới"),
}


@pytest.mark.timeout(180)
def test_the_addresses_that_the_demo_prints_open_with_one_click(browser: Browser, tmp_path: Path) -> None:
    argv: list[str | Path] = [BIN / "loa-controller", "demo", "--clusters", "1", "--data", tmp_path / "demo"]
    with Process("demo", argv, tmp_path) as demo:
        demo.wait_for(r"\?as=admin", 90)
        for role, (name, room) in _PEOPLE.items():
            address = re.search(rf"http\S+/console/\?as={role}\b", demo.said())
            assert address, demo.said()
            url = address[0].partition("/console/")[0]
            person = Person(browser, url)
            page = person.page
            page.goto(address[0])
            expect(page.get_by_role("button", name=f"Tài khoản: {name}")).to_be_visible()
            expect(page.get_by_role("navigation", name="Danh mục chính").get_by_role("link", name=room)).to_be_visible()
            assert "as=" not in page.url, "the address can be passed on without the door"
            person.shot(f"demo-{role}")
            person.close()
        visitor = Person(browser, url)
        page = visitor.go()
        page.get_by_role("button", name=re.compile("Nguyễn Văn Hùng")).click()
        expect(page.get_by_role("button", name="Tài khoản: Nguyễn Văn Hùng")).to_be_visible()
        assert visitor.clicks == 1
        visitor.close()
        demo.signal(signal.SIGINT)
        assert demo.wait(20) == 0
