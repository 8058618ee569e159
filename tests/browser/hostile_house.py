"""A house in which every text that people, files, other houses' warnings and boxes can fill holds payloads.

What was put in goes through the real doors: the API, an upload, a microphone, a pushed CAP document, the boxes'
protocol. :class:`Pen` writes each payload with a number of its own, and knows afterwards where it was put; what is sent
to the API is looked up in its own document (:mod:`tests.api_texts`), so that a text which nobody filled is found out.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Dialog, Request

from audio.codec import encode_mp3
from audio.pcm import write_wav
from controller.cap import CapAlert, CapArea, CapInfo, CapResource, Polygon, write_alert
from controller.cli.client import ApiClient, Login
from schedules.instants import SAMPLE_RATE
from tests.api_texts import Texts
from tests.browser.liar import LyingBox
from tests.browser.payloads import ADDRESS, ONE_WORD, PAYLOADS, numbered, packed
from tests.browser.people import Person
from tests.system.desk import Desk, local, soon
from tests.system.processes import BIN, run, wait_until
from tests.system.siren_desk import as_officer, template

PASSWORD: Final = "mat khau moi cua nha"
#: Letters of a name, of a longer line, and of a reason.
NAME, LONGER, REASON = 120, 200, 500
_APART: Final = timedelta(minutes=10)
_WITH_ADDRESSES: Final = ("javascript:hit(0)", "data:text/html,hit(0)")
_TAG: Final = re.compile("<[a-z/!]")
#: Told by the page itself, before any of its own code runs.
_WATCH: Final = """
addEventListener("securitypolicyviolation", (e) => forbidden(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
"""


class Pen:
    """Writes payloads, and keeps where each was put."""

    def __init__(self) -> None:
        self.written: dict[str, set[str]] = defaultdict(set)
        self._numbers = itertools.count(1)
        self._lines: dict[int, itertools.cycle[str]] = {}

    def line(self, most: int = NAME) -> str:
        """The next payloads that have room in so many letters; as markup they would not be seen as they stand."""
        harmful = (each for each in packed(most) if _TAG.search(each))
        return self.like(next(self._lines.setdefault(most, itertools.cycle(harmful))))

    def lines(self, most: int = NAME) -> list[str]:
        """All payloads, in lines of so many letters."""
        return [self.like(each) for each in packed(most)]

    def everything(self) -> str:
        """All payloads at once."""
        return self.like(" ".join(PAYLOADS.values()))

    def like(self, payload: str) -> str:
        """This payload, with a number of its own."""
        return numbered(payload, next(self._numbers))

    def at(self, place: str, text: str) -> str:
        """Keep that a text was put there."""
        if "hit(" in text or "evil.invalid/" in text:
            self.written[place].add(text)
        return text


class _Writer(ApiClient):
    """An API client that tells the pen what it sends."""

    def __init__(self, login: Login, pen: Pen, texts: Texts) -> None:
        super().__init__(login)
        self._pen, self._texts = pen, texts

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        self._keep(method, path, body, query)
        return super().request(method, path, query=query, body=body, headers=headers)

    def upload(
        self,
        path: str,
        file: IO[bytes],
        *,
        size: int,
        query: Mapping[str, object],
        media_type: str,
        method: str = "POST",
    ) -> Any:
        self._keep(method, path, None, query)
        return super().upload(path, file, size=size, query=query, media_type=media_type, method=method)

    def _keep(self, method: str, path: str, body: object, query: Mapping[str, object] | None) -> None:
        if method != "GET":
            for place, text in self._texts.sent(method, path, body, query or {}):
                self._pen.at(place, text)


class _HostileDesk(Desk):
    """A desk at which everything that is sent is kept."""

    pen: Pen
    texts: Texts

    def api(self) -> ApiClient:
        if not hasattr(self, "texts"):  # the first one asks for them
            return super().api()
        return _Writer(Login(self.url, self.token), self.pen, self.texts)


@dataclass(slots=True)
class House:
    """What was put where."""

    desk: Desk
    pen: Pen
    texts: Texts
    area: str = ""
    clusters: list[str] = field(default_factory=list)  # the first has a box, which lies
    ids: dict[str, str] = field(default_factory=dict)  # of what has a page of its own, by a name for it

    @property
    def written(self) -> Mapping[str, set[str]]:
        """Where payloads were put, and which."""
        return self.pen.written


def furnished(folder: Path, stack: ExitStack) -> House:
    """Make it; it stands until ``stack`` closes."""
    desk = stack.enter_context(_HostileDesk(folder))
    with desk.api() as api:
        desk.pen, desk.texts = Pen(), Texts(api.get("/api/v1/openapi.json"))
    made = House(desk, desk.pen, desk.texts)
    _places(made)
    _people(made)
    with desk.api() as api:
        body = {"clusters": made.clusters[:1], "controller": desk.agent_url, "life_s": 3600}
        card = api.post("/api/v1/provisioning", body)["provisioning"]
    stack.enter_context(LyingBox(card, lambda place, most: made.pen.at(f"box: {place}", made.pen.line(most)[:most])))
    recording = _recordings(made)
    _programmes(made, recording)
    _on_air(made, recording, folder)
    _alerts(made)
    _warnings(made)
    made.ids |= {"cluster": made.clusters[0], "changed": made.clusters[1]}
    with desk.api() as api:
        api.put("/api/v1/me/password", {"old": desk.password, "new": PASSWORD})
        api.post("/api/v1/sessions", {"label": made.pen.line()})
        api.post("/api/v1/login", {"name": "admin", "password": PASSWORD, "label": made.pen.line(LONGER)})
    return made


def _places(house: House) -> None:
    desk, pen = house.desk, house.pen
    first, second, *others = pen.lines()
    house.area = desk.area(first, kind=pen.line())
    changed = desk.area(second, parent_id=house.area, kind="xã")
    for line in others:
        desk.area(line, parent_id=house.area, kind="xã")
    with desk.api() as api:
        api.patch(f"/api/v1/areas/{changed}", {"name": pen.line(), "kind": pen.line()})
        clusters = [
            {"area_id": house.area, "name": line, "contact_name": pen.line(LONGER), "contact_phone": pen.line(LONGER),
             "latitude": 16.5 + number / 100, "longitude": 107.0}
            for number, line in enumerate(pen.lines())
        ]  # fmt: skip
        house.clusters = [one["id"] for one in api.post("/api/v1/clusters/import", {"clusters": clusters})["clusters"]]
        edit = {"name": pen.line(), "contact_name": pen.line(LONGER), "contact_phone": pen.line(LONGER)}
        api.patch(f"/api/v1/clusters/{house.clusters[1]}", edit)
        zones = [
            api.post("/api/v1/zones", {"name": pen.line(), "area_id": house.area, "clusters": house.clusters})["id"]
            for _ in range(2)
        ]
        api.patch(f"/api/v1/zones/{zones[0]}", {"name": pen.line()})


def _people(house: House) -> None:
    desk, pen = house.desk, house.pen
    grants = [{"role": "viewer", "area_id": house.area}]
    with desk.api() as api:
        for number in range(3):
            api.post("/api/v1/users", {"name": f"n{number}", "display_name": pen.line(LONGER), "grants": grants})
        api.post("/api/v1/users", {"name": pen.like(ONE_WORD), "grants": grants})


def _recordings(house: House) -> str:
    """Files with tags and names, a spoken text, one that was refused; the id of one that is approved."""
    pen = house.pen
    tags = {name: pen.at("file: ID3", pen.everything()) for name in ("TIT2", "TPE1", "TALB", "TCOP")}
    content = _id3(tags) + b"".join(encode_mp3((0.1 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype(np.float32)))
    with house.desk.api() as api:

        def upload(path: str, method: str = "POST", **query: str) -> str:
            made = api.upload(path, io.BytesIO(content), size=len(content), query=query, method=method,
                              media_type="application/octet-stream")  # fmt: skip
            return str(made["id"])

        ids = [
            upload("/api/v1/recordings", area_id=house.area, title=pen.line(), file_name=pen.line(LONGER))
            for _ in range(3)
        ]
        said = {"area_id": house.area, "title": pen.line(), "text": pen.line()}
        ids.append(str(api.post("/api/v1/recordings/speech", said)["id"]))
        good, refused, replaced, spoken = ids
        for each in ids:
            _until(api, f"/api/v1/recordings/{each}", "ready")
        upload(f"/api/v1/recordings/{replaced}/sound", "PUT", file_name=pen.line(LONGER))
        api.patch(f"/api/v1/recordings/{replaced}", {"title": pen.line()})
        verdict = {"decision": "rejected", "reason": pen.line(LONGER)}
        api.post(f"/api/v1/recordings/{refused}/decision", {**verdict, "sha256": _sha(api, refused)})
    house.ids |= {"refused": refused, "replaced": replaced, "spoken": spoken}
    return house.desk.approved(good)


def _until(api: ApiClient, path: str, state: str) -> None:
    wait_until(lambda: api.get(path)["state"] == state, 60, f"{path} is {state}")


def _sha(api: ApiClient, recording: str) -> str:
    return str(api.get(f"/api/v1/recordings/{recording}")["sha256"])


def _id3(texts: Mapping[str, str]) -> bytes:
    """An ID3v2.3 tag with these text frames."""
    frames = b""
    for name, text in texts.items():
        body = b"\x01" + text.encode("utf-16")
        frames += name.encode() + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = len(frames)
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + synchsafe + frames


def _programmes(house: House, recording: str) -> None:
    pen = house.pen
    with house.desk.api() as api:
        for _ in range(2):
            source = {"area_id": house.area, "title": pen.line(), "url": pen.like(ADDRESS)}
            station = api.post("/api/v1/sources", source)["id"]
        api.patch(f"/api/v1/sources/{station}", {"title": pen.line(), "url": pen.like(ADDRESS)})
        about = {"area_id": house.area, "rrule": "FREQ=DAILY", "targets": {"areas": [house.area]},
                 "content": {"kind": "recorded", "recordings": [recording]}}  # fmt: skip
        first = soon(3600)
        made = [
            api.post("/api/v1/programmes", {**about, "title": line, "dtstart": local(first + number * _APART)})
            for number, line in enumerate(pen.lines())
        ]
        changed, divided = made[0], made[1]
        said = {**about, "title": pen.line(), "dtstart": changed["dtstart"]}
        api.put(f"/api/v1/programmes/{changed['id']}", said)
        later = first + _APART + timedelta(days=1)
        path = f"/api/v1/programmes/{divided['id']}/occurrences/{later:%Y-%m-%dT%H:%M:%SZ}/split"
        api.post(path, {"title": pen.line(), "version": divided["version"]})
        begin = local(soon(3 * 3600))  # all at one time, each somewhere else: the grid gathers them in one tile
        for line, cluster in zip(pen.lines(), house.clusters, strict=False):
            said = {**about, "title": line, "dtstart": begin, "targets": {"clusters": [cluster]}}
            del said["rrule"]
            api.post("/api/v1/programmes", said)


def _on_air(house: House, recording: str, folder: Path) -> None:
    """A recording is played, somebody spoke live, and somebody else is about to."""
    pen, desk = house.pen, house.desk
    write_wav(folder / "voice.wav", (0.1 * np.sin(np.arange(SAMPLE_RATE) / 20)).astype(np.float32))
    spoken = pen.at("LiveShape.title", pen.line(LONGER))
    argv: list[str | Path] = [
        "live",
        "start",
        "--cluster",
        house.clusters[0],
        "--file",
        folder / "voice.wav",
        "--no-chime",
    ]
    ended = run([BIN / "loa-controller", *argv, "--title", spoken], env=desk.cli_env)
    assert ended.returncode == 0, ended.stderr
    with desk.api() as api:
        play = {"recordings": [recording], "clusters": house.clusters[:1], "title": pen.line(LONGER)}
        api.post("/api/v1/orders/play", play)
        api.post("/api/v1/live", {"title": pen.line(LONGER), "clusters": house.clusters[:1]})


def _alerts(house: House) -> None:
    """A template, a drill, an alert in force, and one that somebody gave alone and took back."""
    desk, pen = house.desk, house.pen
    cancel = [{"language": "vi", "text": pen.line()}]
    made = template(desk, house.area, pen.line(), title=pen.line(), cancel_words=cancel)
    house.ids["template"] = made
    with desk.api() as api:
        api.post("/api/v1/drills", {"kind": "silent", "title": pen.line(LONGER), "areas": [house.area]})
        [drill] = api.get("/api/v1/drills")["items"]
        who = {"name": "truc2", "password": "mat khau cua truc2 dai", "display_name": pen.line(LONGER)}
        api.post("/api/v1/users", {**who, "grants": [{"role": "duty_officer", "area_id": None}]})
        token = api.post("/api/v1/login", {"name": who["name"], "password": who["password"]})["token"]
        paths: list[str] = []
        for _ in range(2):
            said = {"kind": "text", "title": pen.line(LONGER), "words": [{"language": "vi", "text": pen.line()}],
                    "clusters": house.clusters[:2], "tone": "none", "repetition": {"times": 1}}  # fmt: skip
            alert = api.post("/api/v1/alerts", said)
            path = f"/api/v1/alerts/{alert['id']}"
            _until(api, path, "armed")
            if not paths:
                api.post(f"{path}/override", {"reason": pen.line(REASON)})
                api.post(f"{path}/cancel", {"reason": pen.line(REASON)})
            paths.append(path)
    with as_officer(desk, token) as second:
        second.post(f"{paths[1]}/confirm", {"code": alert["code"]})
    over, alert_id = (path.rpartition("/")[2] for path in paths)
    house.ids |= {"alert": alert_id, "over": over, "drill": drill["id"]}


def _warnings(house: House) -> None:
    """One that waits for a decision, one that was declined, and one that became an alert in other words."""
    pen = house.pen
    rule = {"name": pen.line(LONGER), "senders": [pen.line(LONGER)], "events": [pen.line(LONGER)]}
    code = {"name": pen.line(LONGER), "value": pen.line(LONGER), "areas": [house.area]}
    with house.desk.api() as api:
        said = {"name": pen.line(), "area_id": house.area, "policy": {"mode": "propose", "rules": [rule]},
                "geocodes": [code], "templates": {pen.line(LONGER): house.ids["template"]}}  # fmt: skip
        source = api.post("/api/v1/warning-sources", said)["id"]
        feed = {"name": pen.line(), "area_id": house.area, "kind": "poll", "url": pen.like(ADDRESS)}
        polled = api.post("/api/v1/warning-sources", feed)["id"]
        api.patch(f"/api/v1/warning-sources/{polled}", {"name": pen.line(), "url": pen.like(ADDRESS)})
        token = api.post(f"/api/v1/warning-sources/{source}/tokens", {"label": pen.line()})["token"]
        for name in ("open", "declined", "accepted"):
            house.ids[name] = _pushed(house, token)
        declined, accepted = (f"/api/v1/warnings/{house.ids[name]}" for name in ("declined", "accepted"))
        api.post(f"{declined}/decline", {"reason": pen.line(REASON)})
        words = [{"language": "vi", "text": pen.everything()}]
        made = api.post(f"{accepted}/accept", {"title": pen.line(), "words": words})
        house.ids["waiting"] = str(made["alert_id"])


def _pushed(house: House, token: str) -> str:
    """A warning, as it comes from elsewhere; its id once it was judged."""
    document = write_alert(_cap(house.pen))
    with ApiClient(Login(house.desk.url, token)) as sender:
        answer = sender.upload("/api/v1/cap", io.BytesIO(document), size=len(document), query={},
                               media_type="application/cap+xml")  # fmt: skip
    [result] = answer["results"]
    with house.desk.api() as api:
        _until(api, f"/api/v1/warnings/{result['id']}", "proposed")
    return str(result["id"])


def _cap(pen: Pen) -> CapAlert:
    def said(place: str, text: str | None = None) -> str:
        return pen.at(f"CAP: {place}", pen.everything() if text is None else pen.like(text))

    now = datetime.now(UTC).replace(microsecond=0)
    ground = Polygon.parse("16.4,106.9 16.4,107.1 16.9,107.1 16.9,106.9 16.4,106.9")
    info = CapInfo(
        language="vi", categories=("Met",), event=said("event", packed(NAME)[2]), urgency="Immediate",
        severity="Severe", certainty="Likely", effective=now, expires=now + timedelta(hours=3),
        sender_name=said("senderName"), headline=said("headline", packed(NAME)[3]), description=said("description"),
        instruction=said("instruction"), web=said("web", _WITH_ADDRESSES[0]), contact=said("contact"),
        audience=said("audience"), areas=(CapArea(said("areaDesc"), polygons=(ground,)),),
        resources=(
            CapResource(
                desc=said("resourceDesc"), mime_type="text/html", uri=said("uri", _WITH_ADDRESSES[1]),
            ),
        ),
    )  # fmt: skip
    return CapAlert(
        identifier=said("identifier", "javascript:hit(0)"), sender=said("sender", '"onmouseover=hit(0)"'), sent=now,
        status="Actual", msg_type="Alert", note=said("note"), source=said("source"), incidents=said("incidents"),
        infos=(info,),
    )  # fmt: skip


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
