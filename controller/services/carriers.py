"""The stations that are being carried now, each fetched and encoded once, whoever listens to it.

Rules kept here:

1. A station is connected to when the first listener comes and let go when the last one leaves.
2. Its sound is paced for relays (bundles of 1 s, 3 s ahead or what the neediest listener asked for): whoever joins
   hears from the next chunk on.

Not here: windows and signatures (:mod:`controller.services.relays`), how a station is fetched
(:mod:`controller.services.carrier`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.feeds import AddressPolicy, FeedTimeouts
from controller.services.carrier import Carrier, CarrierState, EncoderFactory
from controller.services.catalogue import Catalogue
from controller.services.chunks import Chunk
from controller.services.context import Clock
from controller.services.ports import MediaClock
from schedules.instants import MediaUs

Listener = Callable[[Chunk], None]


@dataclass(slots=True)
class _Running:
    carrier: Carrier
    task: asyncio.Task[None]
    leases: int = 0


@dataclass(slots=True)
class Lease:
    """One listener's hold on a station. :meth:`release` may be called more than once."""

    source_id: str
    listener: Listener
    _pool: CarrierPool = field(repr=False)
    _held: bool = True

    def need(self, lead: int) -> None:
        """The listener's agents need the sound ``lead`` microseconds ahead."""
        self._pool.grow(self.source_id, lead)

    @property
    def dropped(self) -> bool:
        """The listener raised, and hears nothing more."""
        return self._held and not self._pool.hears(self)

    def release(self) -> None:
        """Listen no more."""
        if self._held:
            self._held = False
            self._pool.give_back(self)


class CarrierPool:
    """Carriers by source. :meth:`run` owns their tasks."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        media: MediaClock,
        clock: Clock,
        policy: AddressPolicy,
        encoder: EncoderFactory,
        timeouts: FeedTimeouts | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._media = media
        self._clock = clock
        self._policy = policy
        self._encoder = encoder
        self._timeouts = timeouts
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[str, _Running] = {}

    async def run(self) -> None:
        """Own the carriers until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self._running.clear()

    @property
    def open(self) -> bool:
        """Whether stations can be taken."""
        return self._group is not None

    def take(self, source_id: str, listener: Listener, *, start: MediaUs | None = None) -> Lease:
        """Hear a station. ``start``: the first instant anything is to sound (only the first listener's counts).

        Raises:
            RuntimeError: the pool does not run.
        """
        running = self._running.get(source_id)
        if running is None:
            running = self._running[source_id] = self._start(source_id, start)
        running.carrier.listeners.append(listener)
        running.leases += 1
        return Lease(source_id, listener, self)

    def give_back(self, lease: Lease) -> None:
        """For :meth:`Lease.release`."""
        running = self._running.get(lease.source_id)
        if running is None:
            return
        if lease.listener in running.carrier.listeners:
            running.carrier.listeners.remove(lease.listener)
        running.leases -= 1
        if not running.leases:
            del self._running[lease.source_id]
            running.task.cancel()

    def hears(self, lease: Lease) -> bool:
        """For :attr:`Lease.dropped`."""
        running = self._running.get(lease.source_id)
        return running is not None and lease.listener in running.carrier.listeners

    def grow(self, source_id: str, lead: int) -> None:
        """For :meth:`Lease.need`."""
        running = self._running.get(source_id)
        if running is not None:
            running.carrier.grow(lead)

    def state_of(self, source_id: str) -> CarrierState | None:
        """How a station is; None when nobody listens to it."""
        running = self._running.get(source_id)
        return None if running is None else running.carrier.state

    def states(self) -> dict[str, CarrierState]:
        """How all stations are that somebody listens to."""
        return {source_id: running.carrier.state for source_id, running in self._running.items()}

    def _start(self, source_id: str, start: MediaUs | None) -> _Running:
        if self._group is None:
            raise RuntimeError("the carriers do not run")
        carrier = Carrier(
            lambda: self._catalogue.source(source_id).url,
            policy=self._policy,
            encoder=self._encoder,
            media=self._media,
            clock=self._clock,
            start=self._media.now() if start is None else start,
            timeouts=self._timeouts,
        )
        return _Running(carrier, self._group.create_task(carrier.run(), name=f"relay-{source_id}"))
