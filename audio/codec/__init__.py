"""Sound as bytes: Opus packets, Ogg Opus files, and every other format that FFmpeg can decode.

The only place of PyAV: its interface moves between major versions, so nobody else imports it. Inside Loa all sound
is mono 48 kHz float (:data:`audio.pcm.Samples`); Opus packets are 20 ms = 960 samples.
"""

from __future__ import annotations

from audio.codec.mp3 import MP3_FRAMES, encode_mp3
from audio.codec.opus import (
    DEFAULT_BIT_RATE,
    MAX_PACKET_BYTES,
    PACKET_FRAMES,
    PRE_ROLL,
    OpusDecoder,
    OpusEncoder,
    packet_frames,
)
from audio.codec.reader import OggOpusReader
from audio.codec.writer import OggOpusWriter

__all__ = [
    "DEFAULT_BIT_RATE",
    "MAX_PACKET_BYTES",
    "MP3_FRAMES",
    "PACKET_FRAMES",
    "PRE_ROLL",
    "OggOpusReader",
    "OggOpusWriter",
    "OpusDecoder",
    "OpusEncoder",
    "encode_mp3",
    "packet_frames",
]
