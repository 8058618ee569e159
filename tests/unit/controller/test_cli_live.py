"""Watching a session that the controller fetches: whatever ends the program ends the session."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, cast

import pytest

from controller.cli import live
from controller.cli.client import ApiClient


class OneSession:
    """An API with one session on air; the program is sent a signal while it looks."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.posted: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        os.kill(os.getpid(), self.number)
        return {"state": "on_air", "code": "", "ended": None, "rms_db": None}

    def post(self, path: str) -> None:
        self.posted.append(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_session_that_is_watched(number: signal.Signals) -> None:
    assert threading.current_thread() is threading.main_thread()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may be deaf to it (nohup)
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]
    api = OneSession(number)
    live._watch(cast("ApiClient", api), "lv_1")
    assert api.posted == ["/api/v1/live/lv_1/stop"]
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)] == before
