"""What the clerk and its helpers share: what they work with, what is in force, and how they answer.

Not here: what is done with a document (:mod:`agent.link.clerk`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from agent.cache.keeper import Ledger
from agent.cache.stock import Stock
from agent.clocks import Clock
from agent.conductor.conductor import Conductor
from agent.conductor.streams import LiveStreams
from agent.conductor.wall import SteadyWall
from agent.crowd import Crowd
from agent.watch import Watch
from protocol.counters import Counters
from protocol.documents import DocumentKind, PlanManifest, Settings, decode_day
from protocol.messages import Ack, AckOutcome
from protocol.trust import TrustedState
from schedules.model import Item


@dataclass(frozen=True, slots=True)
class InForce:
    """What was accepted and holds now."""

    settings: Settings | None = None
    plan: PlanManifest | None = None


@dataclass(frozen=True, slots=True)
class Office:
    """What a clerk works with."""

    clock: Clock
    wall: SteadyWall
    ledger: Ledger
    watch: Watch
    conductor: Conductor
    streams: LiveStreams
    trust: TrustedState
    pin: Callable[[Counters, bytes], Awaitable[None]]  # keeps counters and root in the small file
    pin_soon: Callable[[], None]  # the same, behind what cannot wait
    stock: Stock
    crowd: Crowd

    def now(self) -> datetime | None:
        """Trusted wall time, or None."""
        return self.stamp() if self.wall.trusted else None

    def stamp(self) -> datetime:
        """The best wall time there is."""
        return self.wall.now(self.clock.mono_us())


class Answers:
    """Acknowledgements and refusals of documents."""

    def __init__(self, office: Office) -> None:
        self._o = office
        #: Where they go; a session sets it.
        self.send: Callable[[Ack], None] = lambda _: None

    def accept(self, kind: DocumentKind, term: int, seq: int, code: str | None = None) -> None:
        """It counts (``already_have``: since before)."""
        self.send(Ack(document=kind, term=term, seq=seq, outcome=AckOutcome.ACCEPTED, code=code, at=self._o.stamp()))

    def refuse(self, kind: DocumentKind, code: str, detail: str) -> None:
        """It does not count; said to the desk and kept as an event."""
        self._o.watch.report(code, f"{kind.value} refused: {detail}")
        self.send(
            Ack(document=kind, outcome=AckOutcome.REFUSED, code=code, detail=detail[:300], at=self._o.stamp()),
        )


def items_of(plan: PlanManifest, bodies: dict[str, bytes]) -> tuple[Item, ...]:
    """All items of a plan, from the bodies of its days.

    Raises:
        MalformedError: a day is not what a day document looks like.
    """
    return tuple(item for day in plan.days for item in decode_day(bodies[day.sha256]).items)
