"""The peer: Snapcast's own server and two clients from Debian's packages, playing into a hall.

Opus at its defaults (192 kbit/s, buffer 1 s, chunks of 20 ms); its Opus needs a stereo source.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from audio.pcm import Samples, to_s16
from benchmarks.report import note
from tests.system.processes import Process, free_port
from tests.system.pulse_hall import Hall

Through = Callable[[int, int], int]


def installed() -> bool:
    """Whether both programs are here; says what to do when not."""
    missing = [name for name in ("snapserver", "snapclient") if shutil.which(name) is None]
    if missing:
        note(f"{', '.join(missing)} missing: run `make bench-setup`")
    return not missing


class Snapcast:
    """A server and two clients, left and right. Use as a context manager."""

    def __init__(self, folder: Path, hall: Hall, sound: Samples, *, through: Through, buffer_ms: int = 1000) -> None:
        """``through(port, number)`` gives the port at which client ``number`` reaches the server's ``port``."""
        self._folder = folder
        self._hall = hall
        self._sound = sound
        self._through = through
        self._buffer = buffer_ms
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        raw = self._folder / "noise.raw"
        raw.write_bytes(to_s16(np.repeat(self._sound, 2)))
        port, control = free_port(), free_port()
        source = f"file://{raw}?name=noise&sampleformat=48000:16:2&codec=opus"
        config = self._folder / "snapserver.conf"
        config.write_text(
            f"[server]\ndatadir = {self._folder}\n[http]\nenabled = false\n"
            f"[tcp]\nenabled = true\nbind_to_address = 127.0.0.1\nport = {control}\n"
            f"[stream]\nbind_to_address = 127.0.0.1\nport = {port}\nbuffer = {self._buffer}\nsource = {source}\n"
        )
        server = Process("snapserver", ["snapserver", "-c", config], self._folder, self._hall.environment)
        self._stack.enter_context(server)
        for number, side in enumerate(("left", "right")):
            argv: list[str | Path] = ["snapclient", "-h", "127.0.0.1", "-p", str(self._through(port, number))]
            argv += ["--player", "pulse", "-i", str(number + 1), "--hostID", side]
            environment = {**self._hall.environment, "PULSE_SINK": side}
            self._stack.enter_context(Process(f"snapclient-{side}", argv, self._folder, environment))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
