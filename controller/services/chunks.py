"""Live sound on its way out: timed packets, and how many of them travel together. Pure values.

The longer a bundle, the less it costs on the wire (headers and a signature each) and the later its first sample is
sent: 100 ms for somebody who speaks, 200 ms for a line or a file that is fed live, 1 s for a relayed station.

Not here: when a chunk plays (:mod:`controller.services.relay_pacing`, :mod:`controller.services.live.pacing`),
signatures (:mod:`controller.services.streams`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from audio.stream import Level
from schedules.instants import MediaUs

#: One Opus packet, in microseconds and in samples.
PACKET_US: Final = 20_000
PACKET_FRAMES: Final = 960


class SourceKind(StrEnum):
    """Where live sound comes from, which decides how it is bundled and how far ahead it is sent."""

    MICROPHONE = "microphone"
    LIVE = "live"  # a line-in, a file, an address fed by hand
    RELAY = "relay"

    @property
    def packets(self) -> int:
        """Packets in a bundle."""
        return _PACKETS[self]


_PACKETS: Final = {SourceKind.MICROPHONE: 5, SourceKind.LIVE: 10, SourceKind.RELAY: 50}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Packets that play in a row from ``play_at``.

    ``discontinuity``: not the continuation of the chunk before. ``end``: nothing follows. ``level``: how loud it is at
    its loudest, where that was measured on the way.
    """

    play_at: MediaUs
    packets: tuple[bytes, ...]
    discontinuity: bool
    end: bool = False
    level: Level | None = None

    @property
    def ends(self) -> MediaUs:
        """When its last sample has been played."""
        return MediaUs(self.play_at + len(self.packets) * PACKET_US)
