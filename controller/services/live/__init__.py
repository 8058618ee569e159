"""Live sound by hand: a microphone, a line, a file, an address; chimes, meter, hard stop, recording.

:class:`LiveDesk` says who speaks where; a :class:`LiveSession` is one voice from chime to chime.
"""

from __future__ import annotations

from controller.services.live.desk import LiveDesk, Studio
from controller.services.live.means import Means, SpeechFactory
from controller.services.live.model import (
    HARD_STOP,
    LONGEST,
    InputKind,
    LiveRequest,
    LiveState,
    LiveTimes,
    LiveView,
    Speaker,
)
from controller.services.live.session import LiveSession

__all__ = [
    "HARD_STOP",
    "LONGEST",
    "InputKind",
    "LiveDesk",
    "LiveRequest",
    "LiveSession",
    "LiveState",
    "LiveTimes",
    "LiveView",
    "Means",
    "Speaker",
    "SpeechFactory",
    "Studio",
]
