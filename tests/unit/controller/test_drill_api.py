"""Drills over HTTP and from the command line, on a running controller: paths of their own, never an alert."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.controller.air_kit import until
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
    _, told = await staff.call("GET", f"/api/v1/drills/{made['id']}")
    assert (told["started_by"], told["started_by_name"], told["notices"]) == ("admin", told["started_by_name"], {})
    status, script = await staff.call("GET", "/api/v1/drills/script")
    assert status == 200
    assert all("diễn tập" in text for language, text in script["notices"].items() if language == "vi")


async def test_who_looks_after_boxes_tests_and_mutes_one_cluster_and_nothing_wider(staff: Staff) -> None:
    area, cluster = await district(staff)
    elsewhere = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    far = await staff.made("/api/v1/clusters", {"name": "B", "area_id": elsewhere})
    duty = await staff.user("truc", {"role": "duty_officer", "area_id": area})
    crew = await staff.user("hoang", {"role": "technician", "area_id": area})
    reader = await staff.user("xem", {"role": "viewer"})
    one, hold = f"/api/v1/clusters/{cluster}", {"hold_s": 600}

    status, made = await crew.call("POST", f"{one}/self-test")
    assert (status, made["kind"], made["clusters"], made["words"]) == (201, "silent", 1, {})
    assert (await crew.call("GET", f"/api/v1/drills/{made['id']}"))[0] == 200
    assert (await duty.call("POST", f"{one}/self-test"))[0] == 201
    assert (await crew.call("POST", f"{one}/hold", hold))[0] == 200
    _, held = await reader.call("GET", "/api/v1/holds")
    assert [(each["cluster_id"], each["by"], each["crew"]) for each in held["items"]] == [(cluster, "hoang", True)]
    for officer, told in ((duty, 1), (crew, 0), (reader, 0)):
        _, notices = await officer.call("GET", "/api/v1/notices")
        assert [each["kind"] for each in notices["items"]] == ["cluster_held"] * told
        assert all("“A”" in each["text"] for each in notices["items"])

    refused: list[tuple[Staff, str, Any, int]] = [
        (crew, "/api/v1/drills", {"kind": "silent", "clusters": [cluster]}, 403),
        (crew, "/api/v1/drills", {"kind": "test", "clusters": [cluster]}, 403),
        (crew, "/api/v1/drills", {"kind": "silent", "areas": [area]}, 403),
        (crew, f"/api/v1/drills/{made['id']}/cancel", None, 403),
        (crew, f"/api/v1/clusters/{far}/self-test", None, 403),
        (crew, f"/api/v1/clusters/{far}/hold", hold, 403),
        (crew, f"/api/v1/clusters/{far}/release", None, 403),
        (crew, "/api/v1/clusters/cl_nothere000/self-test", None, 404),
        (crew, f"{one}/hold", {"hold_s": 5 * 3600}, 422),
        (crew, "/api/v1/orders/stop", {"clusters": [cluster], **hold}, 403),
        (crew, "/api/v1/orders/release", {"clusters": [cluster]}, 403),
        *[
            (reader, f"{one}/{deed}", hold if deed == "hold" else None, 403)
            for deed in ("self-test", "hold", "release")
        ],
    ]
    for who, path, body, expected in refused:
        status, answer = await who.call("POST", path, body)
        assert status == expected, (path, body, answer)
    _, review = await duty.call(
        "POST",
        "/api/v1/alerts/review",
        {"kind": "text", "areas": [area], "title": "Lũ", "words": [{"language": "vi", "text": "Lũ về."}],
         "cancel_words": [{"language": "vi", "text": "Hết lũ."}]},
    )  # fmt: skip
    assert review["mute"] == [cluster]
    assert "mute" in [each["code"] for each in review["cautions"]]
    assert (await crew.call("POST", f"{one}/release"))[0] == 200
    assert (await crew.call("GET", "/api/v1/holds"))[1]["items"] == []
    await until(lambda: staff.running.air.ledger.behind == 0)
    _, audit = await staff.call("GET", "/api/v1/audit?action=order.stop")
    assert audit["items"][0]["details"]["crew"] is True


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
