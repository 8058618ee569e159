"""One box, from the confirmed alert to silence: it sounds, dies in the middle and goes on, is made mute, proves itself
without a sound, and takes part in a drill."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.boxes import Box, no_traceback, provision
from tests.system.desk import Desk
from tests.system.processes import wait_until
from tests.system.siren_desk import as_officer, composed, held, officer, template

pytestmark = [pytest.mark.system, pytest.mark.timing, pytest.mark.slow]

#: LEAD is 0.4 s; the rest is two fsyncs, a WebSocket, a hash and the WAV output's own 100 ms on a busy machine.
HEARD_S = 1.5
SILENT_S = 1.0
BACK_S = 10.0

WORDS = "Cảnh báo lũ. Nước đang lên rất nhanh. Bà con ở vùng thấp hãy lên chỗ cao ngay. " * 2


def test_from_confirm_to_silence(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk, Box(tmp_path, "box") as box:
        area = desk.area()
        cluster = desk.cluster(area, "A Vao 1")
        (card,) = provision(desk, [cluster], tmp_path / "cards")
        box.start("--provisioning", card)
        ready = template(desk, area, WORDS)
        composer, second = officer(desk, "an"), officer(desk, "binh")
        held(desk, 1, 60)
        alert = confirmed(desk, composer, second, ready, area)
        confirmed_at = time.time()
        wait_until(box.ear.sounds_now, 10, "the alert sounds")
        assert time.time() - confirmed_at < HEARD_S + 0.3  # the ear listens 0.3 s back
        dies_and_goes_on(box)
        assert board(desk, alert)["sounded"] == 1
        mute(desk, box, (composer, second), ready, area)
        tried(desk, box, cluster, composer)
        no_traceback(box.said(), desk.process.said() if desk.process else "")


def confirmed(desk: Desk, composer: str, second: str, ready: str, area: str) -> str:
    with as_officer(desk, composer) as one, as_officer(desk, second) as other:
        repetition = {"times": 2, "gap_s": 1}
        alert = composed(one, ready, area, again=True, repetition=repetition)
        other.post(f"/api/v1/alerts/{alert['id']}/confirm", {"code": alert["code"]})
    return str(alert["id"])


def board(desk: Desk, alert: str) -> dict[str, Any]:
    with desk.api() as api:
        said: dict[str, Any] = api.get(f"/api/v1/alerts/{alert}/board")
    return said


def dies_and_goes_on(box: Box) -> None:
    time.sleep(1.5)
    box.crash()
    time.sleep(0.5)
    again = time.time()
    box.start()
    wait_until(box.ear.sounds_now, BACK_S, "it sounds again after kill -9")
    assert time.time() - again < BACK_S


def mute(desk: Desk, box: Box, officers: tuple[str, str], ready: str, area: str) -> None:
    composer, second = officers
    with as_officer(desk, second) as api:
        api.post("/api/v1/orders/stop", {"everywhere": True, "hold_s": 600})
        stopped = time.time()
        wait_until(lambda: not box.ear.sounds_now(0.2), SILENT_S + 1, "STOP silences it")
        assert time.time() - stopped < SILENT_S + 0.2
        alert = confirmed(desk, composer, second, ready, area)
        wait_until(lambda: board(desk, alert)["counts"]["muted"] == 1, 10, "the board says that it is mute")
        assert "muted" in box.faults()
        assert not box.ear.sounds_now()
        with desk.api() as look:
            faults = {fault["code"] for each in look.get("/api/v1/agents")["items"] for fault in each["faults"]}
        assert "muted" in faults or box.asked()["status"]["muted"]["by"] == "order"
        api.post(f"/api/v1/alerts/{alert}/cancel", {})
        api.post("/api/v1/orders/stop", {"everywhere": True})
        api.post("/api/v1/orders/release", {"everywhere": True})
    wait_until(lambda: "muted" not in box.faults(), 10, "the release lets it sound again")


def tried(desk: Desk, box: Box, cluster: str, token: str) -> None:
    def ended(drill: str, word: str) -> dict[str, Any]:
        result: dict[str, Any] = {}

        def done() -> bool:
            nonlocal result
            with as_officer(desk, token) as api:
                result = api.get(f"/api/v1/drills/{drill}")["results"][0]
            return bool(result[word] or result["code"])

        wait_until(done, 40, f"the drill's {word}")
        return result

    with as_officer(desk, token) as api:
        silent = api.post("/api/v1/drills", {"kind": "silent", "clusters": [cluster]})["id"]
    checks = {check["name"]: check for check in ended(silent, "tested_at")["checks"]}
    assert {name for name, check in checks.items() if not check["ok"]} == set(), checks
    wait_until(lambda: not box.ear.sounds_now(), 10, "silence before the drill")
    begin = time.time()
    with as_officer(desk, token) as api:
        drill = api.post("/api/v1/drills", {"kind": "test", "clusters": [cluster]})["id"]
    result = ended(drill, "finished_at")
    assert (result["passed"], result["code"]) == (True, "")
    assert box.ear.last_sound() > begin + 2
    with as_officer(desk, token) as api:
        (card,) = api.get("/api/v1/drills/scorecard")["items"]
        alerts = api.get("/api/v1/alerts")["items"]
    assert (card["tries"], card["passed"], card["stock_ok"], card["clock_ok"]) == (2, 2, True, True)
    assert not any(each["id"] in {drill, silent} for each in alerts)
