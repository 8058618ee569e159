"""Bytes of a radio stream into Opus packets of 20 ms, as they come.

Rules kept here:

1. What the stream is, is decided by its bytes. An interruption of the format inside (a new song of an Ogg station, a
   lost piece) makes it listen anew from where it is, without a jump in the sample index.
2. A constant gain may be given; peaks are held under −1.5 dBTP by the same limiter as programmes. Levels are those of
   what comes out.
3. Bytes that give no sound for :data:`PATIENCE_BYTES`, or in :data:`TRIES` attempts from the start, are not audio.

Not here: the process around it (:mod:`audio.stream.worker`).
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from typing import BinaryIO, cast

import numpy as np

from audio.codec import PACKET_FRAMES, RADIO_FORMATS, OpusEncoder, Resampler, SoundSource, mono
from audio.errors import AudioError, CodecError, StreamError
from audio.loudness import TruePeakLimiter
from audio.pcm import Samples, amplitude, silence
from audio.stream.framing import INDEX, INFO, PACKET, frame
from audio.stream.metering import Meter

#: A station that sends this much (a minute at 128 kbit/s) without one decodable sound sends no sound.
PATIENCE_BYTES = 1_000_000
#: Attempts to find sound at the start.
TRIES = 3
#: What may be read to find out what the stream is: 2 s at 128 kbit/s.
PROBE_BYTES = 32_768

_PIPE_BYTES = 4_096
_CEILING_DBTP = -1.5
_NOT_AUDIO = "what this address sends is no radio stream (MP3, AAC, Ogg or FLAC): check the address"


class Inlet:
    """stdin as FFmpeg reads it: no other place to go to, and as much as there is."""

    def __init__(self, file: io.FileIO | BinaryIO) -> None:
        self._file = file
        self.total = 0
        self.ended = False

    def seekable(self) -> bool:
        """A stream has no other place."""
        return False

    def read(self, size: int = -1) -> bytes:
        """What has arrived, at least a byte, until the end."""
        data = self._file.read(min(size, _PIPE_BYTES) if size > 0 else _PIPE_BYTES)
        self.total += len(data)
        self.ended = self.ended or not data
        return data


class Outlet:
    """Samples into packets."""

    def __init__(self, out: BinaryIO, bit_rate: int, gain_db: float) -> None:
        self._out = out
        self._encoder = OpusEncoder(bit_rate)
        self._limiter = TruePeakLimiter(_CEILING_DBTP)
        self._gain = np.float32(amplitude(gain_db))
        self._meter = Meter(out)
        self._rest: Samples = silence(0)
        #: Samples encoded so far.
        self.index = 0

    def push(self, samples: Samples) -> None:
        """Encode what makes whole packets."""
        self._encode(np.concatenate((self._rest, self._limiter.push(samples * self._gain))))

    def finish(self) -> None:
        """The rest, the last packet filled up with silence."""
        rest = np.concatenate((self._rest, self._limiter.flush()))
        self._encode(np.concatenate((rest, silence(-len(rest) % PACKET_FRAMES))))

    def tell(self, facts: dict[str, object]) -> None:
        """Say what the stream is."""
        self._out.write(frame(INFO, json.dumps(facts).encode()))
        self._out.flush()

    def _encode(self, samples: Samples) -> None:
        whole = len(samples) // PACKET_FRAMES * PACKET_FRAMES
        self._meter.push(samples[:whole])
        for at in range(0, whole, PACKET_FRAMES):
            packet = self._encoder.encode(samples[at : at + PACKET_FRAMES])
            self._out.write(frame(PACKET, INDEX.pack(self.index) + packet))
            self.index += PACKET_FRAMES
        if whole:
            self._out.flush()
        self._rest = samples[whole:].copy()


def listen(inlet: Inlet, outlet: Outlet, heard: Callable[[], None]) -> None:
    """Encode from the first byte to the last. ``heard`` is called whenever sound has come out.

    Raises:
        StreamError: ``not_audio``: the bytes are no radio stream, or ceased to be one.
    """
    fruitless, heard_at = 0, 0
    while not inlet.ended:
        before = outlet.index
        try:
            _one_format(inlet, outlet, heard)
        except CodecError:
            # The format broke off or was none; whether that is forgiven is decided by what came out.
            fruitless += 1
        if outlet.index > before:
            fruitless, heard_at = 0, inlet.total
        at_start = not outlet.index and fruitless >= TRIES
        if at_start or inlet.total - heard_at > PATIENCE_BYTES:
            raise StreamError(_NOT_AUDIO, code="not_audio")
    if not outlet.index:
        raise StreamError(_NOT_AUDIO, code="not_audio")


def _one_format(inlet: Inlet, outlet: Outlet, heard: Callable[[], None]) -> None:
    resampler = Resampler()
    with SoundSource(cast("BinaryIO", inlet), formats=RADIO_FORMATS, probe_bytes=PROBE_BYTES) as source:
        told = False
        for block in source.blocks():
            if not told:
                outlet.tell(
                    {
                        "container": source.container,
                        "codec": source.codec,
                        "sample_rate": block.rate,
                        "channels": len(block.planes),
                    }
                )
                told = True
            outlet.push(resampler.push(mono(block.planes, block.channels), block.rate))
            heard()
        outlet.push(resampler.flush())


def warm_up() -> None:
    """Run everything once: what imports late must do so before no file can be opened any more."""
    sample = io.BytesIO()
    with wave.open(sample, "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(bytes(44_100))
    sample.seek(0)
    resampler, outlet = Resampler(), Outlet(io.BytesIO(), 32_000, 0.0)
    with SoundSource(sample) as source:
        for block in source.blocks():
            outlet.push(resampler.push(mono(block.planes, block.channels), block.rate))
    outlet.push(resampler.flush())
    outlet.finish()
    try:
        SoundSource(io.BytesIO(b"no sound"))
    except AudioError:
        return
