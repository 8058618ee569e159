"""The chimes of the house as clips in the media store: made once, at the first start, then found again.

Rules kept here: what ``chimes.json`` names is in the store, or is made anew; a chime needs no approval, for it is the
system's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from controller.services.media_store import MediaStore
from controller.services.programme_model import CHIMES, ChimeKind
from controller.store.files import write_file
from schedules.instants import Frames
from schedules.model import Clip

_INDEX = "chimes.json"


async def ensure_chimes(store: MediaStore) -> Mapping[ChimeKind, Clip]:
    """The clip of every chime; made when it is not there yet."""
    index = store.media / _INDEX
    known = await asyncio.to_thread(_read, index)
    found: dict[ChimeKind, Clip] = {}
    for kind in CHIMES:
        clip = known.get(kind)
        if clip is None or not await store.has(clip.sha256):
            clip = await _make(store, kind)
        found[kind] = clip
    if found != known:
        text = json.dumps({kind: [clip.sha256, clip.frames] for kind, clip in found.items()})
        await asyncio.to_thread(write_file, index, text.encode())
    return found


async def _make(store: MediaStore, kind: ChimeKind) -> Clip:
    path = store.upload_path(f"chime-{kind}")
    frames, sha256 = await asyncio.to_thread(_write, kind, path)
    await store.adopt(path, sha256)
    return Clip(sha256, frames)


def _write(kind: ChimeKind, path: Path) -> tuple[Frames, str]:
    from audio.mixing import write_chime  # noqa: PLC0415 - numpy and FFmpeg only where they are needed, once

    frames = write_chime(kind, path)
    return frames, hashlib.sha256(path.read_bytes()).hexdigest()


def _read(index: Path) -> dict[ChimeKind, Clip]:
    try:
        value = json.loads(index.read_bytes())
        return {kind: Clip(str(value[kind][0]), Frames(int(value[kind][1]))) for kind in CHIMES if kind in value}
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return {}
