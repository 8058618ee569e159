"""Short sounds joined, faded, laid over each other; the chimes and sirens of the house. The only place of pydub."""

from __future__ import annotations

from audio.mixing.chimes import ChimeKind, chime, write_chime
from audio.mixing.editing import MAX_FRAMES, fade, join, overlay
from audio.mixing.sirens import SIREN_LUFS, SirenKind, siren, write_siren

__all__ = [
    "MAX_FRAMES",
    "SIREN_LUFS",
    "ChimeKind",
    "SirenKind",
    "chime",
    "fade",
    "join",
    "overlay",
    "siren",
    "write_chime",
    "write_siren",
]
