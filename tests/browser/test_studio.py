"""The studio: a person speaks from a browser, reloads, is heard in the village, hears the village."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, BrowserType, Page, expect

from audio.codec import OggOpusReader
from audio.mixing import chime
from audio.pcm import Samples, write_wav
from tests.browser.conftest import Come
from tests.browser.people import LOUDEST, Person
from tests.browser.village import newcomer
from tests.system.boxes import RATE, Box, no_traceback, online, provision, tone_part
from tests.system.desk import Desk
from tests.system.processes import wait_until
from tests.system.pulse_hall import find

HERTZ = 700
PASSWORD = "mat khau cua phat thanh vien"
#: From composing a live alert to being heard, both people together.
_CLICKS = 8


def beeps(seconds: float) -> Samples:
    """A tenth of a second of sound in every half: noise suppression takes what goes on for what is not speech."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(0.4 * np.sin(2 * np.pi * HERTZ * t) * (t % 0.5 < 0.1), np.float32)


def loud(sound: Samples) -> Samples:
    """The beeps that are in it, cut out of the silence around them."""
    blocks = sound[: len(sound) // 960 * 960].reshape(-1, 960)
    return np.asarray(blocks[np.sqrt(np.mean(blocks**2, axis=1)) > 0.05].reshape(-1), np.float32)


@contextmanager
def with_microphone(kind: BrowserType, speech: Path) -> Iterator[Browser]:
    """A browser whose microphone hears this file, and which asks before it lets a page hear it."""
    flags = (
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={speech}",
    )  # fmt: skip
    browser = kind.launch(executable_path=shutil.which("chromium"), args=list(flags))
    yield browser
    browser.close()


def holds_to_talk(page: Page, box: Box) -> None:
    """On air nothing of the microphone is heard until somebody holds the button or the space bar; leaves it shut."""
    page.get_by_role("switch", name="Giữ để nói").click()
    expect(page.get_by_text("micrô đang tắt: giữ để nói")).to_be_visible()
    shut = partial(wait_until, lambda: not box.ear.sounds_now(1.6), 10, "silence goes on air")  # three beeps' time
    spoken = partial(wait_until, lambda: box.ear.sounds_now(0.8), 10, "the village hears it")
    shut()
    button = page.get_by_role("button", name="Giữ để nói")
    button.hover()
    page.mouse.down()
    expect(page.get_by_role("button", name="ĐANG NÓI")).to_be_visible()
    spoken()
    page.mouse.up()
    shut()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.down(" ")
    spoken()
    page.evaluate("window.dispatchEvent(new Event('blur'))")  # another window takes the keys: nobody lets go here
    shut()
    page.keyboard.up(" ")


def test_a_person_speaks_from_a_browser(browser: Browser, tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", beeps(60))
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(tmp_path))
        box = stack.enter_context(Box(tmp_path, "box"))
        cluster = desk.cluster(desk.area(), "Tà Rụt 1")
        (card,) = provision(desk, [cluster], tmp_path / "cards")
        box.start("--provisioning", card)
        speaking = stack.enter_context(with_microphone(browser.browser_type, tmp_path / "speech.wav"))
        person = Person(speaking, desk.url)
        stack.callback(person.close)
        with desk.api() as api:
            api.put("/api/v1/me/password", {"old": desk.password, "new": PASSWORD})
        person.sign_in("admin", PASSWORD)
        page = person.page
        page.on("dialog", lambda dialog: dialog.accept())  # "leave while on air?"
        page.add_init_script(LOUDEST)
        online(desk, 1)

        person.go("studio")
        page.get_by_role("treeitem", name="Tà Rụt").first.click()
        expect(page.get_by_text("Tiếng của bạn sẽ ra 1 cụm loa.")).to_be_visible()
        person.context.clear_permissions()
        page.get_by_role("button", name="Lên sóng").click()
        expect(page.get_by_text("Trình duyệt chưa được phép dùng micrô").first).to_be_visible()
        with desk.api() as api:
            assert api.get("/api/v1/live")["items"] == [], "without a microphone nothing is opened"

        person.context.grant_permissions(["microphone"])
        page.get_by_role("button", name="Thử micrô").click()
        expect(page.get_by_role("meter")).to_have_attribute("aria-valuetext", "tiếng vừa")
        person.shot("studio")
        assert person.barriers() == []
        page.get_by_role("button", name="Lên sóng").click()
        speaks(page, box)
        person.shot("studio-on-air")
        assert person.barriers() == []
        holds_to_talk(page, box)
        person.shot("studio-hold")
        assert person.barriers() == []
        page.get_by_role("switch", name="Giữ để nói").click()
        page.add_init_script("delete window.AudioEncoder")
        page.reload()  # in the middle of a word
        page.get_by_role("button", name="Nói tiếp").click()
        speaks(page, box)
        expect(page.get_by_text("Trình duyệt không nén được âm thanh")).to_be_visible()
        page.get_by_role("button", name="Nghe thử Tà Rụt 1").click()
        wait_until(lambda: page.evaluate("window.loudest") > 0.05, 6, "the village is heard")
        page.get_by_role("link", name="Kho âm thanh").click()
        expect(page.get_by_text("ĐANG PHÁT TRỰC TIẾP")).to_be_visible()
        person.shot("studio-elsewhere")
        page.get_by_role("link", name="Về phòng phát").click()
        page.get_by_role("button", name="Kết thúc").click()
        expect(page.get_by_text("Bạn đã kết thúc buổi phát.")).to_be_visible()

        kept = recording(desk, tmp_path)
        wait_until(lambda: not box.ear.sounds_now(0.8), 10, "silence")
        heard, _ = box.ear.sound()
        for sound in (heard, kept):
            spoken = between_chimes(sound)
            assert len(spoken) > 0.6 * RATE
            assert tone_part(spoken, HERTZ) > 0.5
        page.get_by_role("link", name="Nghe bản ghi âm").click()
        expect(page.get_by_role("button", name="Nghe: Trực tiếp: admin")).to_be_visible()
        person.shot("studio-tapes")
        assert person.barriers() == []
        no_traceback(desk.process.said() if desk.process else "", box.said())


def test_an_alert_is_spoken_by_who_composed_it(browser: Browser, tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", beeps(60))
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(tmp_path))
        box = stack.enter_context(Box(tmp_path, "box"))
        area = desk.area()
        (card,) = provision(desk, [desk.cluster(area, "Tà Rụt 1")], tmp_path / "cards")
        box.start("--provisioning", card)
        speaking = stack.enter_context(with_microphone(browser.browser_type, tmp_path / "speech.wav"))
        people = []
        for name, called in (("truc1", "Hồ Thị Lan, trực ban"), ("truc2", "")):
            person = Person(speaking, desk.url)
            stack.callback(person.close)
            person.sign_in(name, newcomer(desk, name, ("duty_officer",), area, display_name=called))
            people.append(person)
        composer, second = people
        composer.context.grant_permissions(["microphone"])
        mine, theirs = composer.go(), second.go()
        mine.on("dialog", lambda dialog: dialog.accept())  # "leave while on air?"
        online(desk, 1)

        mine.get_by_role("link", name="Khẩn cấp", exact=True).click()
        mine.get_by_role("tab", name="Nói trực tiếp").click()
        mine.get_by_label("Tên cảnh báo").fill("Vỡ đập Tà Rụt")
        mine.get_by_role("treeitem", name="Tà Rụt").first.click()
        mine.get_by_role("button", name="Soạn xong, lấy mã xác nhận").click()
        code = mine.get_by_label("Mã xác nhận", exact=True).inner_text()
        theirs.get_by_role("link", name="Xem và xác nhận").click()
        expect(theirs.get_by_text("Hồ Thị Lan, trực ban (truc1) đã soạn cảnh báo này.")).to_be_visible()
        theirs.get_by_label("Mã 6 số của người soạn").press_sequentially(code)
        theirs.get_by_role("button", name="XÁC NHẬN, PHÁT NGAY").click()
        mine.get_by_role("link", name="Mở micrô, nói trực tiếp").click()
        expect(mine.get_by_role("heading", name="Vỡ đập Tà Rụt")).to_be_visible()
        expect(mine.get_by_text("Tiếng của bạn sẽ ra 1 cụm loa.")).to_be_visible()
        expect(mine.get_by_role("meter")).to_have_attribute("aria-valuetext", "tiếng vừa")  # before anything is pressed
        composer.shot("studio-alert")
        assert composer.barriers() == []
        mine.get_by_role("button", name="Nói ngay").click()
        speaks(mine, box)
        assert composer.clicks + second.clicks <= _CLICKS
        composer.shot("studio-alert-on-air")
        expect(theirs.get_by_role("link", name="Mở micrô, nói trực tiếp")).to_have_count(0)

        address = re.sub(r".*/console/", "", mine.url)
        second.go(address)
        expect(theirs.get_by_text("Buổi này chờ giọng của truc1")).to_be_visible()
        mine.reload()  # in the middle of a word
        mine.get_by_role("button", name="Nói tiếp").click()
        speaks(mine, box)
        mine.get_by_role("button", name="Kết thúc").click()
        expect(mine.get_by_text("Bạn đã kết thúc buổi phát.")).to_be_visible()
        expect(theirs.get_by_text("Buổi nói này đã kết thúc")).to_be_visible()
        mine.reload()
        expect(mine.get_by_text("Buổi nói này đã kết thúc")).to_be_visible()
        mine.get_by_role("link", name="Về bảng theo dõi cảnh báo").click()
        expect(mine.get_by_role("heading", name="Vỡ đập Tà Rụt")).to_be_visible()
        no_traceback(desk.process.said() if desk.process else "", box.said())


def between_chimes(sound: Samples) -> Samples:
    """What was said between the opening and the closing chime."""
    opening, closing = (find(chime(one), sound) for one in ("opening", "closing"))
    assert min(opening[1], closing[1]) > 0.6
    return loud(sound[opening[0] + len(chime("opening")) : closing[0]])


def speaks(page: Page, box: Box) -> None:
    """The light is on, the meter moves, time runs, and the village hears it."""
    expect(page.get_by_text("ĐANG PHÁT, mời nói")).to_be_visible(timeout=15_000)
    since = time.time()
    expect(page.get_by_role("meter", name="Mức tiếng nói")).to_have_attribute("aria-valuetext", "tiếng vừa")
    expect(page.get_by_role("timer")).to_contain_text("Còn 9:")
    wait_until(lambda: len(loud(box.ear.window(since, time.time()))) > 0.3 * RATE, 6, "it is heard")


def recording(desk: Desk, folder: Path) -> Samples:
    """What the controller kept of the session."""
    with desk.api() as api:
        wait_until(lambda: [one["state"] for one in api.get("/api/v1/tapes")["items"]] == ["whole"], 10, "one tape")
        (tape,) = api.get("/api/v1/tapes")["items"]
    path = f"{desk.url}/api/v1/tapes/{tape['id']}/sound"
    request = urllib.request.Request(path, headers={"Authorization": f"Bearer {desk.token}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        (folder / "tape.opus").write_bytes(answer.read())
    with OggOpusReader(folder / "tape.opus") as reader:
        return reader.read(0, reader.frames)


def test_what_went_on_air_goes_on_past_the_newest(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(tmp_path))
        with closing(sqlite3.connect(desk.data / "loa.db", timeout=5)) as db, db:
            db.executemany(
                "insert into airtape (id, kind, title, priority, subject, actor, clusters, file, state, started_at, "
                "frames, bytes) values (?, 'live', ?, 50, '', 'loa', '[]', 'none', 'whole', ?, 0, 0)",
                [(f"at_{each}", f"Buổi {each}", f"2026-11-01 05:{each:02}:00.000000") for each in range(60)],
            )
        person = Person(browser, desk.url)
        stack.callback(person.close)
        person.sign_in("admin", desk.password)
        page = person.go("studio/tapes")
        titles = page.locator("main").get_by_role("heading", level=2)
        expect(titles).to_have_count(50)
        expect(titles.first).to_have_text("Buổi 59")
        page.get_by_role("button", name="Xem thêm bản ghi cũ hơn").click()
        expect(titles).to_have_count(60)
        expect(titles.last).to_have_text("Buổi 0")
        expect(page.get_by_role("button", name="Xem thêm bản ghi cũ hơn")).to_have_count(0)


def test_somebody_elses_session_is_seen_and_can_be_cut_off(come: Come) -> None:
    speaker, duty = come("bientap"), come("truc1", width=390, height=844)
    page = speaker.go("studio")
    page.get_by_role("treeitem", name="Xã Ba Nang").click()
    page.get_by_label("Nội dung").fill("Họp thôn")
    page.get_by_role("button", name="Lên sóng").click()
    expect(page.get_by_text("Phát ra 2 cụm loa")).to_be_visible()
    theirs = duty.go("studio")
    expect(theirs.get_by_text("bientap, 2 cụm loa")).to_be_visible()
    duty.shot("studio-phone")
    assert duty.barriers() == []
    theirs.get_by_role("button", name="Cắt buổi này").click()
    theirs.get_by_role("dialog").get_by_role("button", name="Cắt buổi này").click()
    expect(page.get_by_text("Một người khác ở bàn điều khiển đã kết thúc buổi phát.")).to_be_visible()
