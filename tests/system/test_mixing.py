"""Somebody speaks over the radio: one cluster ducks it, its neighbour silences it; then both are where they were."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import Samples
from tests.system.boxes import Box, no_traceback, online, provision, schedule, seconds_of, wait_records
from tests.system.desk import Desk, soon
from tests.system.icecast import Icecast
from tests.system.processes import wait_until
from tests.system.speaker import SpeakerPerson

pytestmark = [pytest.mark.system, pytest.mark.slow]

RADIO, VOICE = 1000, 700
SLOT_S = 18
SPEECH_S = 3
DUCK_DB = -20.0


def level(samples: Samples, hertz: float) -> float:
    """The amplitude of one tone: the middle of what tenths of a second have."""
    tenths = samples[: len(samples) // 4800 * 4800].reshape(-1, 4800)
    if not len(tenths):
        return 0.0
    turn = np.exp(-2j * np.pi * hertz * np.arange(4800) / 48_000)
    return float(np.median(2 * np.abs((tenths * turn).mean(axis=1))))


def spoken(seconds: float) -> Samples:
    return (0.3 * np.sin(2 * np.pi * VOICE * np.arange(round(seconds * 48_000)) / 48_000)).astype(np.float32)


def voiced(desk: Desk, cluster: str) -> float:
    """How long the live voice held a cluster's loudspeaker, by its own record."""
    with desk.api() as api:
        rows = api.get("/api/v1/play-records", {"limit": 100})["items"]
    (voice,) = (row for row in rows if row["cluster_id"] == cluster and row["priority"] in (50, "COMMUNE_LIVE"))
    return seconds_of(voice["ended"]) - seconds_of(voice["started"])


def test_an_announcement_ducks_here_and_silences_there_and_the_radio_never_stopped(tmp_path: Path) -> None:
    with ExitStack() as stack:
        radio = stack.enter_context(Icecast(tmp_path / "radio", "mp3", RADIO))
        desk = stack.enter_context(Desk(tmp_path))
        boxes = [stack.enter_context(Box(tmp_path, name)) for name in ("ducks", "mutes")]
        area = desk.area()
        clusters = [desk.cluster(area, "ducks", duck_db=DUCK_DB), desk.cluster(area, "mutes")]
        for box, card in zip(boxes, provision(desk, clusters, tmp_path / "cards"), strict=True):
            box.start("--provisioning", card)
        online(desk, 2)
        begin = soon(5).timestamp()
        with desk.api() as api:
            source = api.post("/api/v1/sources", {"area_id": area, "title": "Đài", "url": radio.url})["id"]
        content: dict[str, object] = {"kind": "relay", "source": source}
        rule = schedule(desk, area, clusters, begin, content=content, priority="RELAY", slot_s=SLOT_S, title="Đài")
        for box in boxes:
            wait_until(box.ear.sounds_now, 20, f"{box.name} sounds")
        sounds = time.time()
        time.sleep(1.8)
        with desk.api() as api:
            session = api.post(
                "/api/v1/live",
                {"clusters": clusters, "chime_before": False, "chime_after": False, "title": "Thông báo"},
            )
        speaker = SpeakerPerson(desk, session["id"], spoken(SPEECH_S))
        speaker.join(20)
        assert speaker.began is not None
        wait_until(lambda: time.time() > begin + SLOT_S + 2, 40, "the window is over")

        first = speaker.began
        before, during, after = (sounds, sounds + 1.5), (first + 1.2, first + 2.6), (first + 5, first + 6.5)
        for box, ratio in zip(boxes, (10 ** (DUCK_DB / 20), 0.0), strict=True):
            loud = level(box.ear.window(*before), RADIO)
            assert loud > 0.03, box.name
            assert level(box.ear.window(*during), VOICE) > 0.1, box.name
            assert level(box.ear.window(*during), RADIO) / loud == pytest.approx(ratio, abs=0.04), box.name
            assert level(box.ear.window(*after), RADIO) / loud == pytest.approx(1, abs=0.15), box.name
            assert level(box.ear.window(*after), VOICE) < 0.005, box.name
            sound, _ = box.ear.sound()
            steepest = 2 * np.pi / 48_000 * (0.3 * VOICE + loud * RADIO)
            assert float(np.abs(np.diff(sound)).max()) < 2 * steepest, "a click"
        heard = {record["cluster_id"]: record for record in wait_records(desk, rule, 2)}
        ducked, muted = (heard[cluster] for cluster in clusters)
        # What was ducked was heard; what was silenced was not, and is no gap either.
        assert (ducked["frames"] - muted["frames"]) / 48_000 == pytest.approx(voiced(desk, clusters[1]), abs=0.8)
        assert abs(muted["silence_frames"] - ducked["silence_frames"]) < 48_000
        no_traceback(desk.process.said() if desk.process else "", *(box.said() for box in boxes))
