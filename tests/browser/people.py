"""People in front of the console: each in a browser context of their own, signed in, counted, looked over the shoulder.

Rules kept here:

1. Whatever a page says in red (an exception, an error of the console, a violation of the policy) fails the test at its
   end, unless the test expected it (:attr:`Person.expected`).
2. A click is a press of the pointer. Typing, choosing a file and keys are none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page

from tests.system.processes import ROOT

#: Where pictures of the pages go: kept by CI, never committed.
SHOTS: Final = Path(os.environ.get("LOA_SHOTS", ROOT / "build" / "screenshots"))
_AXE: Final = ROOT / "controller" / "web" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
_COUNT: Final = "window.presses = 0; addEventListener('pointerdown', (e) => { window.presses += e.isTrusted }, true);"
#: WCAG 2.2 AA and what it contains.
_RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
#: What a browser says in red about an answer that is no success; pages say the same in words, and tests look there.
_REFUSALS: Final = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")

#: Everything the page plays goes through an analyser that keeps the loudest moment in ``window.loudest``.
LOUDEST: Final = """(() => {
  const connect = AudioNode.prototype.connect;
  window.loudest = 0;
  AudioNode.prototype.connect = function (to, ...more) {
    if (to !== this.context.destination) return connect.call(this, to, ...more);
    const meter = this.context.createAnalyser(), sound = new Float32Array(meter.fftSize);
    connect.call(meter, to);
    const look = () => {
      meter.getFloatTimeDomainData(sound);
      window.loudest = Math.max(window.loudest, ...sound.map(Math.abs));
      if (this.context.state === 'running') setTimeout(look, 20);
    };
    look();
    return connect.call(this, meter, ...more);
  };
})()"""


class Person:
    """Somebody at a screen."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1366, height: int = 768, **options: Any) -> None:
        options = {"locale": "vi-VN", "timezone_id": "Asia/Ho_Chi_Minh", "reduced_motion": "reduce", **options}
        self.url = url
        self.context: BrowserContext = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.context.add_init_script(_COUNT)
        self.context.set_default_timeout(10_000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        #: Parts of complaints that this test causes on purpose.
        self.expected: list[str] = []
        self.page.on("pageerror", self._raised)
        self.page.on("console", self._said)

    def sign_in(self, name: str, password: str) -> None:
        """Get a session; the cookie is the context's from now on."""
        answer = self.context.request.post(
            f"{self.url}/api/v1/session",
            data={"name": name, "password": password},
            headers={"Origin": self.url, "Sec-Fetch-Site": "same-origin"},
        )
        assert answer.ok, answer.text()

    def enter(self, path: str, name: str, password: str, code: str = "") -> Page:
        """Come to a page through the door: type, and press Enter; with a code when one is asked for. No click yet."""
        page = self.go(path)
        page.get_by_label("Tên đăng nhập").fill(name)
        page.get_by_label("Mật khẩu").fill(password)
        page.keyboard.press("Enter")
        if code:
            page.get_by_label("Mã xác thực").fill(code)
            page.keyboard.press("Enter")
        page.get_by_role("navigation", name="Danh mục chính").wait_for()
        return page

    def go(self, path: str = "") -> Page:
        """Open a page of the console."""
        self.page.goto(f"{self.url}/console/{path}")
        self.page.locator("main").wait_for()
        return self.page

    @property
    def clicks(self) -> int:
        """Presses of the pointer since the page was loaded."""
        return int(self.page.evaluate("window.presses"))

    def shot(self, name: str, *, whole: bool = False) -> Path:
        """Keep a picture of what they see."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=whole)
        return path

    def barriers(self, *, but: Sequence[str] = ()) -> list[str]:
        """What keeps somebody with other eyes, ears or hands from using this page (axe-core); nothing, it should be."""
        if not self.page.evaluate("typeof window.axe === 'object'"):
            self.page.evaluate(_AXE.read_text())
        options = {"runOnly": {"type": "tag", "values": list(_RULES)}}
        found = self.page.evaluate("(options) => axe.run(document, options).then((said) => said.violations)", options)
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
            for each in found
            if each["id"] not in but
        ]

    def close(self) -> None:
        """Leave.

        Raises:
            AssertionError: something was said in red.
        """
        self.context.close()
        unexpected = [said for said in self.complaints if not any(part in said for part in self.expected)]
        assert not unexpected, unexpected

    def _raised(self, error: Error) -> None:
        self.complaints.append(f"{error.name}: {error.message}\n{error.stack}"[:800])

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _REFUSALS.match(message.text):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}"[:800])
