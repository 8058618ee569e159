"""Every room, as each role finds it: it opens, says nothing in red, has no barriers, and its picture is kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Come

#: Who looks at which rooms.
ROOMS = {
    "bientap": ("today", "schedule", "library", "studio"),
    "truc1": ("emergency", "warnings", "drills"),
    "kythuat": ("fleet", "enrolment"),
    "quantri": ("admin", "design"),
}


@pytest.mark.parametrize(("name", "room"), [(name, room) for name, rooms in ROOMS.items() for room in rooms])
def test_a_room_without_barriers(come: Come, name: str, room: str) -> None:
    person = come(name)
    page = person.go("" if room == "today" else room)
    page.get_by_role("heading").first.wait_for()
    if room != "design":  # which shows what waiting looks like
        expect(page.locator('main [aria-busy="true"]')).to_have_count(0)
    person.shot(f"room-{room}")
    assert person.barriers() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_door(come: Come, scheme: str) -> None:
    person = come(color_scheme=scheme)
    page = person.go()
    page.get_by_role("button").first.wait_for()
    person.shot(f"door-{scheme}")
    assert person.barriers() == []
