"""Notices on their way out of the house: to those who do not sit at the console.

Rules kept here:

1. An alert never waits for it: notices are queued (:data:`WAITING` at most; beyond that the newest stays in the console
   alone, which is logged).
2. One after the other, each tried after every pause of :data:`PAUSES_S`; what is given up is logged and stands in the
   console all the same. A way out that fails is a fault until something goes through.

Not here: who is told (:mod:`controller.services.alerts.notices`), the wire (:mod:`controller.feeds.webhook`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from controller.feeds.webhook import WebhookError
from controller.services.alerts.notices import NoticeEntry
from controller.services.directory import Directory

WAITING: Final = 500
PAUSES_S: Final = (0.0, 2.0, 10.0, 30.0, 60.0)

Send = Callable[[Mapping[str, str]], Awaitable[None]]

_log = structlog.get_logger(__name__)


class NoticePost:
    """A :class:`~controller.services.alerts.notices.Messenger`. One task (:meth:`run`)."""

    def __init__(self, send: Send, directory: Directory, *, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._send = send
        self._directory = directory
        self._pauses_s = pauses_s
        self._waiting: asyncio.Queue[NoticeEntry] = asyncio.Queue(WAITING)
        #: Why the last notice did not get out; None when it did.
        self.fault: str | None = None

    def carry(self, notice: NoticeEntry) -> None:
        """Take a notice along."""
        if self._waiting.full():
            _log.error("notice_not_carried", notice=notice.id, why="too many wait")
            return
        self._waiting.put_nowait(notice)

    async def run(self) -> None:
        """Deliver what comes, for ever."""
        while True:
            await self._deliver(await self._waiting.get())

    async def _deliver(self, notice: NoticeEntry) -> None:
        user = self._directory.users.get(notice.user_id)
        message = {
            "id": notice.id,
            "user": notice.user_id if user is None else user.name,
            "kind": notice.kind,
            "subject": notice.subject,
            "text": notice.text,
            "at": notice.at.isoformat(timespec="seconds"),
        }
        for pause in self._pauses_s:
            await asyncio.sleep(pause)
            try:
                await self._send(message)
            except WebhookError as error:
                self.fault = f"notices do not get out: {error}; see notice_url in the settings"
                _log.warning("notice_not_taken", notice=notice.id, why=str(error))
            else:
                self.fault = None
                return
        _log.error("notice_given_up", notice=notice.id)
