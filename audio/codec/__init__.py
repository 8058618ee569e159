"""Sound as bytes: Opus packets, Ogg Opus files, and every other format that FFmpeg can decode.

The only place of PyAV: its interface moves between major versions, so nobody else imports it. Inside Loa all sound
is mono 48 kHz float (:data:`audio.pcm.Samples`); Opus packets are 20 ms = 960 samples.
"""

from __future__ import annotations

from audio.codec.downmix import mono
from audio.codec.measure import Loudness, LoudnessMeter
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
from audio.codec.resample import Resampler
from audio.codec.source import FILE_FORMATS, RADIO_FORMATS, Block, SoundSource
from audio.codec.writer import OggOpusWriter

__all__ = [
    "DEFAULT_BIT_RATE",
    "FILE_FORMATS",
    "MAX_PACKET_BYTES",
    "MP3_FRAMES",
    "PACKET_FRAMES",
    "PRE_ROLL",
    "RADIO_FORMATS",
    "Block",
    "Loudness",
    "LoudnessMeter",
    "OggOpusReader",
    "OggOpusWriter",
    "OpusDecoder",
    "OpusEncoder",
    "Resampler",
    "SoundSource",
    "encode_mp3",
    "mono",
    "packet_frames",
]
