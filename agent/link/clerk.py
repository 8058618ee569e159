"""The clerk: judges every signed document, makes it durable, and only then lets it count.

Rules kept here:

1. One document after the other: verify, write down, commit, act. The queue is bounded (:data:`WAITING`); beyond it
   an offer is refused as ``busy``, and the controller offers it again.
2. What only silences (STOP, withdraw, close of a stream) and an emergency are acted on between verifying and writing
   down, ahead of everything that waits; as a rule an emergency is written down in its lead, and one that came late does
   not wait for a card. Not so if the time is not trusted, an order with a higher number was acted on before, or there
   is no room to write it down.
3. The very bytes that are in force already are acknowledged and nothing else happens; anything older is refused,
   reported, and never sounds.

Not here: what is written and remembered, also over a boot (:mod:`agent.link.register`), orders from before the time
was known (:mod:`agent.link.early`), the fetching of a plan's days (:mod:`agent.link.plans`), which documents may be
believed (:mod:`protocol.trust`), connections (:mod:`agent.link.session`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from agent.cache.state import Batch, KeptOrder
from agent.conductor.orders import Reference
from agent.crowd import Rank
from agent.errors import AgentError
from agent.link.early import EarlyOrders
from agent.link.office import Answers, InForce, Office
from agent.link.plans import PlanDesk
from agent.link.register import Register, kept_order, memory_of
from protocol.documents import Command, DocumentKind, KeySet, PlayOrder, RootSuccessor, Settings, StopOrder
from protocol.errors import AlreadyHaveError, ProtocolError
from protocol.messages import Ack, CommandOffer, KeySetOffer, PlanOffer, RootOffer, SettingsOffer, StreamOpenOffer
from protocol.trust import Verified
from schedules.ladder import Priority

WAITING = 64

#: Where hundreds of agents share a loop, these let orders pass: a new plan comes to all of them at once.
_CAN_WAIT = frozenset({DocumentKind.SETTINGS, DocumentKind.PLAN})

#: A common start is over this long after its instant.
_STARTED_S = 0.02

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


class Clerk:
    """The one owner of an agent's :class:`~protocol.trust.TrustedState`."""

    def __init__(self, office: Office, in_force: InForce, kept: dict[bytes, KeptOrder], key_set: bytes | None) -> None:
        """``kept`` and ``key_set``: envelopes from the disk."""
        self._o = office
        self._answers = Answers(office)
        self._register = Register(office, in_force, kept, key_set)
        self._early = EarlyOrders(office, self._answers, self._take)
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(WAITING)
        self._papers: deque[Job] = deque()  # of orders that were acted on already, ahead of what is enqueued later
        self._obeyed_last = Reference(0, 0)  # of those the newest
        self.plans = PlanDesk(office, self._register, self._answers)

    @property
    def in_force(self) -> InForce:
        """What was accepted and holds now."""
        return self._register.in_force

    def answer_to(self, send: Callable[[Ack], None] | None) -> None:
        """Where acknowledgements go from now on; None: nowhere."""
        self._answers.send = send or (lambda _: None)

    # -- coming in ----------------------------------------------------------------------------------------

    def offer(self, message: Offer) -> None:
        """Take a document off the wire. Never waits."""
        kind = _KINDS[type(message)]
        if kind is DocumentKind.STREAM_OPEN:
            self._o.crowd.hurry()
        envelope = message.envelope.encode()
        order = self._register.find(envelope)
        if order is not None:
            self._answers.accept(kind, order.term, order.seq, "already_have")
            return
        self._take(kind, envelope)

    async def learn(self, documents: tuple[Verified[Any], ...]) -> None:
        """What a handshake proved (root successors, a newer key set): durable on return.

        Raises:
            StorageError: it could not be written; the session must not go on.
        """
        await self._register.learn(documents)

    async def run(self) -> None:
        """Work through what waits, for ever."""
        while True:
            job = await self._jobs.get()
            await job()

    def revive(self) -> None:
        """Act again on what the disk kept and on what waited for the time: at boot, and whenever time is learnt."""
        self._early.look()
        self._register.revive()

    def forget(self) -> None:
        """Drop kept orders that are over, and those that waited too long for the time."""
        self._early.look()
        self._register.forget()

    def _take(self, kind: DocumentKind, envelope: bytes) -> None:
        if kind is DocumentKind.COMMAND:
            self._command(envelope)
            return
        jobs: dict[DocumentKind, Callable[[bytes], Awaitable[None]]] = {
            DocumentKind.ROOT: self._root,
            DocumentKind.KEY_SET: self._key_set,
            DocumentKind.SETTINGS: self._settings,
            DocumentKind.PLAN: self.plans.offered,
            DocumentKind.STREAM_OPEN: self._stream_open,
        }
        self._enqueue(kind, lambda: jobs[kind](envelope))

    def _enqueue(self, kind: DocumentKind, job: Job, *, obeyed: bool = False) -> None:
        """Work ``job`` off after all that came before it. ``obeyed``: it is but paper, and can wait for its turn."""

        async def guarded() -> None:
            try:
                if kind in _CAN_WAIT:
                    await self._o.crowd.turn()
                await job()
            except AlreadyHaveError as error:
                self._answers.accept(kind, error.document.term, _seq(error.document), "already_have")
            except ProtocolError as error:
                self._answers.refuse(kind, error.code, error.detail)
            except AgentError as error:
                self._answers.refuse(kind, error.code, str(error))

        if not self._has_room():
            self._answers.refuse(kind, "busy", "more documents than can be written down; offer it again")
            return
        self._papers.append(guarded)
        if obeyed:
            self._o.crowd.later(Rank.PAPER, self._work_off)
        else:
            self._work_off()

    def _has_room(self) -> bool:
        return len(self._papers) + self._jobs.qsize() < WAITING

    def _work_off(self) -> None:
        while self._papers:
            self._jobs.put_nowait(self._papers.popleft())

    # -- one kind after the other -------------------------------------------------------------------------

    def _command(self, envelope: bytes) -> None:
        try:
            verified = self._o.trust.verify_command(envelope, now=self._o.now())
        except ProtocolError as error:
            if not self._early.keep(DocumentKind.COMMAND, envelope, error):
                self._answers.refuse(DocumentKind.COMMAND, error.code, error.detail)
            return
        command = verified.document
        number = Reference(command.term, command.seq)
        if isinstance(command.order, PlayOrder) and not (
            self._o.wall.trusted and _is_urgent(command) and self._has_room() and number > self._obeyed_last
        ):
            self._enqueue(DocumentKind.COMMAND, lambda: self._order(verified, act=True))
            return
        self._obeyed_last = max(self._obeyed_last, number)
        if isinstance(command.order, StopOrder):
            self._o.conductor.hush(command)
        else:
            self._o.conductor.take(command)
        self._let_pass(command)
        self._enqueue(DocumentKind.COMMAND, lambda: self._obeyed(verified), obeyed=True)

    async def _obeyed(self, verified: Verified[Command]) -> None:
        """The paperwork of what was acted on: what came of it is on the disk before its number is."""
        self._o.conductor.write_down()
        await self._order(verified, act=False)

    async def _order(self, verified: Verified[Command], *, act: bool) -> None:
        command = verified.document
        until = command.expires
        if isinstance(command.order, PlayOrder):
            until = max(until, command.order.ends)
        kept = kept_order(verified, until)
        self._o.trust.check_still_new(verified)  # what is refused must not be on the disk after a boot
        await self._register.persist(verified, Batch(orders=(kept,)), urgent=_is_urgent(command) or not act)
        self._o.trust.commit(verified)
        self._register.keep(kept)
        if act:
            self._o.conductor.take(command)
            self._o.conductor.write_down()
        self._answers.accept(verified.kind, command.term, command.seq)
        self._o.pin_soon()

    def _let_pass(self, command: Command) -> None:
        """Nothing else is begun here before the neighbours have it too, and what is to start has started."""
        ahead = 0.0
        if isinstance(command.order, PlayOrder):
            ahead = (command.order.item.start - self._o.stamp()).total_seconds() + _STARTED_S
        self._o.crowd.hurry(ahead)

    async def _stream_open(self, envelope: bytes) -> None:
        try:
            verified = self._o.trust.verify_stream_open(envelope, now=self._o.now())
        except ProtocolError as error:
            if self._early.keep(DocumentKind.STREAM_OPEN, envelope, error):
                return
            raise
        document = verified.document
        gate = self._o.trust.gate(document)
        kept = kept_order(verified, document.not_after)
        urgent = document.priority >= Priority.EMERGENCY_STORED
        await self._register.persist(verified, Batch(orders=(kept,)), urgent=urgent)
        self._o.trust.commit(verified)
        self._register.keep(kept)
        self._o.streams.open(document, gate, now=self._o.stamp(), trusted=self._o.wall.trusted)
        if urgent:
            self._o.conductor.urge()
        else:
            self._o.conductor.poke()
        self._answers.accept(verified.kind, document.term, document.seq)
        self._o.pin_soon()

    async def _settings(self, envelope: bytes) -> None:
        try:
            verified = self._o.trust.verify_settings(envelope, now=self._o.now())
        except AlreadyHaveError as error:
            if self.in_force.settings is None:  # lost from the disk, not from the counters
                self._install_settings(error.document)
            raise
        await self._register.persist(verified, memory_of(verified))
        self._o.trust.commit(verified)
        self._install_settings(verified.document)
        self._answers.accept(verified.kind, verified.document.term, verified.document.seq)
        await self._register.pin()

    async def _key_set(self, envelope: bytes) -> None:
        verified = self._o.trust.verify_keyset(envelope, now=self._o.now())
        await self._register.learn((verified,))
        self._answers.accept(verified.kind, verified.document.term, verified.document.version)

    async def _root(self, envelope: bytes) -> None:
        verified = self._o.trust.verify_root(envelope)
        await self._register.learn((verified,))
        self._answers.accept(verified.kind, 0, verified.document.version)

    def _install_settings(self, settings: Settings) -> None:
        self._register.in_force = replace(self.in_force, settings=settings)
        self._o.conductor.set_settings(settings.cluster)
        self._o.stock.set(settings.stock)


def _is_urgent(command: Command) -> bool:
    return command.priority is not None and command.priority >= Priority.EMERGENCY_STORED


def _seq(document: Any) -> int:
    return int(document.version if isinstance(document, KeySet | RootSuccessor) else document.seq)
