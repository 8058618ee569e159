"""The demo's agents: ``loa-agent swarm`` as a process of its own, found by mDNS on loopback, ended cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_END_S = 15.0
_LAST_WORDS = 2_000


class SwarmError(Exception):
    """The agents' process could not be started, or ended by itself."""

    code = "swarm_failed"


def first_output(folder: Path) -> tuple[str, str]:
    """Where the first agent sounds: ``(output, words for people)``. The sound card when there is one, else a file."""
    cards = Path("/proc/asound/cards")
    with suppress(OSError):
        if "[" in cards.read_text():
            return "alsa", "the sound card"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.environ.get("PULSE_SERVER") or (runtime and Path(runtime, "pulse/native").exists()):
        return "pulse", "PulseAudio"
    file = folder / "agent-0001.wav"
    return f"wav:{file}", str(file)


class SwarmProcess:
    """Use as an asynchronous context manager: the agents live while the block lasts. ``name`` is that of its files."""

    def __init__(
        self, count: int, provisioning: Mapping[str, Any], folder: Path, output: str, name: str = "agents"
    ) -> None:
        self._count = count
        self._provisioning = provisioning
        self._output = output
        self._process: asyncio.subprocess.Process | None = None
        self._card = folder / f"{name}.provisioning.json"
        self._log = folder / f"{name}.log"

    async def __aenter__(self) -> Self:
        handle = os.open(self._card, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as out:
            json.dump(self._provisioning, out)
        argv = [
            *(_program()),
            *("swarm", "--count", str(self._count), "--data", "memory", "--provisioning", str(self._card)),
            *("--interface", "127.0.0.1", "--output-one", self._output),
        ]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal reaches the demo alone, which then ends the agents.
            self._process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), _END_S)
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def check(self) -> None:
        """Raise when the agents are gone.

        Raises:
            SwarmError: with the last words of their log.
        """
        if self._process is not None and self._process.returncode is not None:
            words = self._log.read_text(errors="replace")[-_LAST_WORDS:].strip()
            raise SwarmError(f"the agents' process ended with {self._process.returncode}: {words or 'no word'}")


def _program() -> tuple[str, ...]:
    beside = Path(sys.executable).parent / "loa-agent"
    found = str(beside) if beside.exists() else shutil.which("loa-agent")
    if found is None:
        raise SwarmError("loa-agent is not installed here: pip install 'loa[all]' in this environment")
    return (found,)
