"""Samples into MPEG-1 layer III frames: the language that radio stations speak.

Loa itself never plays MP3; the demo's station and the tests' stations do, so that relays meet what they will meet.
"""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from audio.pcm import Samples, silence
from schedules.instants import SAMPLE_RATE, Frames

#: Samples in one MPEG-1 layer III frame (ISO/IEC 11172-3): 24 ms at 48 kHz.
MP3_FRAMES = Frames(1_152)


def encode_mp3(samples: Samples, bit_rate: int = 64_000) -> Iterator[bytes]:
    """``samples`` as constant-rate MP3 frames, one at a time; the end is filled up with silence.

    The bit reservoir is off, so every frame stands alone and the sequence may be cut or looped anywhere.
    """
    context = av.CodecContext.create("libmp3lame", "w")
    assert isinstance(context, AudioCodecContext)  # noqa: S101 - libmp3lame is an audio codec
    context.sample_rate = SAMPLE_RATE
    context.layout = "mono"
    context.format = "fltp"
    context.bit_rate = bit_rate
    context.options = {"reservoir": "0"}
    for at in range(0, len(samples), MP3_FRAMES):
        block = samples[at : at + MP3_FRAMES]
        if len(block) < MP3_FRAMES:
            block = np.concatenate((block, silence(MP3_FRAMES - len(block))))
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block[np.newaxis]), format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = at
        yield from (bytes(packet) for packet in context.encode(frame))
    yield from (bytes(packet) for packet in context.encode(None))
