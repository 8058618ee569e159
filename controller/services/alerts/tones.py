"""The attention signals as clips in the media store: made once, at the first start, then found again.

Rules kept here: what ``tones.json`` names is in the store, or is made anew; a signal needs no approval, for it is the
system's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from controller.services.alerts.model import Tone
from controller.services.media_store import MediaStore
from controller.store.files import write_file
from schedules.instants import Frames
from schedules.model import Clip

_INDEX: Final = "tones.json"
#: Tones that sound.
TONES: Final = tuple(tone for tone in Tone if tone is not Tone.NONE)


async def ensure_tones(store: MediaStore) -> Mapping[Tone, Clip]:
    """The clip of every signal; made when it is not there yet."""
    index = store.media / _INDEX
    known = await asyncio.to_thread(_read, index)
    found: dict[Tone, Clip] = {}
    for tone in TONES:
        clip = known.get(tone)
        if clip is None or not await store.has(clip.sha256):
            clip = await _make(store, tone)
        found[tone] = clip
    if found != known:
        text = json.dumps({str(tone): [clip.sha256, clip.frames] for tone, clip in found.items()})
        await asyncio.to_thread(write_file, index, text.encode())
    return found


async def _make(store: MediaStore, tone: Tone) -> Clip:
    path = store.upload_path(f"tone-{tone}")
    frames, sha256 = await asyncio.to_thread(_write, tone, path)
    await store.adopt(path, sha256)
    return Clip(sha256, frames)


def _write(tone: Tone, path: Path) -> tuple[Frames, str]:
    from audio.mixing import write_siren  # noqa: PLC0415 - numpy and FFmpeg only where they are needed, once

    frames = write_siren(str(tone), path)
    return frames, hashlib.sha256(path.read_bytes()).hexdigest()


def _read(index: Path) -> dict[Tone, Clip]:
    try:
        value = json.loads(index.read_bytes())
        return {tone: Clip(str(value[tone][0]), Frames(int(value[tone][1]))) for tone in TONES if tone in value}
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return {}
