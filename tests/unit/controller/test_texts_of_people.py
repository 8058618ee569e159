"""Texts that people send: whatever is free in the API's own document refuses what no text for people is made of."""

from __future__ import annotations

from pathlib import Path

from tests.api_texts import Texts
from tests.browser.payloads import REFUSED
from tests.unit.controller.staff import open_staff

_OF_A_LINE = ("line-feed", "line-separator", "paragraph-separator")


async def test_no_text_for_people_carries_signs_that_hide_or_turn_around(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        _, document = await staff.call("GET", "/api/v1/openapi.json")
    texts = Texts(document)
    words = {name for name in texts.words if not name.endswith(".url")}  # an address is taken apart, and refused
    assert len(words) > 40
    prose = {name for name in words if name.endswith((".text", ".reason"))}
    for name in words:
        carried = {sign for sign, text in REFUSED.items() if texts.known[name].takes(text)}
        assert carried <= (set(_OF_A_LINE) if name in prose else set()), name
