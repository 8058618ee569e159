"""Short sounds joined, faded, laid over each other; and the chimes of the house. The only place of pydub."""

from __future__ import annotations

from audio.mixing.chimes import ChimeKind, chime, write_chime
from audio.mixing.editing import MAX_FRAMES, fade, join, overlay

__all__ = ["MAX_FRAMES", "ChimeKind", "chime", "fade", "join", "overlay", "write_chime"]
