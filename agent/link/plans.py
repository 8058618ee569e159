"""The plan that was offered: judged, waited for, and in force once all its days are here.

Until then the plan before is played.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.cache.state import Batch, Key
from agent.link.office import Answers, Office, items_of
from agent.link.register import Register
from protocol.documents import DocumentKind, PlanManifest
from protocol.errors import AlreadyHaveError, ProtocolError
from protocol.trust import Verified


class PlanDesk:
    """From an offered plan to the plan in force."""

    def __init__(self, office: Office, register: Register, answers: Answers) -> None:
        self._o = office
        self._register = register
        self._answers = answers
        self._news = asyncio.Event()
        #: The plan that was offered and whose days are not all here yet.
        self.wanted: Verified[PlanManifest] | None = None

    async def offered(self, envelope: bytes) -> None:
        """Judge a plan; a good one is wanted from now on.

        Raises:
            ProtocolError: it is not acceptable.
        """
        try:
            verified = self._o.trust.verify_plan(envelope, now=self._o.now())
        except AlreadyHaveError as error:
            if self._register.in_force.plan is not None:
                raise
            counters = self._o.trust.counters
            verified = Verified(DocumentKind.PLAN, error.document, counters, envelope, "", None)
        self.wanted = verified
        self._news.set()

    async def wait(self) -> Verified[PlanManifest]:
        """Wait until a plan was offered whose days must be fetched."""
        while self.wanted is None:
            self._news.clear()
            await self._news.wait()
        return self.wanted

    async def take(self, wanted: Verified[PlanManifest], bodies: dict[str, bytes]) -> bool:
        """The days of ``wanted`` are here. False when a newer plan was offered meanwhile.

        Raises:
            ProtocolError: a day cannot be read, or the plan is not acceptable any more. It is not wanted any longer.
            StorageError: it could not be written; try again.
        """
        if self.wanted is not wanted:
            return False
        try:
            items = items_of(wanted.document, bodies)
            if wanted.key is not None:
                self._o.trust.verify_plan(wanted.envelope, now=self._o.now())
        except ProtocolError as error:
            self.wanted = None
            self._answers.refuse(DocumentKind.PLAN, error.code, error.detail)
            raise
        names = frozenset(bodies)
        batch = Batch(memory={Key.PLAN: wanted.envelope}, documents=bodies, keep_documents=names)
        await self._register.persist(wanted, batch)
        if wanted.key is not None:
            self._o.trust.commit(wanted)
        if self.wanted is wanted:
            self.wanted = None
        self._register.in_force = replace(self._register.in_force, plan=wanted.document)
        self._o.conductor.set_plan(items)
        self._answers.accept(DocumentKind.PLAN, wanted.document.term, wanted.document.seq)
        await self._register.pin()
        return True
