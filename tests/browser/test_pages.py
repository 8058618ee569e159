"""Every page, as those find it who work there: it opens, has no barriers, fits the screen, and speaks one language.

Each is looked at in Vietnamese by daylight, on a phone, and in English in the dark; its pictures are kept.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Come
from tests.browser.village import Village

#: Who looks at which pages; words in braces are ids of the village.
PAGES: Final = {
    "bientap": (
        "", "schedule", "library", "library/stations", "studio", "studio/play", "studio/tapes", "templates",
        "templates/new", "templates/{template}",
    ),
    "truc1": (
        "emergency", "warnings", "warnings?view=all", "warnings?view=sources", "drills", "drills?view=card",
        "drills?view=history",
    ),
    "kythuat": (
        "fleet", "enrolment", "enrolment?part=file", "cluster/{cluster}", "cluster/{cluster}?part=health",
        "cluster/{cluster}?part=records", "cluster/{cluster}?part=boxes",
    ),
    "quantri": (
        *(
            f"admin/{part}"
            for part in ("areas", "zones", "users", "warnings", "sources", "keys", "audit", "backup", "system")
        ),
        "cluster/{cluster}?part=settings", "design",
    ),
}  # fmt: skip
#: Names that are the same in every tongue, beside those that the village's people wrote.
_NAMES: Final = (
    "Bru (Vân Kiều)", "Pacoh (Pa Kô)", "Thái (Tai Dam)", "Mường", "Nùng", "Tày", "Hrê", "Chứt", "Tiếng Việt", "English",
    "Tà Rụt", "Thôn",  # on the page of the design
)  # fmt: skip
_PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
_ANEW_S: Final = 5.0
_DESK: Final[ViewportSize] = {"width": 1366, "height": 768}
#: What is read of a page: texts, and what is said to those who do not see; not what says itself in which tongue it is,
#: nor names of files, codes and addresses.
_TEXTS: Final = """() => {
  const lang = document.documentElement.lang, found = [];
  const other = (it) => it.closest("code, kbd, pre, script, noscript, style") ||
    (it.closest("[lang]")?.lang ?? lang) !== lang;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (!other(walk.currentNode.parentElement)) found.push(walk.currentNode.data);
  for (const it of document.querySelectorAll("[aria-label], [title], [placeholder], [alt], [aria-valuetext]"))
    if (!other(it)) for (const name of ["aria-label", "title", "placeholder", "alt", "aria-valuetext"])
      found.push(it.getAttribute(name) ?? "");
  return found.map((each) => each.trim()).filter((each) => each);
}"""
_VIETNAMESE: Final = re.compile(r"[àáảãạăằắẳẵặâầấẩẫậđèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ]", re.IGNORECASE)
#: Words that no Vietnamese sentence has.
_ENGLISH: Final = re.compile(
    r"\b(the|of|and|is|are|was|with|for|your|you|from|which|this|that|have|has|not|search|save|cancel|edit|delete|add"
    r"|close|open|failed|error|unknown|clusters?|boxe?s?|drills?|alerts?|sources?|users?|hours?|minutes?|seconds?)\b",
    re.IGNORECASE,
)
#: Where the village's own words come from: they stay as they are in every tongue.
_WORDS_OF_THE_HOUSE: Final = (
    "areas", "clusters", "zones", "users", "templates", "recordings", "programmes", "sources", "alerts", "drills",
    "warnings", "warning-sources", "tapes", "live", "play-records", "agents",
)  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_a_page(come: Come, village: Village, name: str) -> None:
    person = come(name)
    ids = {"template": village.template, "cluster": village.clusters["Ba Nang 1"]}
    names = _names(village)
    wrong: dict[str, list[str]] = defaultdict(list)
    for path in PAGES[name]:
        page = person.go(path.format(**ids))
        picture = re.sub(r"[/?=]", "-", path.replace("/{", "-").replace("}", "")) or "today"
        _rested(page, path)
        person.shot(f"page-{picture}")
        wrong[path] += person.barriers() + _leftovers(page, names, _ENGLISH) + _too_wide(page, "a desk")
        page.set_viewport_size(_PHONE)
        wrong[path] += _too_wide(page, "a phone")
        person.shot(f"phone-{picture}")
        page.set_viewport_size(_DESK)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.get_by_role("button", name="English").first.click()
        expect(page.locator("html")).to_have_attribute("lang", "en")
        _rested(page, path)
        person.shot(f"english-{picture}", whole=True)
        wrong[path] += person.barriers() + _leftovers(page, names, _VIETNAMESE) + _too_wide(page, "a desk, English")
        page.set_viewport_size(_PHONE)
        wrong[path] += _too_wide(page, "a phone, English")
        page.set_viewport_size(_DESK)
        page.get_by_role("button", name="Tiếng Việt").first.click()
        expect(page.locator("html")).to_have_attribute("lang", "vi")
    failed = [f"{path}: {each}" for path, said in wrong.items() for each in said]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_door(come: Come, scheme: str) -> None:
    person = come(color_scheme=scheme)
    page = person.go()
    page.get_by_role("button").first.wait_for()
    person.shot(f"door-{scheme}")
    assert person.barriers() == []
    page.set_viewport_size(_PHONE)
    assert _too_wide(page, "a phone") == []


def _rested(page: Page, path: str) -> None:
    page.get_by_role("heading").first.wait_for()
    if path != "design":  # which shows what waiting looks like
        expect(page.locator('main [aria-busy="true"]'), path).to_have_count(0)
        expect(page.locator("main .skeleton"), path).to_have_count(0)


def _too_wide(page: Page, where: str) -> list[str]:
    """Said when one has to move the page sideways. What is laid out by script gets two frames for it."""
    frames = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(frames)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{wide} pixels too wide for {where}"] if wide > 0 else []


def _leftovers(page: Page, names: Iterable[str], foreign: re.Pattern[str]) -> list[str]:
    """Texts that are in the other language, and no names; what the controller says is asked for anew, in a moment."""
    deadline = time.monotonic() + _ANEW_S
    while (found := _foreign(page, names, foreign)) and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    return found


def _foreign(page: Page, names: Iterable[str], foreign: re.Pattern[str]) -> list[str]:
    found = []
    for text in dict.fromkeys(page.evaluate(_TEXTS)):
        rest = re.sub(r"\S*/\S*", " ", text)  # addresses, names of files
        for name in names:
            rest = rest.replace(name, " ")
        if foreign.search(rest):
            found.append(f"in the other language: {text[:160]}")
    return found


def _names(village: Village) -> list[str]:
    """What people of the village wrote, the longest first."""
    found = set(_NAMES)
    with village.desk.api() as api:
        for each in _WORDS_OF_THE_HOUSE:
            _gather(api.get(f"/api/v1/{each}", {"limit": 200})["items"], found)
    return sorted(found, key=len, reverse=True)


def _gather(value: object, found: set[str]) -> None:
    if isinstance(value, str) and (_VIETNAMESE.search(value) or " " in value):
        found.add(value)
    elif isinstance(value, dict):
        for each in value.values():
            _gather(each, found)
    elif isinstance(value, list):
        for each in value:
            _gather(each, found)
