"""Drills over HTTP and from the command line, on a running controller: paths of their own, never an alert."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.controller.staff import Staff, open_staff
from tests.unit.controller.test_cli_desk import Shell

pytestmark = pytest.mark.slow


@pytest.fixture
async def staff(tmp_path: Path) -> AsyncIterator[Staff]:
    async with open_staff(tmp_path / "data") as opened:
        yield opened


async def district(staff: Staff) -> tuple[str, str]:
    area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã", "quiet_hours": "none"})
    return area, await staff.made("/api/v1/clusters", {"name": "A", "area_id": area})


async def test_a_silent_test_from_the_api(staff: Staff) -> None:
    _, cluster = await district(staff)
    status, made = await staff.call("POST", "/api/v1/drills", {"kind": "silent", "clusters": [cluster]})
    assert (status, made["kind"], made["boxes"], made["clusters"]) == (201, "silent", 0, 1)
    assert made["id"].startswith("dr_")
    status, listed = await staff.call("GET", "/api/v1/drills")
    assert (status, [each["id"] for each in listed["items"]]) == (200, [made["id"]])
    status, alerts = await staff.call("GET", "/api/v1/alerts")
    assert (status, alerts["items"]) == (200, [])
    for path in ("", "/board", "/review"):  # no way from one to the other
        status, refused = await staff.call("GET", f"/api/v1/alerts/{made['id']}{path}")
        assert (status, refused["code"]) == (404, "alert_not_found")
    status, refused = await staff.call("POST", f"/api/v1/alerts/{made['id']}/override", {"reason": "make it real"})
    assert status == 404
    status, cards = await staff.call("GET", "/api/v1/drills/scorecard")
    assert (status, cards["items"]) == (200, [])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "alert"}, 422, "invalid_input"),
        ({"kind": "drill", "everywhere": True}, 422, "no_content"),
        ({"kind": "silent"}, 422, "no_target"),
        ({"kind": "silent", "clusters": ["cl_nothere000"]}, 404, "cluster_not_found"),
        ({"kind": "drill", "everywhere": True, "template": "tp_nothere000"}, 404, "template_not_found"),
        ({"kind": "silent", "everywhere": True, "priority": 80}, 422, "invalid_input"),
    ],
)
async def test_refusals_have_a_code(staff: Staff, body: dict[str, Any], status: int, code: str) -> None:
    await district(staff)
    await staff.running.air.drills.desk.notices.ready()
    got, refused = await staff.call("POST", "/api/v1/drills", body)
    assert (got, refused["code"]) == (status, code)


async def test_from_the_shell(staff: Staff, tmp_path: Path) -> None:
    await district(staff)
    shell = Shell(tmp_path / "home", staff.running.staff_url, staff.token or "")
    done = await shell("drill", "silent", "--all", "--json")
    assert done.code == 0, done.err
    drill = json.loads(done.out)
    assert (drill["kind"], drill["results"]) == ("silent", [])
    listed = await shell("drill", "list", "--json")
    assert [json.loads(line)["id"] for line in listed.out.splitlines()] == [drill["id"]]
    shown = await shell("drill", "show", drill["id"])
    assert drill["id"] in shown.out
    cards = await shell("drill", "scorecard", "--json")
    assert (cards.code, cards.out) == (0, "")
    for wrong in (("drill", "silent"), ("drill", "test", "--all", "--area", "x"), ("drill", "start", "--say", "vi")):
        assert (await shell(*wrong)).code == 2
    missing = await shell("drill", "show", "dr_nothere00")
    assert (missing.code, "drill_not_found" in missing.err) == (1, True)
