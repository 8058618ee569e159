"""The house's own sounds as clips in the media store: made once, at the first start, then found again.

Rules kept here: what an index names is in the store, or is made anew; such a sound needs no approval, for it is the
system's own.

Not here: which sounds there are (:mod:`controller.services.chimes`, :mod:`controller.services.alerts.tones`), how they
are made (:mod:`audio.mixing`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from controller.services.media_store import MediaStore
from controller.store.files import write_file
from schedules.instants import Frames
from schedules.model import Clip

#: Writes the sound of a name to a file and says how long it is.
Maker = Callable[[str, Path], Frames]


async def ensure_sounds(store: MediaStore, index_name: str, names: Sequence[str], make: Maker) -> dict[str, Clip]:
    """The clip of every name; made when it is not there yet. ``index_name``: the file beside the media that knows."""
    index = store.media / index_name
    known = await asyncio.to_thread(_read, index, names)
    found: dict[str, Clip] = {}
    for name in names:
        clip = known.get(name)
        if clip is None or not await store.has(clip.sha256):
            clip = await _made(store, f"{index.stem}-{name}", name, make)
        found[name] = clip
    if found != known:
        text = json.dumps({name: [clip.sha256, clip.frames] for name, clip in found.items()})
        await asyncio.to_thread(write_file, index, text.encode())
    return found


async def _made(store: MediaStore, file: str, name: str, make: Maker) -> Clip:
    path = store.upload_path(file)

    def write() -> tuple[Frames, str]:
        frames = make(name, path)
        return frames, hashlib.sha256(path.read_bytes()).hexdigest()

    frames, sha256 = await asyncio.to_thread(write)
    await store.adopt(path, sha256)
    return Clip(sha256, frames)


def _read(index: Path, names: Sequence[str]) -> dict[str, Clip]:
    try:
        value = json.loads(index.read_bytes())
        return {name: Clip(str(value[name][0]), Frames(int(value[name][1]))) for name in names if name in value}
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return {}
