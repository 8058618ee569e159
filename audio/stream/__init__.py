"""Live sound into Opus packets, in processes of their own that reach nothing but their two pipes.

:class:`StreamEncoder` takes the bytes of a radio stream, :class:`SpeechEncoder` what somebody speaks;
:class:`OpusTape` keeps packets that went on air. Importing this package loads neither numpy nor FFmpeg.
"""

from __future__ import annotations

from audio.stream.encoder import StreamEncoder, StreamInfo
from audio.stream.levels import Level
from audio.stream.speech import SpeechEncoder, SpeechFormat, SpeechPacket
from audio.stream.tape import SILENT_PACKET, OpusTape

__all__ = [
    "SILENT_PACKET",
    "Level",
    "OpusTape",
    "SpeechEncoder",
    "SpeechFormat",
    "SpeechPacket",
    "StreamEncoder",
    "StreamInfo",
]
