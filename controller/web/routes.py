"""The console over HTTP: ``/console/…`` from the bundle, and a policy under which no foreign script can run.

Rules kept here:

1. A path without a file extension is a page of the console and answers with its index: the browser knows the pages.
2. What has a hash in its name is kept for a year; the index is asked for anew each time, so an update shows at once.
3. The policy forbids everything inline, for scripts and for styles.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from aiohttp import web
from pydantic import ConfigDict

from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.errors import NotFoundError
from controller.web.bundle import INDEX, Bundle, BundleFile

ROOT: Final = "/console/"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_FOREVER: Final = "public, max-age=31536000, immutable"
_NEVER_BUILT: Final = """<!doctype html>
<html lang="vi"><meta charset="utf-8"><title>Loa</title>
<h1>Bảng điều khiển chưa được dựng</h1>
<p>Chạy <code>make setup</code> trong thư mục mã nguồn rồi khởi động lại bộ điều khiển.
Loa vẫn phát theo lịch.</p>
<h1 lang="en">The console was not built</h1>
<p lang="en">Run <code>make setup</code> in the checkout, then restart the controller.
The loudspeakers go on with their plan.</p>
</html>
"""


class PageAddress(Schema):
    """What stands behind the question mark: pages keep their filters there, and read them themselves."""

    model_config = ConfigDict(extra="ignore")


class ConsolePages:
    """Serves the console."""

    def __init__(self, bundle: Bundle | None = None) -> None:
        """Prepare; without ``bundle`` it is the one this package was built with."""
        self._bundle = Bundle.load(files("controller.web").joinpath("static")) if bundle is None else bundle

    def table(self) -> tuple[Route, ...]:
        """Its operations."""
        public = Access.PUBLIC
        return (
            route("GET", "/", "getRoot", public, self.root, query=PageAddress, status=302, raw_returns="text/html",
                  summary="Where people go: to the console"),
            route("GET", "/console", "getConsoleEntrance", public, self.root, query=PageAddress, status=302,
                  raw_returns="text/html", summary="To the console's first page"),
            route("GET", ROOT + "{file:.*}", "getConsolePage", public, self.file, query=PageAddress,
                  raw_returns="text/html", errors=(NotFoundError,),
                  summary="The console's pages, and the files they consist of"),
        )  # fmt: skip

    async def root(self, _call: Call[Empty, PageAddress]) -> web.Response:
        """To the console."""
        return web.Response(status=302, headers={**_HEADERS, "Location": ROOT}, content_type="text/html")

    async def file(self, call: Call[Empty, PageAddress]) -> web.Response:
        """A page, or a file of the bundle."""
        if not self._bundle:
            return web.Response(status=503, text=_NEVER_BUILT, content_type="text/html", headers=_HEADERS)
        name = call.path["file"]
        found = self._bundle.get(name)
        if found is None and "." not in name.rpartition("/")[2]:
            found = self._bundle.get(INDEX)
        if found is None:
            raise NotFoundError("the console has no such file; reload the page if it was updated meanwhile")
        return _answer(found, call.request)


def _answer(file: BundleFile, request: web.Request) -> web.Response:
    headers = {**_HEADERS, "Cache-Control": _FOREVER if file.immutable else "no-cache", "ETag": file.etag}
    if request.headers.get("If-None-Match") == file.etag:
        return web.Response(status=304, headers=headers)
    text = file.content_type.startswith("text/")
    body = file.body
    if file.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = file.gzipped
    return web.Response(body=body, content_type=file.content_type, charset="utf-8" if text else None, headers=headers)
