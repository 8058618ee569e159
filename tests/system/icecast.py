"""A real Icecast server on loopback, fed by ffmpeg: the station that relays must be able to carry."""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.system.processes import Process, free_port, wait_until

_CONFIG = """<icecast>
  <limits><clients>{clients}</clients>{burst}<sources>2</sources><source-timeout>5</source-timeout></limits>
  <authentication>
    <source-password>hackme</source-password><admin-user>admin</admin-user><admin-password>hackme</admin-password>
  </authentication>
  <hostname>127.0.0.1</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <fileserve>0</fileserve>
  <paths>
    <logdir>{folder}</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>2</loglevel></logging>
  <security><chroot>0</chroot>{changeowner}</security>
</icecast>
"""

_CODECS = {
    "mp3": ("-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3", "-content_type", "audio/mpeg"),
    "aac": ("-c:a", "aac", "-b:a", "64k", "-f", "adts", "-content_type", "audio/aac"),
    "ogg": ("-c:a", "libopus", "-b:a", "48k", "-f", "ogg", "-content_type", "application/ogg"),
}


class Icecast:
    """Use as a context manager; :attr:`url` is the station's address. ``tone_hz`` is what it plays."""

    def __init__(
        self,
        folder: Path,
        codec: str = "mp3",
        tone_hz: int = 1000,
        *,
        bitrate: str | None = None,
        clients: int = 50,
        burst: int | None = None,
    ) -> None:
        self._folder = folder
        self._codec = codec
        self._tone = tone_hz
        self._bitrate = bitrate
        self._clients = clients
        self._burst = burst
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/radio.{codec}"
        self._server: Process | None = None
        self._stack = ExitStack()
        self._feeder: Process | None = None

    def __enter__(self) -> Self:
        for program in ("icecast2", "ffmpeg"):
            assert shutil.which(program), f"{program} is missing: run scripts/setup test"
        changeowner = ""
        if os.geteuid() == 0:  # Icecast refuses to serve as root, and pytest's folders are closed to all others
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="loa-icecast-")))
            self._folder.chmod(0o777)
            changeowner = "<changeowner><user>nobody</user><group>nogroup</group></changeowner>"
        self._folder.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "folder": self._folder, "changeowner": changeowner, "clients": self._clients}
        options["burst"] = "" if self._burst is None else f"<burst-size>{self._burst}</burst-size>"
        config = self._folder / "icecast.xml"
        config.write_text(_CONFIG.format(**options))
        self._server = self._stack.enter_context(Process("icecast", ["icecast2", "-c", config], self._folder))
        try:
            wait_until(self._answers, 20, "icecast answers")
            self.start_feed()
        except AssertionError:
            self.close()
            raise
        return self

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._server is not None, "it does not run"
        return self._server.pid

    def start_feed(self) -> None:
        """Let ffmpeg send a steady tone to the mount point."""
        target = f"icecast://source:hackme@127.0.0.1:{self.port}/radio.{self._codec}"
        tone = f"sine=frequency={self._tone}:sample_rate=44100"
        argv = [
            "ffmpeg",
            "-nostdin",
            "-loglevel",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            tone,
            *_CODECS[self._codec],
            *(("-b:a", self._bitrate) if self._bitrate else ()),
            target,
        ]
        self._feeder = Process("ffmpeg", argv, self._folder)
        wait_until(self._on_air, 15, "the mount point is on air")

    def stop_feed(self) -> None:
        """The studio goes dark; listeners are cut off."""
        if self._feeder is not None:
            self._feeder.close()
            self._feeder = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.stop_feed()
        self._stack.close()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status-json.xsl", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _on_air(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=2) as answer:
                return bool(answer.status == 200 and answer.read(1000))
        except OSError:
            return False
