"""The test page for speaking live and listening in: ``/live-test``, small files of this package.

The console replaces it.
Rules kept here: only the named files are served; no inline script or style is needed, so the policy forbids them.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from aiohttp import web

from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty
from controller.services.errors import NotFoundError

_FILES: Final = {
    "page.html": "text/html",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
    **{
        f"{name}.js": "text/javascript"
        for name in ("page", "words", "api", "speaking", "microphone", "listening", "ogg", "worklet")
    },
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class LivePage:
    """Serves the page."""

    def __init__(self) -> None:
        folder = files("controller.api").joinpath("live_test")
        self._content = {name: folder.joinpath(name).read_bytes() for name in _FILES}

    def table(self) -> tuple[Route, ...]:
        """Its operations."""
        return (
            route("GET", "/live-test", "getLiveTestPage", Access.PUBLIC, self.page, raw_returns="text/html",
                  summary="A page for trying a microphone"),
            route("GET", "/live-test/{file}", "getLiveTestFile", Access.PUBLIC, self.file,
                  raw_returns="text/javascript", errors=(NotFoundError,), summary="What the page consists of"),
        )  # fmt: skip

    async def page(self, _call: Call[Empty, Empty]) -> web.Response:
        """The page."""
        return self._answer("page.html")

    async def file(self, call: Call[Empty, Empty]) -> web.Response:
        """Its script and style."""
        name = call.path["file"]
        if name not in _FILES:
            raise NotFoundError("the page has no such file")
        return self._answer(name)

    def _answer(self, name: str) -> web.Response:
        headers = {"Content-Security-Policy": _POLICY, "Permissions-Policy": "microphone=(self)"}
        return web.Response(body=self._content[name], content_type=_FILES[name], charset="utf-8", headers=headers)
