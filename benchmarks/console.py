"""The console in a real Chromium against a real controller: first page, a change that shows, a full week that scrolls.

A district of 13 communes with 1 500 clusters and 2 000 occurrences a week, one behind the other around the clock, is
seeded over the API. Each page is opened by a browser that has never been there (nothing cached), and is usable when
what people come for is there and nothing says that it is still loading. A change is made over the API; it shows when
its words are on a page that was open before. Then fifty of the clusters get real boxes: one is muted and released by
order, others lose their process, one is frozen with its connection open. Beside the time until the page shows it stands
the time until the controller knows it, asked every 20 ms, which no page can undercut. The week is scrolled by the
wheel, in each of its sizes, while the page counts its own animation frames. Scripts are counted as they come over the
wire.
"""

from __future__ import annotations

import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, Final

import numpy as np
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

from audio.pcm import write_wav
from benchmarks.report import Case, at_most, note, parser, report
from tests.browser.people import Person
from tests.system.boxes import recorded
from tests.system.desk import Desk, local
from tests.system.processes import Process, wait_until
from tests.system.siren_desk import swarm

_BENCH: Final = "console"
_COMMUNES: Final = 13
_CLUSTERS: Final = 1_500
_A_DAY: Final = 22  # programmes of each commune: 13 × 22 × 7 = 2 002 a week
_APART: Final = 5  # minutes: one behind the other around the clock, so that none stands in the way of another
_IMPORT: Final = 500
_ROUNDS: Final = 5
_SCROLL_S: Final = 4.0
_SWARM: Final = 50  # clusters with real boxes; the last of them have a process of their own each
_ASK_S: Final = 0.02
#: A fault is on the technician's screen within this (EN 54-16).
_FAULT_S: Final = 100.0
_FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--mute-audio")  # fmt: skip
_PASSWORD: Final = "mat khau cua quan tri"  # noqa: S105 - of a controller that lives as long as this run
#: Pages, each with what people come for.
_ROOMS: Final = {"": "main .states a", "fleet": "main tbody tr a", "schedule": "main .ec-event"}
#: Counts frames and the longest pause between two.
_FRAMES: Final = """(seconds) => new Promise((done) => {
  const times = [];
  const each = (at) => {
    times.push(at);
    if (at - times[0] < seconds * 1000) requestAnimationFrame(each);
    else done(times.slice(1).map((time, index) => time - times[index]));
  };
  requestAnimationFrame(each);
})"""


def seed(desk: Desk, folder: Path) -> str:
    """Fill the district; the area of all of it."""
    with desk.api() as api:
        api.put("/api/v1/me/password", {"old": desk.password, "new": _PASSWORD})  # else they are asked for a new one
    district = desk.area("Huyện")
    communes = [desk.area(f"Xã {number:02}", parent_id=district) for number in range(_COMMUNES)]
    clusters = [
        {"name": f"{number:04} Cụm", "area_id": communes[number % _COMMUNES], **_place(number)}
        for number in range(_CLUSTERS)
    ]
    sound = folder / "bulletin.wav"
    write_wav(sound, np.asarray(0.2 * np.sin(np.arange(10 * 48_000) / 20), np.float32))
    content = recorded(desk.recording(district, sound))
    first = (datetime.now(UTC) + timedelta(hours=1)).replace(minute=0, second=0)
    with desk.api() as api:
        for at in range(0, _CLUSTERS, _IMPORT):
            api.post("/api/v1/clusters/import", {"clusters": clusters[at : at + _IMPORT]})
        for number, commune in enumerate(communes):
            for slot in range(_A_DAY):
                start = first + timedelta(minutes=_APART * (slot * _COMMUNES + number))
                body = {"area_id": commune, "title": f"Bản tin {slot + 1}", "targets": {"areas": [commune]},
                        "dtstart": local(start), "rrule": "FREQ=DAILY",
                        "content": content}  # fmt: skip
                api.post("/api/v1/programmes", body)
    return district


def _place(number: int) -> dict[str, float]:
    """Communes beside each other, and the clusters of each beside each other."""
    commune, within = number % _COMMUNES, number // _COMMUNES
    return {
        "latitude": 16.4 + commune // 4 * 0.1 + within % 12 * 0.007,
        "longitude": 106.7 + commune % 4 * 0.12 + within // 12 * 0.01,
    }


def measure(rounds: int) -> Iterator[Case]:
    """All cases."""
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("no Chromium here: run scripts/setup test")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loa-console-")))
        desk = stack.enter_context(Desk(folder))
        note(f"seeding {_CLUSTERS} clusters and {7 * _A_DAY * _COMMUNES} occurrences a week")
        district = seed(desk, folder)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        stack.callback(browser.close)
        yield from _first_pages(browser, desk, rounds)
        yield from _change(browser, desk, rounds)
        yield from _boxes(browser, desk, rounds, folder)
        yield from _week(browser, desk, district)


