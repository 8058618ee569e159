"""One burst of clock exchanges: eight questions in sequence, each asked when the last was answered.

Rules kept here: a reply counts only for the question that is open, by its ``t0``; an answer that does not come in time
is given up, and the burst goes on. A burst of fewer answers than asked is still a burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.errors import ClockError
from protocol.messages import Clock, ClockReply, UtcQuality
from schedules.instants import MediaUs, MonoUs

#: Exchanges in a burst.
BURST_LENGTH: Final = 8

#: An answer that takes longer is of no use, even on a poor 4G path.
ANSWER_WITHIN_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """Four timestamps: sent and received here (``t0``, ``t3``, mono), received and sent there (``t1``, ``t2``, media).

    ``utc_us`` is the controller's wall time at ``t2``, microseconds since 1970.
    """

    t0: MonoUs
    t1: MediaUs
    t2: MediaUs
    t3: MonoUs
    timeline: int
    utc_us: int
    utc_quality: UtcQuality

    @property
    def round_trip(self) -> int:
        """Microseconds on the way, there and back."""
        return (self.t3 - self.t0) - (self.t2 - self.t1)

    @property
    def middle(self) -> MonoUs:
        """The local instant the exchange speaks of."""
        return MonoUs((self.t0 + self.t3) // 2)


class Burst:
    """Collects one burst. Ask :meth:`question` while it gives one; feed :meth:`on_reply`; read :attr:`exchanges`."""

    def __init__(self, length: int = BURST_LENGTH) -> None:
        """Prepare ``length`` questions."""
        self._left = length
        self._open: MonoUs | None = None
        self._exchanges: list[Exchange] = []

    def question(self, now: MonoUs) -> Clock | None:
        """The next question, stamped ``now`` (call right before writing), or None while one is open or at the end."""
        if self._open is not None and now - self._open < ANSWER_WITHIN_US:
            return None
        if self._left == 0:
            self._open = None
            return None
        self._left -= 1
        self._open = now
        return Clock(t0=now)

    def on_reply(self, reply: ClockReply, received: MonoUs) -> bool:
        """Take a reply that arrived at ``received``. False: it answers nothing that is open.

        Raises:
            ClockError: ``bad_exchange``: its timestamps run backwards.
        """
        if self._open is None or reply.t0 != self._open:
            return False
        sent, self._open = self._open, None
        if reply.t2 < reply.t1 or received < sent:
            raise ClockError("bad_exchange", "timestamps that run backwards")
        exchange = Exchange(
            sent, MediaUs(reply.t1), MediaUs(reply.t2), received, reply.timeline, reply.utc_us, reply.utc_quality
        )
        if self._exchanges and self._exchanges[-1].timeline != exchange.timeline:
            self._exchanges.clear()  # the controller began a new timeline in the middle
        self._exchanges.append(exchange)
        return True

    def done(self, now: MonoUs) -> bool:
        """Whether nothing more will come of it."""
        return self._left == 0 and (self._open is None or now - self._open >= ANSWER_WITHIN_US)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What was answered."""
        return tuple(self._exchanges)
