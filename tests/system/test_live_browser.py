"""A person at the test page in a real browser: speaks, reloads, is heard in the village, hears the village."""

from __future__ import annotations

import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from audio.codec import OggOpusReader
from audio.mixing import chime
from audio.pcm import Samples, write_wav
from tests.system.boxes import RATE, Box, no_traceback, online, provision, tone_part
from tests.system.chromium import PROGRAM, Chromium, Tab
from tests.system.desk import Desk
from tests.system.processes import wait_until
from tests.system.pulse_hall import find

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

HERTZ = 700
_STATE = "document.getElementById('state').dataset.state"
#: Everything the page plays goes through an analyser that keeps the loudest moment.
_METER = """(() => {
  const connect = AudioNode.prototype.connect;
  window.loudest = 0;
  AudioNode.prototype.connect = function (to, ...more) {
    if (to !== this.context.destination) return connect.call(this, to, ...more);
    const meter = this.context.createAnalyser(), sound = new Float32Array(meter.fftSize);
    connect.call(meter, to);
    const look = () => {
      meter.getFloatTimeDomainData(sound);
      window.loudest = Math.max(window.loudest, ...sound.map(Math.abs));
      if (this.context.state === 'running') setTimeout(look, 20);
    };
    look();
    return connect.call(this, meter, ...more);
  };
})()"""


def beeps(seconds: float) -> Samples:
    """A tenth of a second of sound in every half: noise suppression takes what goes on for what is not speech."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(0.4 * np.sin(2 * np.pi * HERTZ * t) * (t % 0.5 < 0.1), np.float32)


def sign_in(tab: Tab, desk: Desk) -> None:
    tab.until("!document.getElementById('signin').hidden", 5)
    tab.write("name", "admin")
    tab.write("password", desk.password)
    tab.press("Enter", 13, text="\r")
    tab.until("document.getElementById('places').options.length === 2", 10)


def loud(sound: Samples) -> Samples:
    """The beeps that are in it, cut out of the silence around them."""
    blocks = sound[: len(sound) // 960 * 960].reshape(-1, 960)
    return np.asarray(blocks[np.sqrt(np.mean(blocks**2, axis=1)) > 0.05].reshape(-1), np.float32)


def test_a_person_speaks_from_a_browser(tmp_path: Path) -> None:
    write_wav(tmp_path / "speech.wav", beeps(60))
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(tmp_path))
        box = stack.enter_context(Box(tmp_path, "box"))
        cluster = desk.cluster(desk.area(), "Tà Rụt 1")
        (card,) = provision(desk, [cluster], tmp_path / "cards")
        box.start("--provisioning", card)
        browser = stack.enter_context(Chromium(tmp_path / "chromium", microphone=tmp_path / "speech.wav"))
        tab = browser.tab(desk.url + "/live-test")
        sign_in(tab, desk)
        allow(browser, desk, "denied")
        tab.enter("start")
        tab.until("document.getElementById('problem').textContent.includes('allow the microphone')", 5)
        with desk.api() as api:
            assert api.get("/api/v1/live")["items"] == [], "without a microphone nothing is opened"

        allow(browser, desk, "granted")
        online(desk, 1)
        tab.tell("document.getElementById('language').focus()")
        tab.tabbed("places")
        tab.press("End", 35)  # areas stand first, then clusters
        tab.enter("start")
        speaks(tab, box, "Opus")
        tab.ask("Page.addScriptToEvaluateOnNewDocument", {"source": "delete window.AudioEncoder"})
        tab.reload()  # in the middle of a word
        speaks(tab, box, "plain samples")
        tab.tell(_METER)
        tab.enter("hear")
        tab.until("window.loudest > 0.05", 4)
        tab.enter("unhear")
        tab.enter("stop")
        tab.until(f"{_STATE} === 'ended'", 8)
        assert "You ended it" in tab.text("problem")
        tab.enter("language")
        assert "Bạn đã kết thúc" in tab.text("problem")
        assert tab.complaints == []

        kept = recording(desk, tmp_path)
        wait_until(lambda: not box.ear.sounds_now(0.8), 10, "silence")
        heard, _ = box.ear.sound()
        for sound in (heard, kept):
            opening, closing = (find(chime(one), sound) for one in ("opening", "closing"))
            assert min(opening[1], closing[1]) > 0.6
            spoken = loud(sound[opening[0] + len(chime("opening")) : closing[0]])
            assert len(spoken) > 0.6 * RATE
            assert tone_part(spoken, HERTZ) > 0.5
        no_traceback(desk.process.said() if desk.process else "", box.said())


def allow(browser: Chromium, desk: Desk, setting: str) -> None:
    """What the person answers when the browser asks for the microphone."""
    permission = {"permission": {"name": "microphone"}, "setting": setting, "origin": desk.url}
    browser.ask("Browser.setPermission", permission)


def speaks(tab: Tab, box: Box, codec: str) -> None:
    """The page is on air with this codec, its meter moves, and the village hears it."""
    tab.until(f"{_STATE} === 'on_air'", 15)
    since = time.time()
    assert codec in tab.text("log")
    tab.until("document.getElementById('level').value > -30", 5)
    assert ":" in tab.text("left")
    wait_until(lambda: len(loud(box.ear.window(since, time.time()))) > 0.3 * RATE, 6, f"it is heard ({codec})")


def recording(desk: Desk, folder: Path) -> Samples:
    """What the controller kept of the last session."""
    with desk.api() as api:
        wait_until(lambda: [one["state"] for one in api.get("/api/v1/tapes")["items"]] == ["whole"], 10, "one tape")
        (tape,) = api.get("/api/v1/tapes")["items"]
    path = f"{desk.url}/api/v1/tapes/{tape['id']}/sound"
    request = urllib.request.Request(path, headers={"Authorization": f"Bearer {desk.token}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        (folder / "tape.opus").write_bytes(answer.read())
    with OggOpusReader(folder / "tape.opus") as reader:
        return reader.read(0, reader.frames)