def _person(browser: Browser, desk: Desk) -> Person:
    person = Person(browser, desk.url)
    person.sign_in("admin", _PASSWORD)
    return person


def _until_usable(page: Page, room: str) -> None:
    page.locator(_ROOMS[room]).first.wait_for()
    expect(page.locator('main [aria-busy="true"]')).to_have_count(0)


def _first_pages(browser: Browser, desk: Desk, rounds: int) -> Iterator[Case]:
    scripts: list[int] = []
    for room in _ROOMS:
        took = []
        for _ in range(rounds):
            person = _person(browser, desk)
            responses = _heard(person.page)
            began = time.monotonic()
            person.page.goto(f"{desk.url}/console/{room}", wait_until="commit")
            _until_usable(person.page, room)
            took.append(time.monotonic() - began)
            scripts.append(sum(_body(each) for each in responses if each.url.endswith(".js")))
            person.close()
        case = f"/console/{room}, {_CLUSTERS} clusters"
        yield at_most(_BENCH, case, f"first page usable, slowest of {rounds}", max(took), "s", 1.0)
        yield Case(_BENCH, case, "first page usable, median", statistics.median(took), "s")
        yield at_most(_BENCH, case, "scripts, gzipped", scripts[-1] / 1000, "kB", 300)


def _heard(page: Page) -> list[Response]:
    """Every answer that this page gets from now on."""
    responses: list[Response] = []

    def hear(response: Response) -> None:
        responses.append(response)

    page.on("response", hear)
    return responses


def _body(response: Response) -> int:
    return int(response.request.sizes()["responseBodySize"])


def _change(browser: Browser, desk: Desk, rounds: int) -> Iterator[Case]:
    person = _person(browser, desk)
    page = person.go("fleet")
    _until_usable(page, "fleet")
    with desk.api() as api:
        first = min(_all(api), key=lambda each: str(each["name"]))
        took = []
        for number in range(rounds):
            words = f"0000 Đổi tên {number}"
            began = time.monotonic()
            api.patch(f"/api/v1/clusters/{first['id']}", {"name": words})
            page.get_by_text(words).first.wait_for(timeout=10_000)
            took.append(time.monotonic() - began)
    person.close()
    case = f"/console/fleet, {_CLUSTERS} clusters"
    yield at_most(_BENCH, case, f"a change is on the screen, slowest of {rounds}", max(took), "s", 1.0)
    yield Case(_BENCH, case, "a change is on the screen, median", statistics.median(took), "s")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One change of a box's state: seconds until the controller knew it, and until it was on the page."""

    known: float
    shown: float


class _Watch:
    """Looks at one cluster, on an open page of the fleet and over the API beside it."""

    def __init__(self, desk: Desk, page: Page, cluster: dict[str, Any]) -> None:
        self._desk = desk
        name = str(cluster["name"])
        self._row = page.get_by_role("row").filter(has_text=name)
        page.get_by_role("searchbox").first.fill(name)  # the table draws only what is in sight
        self._row.wait_for()
        self.id = str(cluster["id"])
        self._area = str(cluster["area_id"])

    def after(self, deed: Callable[[], object], kind: str, words: str, *, within: float = 10.0) -> _Seen:
        """Do it, and wait until the cluster is of that kind, and the page says so in these words."""
        known: Queue[float] = Queue()
        began = time.monotonic()
        asking = Thread(target=self._ask, args=(kind, began + within, known), daemon=True)
        asking.start()
        deed()
        self._row.get_by_text(words).first.wait_for(timeout=within * 1000)
        shown = time.monotonic() - began
        return _Seen(known.get(timeout=within) - began, shown)

    def _ask(self, kind: str, until: float, known: Queue[float]) -> None:
        with self._desk.api() as api:
            while time.monotonic() < until:
                states = api.get("/api/v1/clusters/states", {"area_id": self._area})["states"]
                if any(each["cluster_id"] == self.id and each["state"] == kind for each in states):
                    known.put(time.monotonic())
                    return
                time.sleep(_ASK_S)


