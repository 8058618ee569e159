"""Payloads in every text that people, files, other houses' warnings and boxes can fill: all are shown as text.

A house of its own, so that no other journey meets these names. What was put in goes through the real doors (the API,
an upload, a microphone, a pushed CAP document, the boxes' protocol); then an administrator opens every page in a real
browser. On each page the texts that belong there must stand, as text that one sees; nothing may run, no element may
have come of them, nothing may be asked of elsewhere, and the policy may have nothing to forbid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from controller.cli.client import ApiError
from tests.browser.hostile_house import PASSWORD, House, Witness, furnished
from tests.browser.payloads import PAYLOADS, REFUSED
from tests.browser.people import Person
from tests.system.processes import ROOT

_PLACES: Final = ("NewArea.name", "AreaChange.name", "NewCluster.name", "ClusterChange.name")
_ZONES: Final = ("NewZone.name", "ZoneChange.name")
_CAP: Final = (
    "CAP: areaDesc",
    "CAP: event",
    "CAP: headline",
    "CAP: identifier",
    "CAP: sender",
    "NewWarningSource.name",
)
_STATIONS: Final = ("NewSource.title", "NewSource.url", "SourceChange.title", "SourceChange.url")
_TITLES: Final = ("RecordingChange.title", "SpokenText.title", "TemplateShape.title", "uploadRecording?title")
_SLOTS: Final = ("NewProgramme.title", "ProgrammeUpdate.title")
_HERE: Final = ("NewArea.name", "NewCluster.name")
#: Every page, with whose texts must stand on it. Words in braces are ids of the house.
PAGES: Final[dict[str, tuple[str, ...]]] = {
    "": (*_SLOTS, "NewArea.name", "AreaChange.name", "box: PlayRecord.title", "box: Sounding.title"),
    "schedule": (*_SLOTS, "FollowingEdit.title", "NewArea.name", "AreaChange.name"),
    "library": (*_TITLES, "NewArea.name", "AreaChange.name"),
    "library/stations": _STATIONS,
    "library/{refused}": (*_TITLES, "Verdict.reason", "uploadRecording?file_name"),
    "library/{replaced}": (*_TITLES, "replaceRecording?file_name"),
    "library/{spoken}": _TITLES,
    "studio": (*_PLACES, *_ZONES, "LiveShape.title"),
    "studio/play": (*_PLACES, *_ZONES, "uploadRecording?title"),
    "studio/tapes": ("LiveShape.title", "NewCluster.name"),
    "emergency": (*_PLACES, *_ZONES, "TemplateShape.title", "WordsShape-Input.text", "AlertShape.title"),
    "emergency/{alert}": ("AlertShape.title", "NewUser.display_name", "NewCluster.name"),
    "emergency/{over}": ("AlertShape.title", "OverrideShape.reason", "CancelShape.reason"),
    "emergency/{waiting}": ("Acceptance.title", "ChosenWords.text", "NewArea.name"),
    "warnings": ("CAP: headline", "NewWarningSource.name"),
    "warnings?view=all": ("CAP: headline", "NewWarningSource.name"),
    "warnings?view=sources": (
        "NewWarningSource.name", "WarningSourceChange.name", "WarningRule.name", "WarningRule.senders[]",
        "WarningRule.events[]",
    ),
    "warnings/{open}": (*_CAP, *_PLACES, *_ZONES, "TemplateShape.title"),
    "warnings/{declined}": (*_CAP, "Refusal.reason"),
    "warnings/{accepted}": _CAP,
    "drills": (*_PLACES, *_ZONES, "TemplateShape.title"),
    "drills?view=history": ("DrillShape.title",),
    "drills?view=card": (),  # nothing took part
    "drills/{drill}": ("DrillShape.title", "NewCluster.name"),
    "templates": ("TemplateShape.title",),
    "templates/{template}": ("TemplateShape.title", "WordsShape-Input.text", "NewCluster.name"),
    "templates/new": ("NewArea.name", "AreaChange.name"),
    "fleet": (*_PLACES, "box: Sounding.title"),
    "enrolment": (),  # a box that waits is but digits
    "enrolment?part=file": _PLACES,
    "cluster/{cluster}": (
        *_HERE, *_SLOTS, "NewCluster.contact_name", "NewCluster.contact_phone", "box: Sounding.title",
    ),
    "cluster/{cluster}?part=health": _HERE,
    "cluster/{cluster}?part=records": (*_HERE, "box: PlayRecord.title"),
    "cluster/{cluster}?part=boxes": (*_HERE, "box: software", "box: Fault.detail"),
    "cluster/{cluster}?part=settings": (*_HERE, "NewCluster.contact_name", "NewCluster.contact_phone"),
    "cluster/{changed}?part=settings": (
        "ClusterChange.name", "ClusterChange.contact_name", "ClusterChange.contact_phone",
    ),
    "admin/areas": ("NewArea.name", "NewArea.kind", "AreaChange.name", "AreaChange.kind"),
    "admin/zones": (*_PLACES[:1], *_ZONES, "NewCluster.name"),
    "admin/users": ("NewUser.name", "NewUser.display_name", "NewArea.name"),
    "admin/warnings": (
        "NewWarningSource.name", "WarningSourceChange.name", "WarningSourceChange.url", "NewPushToken.label",
    ),
    "admin/sources": _STATIONS,
    "admin/audit": ("Acceptance.title", "NewUser.display_name"),
    "admin/keys": (),  # none of anybody's words
    "admin/backup": (),
    "admin/system": (),
    "design": (),
}  # fmt: skip
#: Shown in a dialog above a page.
_ABOVE: Final = {"NewToken.label", "LoginRequest.label", "PlayShape.title", "Geocode.name", "Geocode.value"}
#: What the API takes and no page shows: asked about and not kept, or read by the controller alone.
_UNSEEN: Final = {
    "EditPreviewRequest.title", "ProgrammeShape-Input.title", "TrialText.text",  # a preview; nothing is kept
    "LiveShape.url",  # an address that the controller opens, of a session that has a title
    "SpokenText.text",  # it becomes sound
    "NewWarningSource.templates{}", "WarningSourceChange.templates{}", "NewWarningSource.url",
}  # fmt: skip
_VISIBLE: Final = """() => {
  const main = document.querySelector("main");
  main.querySelectorAll("details").forEach((each) => { each.open = true; });
  return [main.innerText, ...[...main.querySelectorAll("input, textarea")].map((each) => each.value)].join(" | ");
}"""
#: Elements and attributes that no page of the console makes.
_STRANGERS: Final = """() => {
  const from = ["src", "href", "action", "formaction", "xlink:href", "srcdoc"];
  const bad = /^(javascript:|data:text|(https?:)?\\/\\/evil)/i;
  const strange = (it) =>
    /^(iframe|frame|object|embed|math|base|marquee)$/i.test(it.tagName) ||
    (it.tagName === "SCRIPT" && !it.src.startsWith(`${location.origin}/`)) ||
    it.getAttributeNames().some((name) => name.startsWith("on")) ||
    from.some((name) => bad.test(it.getAttribute(name) ?? "")) ||
    /evil/.test(it.getAttribute("style") ?? "");
  return [...document.querySelectorAll("*")].filter(strange).map((it) => it.outerHTML.slice(0, 200));
}"""
#: Pages that read something from their address.
_ADDRESSES: Final = (
    "fleet?q={}", "fleet?state={}&area={}&fault={}&lang={}&cluster={}", "library?q={}&area={}&standing={}&language={}",
    "admin/audit?action={}&subject={}", "schedule?area={}&day={}&at={}&item={}", "studio/speak?session={}",
    "studio/play?recording={}", "enrolment?replace={}&cluster={}", "warnings?view={}", "cluster/{}?part={}",
    "emergency/{}", "warnings/{}", "drills/{}", "templates/{}", "library/{}", "admin/{}", "{}", "?as={}&area={}",
)  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield furnished(tmp_path_factory.mktemp("hostile"), stack)


@pytest.fixture
def looked_at(browser: Browser, house: House) -> Iterator[tuple[Person, Witness]]:
    """An administrator of it, and who sees what their pages do."""
    person, witness = Person(browser, house.desk.url), Witness(house.desk.url)
    witness.watch(person)
    person.sign_in("admin", PASSWORD)
    yield person, witness
    witness.verdict()
    person.close()


def test_every_text_the_api_takes_was_filled(house: House) -> None:
    assert house.texts.words - set(house.written) <= _UNSEEN
    assert house.texts.words > _UNSEEN, "what is gone from the API goes from here"


def test_texts_of_people_files_warnings_and_boxes_stay_texts(house: House, looked_at: tuple[Person, Witness]) -> None:
    person, witness = looked_at
    seen = ""
    for path, whose in PAGES.items():
        page = _opened(person, path.format(**house.ids))
        read = _read(page, path)
        for place in whose:
            assert any(_stands(text, read) for text in house.written[place]), f"{path} does not show {place}"
        _innocent(page, path)
        witness.verdict()
        seen += read
    lacking = [name for name, payload in PAYLOADS.items() if not re.search(_anyones(payload), seen)]
    assert not lacking
    shown = {place for places in PAGES.values() for place in places}
    assert house.texts.words - _UNSEEN - _ABOVE <= shown, "whose page is not among those above"


def test_every_page_of_the_console_is_among_them() -> None:
    rooms = (ROOT / "controller" / "web" / "ui" / "src" / "rooms" / "rooms.ts").read_text()
    paths = {path.strip("/") for path in re.findall(r'path: "/([^":?]*)', rooms)}
    assert paths == {re.split(r"[/?]", path)[0] for path in PAGES}


def test_words_in_an_address_stay_words(house: House, looked_at: tuple[Person, Witness]) -> None:
    person, witness = looked_at
    payloads = [
        each for each in PAYLOADS.values() if "evil.invalid" not in each
    ]  # the name of a file that is not there
    for number, address in enumerate(_ADDRESSES):
        said = [payloads[(number + turn * 7) % len(payloads)] for turn in range(address.count("{}"))]
        page = _opened(person, address.format(*(quote(each, safe="") for each in said)))
        if address.startswith(("fleet?q", "library?q", "admin/audit?")):
            assert _plain(said[0]) in _read(page, address)
        _innocent(page, address)
        witness.verdict()


def test_so_they_do_in_what_opens_above_the_page(house: House, looked_at: tuple[Person, Witness]) -> None:
    """Dialogs, questions before a deed, toasts, names on the map, tiles that gather, one row of the log, the sheet."""
    person, witness = looked_at
    layers = Layers(person, witness, house)
    layers.account()
    layers.map()
    layers.schedule()
    layers.administration()
    layers.library()
    layers.cluster()
    layers.alert()


class Layers:
    """Opens what lies above pages, and reads it."""

    def __init__(self, person: Person, witness: Witness, house: House) -> None:
        self._person, self._witness, self._house = person, witness, house
        self._page = person.page

    def _go(self, path: str) -> Page:
        return _opened(self._person, path)

    def _hostile(self, text: str | None, name: str, *whose: str) -> None:
        """It says a payload, as text; nothing ran, and nothing came of it."""
        said = _plain(text or "")
        assert any(re.search(_anyones(each), said) for each in PAYLOADS.values()), (name, said)
        for place in whose:
            assert any(_stands(one, said) for one in self._house.written[place]), (name, place, said)
        _innocent(self._page, name)
        self._person.shot(f"hostile-layer-{name}")
        self._witness.verdict()

    def _dialog(self, name: str, *whose: str) -> None:
        dialog = self._page.get_by_role("dialog").last
        dialog.wait_for()
        expect(dialog.locator(".skeleton")).to_have_count(0)
        fields = dialog.locator("input, textarea").evaluate_all("(all) => all.map((each) => each.value).join(' ')")
        self._hostile(f"{dialog.inner_text()} {fields}", name, *whose)
        self._page.keyboard.press("Escape")
        expect(self._page.get_by_role("dialog")).to_have_count(0)

    def account(self) -> None:
        page = self._go("")
        page.get_by_role("button", name="Thông báo").click()
        notices = page.get_by_role("group", name="Thông báo")
        expect(notices.locator("p").first).to_be_visible()
        self._hostile(notices.inner_text(), "notices")
        page.keyboard.press("Escape")
        page.get_by_role("banner").get_by_role("button", name="Tài khoản").click()
        page.get_by_role("button", name="Phiên đăng nhập").click()
        self._dialog("sessions", "NewToken.label", "LoginRequest.label")

    def map(self) -> None:
        page = self._go("fleet")
        ground = page.get_by_role("application", name="Bản đồ các cụm loa")
        box = ground.bounding_box()
        assert box is not None
        tip = page.locator(".leaflet-tooltip:not(.map-area)")
        middle = box["x"] + box["width"] / 2
        for y in range(round(box["y"]) + 8, round(box["y"] + box["height"]) - 8, 4):
            page.mouse.move(middle, y)
            if tip.count():
                break
        self._hostile(tip.first.text_content(), "map-name")
        page.mouse.click(middle, y)
        self._hostile(page.locator("section.chosen").text_content(), "map-chosen")
        self._hostile(page.locator(".map-area").first.text_content(), "map-area")

    def schedule(self) -> None:
        page = self._go("schedule")
        page.locator(".ec-event:not(.many)").first.click()
        self._dialog("schedule-tile")
        page.locator(".ec-event.many").first.click()
        self._dialog("schedule-tiles", "NewProgramme.title")

    def administration(self) -> None:
        page = self._go("admin/areas")
        page.get_by_role("button", name="Sửa").nth(1).click()
        self._dialog("area-edit")
        page.get_by_role("button", name="Xóa khu vực").first.click()
        self._dialog("area-remove")
        page = self._go("admin/users")
        page.get_by_role("button", name="n0").click()
        self._dialog("user-edit", "NewUser.display_name")
        for action, *whose in (
            ("area.create", "NewArea.name"),
            ("order.play", "PlayShape.title"),
            ("warning_source.create", "Geocode.name", "Geocode.value"),
        ):
            page = self._go(f"admin/audit?action={action}")
            page.get_by_role("button", name="Chi tiết").last.click()
            self._dialog(f"audit-{action}", *whose)

    def library(self) -> None:
        page = self._go(f"library/{self._house.ids['refused']}")
        page.get_by_role("button", name="Sửa tên, tiếng").click()
        self._dialog("recording-edit", "uploadRecording?title")

    def cluster(self) -> None:
        page = self._go(f"cluster/{self._house.clusters[0]}")
        page.get_by_role("button", name="Dừng phát ở đây").click()
        dialog = page.get_by_role("dialog")
        self._hostile(dialog.text_content(), "cluster-stop", "NewCluster.name")
        dialog.get_by_role("button", name="Dừng phát ở đây").click()
        self._hostile(page.locator(".toast").last.text_content(), "toast")

    def alert(self) -> None:
        alert = self._house.ids["alert"]
        page = self._go(f"emergency/{alert}")
        page.get_by_role("button", name="Hủy cảnh báo").click()
        self._dialog("alert-cancel")
        page.goto(f"{self._person.url}/api/v1/alerts/{alert}/call-sheet")
        self._hostile(page.locator("body").text_content(), "call-sheet", "NewCluster.contact_name")


def _opened(person: Person, path: str) -> Page:
    """A page that has come to rest."""
    page = person.go(path)
    page.get_by_role("button", name="DỪNG").first.wait_for()  # the house, not its door
    page.get_by_role("heading").first.wait_for()
    if path != "design":  # which shows what waiting looks like
        expect(page.locator("main .skeleton"), path).to_have_count(0)
    return page


def _read(page: Page, path: str) -> str:
    """What one sees of a page, and what stands in its fields; what can be unfolded is."""
    if path == "design":
        return ""
    expect(page.locator('main [aria-busy="true"]'), path).to_have_count(0)
    return _plain(page.evaluate(_VISIBLE))


def _innocent(page: Page, name: str) -> None:
    """Nothing on the page came of a payload, and none made it wider than the screen."""
    assert page.evaluate(_STRANGERS) == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"


def _plain(text: str) -> str:
    return " ".join(text.split())


def _stands(text: str, read: str) -> bool:
    """Whether it is there: as it was written, or as the log's JSON writes it."""
    return _plain(text) in read or _plain(json.dumps(text, ensure_ascii=False)[1:-1]) in read


def _anyones(payload: str) -> str:
    """The payload with any number."""
    return re.escape(_plain(payload)).replace(r"\(0\)", r"\(\d+\)").replace("invalid/0", r"invalid/\d+")


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_signs_that_no_line_may_carry_are_refused(house: House, name: str) -> None:
    text = REFUSED[name]
    bodies: dict[str, dict[str, Any]] = {
        "/api/v1/areas": {"name": text, "kind": "xã"},
        "/api/v1/clusters": {"area_id": house.area, "name": text},
        "/api/v1/users": {"name": text.replace(" ", ""), "grants": []},
        "/api/v1/sources": {"area_id": house.area, "title": text, "url": "http://127.0.0.1/"},
        "/api/v1/warning-sources": {"name": text, "area_id": house.area},
        "/api/v1/drills": {"kind": "silent", "title": text, "areas": [house.area]},
        "/api/v1/live": {"title": text, "areas": [house.area]},
        "/api/v1/sessions": {"label": text},
    }
    with house.desk.api() as api:
        for path, body in bodies.items():
            with pytest.raises(ApiError) as refused:
                api.post(path, body)
            assert (path, refused.value.status, refused.value.code) == (path, 422, "invalid_input")
