"""A real controller in a process of its own, and the desk in front of it, for system tests."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

from controller.cli.client import ApiClient, Login
from tests.system.processes import BIN, Process, free_port, wait_until

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
_PASSWORD = "mat khau cua nguoi quan tri"


class Desk:
    """``loa-controller serve`` on loopback with an administrator signed in. Survives :meth:`crash` and restart."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, *, announce: bool = False) -> None:
        self.folder = folder
        self.data = folder / "controller"
        self._env = {
            "LOA_ANNOUNCE_INTERFACES": "127.0.0.1",
            "LOA_ALLOW_PRIVATE_SOURCES": "true",
            "LOA_SECOND_FACTOR_REQUIRED": "false",
            **(env or {}),
        }
        self._announce = announce
        self.staff_port, self.agent_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.staff_port}"
        self.agent_url = f"https://127.0.0.1:{self.agent_port}"
        self.process: Process | None = None
        self.password = ""
        self.token = ""

    def start(self) -> None:
        flags = ["--staff-listen", f"127.0.0.1:{self.staff_port}", "--agent-listen", f"127.0.0.1:{self.agent_port}"]
        flags.append("--announce" if self._announce else "--no-announce")
        argv: list[str | Path] = [BIN / "loa-controller", "serve", "--data", self.data, *flags]
        self.process = Process(f"controller-{time.monotonic_ns()}", argv, self.folder, self._env)
        self.process.wait_for(r"Staff API: http", 60)
        if not self.password:
            self.password = self.process.wait_for(r"Password: (\S+)").group(1)
        if not self.token:
            with ApiClient(Login(self.url)) as api:
                self.token = api.post("/api/v1/login", {"name": "admin", "password": self.password})["token"]
            with self.api() as api:
                api.put("/api/v1/me/password", {"old": self.password, "new": _PASSWORD})
            self.password = _PASSWORD

    def api(self) -> ApiClient:
        return ApiClient(Login(self.url, self.token))

    @property
    def cli_env(self) -> dict[str, str]:
        return {"LOA_URL": self.url, "LOA_TOKEN": self.token, "XDG_CONFIG_HOME": str(self.folder / "config")}

    def crash(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()

    def close(self) -> None:
        if self.process is not None:
            self.process.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the desk does.

    def area(self, name: str = "Tà Rụt", **more: object) -> str:
        """A commune without quiet hours, so that tests run at any time of day."""
        with self.api() as api:
            body = {"name": name, "kind": "xã", "timezone": str(ZONE), "quiet_hours": "none", **more}
            return str(api.post("/api/v1/areas", body)["id"])

    def cluster(self, area_id: str, name: str, **more: object) -> str:
        with self.api() as api:
            return str(api.post("/api/v1/clusters", {"area_id": area_id, "name": name, **more})["id"])

    def recording(self, area_id: str, file: Path, title: str = "Bản tin") -> str:
        """Upload, wait until processed, approve."""
        with self.api() as api, file.open("rb") as content:
            query = {"area_id": area_id, "title": title, "file_name": file.name}
            made = api.upload(
                "/api/v1/recordings",
                content,
                size=file.stat().st_size,
                query=query,
                media_type="application/octet-stream",
            )
        return self.approved(made["id"])

    def approved(self, recording_id: str) -> str:
        with self.api() as api:
            path = f"/api/v1/recordings/{recording_id}"
            wait_until(lambda: api.get(path)["state"] != "processing", 150, "the recording is processed")
            made = api.get(path)
            assert made["state"] == "ready", made
            api.post(f"{path}/decision", {"sha256": made["sha256"], "decision": "approved"})
        return recording_id


def local(moment: datetime) -> str:
    """A moment as the desk writes it: local time in the district's zone, whole seconds."""
    return moment.astimezone(ZONE).replace(tzinfo=None, microsecond=0).isoformat()


def soon(seconds: float) -> datetime:
    """A whole second at least ``seconds`` ahead."""
    return (datetime.now(UTC) + timedelta(seconds=seconds + 1)).replace(microsecond=0)


class LockedDatabase:
    """Another program that holds the controller's database locked for writing."""

    def __init__(self, desk: Desk) -> None:
        self._connection = sqlite3.connect(desk.data / "loa.db", timeout=20, isolation_level=None)

    def __enter__(self) -> Self:
        self._connection.execute("BEGIN EXCLUSIVE")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


def freeze(process: Process) -> None:
    """SIGSTOP: hung, not dead."""
    os.kill(process.pid, signal.SIGSTOP)


def thaw(process: Process) -> None:
    os.kill(process.pid, signal.SIGCONT)


def rows(desk: Desk, query: str) -> list[tuple[Any, ...]]:
    """Read the controller's database as another program may."""
    connection = sqlite3.connect(f"file:{desk.data / 'loa.db'}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
