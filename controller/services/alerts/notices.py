"""Notices: what people must come to know (a solo override, an automatic alert), kept until they have seen it.

Rules kept here:

1. A notice is in memory at once and in the database soon; its id is made of subject and person, so that a restart that
   makes it again makes the same one.
2. At most :data:`KEPT` are kept in memory; the oldest that were seen go first, then the oldest.
3. :class:`Messenger` is the port for mail, SMS or anything else: it is told of every notice, and its failure is logged,
   never raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import NotFoundError
from controller.store.alert_tables import Notice

KEPT: Final = 2_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NoticeEntry:
    """One notice to one person."""

    id: str
    user_id: str
    kind: str
    subject: str
    text: str
    at: datetime
    seen_at: datetime | None = None


class Messenger(Protocol):
    """A way out of the house: mail, SMS, a chat."""

    def carry(self, notice: NoticeEntry) -> None:
        """Take a notice along. Quick: whatever waits, waits in a queue of the messenger's own."""
        ...


class NoticeBook:
    """Every notice that somebody may still have to see."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._notices: dict[str, NoticeEntry] = {}
        self._unwritten: set[str] = set()
        self.messengers: list[Messenger] = []
        #: Told of every notice that is new or was seen. They must be quick and must not raise.
        self.listeners: list[Callable[[NoticeEntry], None]] = []

    async def load(self, session: AsyncSession) -> None:
        """Fill from the database (at start): what nobody has seen yet."""
        query = select(Notice).order_by(col(Notice.at).desc()).limit(KEPT)
        for row in await session.exec(query):
            self._notices[row.id] = NoticeEntry(
                row.id, row.user_id, row.kind, row.subject, row.text, row.at, row.seen_at
            )

    def post(self, users: Iterable[str], kind: str, subject: str, text: str) -> tuple[NoticeEntry, ...]:
        """Tell people; who was told of this subject already is not told again."""
        posted = []
        for user_id in users:
            digest = hashlib.sha256(f"{kind}\0{subject}\0{user_id}".encode()).hexdigest()
            notice = NoticeEntry(f"no_{digest[:10]}", user_id, kind, subject, text, self._clock.now())
            if notice.id not in self._notices:
                self._notices[notice.id] = notice
                self._unwritten.add(notice.id)
                posted.append(notice)
        for notice in posted:
            self._carry(notice)
            self._tell(notice)
        self._bound()
        return tuple(posted)

    def of(self, actor: Actor, *, unseen: bool = False) -> list[NoticeEntry]:
        """A person's notices, newest first."""
        own = [each for each in self._notices.values() if each.user_id == actor.user_id]
        return sorted(
            (each for each in own if not unseen or each.seen_at is None), key=lambda each: each.at, reverse=True
        )

    def see(self, actor: Actor, notice_id: str) -> NoticeEntry:
        """They have seen it.

        Raises:
            NotFoundError: they have no such notice.
        """
        notice = self._notices.get(notice_id)
        if notice is None or notice.user_id != actor.user_id:
            raise NotFoundError("you have no such notice", code="notice_not_found")
        if notice.seen_at is None:
            notice = replace(notice, seen_at=self._clock.now())
            self._notices[notice_id] = notice
            self._unwritten.add(notice_id)
            self._tell(notice)
        return notice

    def superiors(self, clusters: frozenset[str], *, besides: str) -> tuple[str, ...]:
        """Everybody who may confirm alerts, or edit the policy, at one of these clusters or above it."""
        areas = frozenset(
            self._directory.clusters[each].area_id for each in clusters if each in self._directory.clusters
        )
        found = []
        for user in self._directory.users.values():
            actor = Actor(user.id, user.name, user.grants)
            if not user.disabled and user.id != besides and any(self._above(actor, area_id) for area_id in areas):
                found.append(user.id)
        return tuple(sorted(found))

    def take_unwritten(self) -> list[NoticeEntry]:
        """What is to be written down."""
        taken = [self._notices[each] for each in self._unwritten if each in self._notices]
        self._unwritten.clear()
        return taken

    def put_back(self, notices: Iterable[NoticeEntry]) -> None:
        """It could not be written."""
        self._unwritten.update(notice.id for notice in notices)

    def _above(self, actor: Actor, area_id: str) -> bool:
        return any(
            self._directory.allows(actor, permission, area_id)
            for permission in (Permission.EMERGENCY_CONFIRM, Permission.POLICY_EDIT)
        )

    def _tell(self, notice: NoticeEntry) -> None:
        for listener in self.listeners:
            listener(notice)

    def _carry(self, notice: NoticeEntry) -> None:
        for messenger in self.messengers:
            try:
                messenger.carry(notice)
            except Exception:  # noqa: BLE001 - a way out that fails must not stop an alert
                _log.exception("notice_not_carried", notice=notice.id)

    def _bound(self) -> None:
        over = len(self._notices) - KEPT
        if over > 0:
            order = sorted(self._notices.values(), key=lambda each: (each.seen_at is None, each.at))
            for notice in order[:over]:
                del self._notices[notice.id]
