"""A house in which every text that people, files, other houses' warnings and boxes can fill holds payloads.

What was put in goes through the real doors: the API, an upload, a pushed CAP document, the boxes' protocol.
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Dialog, Request

from audio.codec import encode_mp3
from controller.cap import CapAlert, CapArea, CapInfo, CapResource, Polygon, write_alert
from controller.cli.client import ApiClient, Login
from schedules.instants import SAMPLE_RATE
from tests.browser.liar import LyingBox
from tests.browser.payloads import PAYLOADS, packed
from tests.browser.people import Person
from tests.system.desk import Desk, local, soon
from tests.system.processes import wait_until
from tests.system.siren_desk import as_officer, officer

LINES: Final = packed(120)
LONGER: Final = packed(200)
WORDS: Final = " ".join(PAYLOADS.values())
PASSWORD: Final = "mat khau moi cua nha"
#: Told by the page itself, before any of its own code runs.
_WATCH: Final = """
addEventListener("securitypolicyviolation", (e) => forbidden(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
"""


@dataclass(slots=True)
class House:
    """What was put where."""

    desk: Desk
    area: str = ""
    alert: str = ""
    clusters: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)  # details to open


def furnished(folder: Path, stack: ExitStack) -> House:
    """Make it; it stands until ``stack`` closes."""
    made = House(stack.enter_context(Desk(folder)))
    _people_and_places(made)
    with made.desk.api() as api:
        body = {"clusters": made.clusters[:1], "controller": made.desk.agent_url, "life_s": 3600}
        card = api.post("/api/v1/provisioning", body)["provisioning"]
    stack.enter_context(LyingBox(card, LINES))
    recording = _recordings(made)
    _programmes(made, recording)
    _alerts(made)
    _warning(made)
    with made.desk.api() as api:
        api.put("/api/v1/me/password", {"old": made.desk.password, "new": PASSWORD})
    return made


def _people_and_places(house: House) -> None:
    desk = house.desk
    house.area = desk.area(LINES[0])
    for line in LINES[1:]:
        desk.area(line, parent_id=house.area, kind="xã")
    with desk.api() as api:
        clusters = [
            {"area_id": house.area, "name": line, "contact_name": line, "contact_phone": line,
             "latitude": 16.5 + number / 100, "longitude": 107.0}
            for number, line in enumerate(LINES)
        ]  # fmt: skip
        house.clusters = [one["id"] for one in api.post("/api/v1/clusters/import", {"clusters": clusters})["clusters"]]
        for line in LINES[:3]:
            api.post("/api/v1/zones", {"name": line, "area_id": house.area, "clusters": house.clusters})
        grants = [{"role": "viewer", "area_id": house.area}]
        for number, line in enumerate(LONGER[:3]):
            api.post("/api/v1/users", {"name": f"n{number}", "display_name": line, "grants": grants})
        api.post("/api/v1/users", {"name": "<b><svg&#x2f;onload=hit(18)>", "grants": grants})
        api.post("/api/v1/sessions", {"label": LINES[2]})
    house.pages += [f"cluster/{each}" for each in house.clusters[:2]]


def _recordings(house: House) -> str:
    sound = b"".join(encode_mp3((0.1 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype(np.float32)))
    content = _id3({"TIT2": LINES[2], "TPE1": LINES[3], "TALB": WORDS, "TCOP": LINES[4]}) + sound
    ids = []
    with house.desk.api() as api:
        for line, name in zip(LINES, LONGER[:3], strict=False):
            query = {"area_id": house.area, "title": line, "file_name": name}
            made = api.upload("/api/v1/recordings", io.BytesIO(content), size=len(content), query=query,
                              media_type="application/octet-stream")  # fmt: skip
            ids.append(str(made["id"]))
    return house.desk.approved(ids[0])


def _id3(texts: dict[str, str]) -> bytes:
    """An ID3v2.3 tag with these text frames."""
    frames = b""
    for name, text in texts.items():
        body = b"\x01" + text.encode("utf-16")
        frames += name.encode() + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = len(frames)
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + synchsafe + frames


def _programmes(house: House, recording: str) -> None:
    with house.desk.api() as api:
        source = {"area_id": house.area, "title": LINES[3], "url": "http://127.0.0.1:9/'><script>hit(19)</script>"}
        api.post("/api/v1/sources", source)
        for number, line in enumerate(LINES):
            start = soon(3600 + number * 600)
            said = {"area_id": house.area, "title": line, "dtstart": local(start), "rrule": "FREQ=DAILY",
                    "targets": {"areas": [house.area]},
                    "content": {"kind": "recorded", "recordings": [recording]}}  # fmt: skip
            api.post("/api/v1/programmes", said)
        begin = local(soon(3 * 3600))  # all at one time, each somewhere else: the grid gathers them in one tile
        for line, cluster in zip(LINES, house.clusters, strict=False):
            said = {"area_id": house.area, "title": line, "dtstart": begin, "targets": {"clusters": [cluster]},
                    "content": {"kind": "recorded", "recordings": [recording]}}  # fmt: skip
            api.post("/api/v1/programmes", said)
        api.post("/api/v1/live", {"title": LINES[4], "clusters": house.clusters[:1]})


def _alerts(house: House) -> None:
    desk = house.desk
    words = [{"language": "vi", "text": LINES[4]}]
    with desk.api() as api:
        body = {"area_id": house.area, "category": "flood", "title": LINES[5], "words": words, "cancel_words": words,
                "times": 1, "tone": "none"}  # fmt: skip
        api.post("/api/v1/templates", body)
        api.post("/api/v1/drills", {"kind": "silent", "title": LINES[2], "areas": [house.area]})
        [drill] = api.get("/api/v1/drills")["items"]
        said = {"kind": "text", "title": LINES[3], "words": [{"language": "vi", "text": LINES[3]}],
                "clusters": house.clusters[:2], "tone": "none", "repetition": {"times": 1}}  # fmt: skip
        alert = api.post("/api/v1/alerts", said)
        path = f"/api/v1/alerts/{alert['id']}"
        wait_until(lambda: api.get(path)["state"] != "composed", 30, "its words are spoken")
    with as_officer(desk, officer(desk, "truc2")) as second:
        second.post(f"{path}/confirm", {"code": alert["code"]})
    house.alert = str(alert["id"])
    house.pages += [f"emergency/{house.alert}", f"drills/{drill['id']}"]


def _warning(house: House) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    area = CapArea(WORDS, polygons=(Polygon.parse("16.4,106.9 16.4,107.1 16.9,107.1 16.9,106.9 16.4,106.9"),))
    info = CapInfo(
        language="vi", categories=("Met",), event=LINES[2], urgency="Immediate", severity="Severe", certainty="Likely",
        effective=now, expires=now + timedelta(hours=3), sender_name=LINES[3], headline=WORDS, description=WORDS,
        instruction=WORDS, web="javascript:hit(20)", contact=WORDS, audience=WORDS, areas=(area,),
        resources=(CapResource(desc=WORDS, mime_type="text/html", uri="javascript:hit(21)"),),
    )  # fmt: skip
    alert = CapAlert(
        identifier="javascript:hit(22)", sender='"onmouseover=hit(23)"', sent=now, status="Actual", msg_type="Alert",
        note=WORDS, source=WORDS, incidents=WORDS, infos=(info,),
    )  # fmt: skip
    document = write_alert(alert)
    with house.desk.api() as api:
        said = {"name": LINES[4], "area_id": house.area, "policy": {"mode": "propose"}}
        source = api.post("/api/v1/warning-sources", said)["id"]
        token = api.post(f"/api/v1/warning-sources/{source}/tokens", {"label": LINES[5]})["token"]
        with ApiClient(Login(house.desk.url, token)) as sender:
            answer = sender.upload("/api/v1/cap", io.BytesIO(document), size=len(document), query={},
                                   media_type="application/cap+xml")  # fmt: skip
        [result] = answer["results"]
        path = f"/api/v1/warnings/{result['id']}"
        wait_until(lambda: api.get(path)["state"] == "proposed", 10, "the warning is judged")
    house.pages.append(f"warnings/{result['id']}")


@dataclass
class Witness:
    """Sees what a page does that it must not."""

    origin: str
    ran: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def watch(self, person: Person) -> None:
        person.context.expose_function("hit", lambda *which: self.ran.append(repr(which)))
        person.context.expose_function("forbidden", self._stopped)
        person.context.add_init_script(_WATCH)
        person.context.on("request", self._asked)
        person.page.on("dialog", self._asks)

    def _stopped(self, said: str) -> None:
        self.forbidden.append(said)

    def _asks(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        own = f"{parts.scheme}://{parts.netloc}" == self.origin
        if not own and parts.scheme not in {"blob", "data"}:
            self.elsewhere.append(request.url)

    def verdict(self) -> None:
        assert (self.ran, self.forbidden, self.elsewhere, self.dialogs) == ([], [], [], [])
