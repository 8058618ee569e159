"""Opus packets to and from samples: 48 kHz mono, 20 ms = 960 samples a packet (RFC 6716).

Rules kept here:

1. One packet in, one packet's samples out, at once: no hidden delay beside Opus's own look-ahead, whose length
   is :attr:`OpusEncoder.pre_skip` (sample *i* that went in comes out of the decoder at *i* + ``pre_skip``).
2. A packet that cannot be decoded raises; what is heard instead is decided by :mod:`audio.playout`.

Not here: Ogg. Concealment of lost packets (FFmpeg gives no access to it).
"""

from __future__ import annotations

from typing import Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from audio.errors import CodecError
from audio.ogg import parse_head
from audio.pcm import Samples
from schedules.instants import SAMPLE_RATE, Frames

#: Samples in one packet of 20 ms.
PACKET_FRAMES = Frames(960)

#: Bits a second when nobody says otherwise: speech is clear, and an hour costs 14 MB of a SIM card's data.
DEFAULT_BIT_RATE = 32_000

#: A 20 ms packet never exceeds this (RFC 6716 section 3.2: 1275 bytes for one frame).
MAX_PACKET_BYTES = 1_275

#: What a decoder hears before a place it joins at. RFC 7845 section 4.6 asks for 80 ms at least; steady tones, whose
#: loudness Opus predicts from packet to packet, take a second to converge (at 400 ms 10 % are still missing; measured).
PRE_ROLL = Frames(48_000)

_LONGEST = 5_760  # 120 ms, the most a packet may hold


def packet_frames(packet: bytes) -> int:
    """Samples at 48 kHz that ``packet`` stands for, read from its first byte (RFC 6716 section 3.1).

    Raises:
        CodecError: empty, or longer than 120 ms.
    """
    if not packet:
        raise CodecError("an Opus packet is empty")
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:  # noqa: PLR2004 - SILK: 10, 20, 40, 60 ms
        size = (480, 960, 1920, 2880)[configuration & 3]
    elif configuration < 16:  # noqa: PLR2004 - hybrid: 10, 20 ms
        size = (480, 960)[configuration & 1]
    else:  # CELT: 2.5, 5, 10, 20 ms
        size = (120, 240, 480, 960)[configuration & 3]
    if code == 3 and len(packet) < 2:  # noqa: PLR2004 - code 3 has a count byte
        raise CodecError("an Opus packet is cut short")
    total = size * (1, 2, 2, packet[1] & 63 if code == 3 else 0)[code]  # noqa: PLR2004 - codes 0 to 3
    if not 0 < total <= _LONGEST:
        raise CodecError("an Opus packet says it is longer than 120 ms")
    return total


class OpusEncoder:
    """Samples in, packets out: ``encode`` takes exactly 960 samples and returns one packet.

    Args:
        bit_rate: bits a second (variable rate around it), 6 000 to 256 000.
        application: ``voip`` favours clear speech, ``audio`` keeps music faithful, ``lowdelay`` has 2.5 ms of
            look-ahead instead of 6.5 ms.

    Raises:
        CodecError: the encoder does not take these settings (``bad_setting``).
    """

    def __init__(
        self,
        bit_rate: int = DEFAULT_BIT_RATE,
        *,
        application: Literal["voip", "audio", "lowdelay"] = "audio",
        complexity: int = 10,
    ) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 - libopus is an audio codec
        context.sample_rate = SAMPLE_RATE
        context.layout = "mono"
        context.format = "flt"
        context.bit_rate = bit_rate
        context.options = {
            "application": application,
            "frame_duration": "20",
            "vbr": "on",
            "compression_level": str(complexity),
        }
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(f"the Opus encoder refuses these settings: {error}", code="bad_setting") from error
        self._context = context
        self._position = 0
        #: Samples of look-ahead: how much later a sample comes out of the decoder than it went in.
        self.pre_skip = parse_head(context.extradata or b"")

    def encode(self, samples: Samples) -> bytes:
        """One packet for exactly 960 samples.

        Raises:
            CodecError: another count of samples (``wrong_length``), or the encoder failed.
        """
        if samples.shape != (PACKET_FRAMES,):
            raise CodecError(f"a packet takes 960 samples, not {samples.shape}", code="wrong_length")
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = SAMPLE_RATE
        frame.pts = self._position
        self._position += PACKET_FRAMES
        try:
            packets = self._context.encode(frame)
        except av.FFmpegError as error:
            raise CodecError(f"Opus encoding failed: {error}", code="encode_failed") from error
        if len(packets) != 1:
            raise CodecError(f"the encoder gave {len(packets)} packets for one", code="encode_failed")
        return bytes(packets[0])


class OpusDecoder:
    """Packets in, samples out: ``decode`` returns the samples of one packet, mono (stereo is mixed down)."""

    def __init__(self) -> None:
        self._context = self._fresh()

    @staticmethod
    def _fresh() -> AudioCodecContext:
        context = av.CodecContext.create("libopus", "r")
        assert isinstance(context, AudioCodecContext)  # noqa: S101 - libopus is an audio codec
        context.sample_rate = SAMPLE_RATE
        context.layout = "mono"
        context.options = {"request_sample_fmt": "flt"}
        context.open()
        return context

    def reset(self) -> None:
        """Forget everything heard so far, as before a seek or after a discontinuity."""
        self._context = self._fresh()

    def decode(self, packet: bytes) -> Samples:
        """The samples of one packet: 960 for a packet of 20 ms.

        Raises:
            CodecError: the packet is not Opus. The decoder stays usable.
        """
        if not packet:
            raise CodecError("an Opus packet is empty")
        try:
            frames = self._context.decode(av.Packet(packet))
        except (av.FFmpegError, ValueError) as error:
            raise CodecError(f"an Opus packet cannot be decoded: {error}") from error
        if not frames:
            raise CodecError("an Opus packet holds no sound")
        parts = [np.asarray(frame.to_ndarray(), np.float32).reshape(-1) for frame in frames]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
