"""The silent test: a signed order makes the agent prove, without a sound, that an emergency would be heard.

Every emergency sound is hashed, something is written to the disk for good, and output, clock, plan and mute are looked
at. The answer is a list of checks; a check that takes too long has failed.

Not here: who may order it (:mod:`protocol.authority`: the drill key), the answer's way (:mod:`agent.conductor.herald`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from agent.cache.keeper import Ledger
from agent.cache.state import Batch
from agent.cache.stock import Stock
from agent.clocks import Clock
from agent.conductor.conductor import Conductor
from agent.conductor.orders import Reference
from agent.conductor.wall import SteadyWall
from agent.errors import StorageError
from agent.link.office import InForce
from audio.playout import OutputStatus, Player
from protocol.clock import ClockFilter
from protocol.counters import Counters
from protocol.documents import DocumentKind
from protocol.messages import Check

#: Each check by itself.
CHECK_S = 30.0

#: How long the order of a test may take to be written down, and how often that is looked at.
WRITTEN_S = 10.0
_LOOK_S = 0.05

#: Tests that wait; a newer one makes an older one needless.
WAITING = 4


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is looked at."""

    clock: Clock
    wall: SteadyWall
    timebase: ClockFilter
    player: Player
    conductor: Conductor
    stock: Stock
    ledger: Ledger
    in_force: Callable[[], InForce]
    counters: Callable[[], Counters]


class Prover:
    """Runs the silent tests of one agent, one after the other."""

    def __init__(self, evidence: Evidence) -> None:
        self._e = evidence
        self._orders: asyncio.Queue[Reference] = asyncio.Queue(WAITING)

    def order(self, name: Reference) -> None:
        """A test was ordered. When too many wait, the oldest is given up: the newest says the same and more."""
        if self._orders.full():
            self._orders.get_nowait()
        self._orders.put_nowait(name)

    async def run(self) -> None:
        """Test whenever it is ordered, for ever."""
        while True:
            name = await self._orders.get()
            checks = await self.prove(name)
            self._e.conductor.herald.tested(name, checks, self._now())

    async def prove(self, order: Reference) -> tuple[Check, ...]:
        """Look at everything; ``order`` is the one that asks for it."""
        parts: tuple[tuple[str, Callable[[], Awaitable[tuple[bool, str]]]], ...] = (
            ("stock", self._stock),
            ("disk", self._disk),
            ("counters", lambda: self._counters(order)),
            ("output", self._output),
            ("clock", self._clock),
            ("plan", self._plan),
            ("mute", self._mute),
        )
        return tuple([await _check(name, look) for name, look in parts])

    async def _stock(self) -> tuple[bool, str]:
        state = await self._e.stock.prove_all()
        return state.here == state.wanted, f"{state.here} of {state.wanted} here, {state.bad} altered"

    async def _disk(self) -> tuple[bool, str]:
        try:
            await self._e.ledger.apply(Batch())
        except StorageError as error:
            return False, str(error)
        return True, "takes writes"

    async def _counters(self, order: Reference) -> tuple[bool, str]:
        """Whether this very order is written down: it was acted on first, its paperwork comes behind."""
        for _ in range(round(WRITTEN_S / _LOOK_S)):
            known = self._e.counters().get(DocumentKind.COMMAND)
            if known is not None and Reference(known.term, known.seq) >= order:
                return True, f"order {known.term}.{known.seq}"
            await asyncio.sleep(_LOOK_S)
        return False, f"order {order.term}.{order.seq} is not written down"

    async def _output(self) -> tuple[bool, str]:
        output = self._e.player.state().output
        return output.status is not OutputStatus.FAILED, f"{output.status.value} {output.name}".strip()

    async def _clock(self) -> tuple[bool, str]:
        report = self._e.timebase.report(self._e.clock.mono_us())
        if not self._e.wall.trusted:
            return False, "nobody vouches for the time"
        sigma = "unknown" if report.sigma_us is None else f"{report.sigma_us / 1000:.1f} ms"
        return True, f"{'ready' if report.ready else 'not following the timeline'}, sigma {sigma}"

    async def _plan(self) -> tuple[bool, str]:
        plan = self._e.in_force().plan
        if plan is None:
            return False, "no plan yet"
        if self._e.wall.trusted and self._now() >= plan.expires:
            return False, f"expired at {plan.expires.isoformat()}"
        return True, f"plan {plan.term}.{plan.seq}, until {plan.expires.isoformat()}"

    async def _mute(self) -> tuple[bool, str]:
        muted = self._e.conductor.muted
        return muted is None, "not mute" if muted is None else f"mute until {muted.until.isoformat()}"

    def _now(self) -> datetime:
        return self._e.wall.now(self._e.clock.mono_us())


async def _check(name: str, look: Callable[[], Awaitable[tuple[bool, str]]]) -> Check:
    try:
        async with asyncio.timeout(CHECK_S):
            ok, detail = await look()
    except TimeoutError:
        ok, detail = False, f"no answer within {CHECK_S:.0f} s"
    return Check(name=name, ok=ok, detail=detail[:300])
