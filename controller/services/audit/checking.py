"""The walk over the whole chain, beside the work: how far it is, what it found, and its end when nobody wants it.

One walk at a time for everybody who may ask; whoever asks while it runs is told of that one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from controller.services.audit.log import AuditService
from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.store.audit import AuditVerdict
from controller.store.errors import StoreBusyError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Checked:
    """Where the walk stands: rows looked at, of how many; what the last whole one found; why it failed."""

    running: bool
    rows: int
    of: int
    verdict: AuditVerdict | None
    fault: str


class ChainCheck:
    """Walks the chain for people at the desk."""

    def __init__(self, audit: AuditService, directory: Directory) -> None:
        self._audit = audit
        self._directory = directory
        self._walk: asyncio.Task[None] | None = None
        self._rows = self._of = 0
        self._verdict: AuditVerdict | None = None
        self._fault = ""

    def begin(self, actor: Actor) -> None:
        """Walk it, unless that is being done.

        Raises:
            ForbiddenError: no right ``audit_read`` over everything.
        """
        self._require(actor)
        if self._walk is None or self._walk.done():
            self._rows, self._of, self._verdict, self._fault = 0, 0, None, ""
            self._walk = asyncio.get_running_loop().create_task(self._go(actor), name="audit verify")

    def state(self, actor: Actor) -> Checked:
        """Where it stands.

        Raises:
            ForbiddenError: no right ``audit_read`` over everything.
        """
        self._require(actor)
        running = self._walk is not None and not self._walk.done()
        return Checked(running, self._rows, self._of, self._verdict, self._fault)

    async def cancel(self, actor: Actor) -> None:
        """End it; when this returns it has ended. What is over already has its verdict.

        Raises:
            ForbiddenError: no right ``audit_read`` over everything.
        """
        self._require(actor)
        await self.close()

    async def close(self) -> None:
        """End it."""
        if self._walk is not None:
            self._walk.cancel()
            await asyncio.wait([self._walk])

    def _require(self, actor: Actor) -> None:
        self._directory.require(actor, Permission.AUDIT_READ, None)

    async def _go(self, actor: Actor) -> None:
        try:
            self._verdict = await self._audit.verify(actor, told=self._told)
        except StoreBusyError as error:
            self._fault = str(error)
            _log.warning("audit_not_verified", why=str(error))

    def _told(self, rows: int, of: int) -> None:
        self._rows, self._of = rows, max(of, rows)
