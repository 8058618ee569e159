"""A real Chromium without a screen, steered over its DevTools protocol: for what only a browser can show."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from tests.system.processes import Process

PROGRAM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS: Final = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--lang=vi",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio",
    "--disable-features=MediaRouter,OptimizationHints", "--remote-debugging-port=0",
)  # fmt: skip
_ANSWER_S: Final = 20.0


class Chromium:
    """The browser. Its microphone is a fake one: beeps, or ``microphone`` (a WAV file)."""

    def __init__(self, folder: Path, *options: str, microphone: Path | None = None) -> None:
        assert PROGRAM is not None
        flags = [*_FLAGS, f"--user-data-dir={folder / 'profile'}", "--use-fake-device-for-media-stream", *options]
        if microphone is not None:
            flags.append(f"--use-file-for-fake-audio-capture={microphone}")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chromium", daemon=True)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._count = 0
        self.process = Process("chromium", [PROGRAM, *flags, "about:blank"], folder, {"HOME": str(folder)})
        self._thread.start()
        self._url = self.process.wait_for(r"DevTools listening on (ws://\S+)", 30).group(1)
        self._do(self._connect())

    def tab(self, url: str) -> Tab:
        """Open a page in a tab of its own."""
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            tab.ask(f"{domain}.enable")
        tab.open(url)
        return tab

    def ask(self, method: str, parameters: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """One command of the protocol."""
        return self._do(self._ask(method, parameters or {}, session))

    def close(self) -> None:
        """End it."""
        self._do(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside ------------------------------------------------------------------------------------------------

    def _do(self, what: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(_ANSWER_S)

    async def _connect(self) -> dict[str, Any]:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(self._url, max_msg_size=0)
        self._reader = asyncio.create_task(self._read(), name="chromium-read")
        return {}

    async def _disconnect(self) -> dict[str, Any]:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()
        await self._http.close()
        return {}

    async def _ask(self, method: str, parameters: dict[str, Any], session: str) -> dict[str, Any]:
        self._count += 1
        number = self._count
        answer = self._waiting[number] = self._loop.create_future()
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        await self._socket.send_str(json.dumps(message))
        try:
            said = await asyncio.wait_for(answer, _ANSWER_S)
        finally:
            del self._waiting[number]
        assert "error" not in said, (method, said["error"])
        result: dict[str, Any] = said["result"]
        return result

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            answer = self._waiting.get(said.get("id", 0))
            if answer is not None and not answer.done():
                answer.set_result(said)
            tab = self._tabs.get(said.get("sessionId", ""))
            if tab is not None and "method" in said:
                tab.happened(said["method"], said["params"])


class Tab:
    """One page, used as a person does: by words and keys. ``complaints`` is what the console shows in red."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []

    def ask(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """One command of the protocol to this page."""
        return self._browser.ask(method, parameters, self._session)

    def happened(self, method: str, said: dict[str, Any]) -> None:
        """An event of the protocol."""
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(said["args"])[:600])
        elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif method == "Audits.issueAdded" and said["issue"]["code"] == "ContentSecurityPolicyIssue":
            self.complaints.append(json.dumps(said["issue"])[:600])

    def open(self, url: str) -> None:
        """Go there."""
        self.ask("Page.navigate", {"url": url})
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'", 15)

    def reload(self) -> None:
        """As F5 does."""
        self.ask("Runtime.evaluate", {"expression": "window.before = true"})
        self.ask("Page.reload")
        self.until("window.before === undefined && document.readyState === 'complete'", 15)

    def tell(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": False}
        said = self.ask("Runtime.evaluate", parameters)
        assert "exceptionDetails" not in said, (script, said["exceptionDetails"])
        return said["result"].get("value")

    def until(self, script: str, seconds: float) -> None:
        """Wait until an expression holds."""
        deadline = time.monotonic() + seconds
        while not self.tell(script):
            if time.monotonic() > deadline:
                text = self.tell("document.body.innerText")
                raise AssertionError(f"not within {seconds:g} s: {script}\n{text}\n{self.complaints}")
            time.sleep(0.05)

    def text(self, identity: str) -> str:
        """What an element says."""
        return str(self.tell(f"document.getElementById({identity!r}).textContent"))

    def press(self, key: str, code: int = 0, *, text: str = "") -> None:
        """A key, down and up: a real one, which counts as the person's wish."""
        one = {"key": key, "code": key, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        self.ask("Input.dispatchKeyEvent", {"type": "keyDown" if text else "rawKeyDown", **one})
        self.ask("Input.dispatchKeyEvent", {"type": "keyUp", **one})

    def tabbed(self, identity: str, most: int = 30) -> None:
        """Go to an element by the Tab key alone."""
        for _ in range(most):
            if self.tell("document.activeElement.id") == identity:
                return
            self.press("Tab", 9)
        raise AssertionError(f"{identity} is not reached by the Tab key")

    def enter(self, identity: str) -> None:
        """Tab to a button and press Enter."""
        self.tabbed(identity)
        self.press("Enter", 13, text="\r")

    def write(self, identity: str, words: str) -> None:
        """Tab to a field and type."""
        self.tabbed(identity)
        self.ask("Input.insertText", {"text": words})
