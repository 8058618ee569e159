"""What burdens a controller while somebody needs it: uploads in ingest, a plan that is compiled, a locked database.

Those who upload have machines of their own; here they share two cores with everybody, so their process steps back.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from audio import jail
from audio.pcm import Samples, to_s16
from benchmarks.district import District
from benchmarks.report import note
from controller.cli.client import ApiClient, Login
from controller.cli.output import CliError
from tests.system.boxes import schedule
from tests.system.desk import LockedDatabase, soon
from tests.system.pulse_hall import pink_noise

UPLOADS: Final = 50
LOCKED_S: Final = 30.0
_PROGRAMME_S: Final = 60.0
#: A process begins in half of it.
_UNDER_WAY_S: Final = 2.0
_UPLOADED_S: Final = 60.0
_NICENESS: Final = 10


class Burden:
    """Everything at once, from the moment it is entered; the lock lasts its whole time. Use as a context manager."""

    def __init__(self, district: District) -> None:
        self._district = district
        self._file = district.folder / "long.wav"
        context = multiprocessing.get_context("spawn")
        self._refused = context.Value("i", 0)
        login = Login(district.desk.url, district.desk.token)
        job = (login, district.area, self._file, self._refused)
        self._uploads = context.Process(target=_upload_all, args=job, name="uploads", daemon=True)
        self._lock = LockedDatabase(district.desk)
        self._locked_at = 0.0

    def __enter__(self) -> Self:
        _write_wav(self._file, pink_noise(_PROGRAMME_S))
        self._uploads.start()
        time.sleep(_UNDER_WAY_S)  # bodies are on their way, the first are in ingest
        self._edit()  # its compile begins now
        self._lock.__enter__()
        self._locked_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()
        self._uploads.join(_UPLOADED_S)
        if self._uploads.is_alive():
            self._uploads.kill()
        note(f"{self._refused.value} of {UPLOADS} uploads were refused while the database was locked, and told so")

    def wait(self) -> None:
        """Until the database was locked for as long as it was to be; then it is free."""
        time.sleep(max(0.0, self._locked_at + LOCKED_S - time.monotonic()))
        self.unlock()

    def unlock(self) -> None:
        """Let the database go (once)."""
        if self._locked_at:
            self._locked_at = 0.0
            self._lock.__exit__(None, None, None)

    def _edit(self) -> None:
        """A relay tomorrow in every cluster of both areas."""
        district = self._district
        body = {"kind": "relay", "source": district.source, "fallback": []}
        schedule(district.desk, district.area, [], soon(86_400).timestamp(), content=body, priority="RELAY",
                 slot_s=300, title="Tiếp sóng", targets={"areas": [district.area, district.elsewhere]})  # fmt: skip


def _upload_all(login: Login, area: str, file: Path, refused: Any) -> None:
    """Fifty people upload at once. In a process of its own; ``refused``: a shared number."""
    os.setsid()
    jail.step_back(_NICENESS)

    def upload(number: int) -> bool:
        query = {"area_id": area, "title": f"Tải lên {number}", "file_name": file.name}
        try:
            with ApiClient(login) as api, file.open("rb") as content:
                api.upload("/api/v1/recordings", content, size=file.stat().st_size, query=query,
                           media_type="application/octet-stream")  # fmt: skip
        except CliError:
            return False  # told to whoever uploads; nothing is lost
        return True

    with ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload") as people:
        refused.value = sum(not done for done in people.map(upload, range(UPLOADS)))


def _write_wav(path: Path, sound: Samples) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(to_s16(sound))
