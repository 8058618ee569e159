"""The words that make a drill a drill: "this is a drill", spoken before and after, made by the system itself.

Rules kept here:

1. Vietnamese always; every other language of the district for which there is a voice and words below. A cluster whose
   languages have none hears the Vietnamese one.
2. Made once, in the background, and found again at the next start (``drill_notices.json`` in the media folder).
3. Boxes keep them in stock under a kind of its own, named by their signed settings; they refuse a drill without them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from controller.services.alerts.model import Words
from controller.services.alerts.speech import Speaker
from controller.services.directory import Directory
from controller.services.errors import ServiceError
from controller.services.media_store import MediaStore
from controller.services.stock import StockShelf
from controller.store.files import write_file
from protocol.documents import StockClip, StockKind
from schedules.instants import Frames
from schedules.model import Clip

_INDEX: Final = "drill_notices.json"
_RETRY_S: Final = 60.0

#: What is said. English is there for visitors; nobody here writes words in a language that nobody checked.
NOTICE_WORDS: Final[Mapping[str, str]] = {
    "vi": "Đây là diễn tập. Xin nhắc lại: đây chỉ là diễn tập, không phải báo động thật.",
    "en": "This is a drill. I repeat: this is only a drill, not a real alarm.",
}

#: What the monthly test says between its notices.
TEST_WORDS: Final[Mapping[str, str]] = {
    "vi": "Đang kiểm tra định kỳ hệ thống loa truyền thanh. Bà con không cần làm gì.",
    "en": "This is the regular test of the loudspeakers. You need not do anything.",
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A sound with its size, and the words it says."""

    clip: Clip
    size: int
    text: str


class DrillNotices:
    """The notices, once they are made. :meth:`run` makes them."""

    def __init__(self, speaker: Speaker, store: MediaStore, directory: Directory, shelf: StockShelf) -> None:
        self._speaker = speaker
        self._store = store
        self._directory = directory
        self._shelf = shelf
        self._made: dict[str, Made] = {}
        self._ready = asyncio.Event()
        self.fault: str | None = None
        shelf.sources.append(self.wanted)

    def wanted(self, cluster_id: str) -> Iterable[StockClip]:
        """What a cluster's boxes keep: a source of the shelf."""
        cluster = self._directory.clusters.get(cluster_id)
        for language in self.languages(() if cluster is None else cluster.languages):
            made = self._made[language]
            yield StockClip(made.clip.sha256, made.clip.frames, made.size, StockKind.DRILL_NOTICE)

    def languages(self, spoken: Iterable[str]) -> tuple[str, ...]:
        """In which of these languages there is a notice; Vietnamese when there is none, nothing before it is made."""
        found = tuple(dict.fromkeys(each for each in spoken if each in self._made))
        return found or tuple(each for each in ("vi",) if each in self._made)

    def clip(self, language: str) -> Clip:
        """The notice in a language of :meth:`languages`."""
        return self._made[language].clip

    async def ready(self) -> None:
        """Wait for the Vietnamese one."""
        await self._ready.wait()

    async def run(self) -> None:
        """Find or make what is missing, until it is there; then look whether new languages came."""
        self._made = {name: made for name, made in (await self._known()).items() if await self._usable(name, made)}
        while True:
            await self._make_missing()
            if "vi" in self._made:
                self._ready.set()
            await asyncio.sleep(_RETRY_S)

    async def _make_missing(self) -> None:
        spoken = {"vi", *(each for cluster in self._directory.clusters.values() for each in cluster.languages)}
        for language in sorted(spoken & NOTICE_WORDS.keys() - self._made.keys()):
            try:
                made = await self._speaker.speak(Words(language, NOTICE_WORDS[language]))
                size = (await asyncio.to_thread(self._path(made.clip).stat)).st_size
            except (ServiceError, OSError) as error:
                self.fault = f"the drill notice in {language!r} cannot be made: {error}"
                _log.warning("drill_notice_failed", language=language, reason=str(error))
                continue
            self.fault = None
            self._made[language] = Made(made.clip, size, NOTICE_WORDS[language])
            await self._write()
            self._shelf.changed()

    def _path(self, clip: Clip) -> Path:
        path = self._store.media_path(clip.sha256)
        if path is None:
            raise OSError(f"{clip.sha256} is not in the media store")
        return path

    async def _usable(self, language: str, made: Made) -> bool:
        return made.text == NOTICE_WORDS.get(language) and await self._store.has(made.clip.sha256)

    async def _known(self) -> dict[str, Made]:
        try:
            data = await asyncio.to_thread((self._store.media / _INDEX).read_bytes)
            rows: dict[str, Any] = json.loads(data)
            return {
                str(name): Made(Clip(str(sha256), Frames(int(frames))), int(size), str(text))
                for name, (sha256, frames, size, text) in rows.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    async def _write(self) -> None:
        rows = {name: [made.clip.sha256, made.clip.frames, made.size, made.text] for name, made in self._made.items()}
        await asyncio.to_thread(write_file, self._store.media / _INDEX, json.dumps(rows).encode())
