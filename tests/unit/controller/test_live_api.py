"""Live sound over HTTP on a running controller: the microphone's WebSocket, its refusals, recordings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from sqlmodel import col, select

from audio.codec import OpusEncoder
from controller.api.microphone import MOST_A_SECOND, PROTOCOL, packet_us
from controller.store import Database, sqlite_url
from controller.store.tables import Audit
from tests.unit.controller.staff import Staff, open_staff


@asynccontextmanager
async def district(folder: Path) -> AsyncIterator[tuple[Staff, str]]:
    async with open_staff(folder / "data", disk_reserve_mib=0) as staff:
        body = {"name": "Tà Rụt", "kind": "xã", "quiet_hours": "none"}
        area = await staff.made("/api/v1/areas", body)
        yield staff, await staff.made("/api/v1/clusters", {"name": "A", "area_id": area})


def microphone(staff: Staff, session: str, **more: Any) -> Any:
    headers = {"Authorization": f"Bearer {staff.token}"} if "protocols" not in more else {}
    said = {"protocols": (PROTOCOL,), "headers": {**headers, **more.pop("headers", {})}, **more}
    return staff.http.ws_connect(f"{staff.running.staff_url}/api/v1/live/{session}/microphone", **said)


async def told(socket: aiohttp.ClientWebSocketResponse, kind: str, **fields: Any) -> dict[str, Any]:
    """The next message of a kind that says this."""
    async with asyncio.timeout(20):
        while True:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, (message, kind, fields)
            said: dict[str, Any] = json.loads(message.data)
            if said["type"] == kind and all(said.get(name) == value for name, value in fields.items()):
                return said


async def test_a_browser_speaks_opus_and_what_went_on_air_can_be_heard_again(tmp_path: Path) -> None:
    async with district(tmp_path) as (staff, cluster):
        session = await staff.made("/api/v1/live", {"clusters": [cluster], "title": "Thông báo", "chime_after": False})
        encoder = OpusEncoder()
        noise = np.random.default_rng(3).standard_normal(960).astype(np.float32) * 0.1
        own = {"Origin": staff.running.staff_url}
        async with microphone(staff, session, protocols=(PROTOCOL, f"bearer.{staff.token}"), headers=own) as socket:
            assert socket.protocol == PROTOCOL
            await socket.send_str(json.dumps({"type": "hello", "codec": "opus"}))
            await told(socket, "state", state="on_air")
            for _ in range(30):
                await socket.send_bytes(encoder.encode(noise))
                await asyncio.sleep(0.02)
            assert (await told(socket, "meter"))["rms_db"] == pytest.approx(-20, abs=3)
            await socket.send_str('{"type": "extend"}')
            assert (await told(socket, "state", state="on_air"))["left_s"] > 1_000
            await socket.send_str('{"type": "sing"}')
            await told(socket, "error", code="unknown_message")
            await socket.send_str('{"type": "stop"}')
            assert (await told(socket, "bye"))["code"] == "ended_by_speaker"
        async with asyncio.timeout(10):
            while not (view := (await staff.call("GET", f"/api/v1/live/{session}"))[1])["ended"]:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.05)
            path = f"/api/v1/tapes/{view['tape_id']}"
            while (await staff.call("GET", path))[1]["state"] != "whole":  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.1)
        status, listed = await staff.call("GET", "/api/v1/tapes")
        assert (status, [one["subject"] for one in listed["items"]]) == (200, [session])
        headers = {"Authorization": f"Bearer {staff.token}"}
        async with staff.http.get(staff.running.staff_url + path + "/sound", headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/ogg")
            assert (await answer.read()).startswith(b"OggS")


async def test_a_session_that_a_shutdown_cuts_off_is_in_the_log(tmp_path: Path) -> None:
    async with district(tmp_path) as (staff, cluster):
        session = await staff.made("/api/v1/live", {"clusters": [cluster]})
    db = Database(sqlite_url(str(tmp_path / "data" / "loa.db")), now=lambda: datetime.now(UTC))
    async with db.read() as rows:
        said = (await rows.exec(select(Audit).where(col(Audit.action) == "live.end"))).all()
    await db.close()
    assert [one.subject for one in said] == [session]


async def test_who_may_not_open_a_microphone(tmp_path: Path) -> None:
    async with district(tmp_path) as (staff, cluster):
        session = await staff.made("/api/v1/live", {"clusters": [cluster]})
        path = f"/api/v1/live/{session}/microphone"
        assert (await staff.call("GET", path))[0] == 426
        nobody = Staff(staff.running, staff.http, None)
        other = await staff.user("truc", {"role": "operator", "area_id": None})
        viewer = await staff.user("xem", {"role": "viewer", "area_id": None})
        evil = {"Origin": "https://evil.example"}
        tries: list[tuple[Staff, str, dict[str, Any], int]] = [
            (nobody, session, {"protocols": (PROTOCOL,)}, 401),
            (nobody, session, {"protocols": (PROTOCOL, "bearer.loa_wrong")}, 401),
            (other, session, {}, 403),
            (viewer, session, {}, 403),
            (staff, session, {"headers": evil}, 403),
            (staff, session, {"headers": {"Origin": "null"}}, 403),
            (staff, session, {"protocols": ("loa.other.1", f"bearer.{staff.token}")}, 400),
            (staff, "lv_nothing", {}, 404),
        ]
        for who, which, more, expected in tries:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await microphone(who, which, **more)
            assert refused.value.status == expected, more
        assert (await viewer.call("POST", "/api/v1/live", {"clusters": [cluster]}))[0] == 403
        assert (await viewer.call("GET", "/api/v1/tapes"))[0] == 403
        status, busy = await other.call("POST", "/api/v1/live", {"clusters": [cluster]})
        assert (status, busy["code"]) == (409, "live_busy")
        status, _ = await staff.call("POST", "/api/v1/live", {"clusters": [cluster], "input": "url"})
        assert status == 422
        assert (await staff.call("POST", f"/api/v1/live/{session}/stop", {}))[0] == 200
        status, unheard = await staff.call("GET", "/api/v1/tapes/at_nothing")
        assert (status, unheard["code"]) == (404, "not_found")


async def test_who_loses_the_right_while_speaking_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.api.microphone.LOOK_S", 0.05)
    everywhere = {"role": "operator", "area_id": None}
    async with district(tmp_path) as (staff, cluster):
        users: dict[str, str] = {}
        for name, change, code in (
            ("lan", {"disabled": True}, "unauthenticated"),
            ("mai", {"grants": [{"role": "viewer", "area_id": None}]}, "forbidden"),
        ):
            person = await staff.user(name, everywhere)
            page = (await staff.call("GET", "/api/v1/users"))[1]
            users = {one["name"]: one["id"] for one in page["items"]}
            session = await person.made("/api/v1/live", {"clusters": [cluster], "chime_before": False})
            async with microphone(person, session) as socket:
                await socket.send_str(json.dumps({"type": "hello", "codec": "pcm", "rate": 48_000}))
                await told(socket, "state", state="on_air")
                assert (await staff.call("PATCH", f"/api/v1/users/{users[name]}", change))[0] == 200
                assert (await told(socket, "bye"))["code"] == code
            async with asyncio.timeout(10):
                while not (view := (await staff.call("GET", f"/api/v1/live/{session}"))[1])["ended"]:  # noqa: ASYNC110 - over HTTP
                    await asyncio.sleep(0.05)
            assert view["code"] == "right_taken"


async def test_a_microphone_that_does_not_behave(tmp_path: Path) -> None:
    async with district(tmp_path) as (staff, cluster):
        session = await staff.made("/api/v1/live", {"clusters": [cluster], "chime_before": False})
        for first in ("hello", '{"type": "hello", "codec": "mp3"}', '{"type": "hello", "codec": "pcm", "rate": 8000}'):
            async with microphone(staff, session) as socket:
                await socket.send_str(first)
                await told(socket, "error", code="bad_hello")
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        async with microphone(staff, session) as socket:
            await socket.send_bytes(b"no hello")
            await told(socket, "error", code="bad_hello")
        async with microphone(staff, session) as socket:
            await socket.send_str(json.dumps({"type": "hello", "codec": "pcm", "rate": 48_000}))
            await told(socket, "state", state="on_air")
            await socket.send_bytes(bytes(100_000))  # larger than any frame
            async with asyncio.timeout(5):
                while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    pass
        async with microphone(staff, session) as socket:  # the session waits for its speaker
            await socket.send_str(json.dumps({"type": "hello", "codec": "pcm", "rate": 48_000}))
            await told(socket, "state", state="on_air")
            for _ in range(MOST_A_SECOND * 4 + 50):
                await socket.send_bytes(b"\0\0")
            async with asyncio.timeout(5):
                while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
                    pass
        view = (await staff.call("GET", f"/api/v1/live/{session}"))[1]
        assert view["state"] == "absent"


async def test_the_document_tells_of_the_upgrade(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        status, document = await staff.call("GET", "/api/v1/openapi.json")
        operation = document["paths"]["/api/v1/live/{session_id}/microphone"]["get"]
        assert status == 200
        assert {"101", "401", "403", "404", "426"} <= operation["responses"].keys()


def test_how_long_a_packet_lasts() -> None:
    assert packet_us(OpusEncoder().encode(np.zeros(960, np.float32))) == 20_000
    assert packet_us(b"\xf8\xff\xfe") == 20_000
    assert packet_us(bytes([0b11110001, 0])) == 20_000  # two of 10 ms
    assert packet_us(bytes([0b00011011, 63])) == 120_000  # claims more than a packet may hold
    assert packet_us(b"\x03") == 0
