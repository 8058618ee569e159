"""An enrolled agent as the wire sees it: clerk, trust, conductor, arbiter and player, with a clock of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.cache.media import MediaStore
from agent.cache.stock import Stock
from agent.crowd import Crowd
from agent.link.clerk import Clerk
from agent.link.office import InForce, Office
from protocol.codec import seal_document
from protocol.counters import Counters
from protocol.documents import Command, PlayOrder, Targets
from protocol.messages import Ack, CommandOffer, StreamOpenOffer
from schedules.ladder import Priority
from schedules.model import Item, Recorded
from tests.unit.agent.rehearsal import CLUSTER, T0, Rehearsal, clip, item
from tests.unit.protocol import district as d

NOW = T0 + timedelta(seconds=5)
EXPIRES = NOW + timedelta(minutes=30)
ACCEPTED = 1_000  # the number of the last order that was accepted


class Post:
    """An enrolled agent that has accepted its settings and an order number :data:`ACCEPTED`."""

    def __init__(self, stage: Rehearsal | None = None) -> None:
        self.stage = stage or Rehearsal()
        if stage is None:
            self.stage.run_until(NOW)
        trusted = d.new_agent()
        self.executor = ThreadPoolExecutor(1)
        stage = self.stage
        stock = Stock(MediaStore(Path(), stage.clock, budget_bytes=0), self.executor, stage.watch, stage.clock)
        self.trust = trusted.state
        office = Office(
            stage.clock,
            stage.wall,
            stage.ledger,
            stage.watch,
            stage.conductor,
            stage.streams,
            self.trust,
            self._pin,
            lambda: None,
            stock,
            Crowd(),
        )
        self.clerk = Clerk(office, InForce(), {}, trusted.key_set)
        self.acks: list[Ack] = []
        self.clerk.answer_to(self.acks.append)
        cluster = replace(d.settings().cluster, cluster_id=CLUSTER)
        sealed = seal_document(d.settings(cluster=cluster, seq=3), d.PLAN)
        self.trust.commit(self.trust.verify_settings(sealed, now=NOW))
        old = seal_document(alarm(seq=ACCEPTED, start=NOW - timedelta(minutes=20), seconds=1), d.EMERGENCY)
        self.old = old
        self.trust.commit(self.trust.verify_command(old, now=NOW))
        self.before = self.trust.counters

    async def _pin(self, counters: Counters, root: bytes) -> None:
        del counters, root

    def offer(self, envelope: bytes, *, stream: bool = False) -> Ack:
        """Give it to the agent as the wire would; its answer."""
        self.acks.clear()
        self.bring(envelope, stream=stream)
        self.write()
        self.stage.conductor.step()
        (answer,) = self.acks
        return answer

    def bring(self, envelope: bytes, *, stream: bool = False) -> None:
        """Give it to the agent, which writes nothing down yet."""
        text = envelope.decode("utf-8", "replace").ljust(2)  # shorter ones are no message
        self.clerk.offer(StreamOpenOffer(envelope=text) if stream else CommandOffer(envelope=text))

    def rebooted(self, *, off_for: float) -> Post:
        """After a power cut, on the same disk, with the counters of :data:`ACCEPTED`."""
        return Post(self.stage.crash(off_for=off_for))

    def write(self) -> None:
        """The clerk works off what waits."""
        asyncio.run(self._work())

    async def _work(self) -> None:
        while not self.clerk._jobs.empty():
            await self.clerk._jobs.get_nowait()()


def sound(priority: Priority, start: datetime, seconds: float = 20) -> Item:
    one = item("forged", start, seconds, priority=priority)
    if priority is Priority.DRILL:
        one = replace(one, content=Recorded((d.NOTICE, clip("forged", seconds), d.NOTICE)))
    return one


def alarm(
    priority: Priority = Priority.EMERGENCY_STORED, *, start: datetime = NOW, seconds: float = 20, **changes: Any
) -> Command:
    value = Command(
        1, ACCEPTED + 1, NOW, EXPIRES, "0f" * 16, Targets(everyone=True), PlayOrder(sound(priority, start, seconds))
    )
    return replace(value, **changes)
