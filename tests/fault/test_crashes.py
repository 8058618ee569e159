"""kill -9, at the worst moments, on real processes: what was planned sounds all the same, and is reported once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import Samples, write_wav
from tests.system.boxes import (
    Box,
    cached,
    no_traceback,
    online,
    provision,
    recorded,
    records,
    schedule,
    seconds_of,
    wait_records,
)
from tests.system.desk import Desk, rows, soon
from tests.system.icecast import Icecast
from tests.system.processes import BIN, Process, wait_until
from tests.system.pulse_hall import find, pink_noise

pytestmark = [pytest.mark.system, pytest.mark.slow]

START_S = 0.050
#: After a kill an agent sounds again within this.
BACK_S = 10.0
#: Where a joined item must be, by the clock.
PLACE_S = 0.200
SWARM = 4
#: A relay is sent this much ahead: without a controller that much still sounds, and silence follows within two seconds.
CARRIED_S = 3.5
SILENT_S = 2.0
#: How long after it is ready a controller carries a relay again.
CARRIED_AGAIN_S = 5.0


def once(desk: Desk, rule: str, count: int) -> None:
    """Exactly one record of each of ``count`` agents, in the database and in the report."""
    found = rows(desk, "SELECT rule_id, agent_id FROM playrecordrow")
    agents = [agent for rule_id, agent in found if rule_id == rule]
    assert len(agents) == len(set(agents)) == count
    with desk.api() as api:
        (report,) = api.get("/api/v1/reports/occurrences", {"rule_id": rule})["occurrences"]
    assert (report["reported"], report["duplicate"]) == (count, 0)


def test_crashes_of_the_controller_and_of_agents_lose_nothing(tmp_path: Path) -> None:
    """One morning: the controller dies before a bulletin; two boxes die in the middle of the next one."""
    short, long = pink_noise(2, seed=1), pink_noise(16, seed=2)
    names = ("join", "skip")
    boxes = {name: Box(tmp_path, name) for name in names}
    with Desk(tmp_path) as desk, boxes["join"], boxes["skip"]:
        area = desk.area()
        clusters = [desk.cluster(area, f"Cụm {number}") for number in range(SWARM + 2)]
        cards = provision(desk, clusters[:2], tmp_path / "cards")
        for name, card in zip(names, cards, strict=True):
            boxes[name].start("--provisioning", card)
        with Process("swarm", swarm(desk, clusters[2:], tmp_path), tmp_path) as agents:
            sounds = {}
            for name, noise in (("short", short), ("long", long)):
                write_wav(tmp_path / f"{name}.wav", noise)
                recording = desk.recording(area, tmp_path / f"{name}.wav", name)
                sounds[name] = recorded(recording)
            online(desk, SWARM + 2)
            begin = soon(8).timestamp()
            bulletin = schedule(desk, area, clusters, begin, content=sounds["short"])
            second = begin + 8
            rules = {
                name: schedule(desk, area, [cluster], second, content=sounds["long"], late={"kind": name})
                for name, cluster in zip(names, clusters[:2], strict=True)
            }
            cached(desk, dict.fromkeys(clusters, 1) | dict.fromkeys(clusters[:2], 2))
            assert time.time() < begin - 2, "delivered before it starts, or the test shows nothing"
            desk.crash()

            time.sleep(max(0.0, begin + 2.5 - time.time()))
            for box in boxes.values():
                at, like = box.ear.find(short, begin - 1, begin + 3)
                assert like > 0.7
                assert abs(at - begin) < START_S
            desk.start()
            # A box without a battery-backed clock knows the time only from the controller: it must be back for this.
            kill_in_the_middle(boxes, second)
            heard = wait_records(desk, bulletin, SWARM + 2, 40)
            assert {record["outcome"] for record in heard} == {"played"}
            assert all(abs(record["start_error_us"]) < START_S * 1e6 for record in heard)
            assert all(seconds_of(record["received_at"]) > seconds_of(record["ended"]) + 0.5 for record in heard)
            once(desk, bulletin, SWARM + 2)
            judge_the_killed(desk, boxes, rules)
            no_traceback(
                agents.said(), desk.process.said() if desk.process else "", *(b.said() for b in boxes.values())
            )
        verified = rows(desk, "SELECT count(*), count(DISTINCT agent_id || journal || seq) FROM playrecordrow")
        assert verified[0][0] == verified[0][1]
        place(boxes["join"], long, second)


def swarm(desk: Desk, clusters: list[str], folder: Path) -> list[str | Path]:
    (folder / "swarm").mkdir()
    file = folder / "swarm" / "provisioning.json"
    with desk.api() as api:
        body = {"clusters": clusters, "controller": desk.agent_url, "life_s": 3600}
        file.write_text(json.dumps(api.post("/api/v1/provisioning", body)["provisioning"]))
    return [BIN / "loa-agent", "swarm", "--count", str(len(clusters)), "--provisioning", file, "--data", "memory"]


def kill_in_the_middle(boxes: dict[str, Box], second: float) -> None:
    """Both sound, both die, both come back."""
    wait_until(lambda: time.time() > second + 2.5, 15, "the second programme sounds")
    assert all(box.ear.sounds_now() for box in boxes.values())
    for box in boxes.values():
        box.crash()
    time.sleep(0.5)
    restarted = time.time()
    for box in boxes.values():
        box.start()
    wait_until(boxes["join"].ear.sounds_now, BACK_S, "the join box sounds again")
    assert time.time() - restarted < BACK_S
    boxes["skip"].wait(lambda said: said["state"] == "working", BACK_S, "works again")


def judge_the_killed(desk: Desk, boxes: dict[str, Box], rules: dict[str, str]) -> None:
    (joined,) = wait_records(desk, rules["join"], 1, 30)
    (skipped,) = wait_records(desk, rules["skip"], 1, 10)
    assert (joined["outcome"], skipped["outcome"]) == ("partial", "partial")
    assert joined["frames"] > skipped["frames"]
    assert seconds_of(joined["ended"]) == pytest.approx(seconds_of(joined["planned_start"]) + 16, abs=0.5)
    assert boxes["skip"].ear.last_sound() == 0, "what is to be skipped stays silent after the crash"
    assert len(records(desk, rules["join"])) == len(records(desk, rules["skip"])) == 1


def place(box: Box, programme: Samples, second: float) -> None:
    """The rest of the programme was heard where the clock says it belongs."""
    samples, times = box.ear.sound()
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    begin = loud[0] + 12_000
    piece = samples[begin : begin + 96_000]
    where, like = find(piece, programme)
    assert like > 0.7
    assert abs((times[begin] - second) - where / 48_000) < PLACE_S


def test_a_relay_is_carried_again_after_the_controller_crashed(tmp_path: Path) -> None:
    with Icecast(tmp_path / "radio", "mp3", 880) as station, Desk(tmp_path) as desk, Box(tmp_path, "box") as box:
        area = desk.area()
        cluster = desk.cluster(area, "Cụm")
        (card,) = provision(desk, [cluster], tmp_path / "cards")
        box.start("--provisioning", card)
        with desk.api() as api:
            source = api.post("/api/v1/sources", {"area_id": area, "title": "Đài", "url": station.url})["id"]
        online(desk, 1)
        begin = soon(4).timestamp()
        content = {"kind": "relay", "source": source}
        rule = schedule(desk, area, [cluster], begin, content=content, priority="RELAY", slot_s=28)
        wait_until(box.ear.sounds_now, 15, "the relay sounds")
        time.sleep(max(0.0, begin + 3 - time.time()))
        desk.crash()
        crashed = time.time()
        time.sleep(CARRIED_S + 2.5)
        assert not box.ear.sounds_now(), "what was at hand has sounded; there is no fallback"
        assert box.ear.last_sound() < crashed + CARRIED_S + SILENT_S
        desk.start()
        ready = time.time()
        wait_until(box.ear.sounds_now, 20, "the relay sounds again")
        assert time.time() < ready + CARRIED_AGAIN_S
        assert ready + CARRIED_AGAIN_S < begin + 26, "within its window"
        (record,) = wait_records(desk, rule, 1, 40)
        assert record["outcome"] in {"played", "partial"}
        assert record["frames"] > 6 * 48_000
        assert abs(box.ear.last_sound() - begin - 28) < 1.0
        assert len(rows(desk, "SELECT 1 FROM commandrow WHERE kind = 'stream_open'")) == 2
        once(desk, rule, 1)
        no_traceback(desk.process.said() if desk.process else "", box.said())
