"""The chimes of the house, as clips in the media store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from controller.services.house_sounds import ensure_sounds
from controller.services.media_store import MediaStore
from controller.services.programme_model import CHIMES, ChimeKind
from schedules.instants import Frames
from schedules.model import Clip


async def ensure_chimes(store: MediaStore) -> Mapping[ChimeKind, Clip]:
    """The clip of every chime; made when it is not there yet."""
    found = await ensure_sounds(store, "chimes.json", CHIMES, _write)
    return {kind: found[kind] for kind in CHIMES}


def _write(name: str, path: Path) -> Frames:
    from audio.mixing import write_chime  # noqa: PLC0415 - numpy and FFmpeg only where they are needed, once

    return write_chime(next(kind for kind in CHIMES if kind == name), path)
