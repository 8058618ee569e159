"""The parent of the process that encodes speech: frames of a microphone in, Opus packets and levels out.

Speech is decoded and encoded again, whatever it comes as: the sender is a browser or a script, its packets are
untrusted (the decoder runs in a jail), and one encoder gives one bit rate, one packet length, chimes in the same
stream, and room for a clock that runs too fast. It costs 6.5 ms of look-ahead.

Rules kept here:

1. Speech never waits: a frame the child has no room for is dropped and counted (:attr:`SpeechEncoder.dropped`).
2. Packets are 20 ms; chimes come out as packets of their own, in the order they were asked for.

Not here: when packets play and how fast the sender's clock is (controller), sockets (controller).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from audio.errors import StreamError
from audio.stream.child import EncodingChild
from audio.stream.framing import (
    AUDIO,
    CHIME,
    ERROR,
    FINISHED,
    FORMAT,
    INDEX,
    LEVEL,
    LEVELS,
    OWN_PACKET,
    PACKET,
    PPM,
    RATE,
    frame,
)
from audio.stream.levels import Level

#: Rates of 16-bit speech that are taken, in Hz.
RATES: Final = range(16_000, 48_001)
#: What may wait for the child, in bytes: 0.3 s of 48 kHz speech.
_WAITING = 32_768
#: Speech is bent by at most so many millionths: half a semitone's twelfth, heard by nobody.
MAX_PPM: Final = 5_000


@dataclass(frozen=True, slots=True)
class SpeechFormat:
    """What frames are: Opus packets, or mono 16-bit samples at ``rate`` Hz."""

    codec: Literal["opus", "pcm"]
    rate: int = 48_000


@dataclass(frozen=True, slots=True)
class SpeechPacket:
    """20 ms. ``own``: of a chime."""

    index: int
    packet: bytes
    own: bool


class SpeechEncoder(EncodingChild):
    """Encodes one speaker. Raises :class:`audio.errors.StreamError` with ``not_audio``, ``crashed``, ``closed``.

    Args:
        chime_before: an Ogg Opus file of ours, None for none.
        chime_after: the same, for the end.
        bit_rate: of the packets, bits a second.
    """

    def __init__(
        self, *, chime_before: Path | None = None, chime_after: Path | None = None, bit_rate: int = 32_000
    ) -> None:
        arguments = (str(bit_rate), str(chime_before or ""), str(chime_after or ""))
        super().__init__("audio.stream.speech_worker", arguments, patience_s=10.0)
        #: Frames for which there was no room.
        self.dropped = 0

    def tell_format(self, what: SpeechFormat) -> None:
        """What follows. Begins a new decoder: a speaker came (again)."""
        self._stdin().write(frame(FORMAT, json.dumps(asdict(what)).encode()))

    def speech(self, data: bytes) -> bool:
        """One frame of speech; False when it was dropped."""
        stdin = self._stdin()
        if stdin.transport.get_write_buffer_size() > _WAITING:
            self.dropped += 1
            return False
        stdin.write(frame(AUDIO, data))
        return True

    def chime(self, which: Literal["before", "after"]) -> None:
        """Let a chime follow."""
        self._stdin().write(frame(CHIME, which[0].encode()))

    def bend(self, ppm: int) -> None:
        """Play speech faster by so many millionths from now on."""
        self._stdin().write(frame(RATE, PPM.pack(max(-MAX_PPM, min(MAX_PPM, ppm)))))

    async def __aiter__(self) -> AsyncGenerator[SpeechPacket | Level, None]:
        """Packets and levels as they come; ends after :meth:`end`."""
        while True:
            kind, body = await self._hear(None)
            if kind in (PACKET, OWN_PACKET):
                yield SpeechPacket(INDEX.unpack_from(body)[0], body[INDEX.size :], kind == OWN_PACKET)
            elif kind == LEVEL:
                yield Level(*LEVELS.unpack(body))
            elif kind == ERROR:
                said = json.loads(body)
                raise StreamError(said["message"], code=said["code"])
            elif kind == FINISHED:
                return
