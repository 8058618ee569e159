"""The attention signals before an emergency's words, as clips in the media store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from controller.services.alerts.model import Tone
from controller.services.house_sounds import ensure_sounds
from controller.services.media_store import MediaStore
from schedules.instants import Frames
from schedules.model import Clip

#: Tones that sound.
TONES: Final = tuple(tone for tone in Tone if tone is not Tone.NONE)


async def ensure_tones(store: MediaStore) -> Mapping[Tone, Clip]:
    """The clip of every signal; made when it is not there yet."""
    found = await ensure_sounds(store, "tones.json", TONES, _write)
    return {tone: found[tone] for tone in TONES}


def _write(name: str, path: Path) -> Frames:
    from audio.mixing import write_siren  # noqa: PLC0415 - numpy and FFmpeg only where they are needed, once

    return write_siren(str(name), path)
