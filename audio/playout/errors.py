"""Why sound did not come out. Part of the tree in :mod:`audio.errors`.

* :class:`audio.errors.PlayoutError`
    * :class:`CueError`: a cue cannot be taken (``bad_cue``, ``bad_gain``, ``bad_level``, ``duplicate_cue``,
      ``too_many_cues``, ``output_stuck``, ``player_closed``)
    * :class:`OutputError`: a device or file cannot be opened, or was lost (``bad_output``, ``no_portaudio``,
      ``no_device``, ``device_busy``, ``output_lost``, ``file_unwritable``)
"""

from __future__ import annotations

from typing import ClassVar

from audio.errors import PlayoutError

__all__ = ["CueError", "OutputError", "PlayoutError"]


class CueError(PlayoutError):
    """A cue cannot be taken."""

    default_code: ClassVar[str] = "bad_cue"


class OutputError(PlayoutError):
    """A device or a file that sound should go to cannot be opened, or was lost."""

    default_code: ClassVar[str] = "output_lost"
