"""The air over HTTP and from the command line, on a running controller: every refusal has a status and a code."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import wave
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.unit.controller.staff import Staff, open_staff


def voice(path: Path, seconds: float = 1.0) -> Path:
    """A WAV file with a tone in it."""
    frames = int(48_000 * seconds)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(b"".join(((i * 37) % 8000 - 4000).to_bytes(2, "little", signed=True) for i in range(frames)))
    return path


async def settled(staff: Staff, recording_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            _, view = await staff.call("GET", f"/api/v1/recordings/{recording_id}")
            if view["state"] != "processing":
                return dict(view)
            await asyncio.sleep(0.05)


async def upload(staff: Staff, query: dict[str, str], data: Any, **headers: str) -> tuple[int, Any]:
    own = {"Authorization": f"Bearer {staff.token}", **headers}
    url = staff.running.staff_url + "/api/v1/recordings"
    async with staff.http.post(url, params=query, data=data, headers=own) as response:
        return response.status, await response.json()


@pytest.mark.slow
async def test_from_the_file_to_the_grid(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data", disk_reserve_mib=0) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        await staff.made("/api/v1/clusters", {"name": "A", "area_id": area})
        form = aiohttp.FormData()
        form.add_field("area_id", area)
        form.add_field("title", "Bản tin")
        form.add_field("file", voice(tmp_path / "voice.wav").read_bytes(), filename="voice.wav")
        status, made = await upload(staff, {}, form)
        assert (status, made["state"], made["original_name"]) == (201, "processing", "voice.wav")
        long = voice(tmp_path / "long.wav", 30.0).read_bytes()  # 2.9 MB: more than a JSON body may have
        status, more = await upload(staff, {"area_id": area, "title": "Dài"}, io.BytesIO(long))
        assert (status, (await settled(staff, more["id"]))["duration_s"]) == (201, 30.0)
        view = await settled(staff, made["id"])
        assert (view["state"], view["duration_s"]) == ("ready", 1.0)
        assert view["report"]["codec"] == "pcm_s16le"
        programme = {
            "area_id": area,
            "title": "Sáng",
            "dtstart": "2030-01-05T05:00",
            "rrule": "FREQ=DAILY",
            "content": {"kind": "recorded", "recordings": [made["id"]], "chime_before": "opening"},
            "targets": {"areas": [area]},
        }
        status, refused = await staff.call("POST", "/api/v1/programmes", programme)
        assert (status, refused["code"]) == (422, "not_approved")
        decision = {"sha256": view["sha256"], "decision": "approved"}
        status, view = await staff.call("POST", f"/api/v1/recordings/{made['id']}/decision", decision)
        assert (status, view["decision"]["approved"]) == (200, True)
        status, planned = await staff.call("POST", "/api/v1/programmes", programme)
        assert (status, planned["next_start"]) == (201, "2030-01-04T22:00:00Z")
        assert planned["timezone"] == "Asia/Ho_Chi_Minh"
        shape = {name: planned[name] for name in programme}
        body = {
            "programme": shape,
            "programme_id": planned["id"],
            "begin": "2030-01-04T00:00Z",
            "end": "2030-01-06T00:00Z",
        }
        status, preview = await staff.call("POST", "/api/v1/programmes/preview", body)
        assert (status, len(preview["clusters"][0]["occurrences"])) == (200, 2)
        headers = {"Authorization": f"Bearer {staff.token}", "Range": "bytes=0-3"}
        url = f"{staff.running.staff_url}/api/v1/recordings/{made['id']}/sound"
        async with staff.http.get(url, headers=headers) as response:
            assert (response.status, response.content_type) == (206, "audio/ogg")
            assert await response.read() == b"OggS"
        moved = {**shape, "moved": [{"recurrence": "2030-01-05T05:00", "start": "2030-01-05T06:00"}], "version": 1}
        status, changed = await staff.call("PUT", f"/api/v1/programmes/{planned['id']}", moved)
        assert (status, changed["version"]) == (200, 2)
        assert changed["moved"] == [{"recurrence": "2030-01-05T05:00:00", "start": "2030-01-05T06:00:00"}]


BAD_PROGRAMMES: list[tuple[dict[str, Any], int, str]] = [
    ({"dtstart": "tomorrow morning"}, 422, "time_syntax"),
    ({"dtstart": "2030-01-05T05:00:00Z"}, 422, "time_not_local"),
    ({"dtstart": "2030-01-05"}, 422, "time_not_local"),
    ({"dtstart": "2030-02-30T05:00"}, 422, "time_out_of_range"),
    ({"timezone": "Mars/Olympus"}, 422, "unknown_timezone"),
    ({"rrule": "FREQ=SOMETIMES"}, 422, ""),
    ({"exdates": ["never ever"]}, 422, "time_syntax"),
    ({"priority": "EMERGENCY_STORED"}, 422, ""),
    ({"late": {"kind": "play_full_within"}}, 422, ""),
    ({"targets": {"areas": ["ar_nowhere"]}}, 404, "area_not_found"),
    ({"area_id": "ar_nowhere"}, 404, "area_not_found"),
    ({"content": {"kind": "recorded", "recordings": []}}, 422, ""),
    ({"content": {"kind": "recorded", "recordings": ["rc_nothing"]}}, 422, "unknown_recording"),
    ({"slot_s": -1}, 422, ""),
    ({"nonsense": 1}, 422, ""),
]


async def test_bad_input_gets_a_status_and_a_code(tmp_path: Path) -> None:
    async with open_staff(tmp_path, upload_max_mib=1, disk_reserve_mib=0) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        programme = {
            "area_id": area,
            "title": "x",
            "dtstart": "2030-01-05T05:00",
            "content": {"kind": "recorded", "recordings": ["rc_nothing"]},
            "targets": {"areas": [area]},
        }
        for changes, expected, code in BAD_PROGRAMMES:
            status, problem = await staff.call("POST", "/api/v1/programmes", {**programme, **changes})
            assert (status, bool(problem["code"])) == (expected, True), (changes, problem)
            assert not code or problem["code"] == code, (changes, problem)
        where = {"area_id": area, "title": "x"}
        for query, data, expected, code in (
            ({"title": "x"}, b"x", 422, ""),
            ({"area_id": "ar_nowhere", "title": "x"}, b"x", 404, "area_not_found"),
            (where, b"", 422, "empty_upload"),
            (where, io.BytesIO(b"x" * 1_100_000), 413, "upload_too_large"),
            ({**where, "language": "no such!"}, b"x", 422, "bad_language"),
        ):
            status, problem = await upload(staff, query, data)
            assert (status, bool(problem["code"])) == (expected, True), (query, problem)
            assert not code or problem["code"] == code
        status, problem = await upload(staff, where, b"--x\r\nbroken", **{"Content-Type": "multipart/form-data"})
        assert status == 400
        for method, path, body, expected in (
            ("GET", "/api/v1/recordings/rc_nothing", None, 404),
            ("GET", "/api/v1/recordings/rc_nothing/sound", None, 404),
            ("GET", "/api/v1/programmes/pr_nothing", None, 404),
            ("GET", "/api/v1/orders/nothing", None, 404),
            ("POST", "/api/v1/orders/stop", {}, 422),
            ("POST", "/api/v1/orders/stop", {"everywhere": True, "areas": [area]}, 422),
            ("POST", "/api/v1/orders/play", {"everywhere": True, "recordings": ["rc_x"]}, 422),
            ("POST", "/api/v1/orders/withdraw", {"rule_id": "pr_nothing"}, 404),
            ("POST", "/api/v1/orders/withdraw", {"rule_id": "pr_x", "recurrence": "2030-01-05T05:00"}, 422),
            ("POST", "/api/v1/sources", {"area_id": area, "title": "x", "url": "http://127.0.0.1/"}, 422),
            ("POST", "/api/v1/sources", {"area_id": area, "title": "x", "url": "file:///etc/passwd"}, 422),
            ("GET", "/api/v1/reports/occurrences?limit=0", None, 422),
        ):
            status, problem = await staff.call(method, path, body)
            assert status == expected, (method, path, problem)
            assert problem["code"]


async def test_no_room_on_the_disk_is_507(tmp_path: Path) -> None:
    async with open_staff(tmp_path, disk_reserve_mib=1 << 40) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        status, problem = await upload(staff, {"area_id": area, "title": "x"}, b"x")
        assert (status, problem["code"]) == (507, "disk_full")
        assert await staff.call("POST", "/api/v1/orders/stop", {"everywhere": True})


async def test_a_password_in_an_address_is_for_those_who_may_change_it(tmp_path: Path) -> None:
    async with open_staff(tmp_path, allow_private_sources=True) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        body = {"area_id": area, "title": "VOV1", "url": "http://user:secret@127.0.0.1:8000/live"}
        source = await staff.made("/api/v1/sources", body)
        viewer = await staff.user("viewer", {"role": "viewer", "area_id": area})
        _, seen = await viewer.call("GET", f"/api/v1/sources/{source}")
        assert seen["url"] == "http://127.0.0.1:8000/live"
        _, own = await staff.call("GET", f"/api/v1/sources/{source}")
        assert "secret" in own["url"]
        _, audit = await staff.call("GET", "/api/v1/audit?action=source.create")
        assert "secret" not in json.dumps(audit)
        status, _ = await viewer.call("DELETE", f"/api/v1/sources/{source}")
        assert status == 403


@pytest.mark.slow
async def test_the_commands_do_it_too(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data", allow_private_sources=True, disk_reserve_mib=0) as staff:
        environment = {**os.environ, "LOA_URL": staff.running.staff_url, "LOA_TOKEN": staff.token or ""}

        async def loa(*words: str, expect: int = 0) -> list[dict[str, Any]]:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from controller.cli import main; main()",
                *words,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
            )
            out, err = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == expect, (words, out, err)
            assert b"Traceback" not in err
            return [json.loads(line) for line in out.splitlines()] if "--json" in words else []

        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã", "quiet_hours": "none"})
        await staff.made("/api/v1/clusters", {"name": "A Vao 3", "area_id": area})
        file = str(voice(tmp_path / "Bản tin.wav"))
        (made,) = await loa("media", "add", file, "--area", "Tà Rụt", "--language", "vi", "--json")
        assert (made["state"], made["title"]) == ("ready", "Bản tin")
        await loa("media", "approve", "Bản tin")
        await loa("source", "add", "VOV1", "http://127.0.0.1:9/live", "--area", "Tà Rụt")
        words = ("--area", "Tà Rụt", "--at", "2030-01-05T05:00", "--rrule", "FREQ=DAILY", "--json")
        (morning,) = await loa(
            "programme", "add", "Sáng", "--recording", "Bản tin", "--chime-before", "opening", *words
        )
        assert morning["priority"] == "PROGRAMME"
        (relay,) = await loa("programme", "add", "Tiếp sóng", "--source", "VOV1", "--slot", "30m", *words)
        assert (relay["priority"], relay["slot_s"]) == ("RELAY", 1800)
        await loa("programme", "add", "Again", "--recording", "Bản tin", *words, expect=1)
        (changed,) = await loa("programme", "set", "Tiếp sóng", "--slot", "10m", "--json")
        assert changed["slot_s"] == 600
        assert len(await loa("programme", "list", "--json")) == 2
        await loa("programme", "preview", "Sáng")
        (played,) = await loa("play", "--recording", "Bản tin", "--area", "Tà Rụt", "--json")
        assert played["rule_id"].startswith("now_")
        await loa("play", "--recording", "Bản tin", "--area", "Tà Rụt", expect=1)
        await loa("withdraw", played["rule_id"])
        (stopped,) = await loa("stop", "--all", "--json")
        assert stopped["kind"] == "stop"
        await loa("stop", expect=2)
        await loa("withdraw", "Sáng", "--at", "2030-01-06T05:00:00+07:00")
        await loa("withdraw", "Sáng")
        (view,) = await loa("volume", "A Vao 3", "--class", "programme=-6", "--json")
        assert view["gains"] == {"PROGRAMME": -6.0}
        assert await loa("report", "--json") == []
        await loa("media", "fetch", "Bản tin", str(tmp_path / "heard.ogg"))
        assert (tmp_path / "heard.ogg").read_bytes()[:4] == b"OggS"
        (tmp_path / "page.mp3").write_bytes(b"<html>" * 50)
        await loa("media", "add", str(tmp_path / "page.mp3"), "--area", "Tà Rụt", expect=1)
        await loa("media", "add", str(tmp_path / "missing.mp3"), "--area", "Tà Rụt", expect=1)
