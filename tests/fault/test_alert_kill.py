"""kill -9 of the controller within half a second after a confirmation: recorded and heard, or neither.

Two rounds in every run; ``LOA_FAULT=long`` makes fifty (a quarter of an hour: boxes hold at five starts a minute).
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from controller.cli.client import ApiClient
from controller.cli.output import CliError
from tests.system.boxes import online
from tests.system.desk import Desk, rows
from tests.system.processes import BIN, Process, run, wait_until
from tests.system.siren_desk import as_officer, composed, held, officer, swarm, template

BOXES = 3
LONG = os.environ.get("LOA_FAULT") == "long"
pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(3_600 if LONG else 300)]
ROUNDS = 50 if LONG else 2
#: After the restart every box that is there must sound within this.
SOUND_S = 10.0
#: A box holds at the fifth start within a minute. When exactly a round's start comes depends on when the controller is
#: back, so a round begins only when the fourth before it was silent for a minute.
STARTS = 4
MINUTE_S = 61.0


class Confirmation(threading.Thread):
    """A confirmation on its way; what came of it."""

    def __init__(self, desk: Desk, token: str, alert: dict[str, Any], key: str) -> None:
        super().__init__(daemon=True)
        self._desk, self._token, self._alert, self._key = desk, token, alert, key
        self.answer: dict[str, Any] | None = None

    def run(self) -> None:
        try:
            with as_officer(self._desk, self._token) as api:
                path = f"/api/v1/alerts/{self._alert['id']}/confirm"
                self.answer = api.post(path, {"code": self._alert["code"]}, idempotency_key=self._key)
        except CliError:
            self.answer = None  # the line broke: nobody knows, until they ask again with the key


def test_a_confirmation_is_recorded_and_heard_or_neither(tmp_path: Path) -> None:
    seed = int(os.environ.get("LOA_SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    sys.stderr.write(f"seed {seed}\n")
    outcomes: list[str] = []
    silenced: deque[float] = deque(maxlen=STARTS)
    with Desk(tmp_path) as desk:
        area = desk.area()
        clusters = [desk.cluster(area, f"Cụm {number}") for number in range(BOXES)]
        lan, minh = officer(desk, "lan"), officer(desk, "minh")
        with Process("swarm", swarm(desk, clusters, tmp_path), tmp_path):
            message = template(desk, area)
            online(desk, BOXES)
            held(desk, BOXES)
            for number in range(ROUNDS):
                if len(silenced) == STARTS:
                    time.sleep(max(0.0, silenced[0] + MINUTE_S - time.monotonic()))
                with as_officer(desk, lan) as api:
                    alert = composed(api, message, area, again=True)
                outcomes.append(one_round(desk, minh, alert, f"round-{number}", chance.uniform(0.0, 0.5)))
                silence(desk)
                silenced.append(time.monotonic())
            silent = [each.removeprefix("not recorded ") for each in outcomes if each.startswith("not")]
            heard = {rule for (rule,) in rows(desk, "SELECT DISTINCT rule_id FROM playrecordrow")}
            assert not heard & {f"{alert_id}_1" for alert_id in silent}
            audit = run([BIN / "loa-controller", "audit", "verify", "--data", desk.data], env=desk.cli_env)
            assert audit.returncode == 0, audit.stderr
    sys.stderr.write(f"{len(outcomes) - len(silent)} recorded, {len(silent)} not recorded\n")


def silence(desk: Desk) -> None:
    """STOP, and everybody has heard it: the next round begins in silence."""
    with desk.api() as api:
        name = api.post("/api/v1/orders/stop", {"everywhere": True})["name"]
        wait_until(lambda: api.get(f"/api/v1/orders/{name}")["accepted"] == BOXES, 20, "everybody stopped")


def one_round(desk: Desk, token: str, alert: dict[str, Any], key: str, after: float) -> str:
    confirmation = Confirmation(desk, token, alert, key)
    confirmation.start()
    time.sleep(after)
    desk.crash()
    confirmation.join(10)
    desk.start()
    restarted = time.monotonic()
    with as_officer(desk, token) as api:
        found = api.get("/api/v1/alerts/recorded", {"key": key})
        if confirmation.answer is not None:
            assert found["recorded"], "a 2xx is always recorded"
        if not found["recorded"]:
            return f"not recorded {alert['id']}"
        path = f"/api/v1/alerts/{alert['id']}"
        again = api.post(f"{path}/confirm", {"code": alert["code"]}, idempotency_key=key)
        assert again["state"] in {"confirmed", "sounding"}
        left = SOUND_S - (time.monotonic() - restarted)
        try:
            wait_until(lambda: api.get(f"{path}/board")["sounded"] == BOXES, left, "every box sounds")
        except AssertionError as error:
            raise AssertionError(f"{error}; {key}, killed after {after:.3f} s: {standing(desk, api, path)}") from None
    wait_until(lambda: len(orders(desk, alert["id"])) == 1, 5, "one order, in the database")
    return f"recorded {alert['id']}"


def standing(desk: Desk, api: ApiClient, path: str) -> str:
    """How far it came at every box, and what the boxes say of themselves."""
    board = [(row["state"], row["code"], row["times"]) for row in api.get(f"{path}/board")["rows"]]
    boxes = [(one["online"], one["faults"]) for one in api.get("/api/v1/agents")["items"]]
    kept = rows(desk, "SELECT rule_id, outcome, code, started FROM playrecordrow ORDER BY id")[-BOXES:]
    return f"board {board}, boxes {boxes}, last records {kept}"


def orders(desk: Desk, alert_id: str) -> list[str]:
    return [body for (body,) in rows(desk, "SELECT body FROM commandrow WHERE kind = 'play'") if alert_id in body]
