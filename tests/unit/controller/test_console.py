"""The console's files: what is served and how, what is not, and that its types fit the API."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from controller.api.routing import Route
from controller.api.server import staff_application
from controller.web import Bundle, ConsolePages
from controller.web import build as console_build
from controller.web.routes import POLICY

ROOT = Path(__file__).parents[3]
INDEX = b"<!doctype html><div id=app></div>"
SCRIPT = b"console.log('loa');" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / "static"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_bytes(INDEX)
    (built / "icon.svg").write_bytes(b"<svg/>")
    (built / "assets/index-abc.js").write_bytes(SCRIPT)
    (built / "assets/index-abc.js.gz").write_bytes(gzip.compress(SCRIPT))
    (built / "built-from").write_text("hash")
    (tmp_path / "secret.json").write_text("{}")
    return built


def _application(routes: tuple[Route, ...]) -> web.Application:
    return staff_application(routes, lambda _token: None, lambda *_: None, lambda *_: None)


async def _served(bundle: Bundle) -> AsyncIterator[aiohttp.ClientSession]:
    server = TestServer(_application(ConsolePages(bundle).table()))
    await server.start_server()
    async with aiohttp.ClientSession(base_url=server.make_url("/"), auto_decompress=False) as http:
        yield http
    await server.close()


@pytest.fixture
async def console(folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async for http in _served(Bundle.load(folder)):
        yield http


@pytest.fixture
async def unbuilt(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async for http in _served(Bundle.load(tmp_path / "nothing")):
        yield http


@pytest.mark.parametrize("path", ["/", "/console", "/console?x=1"])
async def test_people_are_led_to_the_console(console: aiohttp.ClientSession, path: str) -> None:
    async with console.get(path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/console/")


@pytest.mark.parametrize(
    "path", ["", "fleet", "fleet?state=offline&x=1&x=2", "cluster/01J8", "admin/users", "no/such/page"]
)
async def test_every_page_answers_with_the_index_which_is_asked_for_anew(
    console: aiohttp.ClientSession, path: str
) -> None:
    async with console.get(f"/console/{path}") as response:
        assert (response.status, await response.read()) == (200, INDEX)
        assert response.content_type == "text/html"
        assert response.headers["Cache-Control"] == "no-cache"
        etag = response.headers["ETag"]
    async with console.get(f"/console/{path}", headers={"If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")


async def test_what_has_a_hash_in_its_name_is_kept_for_ever_and_travels_packed(console: aiohttp.ClientSession) -> None:
    async with console.get("/console/assets/index-abc.js", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(await response.read()) == SCRIPT
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.content_type == "text/javascript"
    async with console.get("/console/assets/index-abc.js", headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == SCRIPT


@pytest.mark.parametrize(
    "path",
    [
        "assets/index-old.js",
        "assets/index-abc.js.gz",
        "..%2fsecret.json",
        "%2e%2e/secret.json",
        "assets/..%2f..%2fsecret.json",
        "..%5csecret.json",
        "%2fetc%2fhosts.json",
    ],
)
async def test_only_what_the_bundle_lists_exists(console: aiohttp.ClientSession, path: str) -> None:
    url = URL(str(console._base_url) + "console/" + path, encoded=True)
    async with console.get(url) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["/console/", "/console/icon.svg", "/console/assets/index-abc.js"])
async def test_nothing_inline_and_nothing_foreign_may_run(console: aiohttp.ClientSession, path: str) -> None:
    async with console.get(path) as response:
        assert response.headers["Content-Security-Policy"] == POLICY
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "microphone=(self)" in response.headers["Permissions-Policy"]
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none';")


async def test_a_console_that_was_never_built_says_what_to_do(unbuilt: aiohttp.ClientSession) -> None:
    async with unbuilt.get("/console/fleet") as response:
        assert response.status == 503
        assert "make setup" in await response.text()


def test_the_build_knows_when_nothing_changed(tmp_path: Path) -> None:
    ui, static = tmp_path / "ui", tmp_path / "static"
    (ui / "node_modules").mkdir(parents=True)
    static.mkdir()
    (ui / "a.ts").write_text("1")
    (static / console_build.STAMP).write_text(console_build.source_hash(ui))
    (ui / "node_modules/b.js").write_text("not a source")
    assert console_build.build(ui, static) is False
    (ui / "a.ts").write_text("2")
    assert console_build.is_built(ui, static) is False


def test_the_types_of_the_console_are_those_of_the_api() -> None:
    document = subprocess.run(
        [sys.executable, "-c", "from controller.cli import main; main()", "openapi"],
        check=True,
        capture_output=True,
        timeout=120,
        cwd=ROOT,
    ).stdout
    first = (console_build.UI / "src/api/schema.d.ts").read_text().partition("\n")[0]
    digest = hashlib.sha256(document).hexdigest()
    assert first == f"// OpenAPI document: sha256 {digest}", "the API changed: run scripts/api-types and commit"
