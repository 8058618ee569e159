"""One radio station being carried: fetched, encoded, paced, handed out in chunks; fetched again when it is lost.

Rules kept here:

1. One station is fetched and encoded once, however many windows and areas relay it.
2. A station that is lost is tried again after 1 s, 2 s … 30 s (with jitter), as long as anybody wants it.
3. Sound is what counts: a connection that gives no packet for :data:`SILENT_S` is lost, whatever bytes it sends.
4. With ``once``, a recording (a file, a playlist with an end) is carried once, not again and again.
5. A source that was deleted ends it (``source_deleted``). A listener that raises is dropped and logged, and hears
   nothing more; the others, and other stations, go on.
6. ``held``, it waits with its first sound at hand until :meth:`Carrier.begin`: whoever wants it on air knows before
   that it can be heard.
7. Nothing here blocks the event loop or grows: the pacer is bounded, and a full pacer makes the station wait.

Not here: windows and targets (:mod:`controller.services.relays`), when chunks play
(:mod:`controller.services.relay_pacing`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

import structlog

from audio.errors import AudioError
from audio.stream import Level
from controller.feeds import AddressPolicy, FeedError, FeedTimeouts, HlsStation, Station, open_station
from controller.services.chunks import Chunk
from controller.services.context import Clock
from controller.services.errors import NotFoundError
from controller.services.ports import MediaClock
from controller.services.relay_pacing import Pace, Pacer
from schedules.instants import MediaUs

#: A connected station without a packet for so long is lost.
SILENT_S: Final = 10.0
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 30.0
#: Sound for so long makes a station a good one again: the next loss is tried again quickly.
_GOOD_US: Final = 30_000_000
_LOOK_S: Final = 1.0

_log = structlog.get_logger(__name__)


class Encoding(Protocol):
    """An encoder that runs, as :class:`audio.stream.StreamEncoder` does: bytes in, Opus packets of 20 ms out."""

    @property
    def level(self) -> Level | None:
        """How loud the last packets are."""
        ...

    async def feed(self, data: bytes) -> None:
        """Give it bytes; waits while it has enough."""
        ...

    def end(self) -> None:
        """No more bytes will come."""
        ...

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        """Packets with the position of their first sample; raises AudioError when what comes in is no sound."""
        ...


EncoderFactory = Callable[[], AbstractAsyncContextManager[Encoding]]


@dataclass(frozen=True, slots=True)
class CarrierState:
    """How a station is: ``connecting``, ``sounding`` or ``lost``; since when, and why."""

    state: str
    since: datetime
    code: str = ""
    detail: str = ""
    station: str | None = None
    title: str | None = None
    losses: int = 0


class Carrier:
    """Carries one station. :meth:`run` until cancelled; :attr:`listeners` get every chunk."""

    def __init__(
        self,
        url: Callable[[], str],
        *,
        policy: AddressPolicy,
        encoder: EncoderFactory,
        media: MediaClock,
        clock: Clock,
        start: MediaUs,
        pace: Pace | None = None,
        timeouts: FeedTimeouts | None = None,
        once: bool = False,
        held: bool = False,
    ) -> None:
        self._url = url
        self._policy = policy
        self._encoder = encoder
        self._media = media
        self._clock = clock
        self._timeouts = timeouts or FeedTimeouts()
        self._pacer = Pacer(start, pace)
        self._pushed = asyncio.Event()
        self._room = asyncio.Event()
        self._once = once
        self._over = False  # all of a recording was fetched, or the source is gone for good
        self._begun = asyncio.Event()
        if not held:
            self._begun.set()
        self._heard: MediaUs | None = None  # since when it sounds without a break
        self.listeners: list[Callable[[Chunk], None]] = []
        self.state_listeners: list[Callable[[CarrierState], None]] = []
        self.state = CarrierState("connecting", clock.now())

    def grow(self, lead: int) -> None:
        """Agents need to be sent the sound ``lead`` microseconds ahead; it never shrinks while a station is carried."""
        self._pacer.grow(lead)

    def begin(self, start: MediaUs) -> None:
        """Hold it no longer: it may sound from ``start`` on."""
        self._pacer.begin(start)
        self._begun.set()

    async def run(self) -> None:
        """Fetch, encode and pace until cancelled, a recording carried once was handed out, or the source is gone."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fetch_for_ever(), name="relay-fetch")
            group.create_task(self._pace(), name="relay-pace")

    async def _fetch_for_ever(self) -> None:
        wait = _FIRST_WAIT_S
        while True:
            self._heard = None
            try:
                self._over = await self._fetch() and self._once and self._heard is not None
                if self._over:
                    break
                self._lost("source_ended", "the station ended its stream")
            except (FeedError, AudioError) as error:
                self._lost(error.code, str(error))
            except NotFoundError:
                _log.info("relay_source_deleted")
                self._lost("source_deleted", "the source was deleted")
                self._over = True
                break
            except Exception:  # noqa: BLE001 - a fault of ours must not end the relay for the day
                _log.exception("relay_failed")
                self._lost("internal", "the relay failed; see the log")
            self._pacer.interrupt()
            self._pushed.set()
            if self._good():
                wait = _FIRST_WAIT_S
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(wait * 2, _LONGEST_WAIT_S)
        self._pacer.interrupt()
        self._pushed.set()

    def _good(self) -> bool:
        """Whether the station sounded long enough to be trusted to come back quickly."""
        return self._heard is not None and self._media.now() - self._heard >= _GOOD_US

    async def _fetch(self) -> bool:
        """Carry one connection to its end; whether it was a recording's."""
        async with open_station(self._url(), self._policy, self._timeouts) as station, self._encoder() as encoding:
            feeding = asyncio.create_task(_feed(station, encoding), name="relay-feed")
            try:
                await self._take_packets(station, encoding)
                await feeding
            except AudioError:
                if feeding.done() and not feeding.cancelled() and isinstance(feeding.exception(), FeedError):
                    await feeding  # the station was lost first; the encoder only starved
                raise
            finally:
                feeding.cancel()
                with contextlib.suppress(asyncio.CancelledError, FeedError, AudioError):
                    await feeding
            return station.ends

    async def _take_packets(self, station: Station | HlsStation, encoding: Encoding) -> None:
        packets = aiter(encoding)
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    some = await anext(packets, None)
            except TimeoutError as error:
                raise FeedError("source_silent", "the station sends nothing that can be heard") from error
            if some is None:
                return
            self._sounds(station)
            await self._begun.wait()
            self._pacer.push((some[1],), encoding.level)
            self._pushed.set()
            while self._pacer.full:
                self._room.clear()
                await self._room.wait()

    async def _pace(self) -> None:
        while True:
            self._pushed.clear()
            now = self._media.now()
            chunk = self._pacer.take(now)
            if chunk is not None:
                self._room.set()
                self._hand_out(chunk)
                continue
            if self._over and not self._pacer.buffered_us:
                return
            due = self._pacer.due_at(now)
            wait = _LOOK_S if due is None else min((due - now) / 1e6, _LOOK_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._pushed.wait() if due is None else await asyncio.sleep(wait)

    def _hand_out(self, chunk: Chunk) -> None:
        for listener in tuple(self.listeners):
            try:
                listener(chunk)
            except Exception:  # noqa: BLE001 - one listener's fault must not silence the others
                _log.exception("relay_listener_dropped")
                if listener in self.listeners:
                    self.listeners.remove(listener)

    def _sounds(self, station: Station | HlsStation) -> None:
        if self._heard is None:
            self._heard = self._media.now()
            state = CarrierState("sounding", self._clock.now(), station=station.name, losses=self.state.losses)
            self._tell(replace(state, title=station.title))
        elif station.title != self.state.title:
            self.state = replace(self.state, title=station.title)

    def _lost(self, code: str, detail: str) -> None:
        losses = self.state.losses + 1
        if self.state.state == "lost":  # still: keep since when
            self.state = replace(self.state, code=code, detail=detail, losses=losses)
        else:
            self._tell(CarrierState("lost", self._clock.now(), code, detail[:300], losses=losses))

    def _tell(self, state: CarrierState) -> None:
        self.state = state
        for listener in tuple(self.state_listeners):
            listener(state)


async def _feed(station: Station | HlsStation, encoding: Encoding) -> None:
    try:
        async for sound in station.sound():
            await encoding.feed(sound)
    finally:
        encoding.end()
