"""A real controller for tests: every part of it, on free ports of loopback, in a folder of its own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from controller.app import Running, running
from controller.config import load_config
from controller.services.passwords import Passwords
from tests.unit.controller.desk import CHEAP, fresh_database, house_sounds

#: Of everybody here, the first administrator ("admin") too.
PASSWORD = "một mật khẩu dài"


@dataclass(slots=True)
class Staff:
    """A client of a running controller."""

    running: Running
    http: aiohttp.ClientSession
    token: str | None = None

    async def call(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request; status and parsed JSON."""
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.http.request(
            method, self.running.staff_url + path, json=body, headers={**own, **(headers or {})}
        ) as response:
            value = await response.json() if "json" in response.content_type else None
            return response.status, value

    async def login(self, name: str, password: str) -> Staff:
        """The same controller with this user signed in."""
        status, answer = await self.call("POST", "/api/v1/login", {"name": name, "password": password})
        assert status == 200, answer
        return Staff(self.running, self.http, answer["token"])

    async def user(self, name: str, *grants: dict[str, Any]) -> Staff:
        """A new user with these roles, signed in."""
        body = {"name": name, "password": PASSWORD, "grants": list(grants)}
        status, made = await self.call("POST", "/api/v1/users", body)
        assert status == 201, made
        return await self.login(name, PASSWORD)

    async def made(self, path: str, body: object) -> str:
        """The id of something just made."""
        status, answer = await self.call("POST", path, body)
        assert status == 201, answer
        return str(answer["id"])


@asynccontextmanager
async def open_staff(
    folder: Path, *, demo_logins: tuple[tuple[str, str], ...] = (), **flags: Any
) -> AsyncIterator[Staff]:
    """A running controller with its first administrator signed in."""
    own = {
        "staff_listen": "127.0.0.1:0",
        "agent_listen": "127.0.0.1:0",
        "announce": False,
        "second_factor_required": False,
        **flags,
    }
    await fresh_database(folder)
    await house_sounds(folder)
    config = load_config(folder, None, own, {}).model_copy(update={"demo_logins": demo_logins})
    async with running(config, passwords=Passwords(CHEAP)) as controller:
        tls = ssl.create_default_context(cafile=config.tls_folder / "staff.crt") if config.staff_tls else True
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:
            assert controller.first_admin is not None
            name, made = controller.first_admin
            admin = await Staff(controller, http).login(name, made)
            status, _ = await admin.call("PUT", "/api/v1/me/password", {"old": made, "new": PASSWORD})
            assert status == 204
            yield admin
