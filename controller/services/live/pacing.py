"""When each packet of a speaker is to sound, and how to keep that short and whole. Pure; times in microseconds.

The agents' own buffers are the jitter buffer: a bundle is sent the moment it is whole, and says when it plays. What
is left between sending and playing is its *slack*. Slack shrinks when the speaker's network is late or its clock slow,
and grows when its clock is fast.

Rules kept here:

1. A bundle goes out when it is whole, or at the last instant (``lead`` before it plays) with what is there; when
   nothing is there, with silence. So on air a session never runs dry, and no bundle is late.
2. The least slack of the last ten seconds is steered to the lead and :data:`MARGIN`: by playing speech up to 0.5 %
   faster or slower. That follows the speaker's clock (some 100 ppm), gives every network the buffer its jitter
   needs, and takes it back when the jitter is gone.
3. Speech that comes more than :data:`STALE` later than the quickest of the last frames is left out: after a stall
   the newest words matter, and nothing old bursts out (:class:`Arrivals`).
4. A microphone's bundle is 100 ms; where agents need a longer lead it is shorter, down to 40 ms.
5. When our own process was held up, so that the next packet's time has passed, time begins anew.

Not here: encoding (:mod:`audio.stream.speech`), signatures, sessions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from audio.stream.tape import SILENT_PACKET
from controller.services.chunks import PACKET_US, Chunk, SourceKind
from schedules.instants import MediaUs

#: Slack beyond the lead that is aimed at.
MARGIN: Final = 20_000
#: What a session begins with beyond the lead, before anything was learnt about its network.
FIRST_CUSHION: Final = 30_000
STALE: Final = 250_000
#: Frames that are remembered: three seconds of 20 ms.
_REMEMBERED: Final = 150
_WINDOW: Final = 10_000_000
#: A difference so small is left alone.
_DEAD_BAND: Final = 4_000
#: A difference is worked off in about ten seconds.
_GAIN: Final = 0.1
MAX_PPM: Final = 5_000
#: A microphone's bundle and lead together, where the lead leaves room: with frames, encoding and the margin it is just
#: under the 0.4 s from mouth to loudspeaker.
BUNDLE_AND_LEAD: Final = 350_000
_FEWEST: Final = 2
#: Fillers: short ones for a late packet, long ones when nobody speaks.
_SHORT_FILL: Final = 2
_FILLS_UNTIL_LONG: Final = 5


def bundle_packets(kind: SourceKind, lead: int) -> int:
    """Packets in a bundle: fewer for a microphone whose agents need more time, so that the whole stays short."""
    if kind is not SourceKind.MICROPHONE:
        return kind.packets
    return max(_FEWEST, min(kind.packets, (BUNDLE_AND_LEAD - lead) // PACKET_US))


class Arrivals:
    """How late each frame of a speaker comes, counted in its own samples."""

    def __init__(self) -> None:
        self._bases: deque[int] = deque(maxlen=_REMEMBERED)
        self._position = 0

    def late(self, frame_us: int, now: MediaUs) -> int:
        """Microseconds by which the frame that ends now came later than the quickest of the last seconds."""
        self._position += frame_us
        base = now - self._position
        self._bases.append(base)
        return base - min(self._bases)


class LivePacer:
    """Times the packets of one session. ``lead``: how far ahead agents need a bundle, in microseconds."""

    def __init__(self, kind: SourceKind, lead: int) -> None:
        self._kind = kind
        self._lead = lead
        self._size = bundle_packets(kind, lead)
        self._waiting: list[bytes] = []
        self._at: MediaUs | None = None  # when the first packet that waits, or comes, plays
        self._break = True  # what comes next does not continue what was sent
        self._fills = 0
        self._slacks: deque[tuple[MediaUs, int]] = deque()

    @property
    def lead(self) -> int:
        """How far ahead agents need a bundle."""
        return self._lead

    @lead.setter
    def lead(self, lead: int) -> None:
        self._lead = lead
        self._size = bundle_packets(self._kind, lead)
        self._slacks.clear()  # what was enough before says nothing about now

    def begin(self, at: MediaUs) -> None:
        """The next packet plays at ``at``."""
        self._at = at
        self._break = True

    @property
    def begun(self) -> bool:
        """Whether anything has a time."""
        return self._at is not None

    @property
    def ends(self) -> MediaUs:
        """When the last packet so far has played."""
        if self._at is None:
            raise ValueError("nothing has begun")
        return MediaUs(self._at + len(self._waiting) * PACKET_US)

    def wants_speech(self, now: MediaUs) -> bool:
        """Whether a word that is spoken now would come just behind what was sent."""
        return self._at is not None and self.ends - now <= self.lead + self._size * PACKET_US + FIRST_CUSHION

    @property
    def deadline(self) -> MediaUs | None:
        """When :meth:`tick` must be called next."""
        return None if self._at is None else MediaUs(self._at - self.lead)

    def push(self, packets: Sequence[bytes], now: MediaUs, *, speech: bool = True) -> list[Chunk]:
        """Packets as they were made; the bundles that became whole. ``speech`` False: their time is not judged."""
        made = []
        for packet in packets:
            self._catch_up(now)
            self._waiting.append(packet)
            if speech:
                self._fills = 0
            if len(self._waiting) >= self._size:
                if speech and self._at is not None:
                    self._judge(now, self._at - now)
                made.append(self._send())
        return made

    def tick(self, now: MediaUs) -> Chunk | None:
        """What must go out at ``now``, if anything."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return None
        self._catch_up(now)
        if self._waiting:
            self._judge(now, self.lead)
            return self._send()
        self._fills += 1
        self._waiting = [SILENT_PACKET] * (_SHORT_FILL if self._fills <= _FILLS_UNTIL_LONG else self._size)
        return self._send()

    def flush(self) -> Chunk | None:
        """What waits, whole or not."""
        return self._send() if self._waiting else None

    def bend(self, now: MediaUs) -> int:
        """How much faster speech should be played, in millionths."""
        while self._slacks and self._slacks[0][0] < now - _WINDOW:
            self._slacks.popleft()
        if not self._slacks:
            return 0
        surplus = min(slack for _, slack in self._slacks) - self.lead - MARGIN
        if abs(surplus) <= _DEAD_BAND:
            return 0
        return max(-MAX_PPM, min(MAX_PPM, round(surplus * _GAIN)))

    def _judge(self, now: MediaUs, slack: int) -> None:
        self._slacks.append((now, slack))
        if len(self._slacks) > _WINDOW // PACKET_US:
            self._slacks.popleft()

    def _catch_up(self, now: MediaUs) -> None:
        if self._at is not None and not self._waiting and self._at < now + self.lead // 2:
            self.begin(MediaUs(now + self.lead))

    def _send(self) -> Chunk:
        assert self._at is not None  # noqa: S101 - begin() came first
        chunk = Chunk(self._at, tuple(self._waiting), self._break)
        self._at, self._waiting, self._break = chunk.ends, [], False
        return chunk
