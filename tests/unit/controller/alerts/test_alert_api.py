"""Alerts over HTTP on a whole running controller: the path people take, also while the database is locked."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from tests.unit.controller.air_kit import until
from tests.unit.controller.staff import Staff, open_staff
from tests.unit.controller.test_orders import locked

WORDS = [{"language": "vi", "text": "Lũ về."}]


async def furnished(staff: Staff) -> tuple[str, str, Staff, Staff]:
    """An area, a cluster with coordinates and a village head, and two duty officers."""
    area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
    cluster = await staff.made(
        "/api/v1/clusters",
        {"name": "A Vao <1>", "area_id": area, "latitude": 16.4, "longitude": 107.0,
         "contact_name": "Hồ Văn Lan", "contact_phone": "0912 345 678"},
    )  # fmt: skip
    grant = {"role": "duty_officer", "area_id": area}
    return area, cluster, await staff.user("lan", grant), await staff.user("minh", grant)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Staff, str, str, Staff, Staff]]:
    async with open_staff(folder) as staff:
        yield (staff, *await furnished(staff))


async def activated(staff: Staff, area: str) -> str:
    """A template in force; its words spoken by the real engine, its sounds approved."""
    body = {"area_id": area, "category": "flood", "title": "Cảnh báo lũ", "words": WORDS,
            "cancel_words": [{"language": "vi", "text": "Đã hủy."}], "times": 1}  # fmt: skip
    status, made = await staff.call("POST", "/api/v1/templates", body)
    assert status == 201, made
    for words in (*made["words"], *made["cancel_words"]):
        path = f"/api/v1/recordings/{words['recording']}"
        await processed(staff, words["recording"])
        _, row = await staff.call("GET", path)
        status, refused = await staff.call("POST", f"/api/v1/templates/{made['id']}/activate", {"version": 1})
        assert (status, refused["code"]) == (422, "not_approved")
        await staff.call("POST", f"{path}/decision", {"sha256": row["sha256"], "decision": "approved"})
    status, active = await staff.call("POST", f"/api/v1/templates/{made['id']}/activate", {"version": 1})
    assert (status, active["state"]) == (200, "active")
    return str(made["id"])


async def processed(staff: Staff, recording: str) -> None:
    recordings = staff.running.air.catalogue.recordings
    await until(lambda: recordings[recording].state != "processing", within=30)


@pytest.mark.slow
async def test_from_the_template_to_the_call_sheet(tmp_path: Path) -> None:
    async with opened(tmp_path) as (staff, area, cluster, lan, minh):
        template = await activated(staff, area)
        draft = {"template": template, "circles": ["16.4,107.0 3"]}
        status, review = await lan.call("POST", "/api/v1/alerts/review", draft)
        assert status == 200, review
        assert (review["clusters"], review["offline"]) == (1, [cluster])
        assert "1 cụm loa" in review["sentence"]
        assert "Lũ về." in review["sentence"]
        english = {"Accept-Language": "en-GB,en;q=0.9,vi;q=0.5"}
        _, other = await lan.call("POST", "/api/v1/alerts/review", draft, headers=english)
        assert other["sentence"].startswith("REAL ALERT “Cảnh báo lũ”: sounds at once at 1 cluster,")
        assert next(each["text"] for each in other["cautions"]) == "1 cluster offline: telephone the village head"
        assert (review["words"], review["cancel_words"]) == ({"vi": "Lũ về."}, {"vi": "Đã hủy."})
        assert {each["code"] for each in review["cautions"]} >= {"offline"}

        async with locked(tmp_path / "loa.db"):  # another program holds the database: nobody waits for it
            begun = asyncio.get_running_loop().time()
            status, made = await lan.call("POST", "/api/v1/alerts", draft, headers={"Idempotency-Key": "k1"})
            assert (status, made["state"]) == (201, "armed"), made
            path = f"/api/v1/alerts/{made['id']}"
            _, seen = await minh.call("GET", path)
            heard, _ = await minh.call("GET", f"{path}/sounds/{seen['sha256'][0]}")
            assert heard == 200
            assert await minh.call("GET", f"{path}/sounds/{'0' * 64}") == (404, ANY)
            assert seen["code"] is None
            assert (seen["composed"]["by"], seen["composed"]["display_name"]) == ("lan", "")
            _, seen = await minh.call("GET", f"{path}/review", headers=english)
            assert seen["sentence"] == other["sentence"]  # two people, each in their own language
            status, refused = await lan.call("POST", f"{path}/confirm", {"code": made["code"]})
            assert (status, refused["code"]) == (403, "same_person")
            key = {"Idempotency-Key": "k2"}
            status, given = await minh.call("POST", f"{path}/confirm", {"code": made["code"]}, headers=key)
            assert (status, given["state"]) == (200, "confirmed"), given
            assert asyncio.get_running_loop().time() - begun < 2.0
            _, recorded = await minh.call("GET", "/api/v1/alerts/recorded?key=k2")
            assert recorded == {"recorded": True, "step": "confirm", "alert_id": made["id"], "state": "confirmed"}
            _, nothing = await minh.call("GET", "/api/v1/alerts/recorded?key=other")
            assert nothing["recorded"] is False

        air = staff.running.air
        board_of = air.alarms.desk.board(made["id"])
        assert board_of is not None
        object.__setattr__(board_of, "start", board_of.start.replace(year=board_of.start.year - 1))
        _, board = await minh.call("GET", f"{path}/board")
        assert [(row["cluster"], row["contact_phone"]) for row in board["red"]] == [("A Vao <1>", "0912 345 678")]
        assert await sheet(minh, f"{path}/call-sheet?plain=true", "0912 345 678")
        assert "A Vao &lt;1&gt;" in await sheet(minh, f"{path}/call-sheet", "Hồ Văn Lan")

        status, over = await lan.call("POST", f"{path}/cancel", {"reason": "nhầm"})
        assert (status, over["state"]) == (200, "cancelled")
        await until(lambda: air.ledger.behind == 0, within=15)
        await air.alarms.books.write()
        assert rows(tmp_path, "SELECT state FROM alertrow") == [("cancelled",)]
        _, verdict = await staff.call("GET", "/api/v1/audit?limit=100")
        actions = [entry["action"] for entry in verdict["items"]]
        assert {"alert.compose", "alert.confirm", "alert.cancel", "order.play", "order.withdraw"} <= set(actions)
        assert [made["code"] in json.dumps(entry) for entry in verdict["items"]].count(True) == 0


async def sheet(staff: Staff, path: str, expected: str) -> str:
    headers = {"Authorization": f"Bearer {staff.token}"}
    async with staff.http.get(staff.running.staff_url + path, headers=headers) as response:
        assert response.status == 200
        text = await response.text()
    assert expected in text
    assert "<script" not in text
    return text


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "loa.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.slow
async def test_the_board_streams_what_changes_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as (staff, area, _cluster, lan, minh):
        template = await activated(staff, area)
        _, made = await lan.call("POST", "/api/v1/alerts", {"template": template, "areas": [area]})
        path = f"/api/v1/alerts/{made['id']}"
        status, early = await minh.call("GET", f"{path}/events")
        assert (status, early["code"]) == (409, "no_board")
        await minh.call("POST", f"{path}/confirm", {"code": made["code"]})
        headers = {"Authorization": f"Bearer {minh.token}"}
        async with minh.http.get(minh.running.staff_url + f"{path}/events", headers=headers) as stream:
            first = await event(stream)
            assert [row["state"] for row in first["rows"]] == ["no_box"]
            room = staff.running.air.alarms.boards
            room.stopped(None, staff.running.foundation.clock.now())
        headers["Last-Event-ID"] = str(first["revision"] + 5)
        async with minh.http.get(minh.running.staff_url + f"{path}/events", headers=headers) as stream:
            board = room.get(made["id"])
            assert board is not None
            board.close(staff.running.foundation.clock.now())
            room._tell(board)
            async with asyncio.timeout(20):
                assert b"event: over" in await stream.content.read()


async def event(stream: Any) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            line = (await stream.content.readline()).decode()
            if line.startswith("data: "):
                found: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return found
