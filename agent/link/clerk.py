"""The clerk: judges every signed document, makes it durable, and only then lets it count.

Rules kept here:

1. One document after the other: verify, write down, commit, act. The queue is bounded (:data:`WAITING`); beyond it
   an offer is refused as ``busy``, and the controller offers it again.
2. What only silences (STOP, withdraw, close of a stream) is acted on between verifying and writing down, ahead of
   everything that waits. An emergency is not muted by a disk that fails: after :data:`EMERGENCY_WAIT_S` it counts.
3. The very bytes that are in force already are acknowledged and nothing else happens; anything older is refused,
   reported, and never sounds.
4. A plan counts when its day documents are here. Until then the one before is played.
5. At boot everything is verified again from the envelopes on the disk (:mod:`agent.link.archive`).
6. A box without a battery-backed clock learns the time a moment after it connected. Orders to sound that came before
   wait for it, at most :data:`EARLY_LIMIT` of them for :data:`TIME_WAIT_US`; then they are refused.

Not here: which documents may be believed (:mod:`protocol.trust`), connections (:mod:`agent.link.session`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from agent.cache.keeper import Ledger
from agent.cache.state import Batch, KeptOrder, Key
from agent.clocks import Clock
from agent.conductor.conductor import Conductor
from agent.conductor.streams import LiveStreams
from agent.conductor.wall import SteadyWall
from agent.errors import AgentError, StorageError
from agent.watch import Watch
from protocol.counters import Counters
from protocol.documents import (
    Command,
    DocumentKind,
    KeySet,
    PlanManifest,
    PlayOrder,
    RootSuccessor,
    Settings,
    StreamOpen,
    decode_day,
)
from protocol.errors import AlreadyHaveError, ProtocolError
from protocol.messages import (
    Ack,
    AckOutcome,
    CommandOffer,
    KeySetOffer,
    PlanOffer,
    RootOffer,
    SettingsOffer,
    StreamOpenOffer,
)
from protocol.trust import TrustedState, Verified
from schedules.instants import MonoUs, from_unix_us, to_unix_us
from schedules.ladder import Priority
from schedules.model import Item

log = structlog.get_logger("agent.clerk")

WAITING = 64

#: Orders in force that are remembered by their bytes; beyond it the one that ends first is forgotten, and is then a
#: replay like any other.
KEPT_LIMIT = 512
EMERGENCY_WAIT_S = 0.5

TIME_WAIT_US = 30_000_000
EARLY_LIMIT = 32

Offer = RootOffer | KeySetOffer | SettingsOffer | PlanOffer | CommandOffer | StreamOpenOffer
Job = Callable[[], Awaitable[None]]

_KINDS: dict[type[Offer], DocumentKind] = {
    RootOffer: DocumentKind.ROOT,
    KeySetOffer: DocumentKind.KEY_SET,
    SettingsOffer: DocumentKind.SETTINGS,
    PlanOffer: DocumentKind.PLAN,
    CommandOffer: DocumentKind.COMMAND,
    StreamOpenOffer: DocumentKind.STREAM_OPEN,
}


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


class Clerk:
    """The one owner of an agent's :class:`~protocol.trust.TrustedState`."""

    def __init__(self, office: Office, in_force: InForce, kept: dict[bytes, KeptOrder], key_set: bytes | None) -> None:
        """``kept`` and ``key_set``: envelopes from the disk."""
        self._o = office
        self._key_set_bytes = key_set
        self.in_force = in_force
        self._kept = dict(kept)
        self._asleep = set(kept)  # kept orders that were not acted on since this process began
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(WAITING)
        self._early: dict[bytes, tuple[DocumentKind, MonoUs]] = {}  # orders that wait for trusted time, oldest first
        self._plan_news = asyncio.Event()
        #: The plan that was offered and whose days are not all here yet.
        self.wanted_plan: Verified[PlanManifest] | None = None
        #: Where acknowledgements go; a session sets it.
        self.send: Callable[[Ack], None] = lambda _: None

    # -- coming in ----------------------------------------------------------------------------------------

    def offer(self, message: Offer) -> None:
        """Take a document off the wire. Never waits."""
        kind = _KINDS[type(message)]
        envelope = message.envelope.encode()
        if envelope in self._kept:
            order = self._kept[envelope]
            self._accept(kind, order.term, order.seq, "already_have")
            return
        self._take(kind, envelope)

    def _take(self, kind: DocumentKind, envelope: bytes) -> None:
        if kind is DocumentKind.COMMAND:
            self._command(envelope)
            return
        jobs: dict[DocumentKind, Callable[[bytes], Awaitable[None]]] = {
            DocumentKind.ROOT: self._root,
            DocumentKind.KEY_SET: self._key_set,
            DocumentKind.SETTINGS: self._settings,
            DocumentKind.PLAN: self._plan,
            DocumentKind.STREAM_OPEN: self._stream_open,
        }
        self._enqueue(kind, lambda: jobs[kind](envelope))

    async def learn(self, documents: tuple[Verified[Any], ...]) -> None:
        """What a handshake proved (root successors, a newer key set): durable on return.

        Raises:
            StorageError: it could not be written; the session must not go on.
        """
        for verified in documents:
            await self._persist(verified, _memory_of(verified))
            self._o.trust.commit(verified)
            if verified.kind is DocumentKind.KEY_SET:
                self._key_set_bytes = verified.envelope
            await self._o.pin(self._o.trust.counters, self._o.trust.root_public)

    async def run(self) -> None:
        """Work through what waits, for ever."""
        while True:
            job = await self._jobs.get()
            await job()

    async def plan_wanted(self) -> Verified[PlanManifest]:
        """Wait until a plan was offered whose days must be fetched."""
        while self.wanted_plan is None:
            self._plan_news.clear()
            await self._plan_news.wait()
        return self.wanted_plan

    def _enqueue(self, kind: DocumentKind, job: Job) -> None:
        async def guarded() -> None:
            try:
                await job()
            except AlreadyHaveError as error:
                self._accept(kind, error.document.term, _seq(error.document), "already_have")
            except ProtocolError as error:
                self._refuse(kind, error.code, error.detail)
            except AgentError as error:
                self._refuse(kind, error.code, str(error))

        try:
            self._jobs.put_nowait(guarded)
        except asyncio.QueueFull:
            self._refuse(kind, "busy", "more documents than can be written down; offer it again")

    # -- one kind after the other -------------------------------------------------------------------------

    def _command(self, envelope: bytes) -> None:
        try:
            verified = self._o.trust.verify_command(envelope, now=self._now())
        except ProtocolError as error:
            if not self._waits_for_time(DocumentKind.COMMAND, envelope, error):
                self._refuse(DocumentKind.COMMAND, error.code, error.detail)
            return
        if isinstance(verified.document.order, PlayOrder):
            self._enqueue(DocumentKind.COMMAND, lambda: self._order(verified, act=True))
            return
        self._o.conductor.take(verified.document)
        self._enqueue(DocumentKind.COMMAND, lambda: self._order(verified, act=False))

    async def _order(self, verified: Verified[Command], *, act: bool) -> None:
        command = verified.document
        until = command.expires
        if isinstance(command.order, PlayOrder):
            until = max(until, command.order.item.expires)
        kept = _kept(verified, until)
        urgent = command.priority is not None and command.priority >= Priority.EMERGENCY_STORED
        await self._persist(verified, Batch(orders=(kept,)), urgent=urgent or not act)
        self._o.trust.commit(verified)
        self._keep(kept)
        if act:
            self._o.conductor.take(command)
        self._accept(verified.kind, command.term, command.seq)
        await self._o.pin(self._o.trust.counters, self._o.trust.root_public)

    async def _stream_open(self, envelope: bytes) -> None:
        try:
            verified = self._o.trust.verify_stream_open(envelope, now=self._now())
        except ProtocolError as error:
            if self._waits_for_time(DocumentKind.STREAM_OPEN, envelope, error):
                return
            raise
        document = verified.document
        gate = self._o.trust.gate(document)
        kept = _kept(verified, document.not_after)
        urgent = document.priority >= Priority.EMERGENCY_STORED
        await self._persist(verified, Batch(orders=(kept,)), urgent=urgent)
        self._o.trust.commit(verified)
        self._keep(kept)
        self._o.streams.open(document, gate, now=self._stamp(), trusted=self._o.wall.trusted)
        self._o.conductor.poke()
        self._accept(verified.kind, document.term, document.seq)
        await self._o.pin(self._o.trust.counters, self._o.trust.root_public)

    async def _settings(self, envelope: bytes) -> None:
        try:
            verified = self._o.trust.verify_settings(envelope, now=self._now())
        except AlreadyHaveError as error:
            if self.in_force.settings is None:  # lost from the disk, not from the counters
                self._install_settings(error.document)
            raise
        await self._persist(verified, _memory_of(verified))
        self._o.trust.commit(verified)
        self._install_settings(verified.document)
        self._accept(verified.kind, verified.document.term, verified.document.seq)
        await self._o.pin(self._o.trust.counters, self._o.trust.root_public)

    async def _key_set(self, envelope: bytes) -> None:
        verified = self._o.trust.verify_keyset(envelope, now=self._now())
        await self.learn((verified,))
        self._accept(verified.kind, verified.document.term, verified.document.version)

    async def _root(self, envelope: bytes) -> None:
        verified = self._o.trust.verify_root(envelope)
        await self.learn((verified,))
        self._accept(verified.kind, 0, verified.document.version)

    async def _plan(self, envelope: bytes) -> None:
        try:
            verified = self._o.trust.verify_plan(envelope, now=self._now())
        except AlreadyHaveError as error:
            if self.in_force.plan is not None:
                raise
            counters = self._o.trust.counters
            verified = Verified(DocumentKind.PLAN, error.document, counters, envelope, "", None)
        self.wanted_plan = verified
        self._plan_news.set()

    # -- plans --------------------------------------------------------------------------------------------

    async def take_plan(self, wanted: Verified[PlanManifest], bodies: dict[str, bytes]) -> bool:
        """The days of ``wanted`` are here. False when a newer plan was offered meanwhile.

        Raises:
            ProtocolError: a day cannot be read, or the plan is not acceptable any more. It is not wanted any longer.
            StorageError: it could not be written; try again.
        """
        if self.wanted_plan is not wanted:
            return False
        try:
            items = items_of(wanted.document, bodies)
            if wanted.key is not None:
                self._o.trust.verify_plan(wanted.envelope, now=self._now())
        except ProtocolError as error:
            self.wanted_plan = None
            self._refuse(DocumentKind.PLAN, error.code, error.detail)
            raise
        names = frozenset(bodies)
        batch = Batch(memory={Key.PLAN: wanted.envelope}, documents=bodies, keep_documents=names)
        await self._persist(wanted, batch)
        if wanted.key is not None:
            self._o.trust.commit(wanted)
        if self.wanted_plan is wanted:
            self.wanted_plan = None
        self.in_force = InForce(self.in_force.settings, wanted.document)
        self._o.conductor.set_plan(items)
        self._accept(DocumentKind.PLAN, wanted.document.term, wanted.document.seq)
        await self._o.pin(self._o.trust.counters, self._o.trust.root_public)
        return True

    # -- before the time is known -------------------------------------------------------------------------

    def _waits_for_time(self, kind: DocumentKind, envelope: bytes, error: ProtocolError) -> bool:
        """Whether a refused order is kept for the moment at which its age can be told."""
        if error.code != "time_untrusted" or (envelope not in self._early and len(self._early) >= EARLY_LIMIT):
            return False
        self._early.setdefault(envelope, (kind, self._o.clock.mono_us()))
        return True

    def _take_early(self) -> None:
        """Judge again what waited for the time; refuse what waited too long."""
        now = self._o.clock.mono_us()
        for envelope, (kind, since) in tuple(self._early.items()):
            if self._o.wall.trusted:
                del self._early[envelope]
                self._take(kind, envelope)
            elif now - since > TIME_WAIT_US:
                del self._early[envelope]
                self._refuse(kind, "time_untrusted", "no trusted time to tell whether this is fresh")

    # -- after a boot -------------------------------------------------------------------------------------

    def revive(self) -> None:
        """Act again on the orders in force that the disk kept: at boot, and once more when time is trusted.

        Each is verified as if it had just come, only not against the counters that it moved itself. What cannot be
        judged without time waits for it.
        """
        self._take_early()
        if not self._asleep:
            return
        trust, now = self._o.trust, self._now()
        known = trust.counters.get(DocumentKind.KEY_SET)
        if known is None or self._key_set_bytes is None:
            return
        counters = Counters({DocumentKind.KEY_SET: known})
        cluster = trust.cluster_id
        judge = TrustedState(trust.agent_id, trust.root_public, counters, self._key_set_bytes, cluster_id=cluster)
        for envelope in sorted(self._asleep, key=lambda one: (self._kept[one].term, self._kept[one].seq)):
            try:
                self._revive(judge, self._kept[envelope], now)
            except ProtocolError as error:
                if error.code == "time_untrusted":
                    continue
                log.info("an order on the disk is over", code=error.code, detail=error.detail)
            self._asleep.discard(envelope)

    def _revive(self, judge: TrustedState, kept: KeptOrder, now: datetime | None) -> None:
        if kept.kind == DocumentKind.COMMAND.value:
            command = judge.verify_command(kept.envelope, now=now).document
            if isinstance(command.order, PlayOrder):  # what only silenced is in the arbiter's memory
                self._o.conductor.take(command)
            return
        # It was fresh when it was accepted, and nothing sounds of it before the controller speaks again: the stream is
        # known from the first moment on, so that the arbiter does not take it for closed.
        last = from_unix_us(kept.until_us) - timedelta(microseconds=1)
        opened = judge.verify_stream_open(kept.envelope, now=now or last).document
        self._o.streams.open(opened, judge.gate(opened), now=self._stamp(), trusted=self._o.wall.trusted)

    # -- helpers ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop kept orders that are over, here and on the disk, and those that waited too long for the time."""
        self._take_early()
        now_us = to_unix_us(self._o.wall.now(self._o.clock.mono_us()))
        over = [envelope for envelope, order in self._kept.items() if order.until_us <= now_us]
        if over and self._o.wall.trusted:
            for envelope in over:
                del self._kept[envelope]
                self._asleep.discard(envelope)
            self._o.ledger.post(Batch(drop_orders_until_us=now_us))

    def _now(self) -> datetime | None:
        """Trusted wall time, or None."""
        return self._o.wall.now(self._o.clock.mono_us()) if self._o.wall.trusted else None

    async def _persist(self, verified: Verified[Any], batch: Batch, *, urgent: bool = False) -> None:
        """Make a document and the counters with it durable. ``urgent``: not at the price of being heard."""
        # Another kind may have moved since this was verified: its mark must not move back on the disk.
        mark = verified.counters.marks[verified.kind]
        counters = self._o.trust.counters.advanced(verified.kind, mark)
        whole = Batch(memory={Key.COUNTERS: json.dumps(counters.to_dict()).encode()}).then(batch)
        if not urgent:
            await self._o.ledger.apply(whole)
            return
        try:
            async with asyncio.timeout(EMERGENCY_WAIT_S):
                await self._o.ledger.apply(whole)
        except (StorageError, TimeoutError):
            self._o.watch.raise_fault("storage_failing", "an urgent order could not be written down and was obeyed")
            self._o.ledger.post(whole)

    def _keep(self, order: KeptOrder) -> None:
        self._kept[order.envelope] = order
        self.forget()
        while len(self._kept) > KEPT_LIMIT:
            del self._kept[min(self._kept, key=lambda one: self._kept[one].until_us)]

    def _install_settings(self, settings: Settings) -> None:
        self.in_force = InForce(settings, self.in_force.plan)
        self._o.conductor.set_settings(settings.cluster)

    def _accept(self, kind: DocumentKind, term: int, seq: int, code: str | None = None) -> None:
        self.send(Ack(document=kind, term=term, seq=seq, outcome=AckOutcome.ACCEPTED, code=code, at=self._stamp()))

    def _refuse(self, kind: DocumentKind, code: str, detail: str) -> None:
        self._o.watch.report(code, f"{kind.value} refused: {detail}")
        self.send(
            Ack(document=kind, outcome=AckOutcome.REFUSED, code=code, detail=detail[:300], at=self._stamp()),
        )

    def _stamp(self) -> datetime:
        return self._o.wall.now(self._o.clock.mono_us())


def items_of(plan: PlanManifest, bodies: dict[str, bytes]) -> tuple[Item, ...]:
    """All items of a plan, from the bodies of its days.

    Raises:
        MalformedError: a day is not what a day document looks like.
    """
    return tuple(item for day in plan.days for item in decode_day(bodies[day.sha256]).items)


def _memory_of(verified: Verified[Any]) -> Batch:
    match verified.document:
        case Settings():
            return Batch(memory={Key.SETTINGS: verified.envelope})
        case KeySet():
            return Batch(memory={Key.KEY_SET: verified.envelope})
        case RootSuccessor(public=public):
            return Batch(memory={Key.ROOT: public.hex().encode()})
        case _:
            return Batch()


def _kept(verified: Verified[Command] | Verified[StreamOpen], until: datetime) -> KeptOrder:
    document = verified.document
    return KeptOrder(verified.kind.value, document.term, document.seq, to_unix_us(until), verified.envelope)


def _seq(document: Any) -> int:
    return int(document.version if isinstance(document, KeySet | RootSuccessor) else document.seq)
