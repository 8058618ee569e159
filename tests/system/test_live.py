"""Somebody speaks live: what they say, between two chimes, is what the village hears and what is kept."""

from __future__ import annotations

import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from audio.codec import OggOpusReader
from audio.mixing import chime
from tests.system.boxes import Box, no_traceback, online, provision, tone_part
from tests.system.desk import Desk
from tests.system.processes import wait_until
from tests.system.pulse_hall import find, pink_noise
from tests.system.speaker import SpeakerPerson

pytestmark = pytest.mark.system


def tone(hertz: float, seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * 48_000)) / 48_000
    return np.asarray(0.3 * np.sin(2 * np.pi * hertz * t), np.float32)


@pytest.mark.timing
def test_speech_between_two_chimes_and_a_stop(tmp_path: Path) -> None:
    with ExitStack() as stack:
        desk = stack.enter_context(Desk(tmp_path))
        box = stack.enter_context(Box(tmp_path, "box"))
        area = desk.area()
        cluster = desk.cluster(area, "Tà Rụt 1")
        (card,) = provision(desk, [cluster], tmp_path / "cards")
        box.start("--provisioning", card)
        online(desk, 1)
        words = pink_noise(2.0)
        with desk.api() as api:
            session = api.post("/api/v1/live", {"clusters": [cluster], "title": "Thông báo"})
            again = {"clusters": [cluster]}
            with pytest.raises(Exception, match="speaks there"):
                api.post("/api/v1/live", again)
            speaker = SpeakerPerson(desk, session["id"], words)
            speaker.join(20)
            assert speaker.states == ["waiting", "chime", "on_air", "closing", "ended"]
            assert speaker.told[-1]["code"] == "ended_by_speaker"
            assert max(one["rms_db"] for one in speaker.told if one["type"] == "meter") > -25
            wait_until(lambda: api.get(f"/api/v1/live/{session['id']}")["ended"], 10, "the session is over")
            ended = api.get(f"/api/v1/live/{session['id']}")
            path = f"/api/v1/tapes/{ended['tape_id']}"
            wait_until(lambda: api.get(path)["state"] == "whole", 10, "the recording is whole")
            tape = tmp_path / "tape.opus"
            request = urllib.request.Request(
                f"{desk.url}{path}/sound", headers={"Authorization": f"Bearer {desk.token}"}
            )
            with urllib.request.urlopen(request, timeout=5) as answer:
                tape.write_bytes(answer.read())
        wait_until(lambda: not box.ear.sounds_now(1.0), 10, "silence")

        assert speaker.began is not None
        heard, _ = box.ear.sound()
        with OggOpusReader(tape) as reader:
            kept = reader.read(0, reader.frames)
        # Syllable by syllable: on a busy machine a late one gets a moment of silence before it, and is played faster.
        said = [words[at : at + 4_800] for at in range(0, len(words), 4_800)]
        for what, sound in (("heard", heard), ("kept", kept)):
            found = [find(part, sound) for part in (chime("opening"), *said, chime("closing"))]
            assert min(like for _, like in found) > 0.5, (what, found)
            assert [place for place, _ in found] == sorted(place for place, _ in found), what
        at, _ = box.ear.find(said[0], speaker.began - 1, speaker.began + 3)
        assert 0 < at - speaker.began < 1.0, "live"

        with desk.api() as api:
            session = api.post("/api/v1/live", {"clusters": [cluster], "chime_before": False})
            shouting = SpeakerPerson(desk, session["id"], tone(700, 30))
            wait_until(lambda: box.ear.level_now() > 0.1, 10, "it sounds")
            given = time.time()
            api.post("/api/v1/orders/stop", {"everywhere": True})
            shouting.join(5)
        assert shouting.told[-1]["code"] == "stopped"
        time.sleep(1.0)
        assert tone_part(box.ear.window(given - 0.15, given), 700) > 0.8
        assert box.ear.last_sound() < given + 0.5
        no_traceback(desk.process.said() if desk.process else "", box.said())
