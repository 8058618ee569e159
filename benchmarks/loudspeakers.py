"""Our side of a comparison: a real controller that relays a station to two real agents playing into a hall."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from audio.codec import OggOpusWriter
from audio.pcm import Samples
from tests.system.boxes import online, schedule
from tests.system.desk import Desk, soon
from tests.system.processes import BIN, Process, wait_until

Through = Callable[[int, int], int]

_SIDES = ("left", "right")
_SLOT_MORE_S = 30


class Station:
    """Serves one encoded file as a station would: the relay reads it at its own pace."""

    def __init__(self, folder: Path, sound: Samples, repeat: int = 1) -> None:
        self._folder = folder / "station"
        self._folder.mkdir(parents=True)
        with OggOpusWriter(self._folder / "noise.opus", bit_rate=96_000) as writer:
            for _ in range(repeat):
                writer.write(sound)
        handler = partial(_Quiet, directory=str(self._folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="station", daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/noise.opus"

    def close(self) -> None:
        """Go off the air."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = {".opus": "audio/ogg"}  # noqa: RUF012 - as in the class it replaces

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Serve until the listener leaves, which is how a relay ends."""
        with contextlib.suppress(ConnectionError):
            super().copyfile(source, outputfile)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
        """Say nothing: stdout holds results."""


class Loudspeakers:
    """Two agents, and the desk that lets them sound. Use as a context manager."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        sound: Samples,
        *,
        through: Through,
        outputs: Sequence[str] = ("pulse:left", "pulse:right"),
        agent_environment: Sequence[dict[str, str]] = ({}, {}),
        ahead_s: float = 8.0,
        repeat: int = 1,
    ) -> None:
        """Prepare.

        Args:
            folder: for everything they write.
            environment: of both agents: how they reach the hall.
            sound: what the station plays.
            through: ``through(port, number)`` gives the port at which agent ``number`` reaches the controller's.
            outputs: where each of them sounds.
            agent_environment: more, for each of them.
            ahead_s: how long after both are online the relay's window begins.
            repeat: how often the station plays ``sound``.
        """
        self._folder = folder
        self._environment = environment
        self._agent_environment = agent_environment
        self._sound = sound
        self._through = through
        self._outputs = outputs
        self._ahead_s = ahead_s
        self._repeat = repeat
        self._stack = ExitStack()
        self.agents: list[Process] = []
        self.desk: Desk | None = None
        self.starts_at = 0.0

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _open(self) -> None:
        station = Station(self._folder, self._sound, self._repeat)
        self._stack.callback(station.close)
        self.desk = desk = self._stack.enter_context(Desk(self._folder / "desk"))
        area = desk.area()
        clusters = [desk.cluster(area, f"Loa {side}") for side in _SIDES]
        for number, cluster in enumerate(clusters):
            self._start(desk, number, cluster)
        online(desk, len(clusters), 60)
        with desk.api() as api:
            source = api.post("/api/v1/sources", {"area_id": area, "title": "Đài", "url": station.url})["id"]
        begin = soon(self._ahead_s)
        slot = math.ceil(len(self._sound) * self._repeat / 48_000) + _SLOT_MORE_S
        content: dict[str, object] = {"kind": "relay", "source": source, "fallback": []}
        schedule(
            desk, area, clusters, begin.timestamp(), content=content, priority="RELAY", slot_s=slot, title="Tiếp âm"
        )
        self.starts_at = begin.timestamp()

    def _start(self, desk: Desk, number: int, cluster: str) -> None:
        card = self._folder / f"card-{number}.json"
        port = self._through(desk.agent_port, number)
        with desk.api() as api:
            body = {"clusters": [cluster], "controller": f"https://127.0.0.1:{port}", "life_s": 3600}
            made = api.post("/api/v1/provisioning", body)["provisioning"]
        with os.fdopen(os.open(card, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            json.dump(made, out)
        side = _SIDES[number]
        argv: list[str | Path] = [
            BIN / "loa-agent",
            "run",
            "--data",
            self._data(number),
            "--output",
            self._outputs[number],
        ]
        environment = {**self._environment, **self._agent_environment[number]}
        agent = Process(f"agent-{side}", [*argv, "--provisioning", card], self._folder, environment)
        self.agents.append(self._stack.enter_context(agent))

    def _data(self, number: int) -> Path:
        return self._folder / f"agent-{_SIDES[number]}"

    def wait_for_sound(self) -> None:
        """Until the window has begun and both say that they sound."""
        time.sleep(max(0.0, self.starts_at - time.time()))
        wait_until(lambda: all(self.sounding(number) for number in range(2)), 30, "both agents sound")

    def sounding(self, number: int) -> bool:
        """Whether an agent says that it sounds."""
        return bool(self.status(number).get("status", {}).get("sounding"))

    def status(self, number: int) -> dict[str, Any]:
        """What an agent says of itself; nothing while it does not answer."""
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(5)
                asking.connect(str(self._data(number) / "agent.sock"))
                asking.sendall(b'{"ask": "status"}\n')
                while piece := asking.recv(65_536):
                    answer += piece
        except OSError:
            return {}
        said: dict[str, Any] = json.loads(answer)
        return said

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
