"""The administrator's desk: findings, keys, backups made and taken away; and nobody else's."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tests.unit.controller.staff import Staff, open_staff


async def _made(admin: Staff) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            _, backups = await admin.call("GET", "/api/v1/backups")
            if backups["running_since"] is None:
                return dict(backups)
            await asyncio.sleep(0.05)


async def test_a_backup_is_made_and_taken_away(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as admin:
        assert (await admin.call("GET", "/api/v1/backups"))[1]["files"] == []
        status, answer = await admin.call("POST", "/api/v1/backups", {"passphrase": "short"})
        assert (status, answer["code"]) == (422, "weak_passphrase")
        status, _ = await admin.call("POST", "/api/v1/backups", {"passphrase": "a sentence nobody guesses"})
        assert status == 202
        backups = await _made(admin)
        assert backups["fault"] == ""
        assert backups["last"] is not None
        (file,) = backups["files"]
        own = {"Authorization": f"Bearer {admin.token}"}
        url = f"{admin.running.staff_url}/api/v1/backups/{file['name']}"
        async with admin.http.get(url, headers=own) as response:
            assert response.status == 200
            content = await response.read()
        assert len(content) == file["size"]
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            manifest = tar.extractfile("manifest.json")
            assert manifest is not None
            assert {"loa.db", "keys.enc"} <= set(json.load(manifest)["files"])
        assert (await admin.call("GET", "/api/v1/backups/..%2Floa.db"))[0] == 404
        _, audit = await admin.call("GET", "/api/v1/audit?subject=backup")
        assert [row["action"] for row in audit["items"]] == ["backup.download", "backup.make"]


async def test_a_backup_is_cancelled_and_the_next_one_is_whole(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as admin:
        assert (await admin.call("POST", "/api/v1/backups/cancel"))[1]["code"] == "no_backup_running"
        long = tmp_path / "media" / "ab" / ("ab" * 32)
        long.parent.mkdir(exist_ok=True)
        with long.open("wb") as file:
            file.truncate(1 << 31)  # a hole: nothing to write, much to read
        assert (await admin.call("POST", "/api/v1/backups", {}))[0] == 202
        assert (await admin.call("POST", "/api/v1/backups", {}))[1]["code"] == "backup_running"
        status, left = await admin.call("POST", "/api/v1/backups/cancel")
        assert (status, left["running_since"], left["files"], left["fault"], left["last"]) == (200, None, [], "", None)
        assert list((tmp_path / "backups").iterdir()) == []
        long.unlink()
        assert (await admin.call("POST", "/api/v1/backups", {}))[0] == 202
        assert len((await _made(admin))["files"]) == 1


async def test_what_the_doctor_finds_and_when_keys_end(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as admin:
        _, system = await admin.call("GET", "/api/v1/system")
        assert {"disk", "keys", "backup", "audit"} <= {finding["check"] for finding in system["findings"]}
        english = {"Accept-Language": "en"}
        _, other = await admin.call("GET", "/api/v1/system", headers=english)
        for name, said in (("backup", "chưa sao lưu lần nào"), ("audit", "nguyên vẹn")):
            assert said in next(each["message"] for each in system["findings"] if each["check"] == name)
        assert "there was never a backup" in {finding["message"] for finding in other["findings"]}
        _, keys = await admin.call("GET", "/api/v1/keys")
        assert keys["root_fingerprint"] == admin.running.foundation.vault.root_fingerprint
        assert {role for key in keys["online"] for role in key["roles"]} == {"plan", "live", "emergency", "drill"}


async def test_it_takes_the_right_over_everything(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as admin:
        area = await admin.made("/api/v1/areas", {"name": "A", "kind": "xã"})
        local = await admin.user("local", {"role": "admin", "area_id": area})
        viewer = await admin.user("xem", {"role": "viewer", "area_id": None})
        for somebody in (local, viewer):
            for method, path in (
                ("GET", "/api/v1/system"),
                ("GET", "/api/v1/keys"),
                ("GET", "/api/v1/backups"),
                ("POST", "/api/v1/backups"),
                ("POST", "/api/v1/backups/cancel"),
                ("GET", "/api/v1/audit/verification"),
                ("POST", "/api/v1/audit/verification"),
                ("POST", "/api/v1/audit/verification/cancel"),
                ("GET", "/api/v1/backups/loa-20260101-000000.tar"),
            ):
                body: object = {} if method == "POST" else None
                assert (await somebody.call(method, path, body))[0] == 403, (method, path)


async def test_what_a_cluster_sounds_next(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as admin:
        area = await admin.made("/api/v1/areas", {"name": "A", "kind": "xã"})
        cluster = await admin.made("/api/v1/clusters", {"area_id": area, "name": "1"})
        assert await admin.call("GET", f"/api/v1/clusters/{cluster}/upcoming") == (200, {"items": []})
        assert (await admin.call("GET", f"/api/v1/clusters/{cluster}/health"))[1]["hours"] == []
        assert (await admin.call("GET", "/api/v1/clusters/cl_none/upcoming"))[0] == 404
