"""A browser in front of a real controller: keeps cookies as one would, and says what a browser says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from typing import Any

import aiohttp

from tests.unit.controller.staff import Staff


@dataclass(slots=True)
class Browser:
    """One window of the console."""

    http: aiohttp.ClientSession
    url: str
    csrf: str | None = None
    cookies: SimpleCookie = field(default_factory=SimpleCookie)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str | None] | None = None,
        by_page: bool = True,
    ) -> tuple[int, Any]:
        """One fetch, by a page of ours unless ``by_page`` is off. A header of None is left out."""
        said: dict[str, str | None] = {"Cookie": self.cookie_header or None}
        if by_page:
            said |= {"Origin": self.url, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": self.csrf}
        said |= headers or {}
        own = {name: value for name, value in said.items() if value is not None}
        async with self.http.request(method, self.url + path, json=body, headers=own) as response:
            for line in response.headers.getall("Set-Cookie", []):
                self.cookies.load(line)
            value = await response.json() if "json" in response.content_type else None
            return response.status, value

    @property
    def cookie_header(self) -> str:
        """What it sends back."""
        return "; ".join(f"{one.key}={one.value}" for one in self.cookies.values() if one.value)

    @property
    def cookie(self) -> Morsel[str]:
        """The only cookie it keeps."""
        (one,) = self.cookies.values()
        return one

    async def sign_in(self, name: str, password: str, code: str | None = None) -> tuple[int, Any]:
        """Open a session and keep what belongs to it."""
        said = {"name": name, "password": password} | ({} if code is None else {"code": code})
        status, answer = await self.call("POST", "/api/v1/session", said)
        if status == 200:
            self.csrf = answer["csrf"]
        return status, answer


@asynccontextmanager
async def open_browser(staff: Staff) -> AsyncIterator[Browser]:
    """A fresh window: no cookies, nobody signed in."""
    connector = staff.http.connector
    async with aiohttp.ClientSession(
        connector=connector, connector_owner=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield Browser(http, staff.running.staff_url)
