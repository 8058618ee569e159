"""A real Icecast, fed by a real encoder, carried to real agents: what the station plays is what the village hears."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from audio.pcm import Samples, write_wav
from tests.system.boxes import Box, no_traceback, online, provision, schedule, tone_part, wait_records
from tests.system.desk import Desk, soon
from tests.system.icecast import Icecast
from tests.system.processes import wait_until
from tests.system.pulse_hall import pink_noise

pytestmark = [pytest.mark.system, pytest.mark.slow]

#: One station each: what it plays, in which format.
STATIONS = {"mp3": 600, "aac": 1000, "ogg": 1700}
SLOT_S = 42
#: A relay begins within its window's first moments; it is live, not planned to the sample.
BEGINS_S = 1.0


def test_stations_in_every_format_are_carried_and_picked_up_again(tmp_path: Path) -> None:
    with ExitStack() as stack:
        radios = {name: stack.enter_context(Icecast(tmp_path / name, name, hz)) for name, hz in STATIONS.items()}
        desk = stack.enter_context(Desk(tmp_path))
        boxes = {name: stack.enter_context(Box(tmp_path, f"box-{name}")) for name in STATIONS}
        area = desk.area()
        clusters = {name: desk.cluster(area, f"Cụm {name}") for name in STATIONS}
        cards = provision(desk, list(clusters.values()), tmp_path / "cards")
        for box, card in zip(boxes.values(), cards, strict=True):
            box.start("--provisioning", card)
        noise = pink_noise(3)
        write_wav(tmp_path / "noise.wav", noise)
        fallback = desk.recording(area, tmp_path / "noise.wav", "Dự phòng")
        online(desk, 3)
        begin = soon(5).timestamp()
        rules = {}
        for name, radio in radios.items():
            with desk.api() as api:
                source = api.post("/api/v1/sources", {"area_id": area, "title": "Đài", "url": radio.url})["id"]
            content: dict[str, object] = {"source": source, "fallback": [fallback] if name == "aac" else []}
            rules[name] = relay(desk, area, clusters[name], begin, content)

        for box in boxes.values():
            wait_until(box.ear.sounds_now, 20, f"{box.name} sounds")
        wait_until(lambda: time.time() > begin + 6, 20, "it sounded for a while")
        for name, box in boxes.items():
            assert tone_part(box.ear.window(begin + BEGINS_S, begin + 5.5), STATIONS[name]) > 0.9, name
            assert box.ear.level(begin + BEGINS_S, begin + 5.5) > 0.02, name
            assert box.ear.window(begin - 1.5, begin - 0.05).max(initial=0) < 0.01, "nothing before the window"

        radios["mp3"].stop_feed()
        radios["aac"].stop_feed()
        wait_until(lambda: not boxes["mp3"].ear.sounds_now(1.0), 20, "silence while the studio is dark")
        dark = time.time()
        wait_until(
            lambda: boxes["aac"].ear.find(noise, dark - 1, time.time())[1] > 0.6, 20, "the fallback recording sounds"
        )
        assert boxes["ogg"].ear.sounds_now(), "the others are not touched"
        radios["mp3"].start_feed()
        radios["aac"].start_feed()
        for name in ("mp3", "aac"):
            wait_until(partial(back, boxes[name], STATIONS[name]), 30, f"{name} is picked up again")
        assert time.time() < begin + SLOT_S, "all of it within the window"
        for name in STATIONS:
            (record,) = wait_records(desk, rules[name], 1, 60)
            assert record["title"] == "Đài tiếp âm"
            assert record["outcome"] == "played" or name != "ogg", record
            assert abs(boxes[name].ear.last_sound() - begin - SLOT_S) < 0.3
            ended = datetime.fromisoformat(record["ended"]).timestamp()
            assert abs(ended - begin - SLOT_S) < 0.25, "the record says when the window ended"
        no_traceback(desk.process.said() if desk.process else "", *(box.said() for box in boxes.values()))


def falls_back(box: Box, noise: Samples, since: float) -> bool:
    return box.ear.find(noise, since, time.time())[1] > 0.6


def back(box: Box, hertz: int) -> bool:
    heard = box.ear.window(time.time() - 1.0, time.time())
    return len(heard) > 40_000 and tone_part(heard, hertz) > 0.9


def relay(desk: Desk, area: str, cluster: str, begin: float, content: dict[str, object]) -> str:
    more = {"priority": "RELAY", "slot_s": SLOT_S, "title": "Đài tiếp âm"}
    return schedule(desk, area, [cluster], begin, content={"kind": "relay", **content}, **more)
