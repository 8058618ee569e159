"""Orders that came before the box knew what time it is.

A box without a battery-backed clock learns the time a moment after it connected. Orders to sound that came before
wait for it, at most :data:`EARLY_LIMIT` of them for :data:`TIME_WAIT_US`; then they are refused.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.link.office import Answers, Office
from protocol.documents import DocumentKind
from protocol.errors import ProtocolError
from schedules.instants import MonoUs

TIME_WAIT_US = 30_000_000
EARLY_LIMIT = 32


class EarlyOrders:
    """What waits for trusted time."""

    def __init__(self, office: Office, answers: Answers, judge: Callable[[DocumentKind, bytes], None]) -> None:
        """``judge`` takes an order once more when its age can be told."""
        self._o = office
        self._answers = answers
        self._judge = judge
        self._waiting: dict[bytes, tuple[DocumentKind, MonoUs]] = {}  # oldest first

    def keep(self, kind: DocumentKind, envelope: bytes, error: ProtocolError) -> bool:
        """Whether a refused order is kept for the moment at which its age can be told."""
        if error.code != "time_untrusted" or (envelope not in self._waiting and len(self._waiting) >= EARLY_LIMIT):
            return False
        self._waiting.setdefault(envelope, (kind, self._o.clock.mono_us()))
        return True

    def look(self) -> None:
        """Judge again what waited for the time; refuse what waited too long."""
        now = self._o.clock.mono_us()
        for envelope, (kind, since) in tuple(self._waiting.items()):
            if self._o.wall.trusted:
                del self._waiting[envelope]
                self._judge(kind, envelope)
            elif now - since > TIME_WAIT_US:
                del self._waiting[envelope]
                self._answers.refuse(kind, "time_untrusted", "no trusted time to tell whether this is fresh")
