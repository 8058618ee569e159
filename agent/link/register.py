"""The register: what was accepted, on the disk and at hand.

Rules kept here:

1. A document and the counters with it are durable before it counts. An emergency is not muted by a disk that fails:
   after :data:`EMERGENCY_WAIT_S` it counts.
2. Orders in force are remembered by their bytes, at most :data:`KEPT_LIMIT` of them.
3. After a boot the kept orders are verified again as if they had just come, and acted on.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import structlog

from agent.cache.state import Batch, KeptOrder, Key
from agent.conductor.orders import Reference
from agent.errors import StorageError
from agent.link.office import InForce, Office
from protocol.counters import Counters
from protocol.documents import Command, DocumentKind, KeySet, PlayOrder, RootSuccessor, Settings, StopOrder, StreamOpen
from protocol.errors import ProtocolError
from protocol.trust import TrustedState, Verified
from schedules.instants import from_unix_us, to_unix_us

log = structlog.get_logger("agent.clerk")

#: Orders in force that are remembered by their bytes; beyond it the one that ends first is forgotten, and is then a
#: replay like any other.
KEPT_LIMIT = 512
EMERGENCY_WAIT_S = 0.5


class Register:
    """What one agent holds as accepted."""

    def __init__(self, office: Office, in_force: InForce, kept: dict[bytes, KeptOrder], key_set: bytes | None) -> None:
        """``kept`` and ``key_set``: envelopes from the disk."""
        self._o = office
        self._key_set = key_set
        self._kept = dict(kept)
        self._asleep = set(kept)  # kept orders that were not acted on since this process began
        self.in_force = in_force

    # -- writing down -------------------------------------------------------------------------------------

    async def persist(self, verified: Verified[Any], batch: Batch, *, urgent: bool = False) -> None:
        """Make a document and the counters with it durable. ``urgent``: not at the price of being heard.

        Raises:
            StorageError: it could not be written and was not urgent.
        """
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

    async def learn(self, documents: tuple[Verified[Any], ...]) -> None:
        """Root successors and key sets: durable, and believed, on return.

        Raises:
            StorageError: it could not be written.
        """
        for verified in documents:
            await self.persist(verified, memory_of(verified))
            self._o.trust.commit(verified)
            if verified.kind is DocumentKind.KEY_SET:
                self._key_set = verified.envelope
            await self.pin()

    async def pin(self) -> None:
        """Write counters and root to the small file too, which survives a damaged database."""
        await self._o.pin(self._o.trust.counters, self._o.trust.root_public)

    # -- orders in force ----------------------------------------------------------------------------------

    def find(self, envelope: bytes) -> KeptOrder | None:
        """The order in force that has these very bytes."""
        return self._kept.get(envelope)

    def keep(self, order: KeptOrder) -> None:
        """Remember an order for as long as it is in force."""
        self._kept[order.envelope] = order
        self.forget()
        while len(self._kept) > KEPT_LIMIT:
            del self._kept[min(self._kept, key=lambda one: self._kept[one].until_us)]

    def forget(self) -> None:
        """Drop kept orders that are over, here and on the disk."""
        now_us = to_unix_us(self._o.stamp())
        over = [envelope for envelope, order in self._kept.items() if order.until_us <= now_us]
        if over and self._o.wall.trusted:
            for envelope in over:
                del self._kept[envelope]
                self._asleep.discard(envelope)
            self._o.ledger.post(Batch(drop_orders_until_us=now_us))

    # -- after a boot -------------------------------------------------------------------------------------

    def revive(self) -> None:
        """Act again on the orders in force that the disk kept: at boot, and once more when time is trusted.

        Each is verified as if it had just come, only not against the counters that it moved itself. What cannot be
        judged without time waits for it.
        """
        if not self._asleep:
            return
        trust, now = self._o.trust, self._o.now()
        known = trust.counters.get(DocumentKind.KEY_SET)
        if known is None or self._key_set is None:
            return
        counters = Counters({DocumentKind.KEY_SET: known})
        judge = TrustedState(
            trust.agent_id,
            trust.root_public,
            counters,
            self._key_set,
            cluster_id=trust.cluster_id,
            drill_notices=trust.drill_notices,
        )
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
            command = judge.verify_again(kept.envelope, now=now)
            if isinstance(command.order, PlayOrder):  # what only silenced is in the arbiter's memory
                self._o.conductor.take(command)
            elif isinstance(command.order, StopOrder):  # but not its number, which tells what came after it
                self._o.conductor.orders.recall_stop(Reference(command.term, command.seq))
            return
        # It was fresh when it was accepted, and nothing sounds of it before the controller speaks again: the stream is
        # known from the first moment on, so that the arbiter does not take it for closed.
        last = from_unix_us(kept.until_us) - timedelta(microseconds=1)
        opened = judge.verify_stream_open(kept.envelope, now=now or last).document
        self._o.streams.open(opened, judge.gate(opened), now=self._o.stamp(), trusted=self._o.wall.trusted)


def memory_of(verified: Verified[Any]) -> Batch:
    """What is written for a document of which only the newest is kept."""
    match verified.document:
        case Settings():
            return Batch(memory={Key.SETTINGS: verified.envelope})
        case KeySet():
            return Batch(memory={Key.KEY_SET: verified.envelope})
        case RootSuccessor(public=public):
            return Batch(memory={Key.ROOT: public.hex().encode()})
        case _:
            return Batch()


def kept_order(verified: Verified[Command] | Verified[StreamOpen], until: datetime) -> KeptOrder:
    """An order as the register keeps it, in force until then."""
    document = verified.document
    return KeptOrder(verified.kind.value, document.term, document.seq, to_unix_us(until), verified.envelope)
