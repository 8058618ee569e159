"""The doors of an alert at a real controller: two tabs, a retry, a duplicate, a role taken away, a locked database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from controller.cli.output import CliError
from tests.system.boxes import online
from tests.system.desk import Desk, LockedDatabase, rows
from tests.system.processes import BIN, Process, run, wait_until
from tests.system.siren_desk import as_officer, composed, held, officer, swarm, template

pytestmark = [pytest.mark.system, pytest.mark.slow]
BOXES = 2
#: Each test has a commune of its own: a box holds when it is told to start five times in a minute.
COMMUNES = ("A Vao", "Tà Rụt", "Ba Nang", "Húc Nghì")


@dataclass(frozen=True)
class Hall:
    """A commune with two boxes, one template and two officers; more communes."""

    desk: Desk
    area: str
    message: str
    lan: str
    minh: str
    communes: Iterator[str]

    def armed(self, **more: object) -> dict[str, Any]:
        with as_officer(self.desk, self.lan) as api:
            return composed(api, self.message, self.area, **more)

    def confirm(self, alert: dict[str, Any], key: str, token: str | None = None) -> dict[str, Any]:
        with as_officer(self.desk, token or self.minh) as api:
            path, body = f"/api/v1/alerts/{alert['id']}/confirm", {"code": alert["code"]}
            said: dict[str, Any] = api.post(path, body, idempotency_key=key)
        return said

    def sounds(self, alert: dict[str, Any], seconds: float = 10) -> None:
        with as_officer(self.desk, self.lan) as api:
            path = f"/api/v1/alerts/{alert['id']}/board"
            wait_until(lambda: api.get(path)["sounded"] == BOXES, seconds, "every box sounds")

    def orders(self, alert: dict[str, Any]) -> int:
        """Start orders of an alert that are in the database."""
        bodies = [body for (body,) in rows(self.desk, "SELECT body FROM commandrow WHERE kind = 'play'")]
        return sum(alert["id"] in body for body in bodies)


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    folder: Path = tmp_path_factory.mktemp("doors")
    with Desk(folder) as desk:
        areas = [desk.area(name) for name in COMMUNES]
        clusters = [desk.cluster(area, f"Cụm {number}") for area in areas for number in range(BOXES)]
        lan, minh = officer(desk, "lan"), officer(desk, "minh")
        with Process("swarm", swarm(desk, clusters, folder), folder):
            message = template(desk, areas[0])
            online(desk, len(clusters))
            held(desk, len(clusters))
            yield Hall(desk, "", message, lan, minh, iter(areas))
        audit = run([BIN / "loa-controller", "audit", "verify", "--data", desk.data], env=desk.cli_env)
        assert audit.returncode == 0, audit.stderr


@pytest.fixture
def hall(district: Hall) -> Iterator[Hall]:
    yield replace(district, area=next(district.communes))
    with district.desk.api() as api:
        api.post("/api/v1/orders/stop", {"everywhere": True})


def test_two_tabs_a_double_click_and_a_retry_are_one_order(hall: Hall) -> None:
    alert = hall.armed()
    keys = ["tab 1", "tab 1", "tab 2", "tab 2"]
    with ThreadPoolExecutor(len(keys)) as tabs:
        answers = list(tabs.map(lambda key: hall.confirm(alert, key), keys))
    assert {answer["id"] for answer in answers} == {alert["id"]}
    assert len({answer["given"]["at"] for answer in answers}) == 1
    hall.sounds(alert)
    assert hall.confirm(alert, "tab 1")["given"] == answers[0]["given"]  # the answer got lost: asked again, much later
    wait_until(lambda: hall.orders(alert) == 1, 5, "one order, in the database")


def test_the_same_within_three_minutes_is_said_to_be_a_duplicate(hall: Hall) -> None:
    first = hall.armed()
    hall.confirm(first, "first")
    second = hall.armed()
    with pytest.raises(CliError) as refused:
        hall.confirm(second, "second")
    assert refused.value.code == "duplicate_order"
    assert first["id"] in refused.value.detail
    with as_officer(hall.desk, hall.minh) as api:
        assert api.get("/api/v1/alerts/recorded", {"key": "second"})["recorded"] is False
        api.post("/api/v1/orders/stop", {"areas": [hall.area]})
        api.post("/api/v1/orders/stop", {"areas": [hall.area]})  # never a duplicate
    hall.confirm(second, "second, after a STOP")
    hall.sounds(second)
    again = hall.armed(again=True)
    hall.confirm(again, "meant")
    hall.sounds(again, 40)  # it waits for its equal to end
    assert hall.orders(first) + hall.orders(second) <= 2


def test_who_lost_the_role_a_moment_ago_cannot_confirm_with_the_session_they_have(hall: Hall) -> None:
    hoa = officer(hall.desk, "hoa")
    alert = hall.armed()
    with hall.desk.api() as admin:
        (user,) = [each["id"] for each in admin.get("/api/v1/users")["items"] if each["name"] == "hoa"]
        admin.patch(f"/api/v1/users/{user}", {"grants": [{"role": "viewer", "area_id": None}]})
        with pytest.raises(CliError) as refused:
            hall.confirm(alert, "hoa", hoa)
        assert refused.value.code == "forbidden"
        with as_officer(hall.desk, hall.lan) as api:
            assert api.get(f"/api/v1/alerts/{alert['id']}")["state"] == "armed"
            assert api.get(f"/api/v1/alerts/{alert['id']}")["counts"] is None
        admin.patch(f"/api/v1/users/{user}", {"grants": [{"role": "duty_officer", "area_id": None}]})
    hall.confirm(alert, "hoa again", hoa)
    hall.sounds(alert)


def test_a_locked_database_holds_up_nobody(hall: Hall) -> None:
    alert = hall.armed()
    with LockedDatabase(hall.desk):
        begun = time.monotonic()
        assert hall.confirm(alert, "locked")["state"] in {"confirmed", "sounding"}
        hall.sounds(alert, 5)
        with as_officer(hall.desk, hall.lan) as api:
            api.post(f"/api/v1/alerts/{alert['id']}/cancel", {"reason": "thử"})
        assert time.monotonic() - begun < 8
    wait_until(lambda: hall.orders(alert) >= 1, 30, "what was done is written down once the lock is gone")