def _boxes(browser: Browser, desk: Desk, rounds: int, folder: Path) -> Iterator[Case]:
    alone = rounds + 1  # boxes that lose their process, one a round, and the one that is frozen
    with ExitStack() as stack, desk.api() as api:
        clusters = sorted(_all(api), key=lambda each: str(each["name"]))[:_SWARM]
        many, single = clusters[:-alone], clusters[-alone:]
        named = [str(each["id"]) for each in many]
        stack.enter_context(Process("swarm", [*swarm(desk, named, folder), "--decode", "0"], folder))
        processes = []
        for each in single:
            own = folder / str(each["id"])
            own.mkdir()
            argv = [*swarm(desk, [str(each["id"])], own), "--decode", "0"]
            processes.append(stack.enter_context(Process("box", argv, own)))
        wait_until(lambda: api.get("/api/v1/fleet")["total"]["online"] == _SWARM, 60, "all boxes are online")
        person = _person(browser, desk)
        stack.callback(person.close)
        page = person.go("fleet?state=idle")
        expect(page.get_by_role("row").filter(has_text="Sẵn sàng")).not_to_have_count(0, timeout=30_000)
        page = person.go("fleet")
        _until_usable(page, "fleet")
        yield from _muted(desk, page, many[0], rounds)
        lost = []
        for box, process in zip(single[:rounds], processes[:rounds], strict=True):
            lost.append(_Watch(desk, page, box).after(process.kill, "offline", "Mất kết nối"))
        yield from _cases("a box lost its process", lost)
        stopped = partial(processes[-1].signal, signal.SIGSTOP)
        frozen = _Watch(desk, page, single[-1]).after(stopped, "offline", "Mất kết nối", within=_FAULT_S)
        case = f"/console/fleet, {_SWARM} of {_CLUSTERS} clusters with boxes"
        yield at_most(_BENCH, case, "a box is frozen: on the screen", frozen.shown, "s", _FAULT_S)
        yield Case(_BENCH, case, "a box is frozen: the controller knows (pings)", frozen.known, "s")


def _muted(desk: Desk, page: Page, cluster: dict[str, Any], rounds: int) -> Iterator[Case]:
    watch, seen = _Watch(desk, page, cluster), []
    with desk.api() as api:
        hold = partial(api.post, f"/api/v1/clusters/{watch.id}/hold", {"hold_s": 600})
        release = partial(api.post, f"/api/v1/clusters/{watch.id}/release")
        for _ in range(rounds):
            seen.append(watch.after(hold, "muted", "Tắt tiếng"))
            seen.append(watch.after(release, "idle", "Sẵn sàng"))
    yield from _cases("a box is muted or released by order", seen)


def _cases(what: str, seen: list[_Seen]) -> Iterator[Case]:
    case = f"/console/fleet, {_SWARM} of {_CLUSTERS} clusters with boxes"
    shown = [each.shown for each in seen]
    yield at_most(_BENCH, case, f"{what}: on the screen, slowest of {len(seen)}", max(shown), "s", 1.0)
    yield Case(_BENCH, case, f"{what}: on the screen, median", statistics.median(shown), "s")
    known = statistics.median(each.known for each in seen)
    yield Case(_BENCH, case, f"{what}: the controller knows, median", known, "s")


def _all(api: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = api.get("/api/v1/clusters", {"limit": 500, **({"cursor": cursor} if cursor else {})})
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def _week(browser: Browser, desk: Desk, district: str) -> Iterator[Case]:
    person = _person(browser, desk)
    next_week = datetime.now(UTC) + timedelta(days=7)
    page = person.go(f"schedule?area={district}&day={next_week:%Y-%m-%d}")
    _until_usable(page, "schedule")
    for size in ("small", "normal", "large"):
        page.get_by_label("Cỡ lịch").select_option(size)
        page.wait_for_timeout(1_000)
        apart = _scrolled(page)
        case = f"/console/schedule, {size}, {7 * _A_DAY * _COMMUNES} occurrences"
        rate = 1000 * len(apart) / sum(apart)
        yield Case(_BENCH, case, "frames a second while scrolling", rate, "fps", goal="≥ 30 fps", ok=rate >= 30)
        yield Case(_BENCH, case, "longest time between two frames", max(apart), "ms")
        person.shot(f"benchmark-week-{size}")
    person.close()


def _scrolled(page: Page) -> list[float]:
    """Milliseconds between the frames of a page that is scrolled down and up all the time."""
    box = page.locator("main .ec-main").bounding_box()
    if box is None:
        raise RuntimeError("the week is not there")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.6)
    page.evaluate(f"void (window.counted = ({_FRAMES})({_SCROLL_S}))")
    began, down = time.monotonic(), 1
    while time.monotonic() - began < _SCROLL_S - 0.2:
        for _ in range(15):
            page.mouse.wheel(0, 60 * down)
        down = -down
    apart: list[float] = page.evaluate("window.counted")
    return apart


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=_ROUNDS, help="how often each is done (default 5)")
    given = options.parse_args()
    sys.exit(report(measure(given.rounds), as_json=given.json))
