"""What burdens a controller while somebody needs it: uploads in ingest, a plan that is compiled, a locked database."""

from __future__ import annotations

import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from audio.pcm import Samples, to_s16
from benchmarks.district import District
from benchmarks.report import note
from controller.cli.output import CliError
from tests.system.boxes import schedule
from tests.system.desk import LockedDatabase, soon
from tests.system.pulse_hall import pink_noise

UPLOADS: Final = 50
LOCKED_S: Final = 30.0
_PROGRAMME_S: Final = 60.0


class Burden:
    """Everything at once, from the moment it is entered; the lock lasts its whole time. Use as a context manager."""

    def __init__(self, district: District) -> None:
        self._district = district
        self._file = district.folder / "long.wav"
        self._uploads = ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload")
        self._lock = LockedDatabase(district.desk)
        self._locked_at = 0.0
        self.refused = 0

    def __enter__(self) -> Self:
        _write_wav(self._file, pink_noise(_PROGRAMME_S))
        for number in range(UPLOADS):
            self._uploads.submit(self._upload, number)
        time.sleep(1.0)  # bodies are on their way, the first are in ingest
        self._edit()  # its compile begins now
        self._lock.__enter__()
        self._locked_at = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()
        self._uploads.shutdown(cancel_futures=True)
        note(f"{self.refused} of {UPLOADS} uploads were refused while the database was locked, and told so")

    def wait(self) -> None:
        """Until the database was locked for as long as it was to be; then it is free."""
        time.sleep(max(0.0, self._locked_at + LOCKED_S - time.monotonic()))
        self.unlock()

    def unlock(self) -> None:
        """Let the database go (once)."""
        if self._locked_at:
            self._locked_at = 0.0
            self._lock.__exit__(None, None, None)

    def _upload(self, number: int) -> None:
        try:
            with self._district.desk.api() as api, self._file.open("rb") as content:
                query = {"area_id": self._district.area, "title": f"Tải lên {number}", "file_name": self._file.name}
                api.upload("/api/v1/recordings", content, size=self._file.stat().st_size, query=query,
                           media_type="application/octet-stream")  # fmt: skip
        except CliError:
            self.refused += 1  # told to whoever uploads; nothing is lost

    def _edit(self) -> None:
        """A relay tomorrow in every cluster of both areas."""
        district = self._district
        body = {"kind": "relay", "source": district.source, "fallback": []}
        schedule(district.desk, district.area, [], soon(86_400).timestamp(), content=body, priority="RELAY",
                 slot_s=300, title="Tiếp sóng", targets={"areas": [district.area, district.elsewhere]})  # fmt: skip


def _write_wav(path: Path, sound: Samples) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(to_s16(sound))
