"""Frames of a microphone into Opus packets of 20 ms: decoded, brought to 48 kHz, measured, bent, encoded.

Rules kept here:

1. Nothing is held back but what does not fill a packet: speech comes out 6.5 ms (Opus's look-ahead) later.
2. A frame that cannot be decoded is 20 ms of silence; :data:`BAD_IN_A_ROW` of them are no speech (``not_audio``).
3. Levels are those of what came in, before anything was done to it.

Not here: the process around it (:mod:`audio.stream.speech_worker`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from audio.codec import PACKET_FRAMES, OpusDecoder, OpusEncoder, Resampler
from audio.errors import CodecError, StreamError
from audio.pcm import Samples, from_s16, silence
from audio.stream.framing import (
    AUDIO,
    CHIME,
    FORMAT,
    HEAD,
    INDEX,
    OWN_PACKET,
    PACKET,
    PPM,
    RATE,
    frame,
)
from audio.stream.metering import Meter
from schedules.instants import SAMPLE_RATE

#: A second of rubbish.
BAD_IN_A_ROW = 50
#: Longer than any frame: 200 ms of 48 kHz samples.
MAX_FRAME_BYTES = 32_768


class Vernier:
    """Plays a little faster or slower, by linear interpolation between samples."""

    def __init__(self) -> None:
        self.ppm = 0
        self._last = np.float32(0)
        self._at = 1.0  # place of the next sample, counted from the last one of the block before

    def push(self, samples: Samples) -> Samples:
        """The block at the present speed."""
        if not len(samples) or (self.ppm == 0 and self._at == 1.0):
            self._last = samples[-1] if len(samples) else self._last
            return samples
        step = 1.0 + self.ppm * 1e-6
        count = max(0, int((len(samples) - self._at) / step) + 1)
        places = self._at + step * np.arange(count)
        known = np.concatenate(((self._last,), samples))
        self._at += step * count - len(samples)
        self._last = samples[-1]
        return np.asarray(np.interp(places, np.arange(len(known)), known), np.float32)


class Speaking:
    """One session of speech. ``chimes``: samples by the letter they are asked for."""

    def __init__(self, out: BinaryIO, bit_rate: int, chimes: dict[bytes, Samples]) -> None:
        self._out = out
        self._encoder = OpusEncoder(bit_rate)
        self._chimes = chimes
        self._meter = Meter(out)
        self._vernier = Vernier()
        self._resampler = Resampler()
        self._decoder: OpusDecoder | None = None
        self._rate = SAMPLE_RATE
        self._bad = 0
        self._rest: Samples = silence(0)
        self._index = 0

    def take(self, kind: bytes, body: bytes) -> None:
        """Do what one frame says.

        Raises:
            StreamError: ``not_audio``.
        """
        if kind == AUDIO:
            self._speech(body)
        elif kind == CHIME:
            self._chime(body)
        elif kind == RATE:
            (self._vernier.ppm,) = PPM.unpack(body)
        elif kind == FORMAT:
            self._begin(json.loads(body))
        self._out.flush()

    def _begin(self, said: dict[str, object]) -> None:
        self._decoder = OpusDecoder() if said["codec"] == "opus" else None
        self._rate = int(str(said["rate"]))
        self._resampler = Resampler()
        self._bad = 0

    def _speech(self, data: bytes) -> None:
        samples = self._decoded(data)
        self._meter.push(samples)
        self._encode(np.concatenate((self._rest, np.clip(self._vernier.push(samples), -1.0, 1.0))), PACKET)

    def _decoded(self, data: bytes) -> Samples:
        if self._decoder is None:
            return self._resampler.push(from_s16(data[: len(data) // 2 * 2]), self._rate)
        try:
            samples = self._decoder.decode(data)
        except CodecError as error:
            self._bad += 1
            if self._bad >= BAD_IN_A_ROW:
                raise StreamError("what the microphone sends is not Opus", code="not_audio") from error
            return silence(PACKET_FRAMES)
        self._bad = 0
        return np.nan_to_num(samples)

    def _chime(self, which: bytes) -> None:
        sound = self._chimes.get(which, silence(0))
        whole = np.concatenate((self._rest, sound))
        self._rest = silence(0)
        self._encode(np.concatenate((whole, silence(-len(whole) % PACKET_FRAMES))), OWN_PACKET)

    def _encode(self, samples: Samples, kind: bytes) -> None:
        whole = len(samples) // PACKET_FRAMES * PACKET_FRAMES
        for at in range(0, whole, PACKET_FRAMES):
            packet = self._encoder.encode(samples[at : at + PACKET_FRAMES])
            self._out.write(frame(kind, INDEX.pack(self._index) + packet))
            self._index += PACKET_FRAMES
        self._rest = samples[whole:].copy()


def frames_of(stdin: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """What the parent says, frame by frame, until it closes the pipe."""
    while len(head := stdin.read(HEAD.size)) == HEAD.size:
        kind, length = HEAD.unpack(head)
        body = stdin.read(length) if length <= MAX_FRAME_BYTES else b""
        if len(body) < length:
            return
        yield kind, body


def warm_up() -> None:
    """Run everything once: what imports late must do so before no file can be opened any more."""
    speaking = Speaking(io.BytesIO(), 32_000, {b"b": silence(PACKET_FRAMES)})
    speaking.take(FORMAT, b'{"codec": "pcm", "rate": 44100}')
    speaking.take(AUDIO, bytes(20_000))
    speaking.take(RATE, PPM.pack(100))
    speaking.take(AUDIO, bytes(20_000))
    speaking.take(CHIME, b"b")
    packet = OpusEncoder().encode(silence(PACKET_FRAMES))
    speaking.take(FORMAT, b'{"codec": "opus", "rate": 48000}')
    speaking.take(AUDIO, packet)
    speaking.take(AUDIO, b"\xff\xff")
