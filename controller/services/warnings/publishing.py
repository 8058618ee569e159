"""Publishes our own alerts as signed CAP documents, and gives the feed of them.

Rules kept here:

1. What was published is on the disk, under an identifier that never changes; nobody gets bytes that are not.
2. A listener only notes that an alert changed; one task writes. After a restart every alert of the last
   :data:`LOOK_BACK` is looked at again, so a crash between sounding and publishing loses nothing.
3. Publishing never holds up a sound: it begins :data:`SOUND_FIRST_S` after a change, when the orders are out and heard;
   it waits for the database, a sound does not wait for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from lxml import etree
from sqlmodel import col, delete, select

from controller.cap import CapAlert, CapError, sign_alert, write_alert
from controller.keys.cap_identity import CapIdentity, ensure_identity
from controller.keys.errors import VaultError
from controller.services.alerts import Alert, AlertState
from controller.services.context import SYSTEM, Clock
from controller.services.directory import Directory
from controller.services.drills.model import Drill
from controller.services.errors import NotFoundError
from controller.services.warnings.own_alerts import OwnAlert, Published, message, next_step
from controller.services.warnings.ports import Alerts
from controller.store import Database, StoreError
from controller.store.warning_tables import PublishedAlert

#: Alerts given longer ago are not looked at again after a restart.
LOOK_BACK: Final = timedelta(days=7)
#: Messages are kept for this long; identifiers of older ones are gone for good.
KEPT: Final = timedelta(days=400)
#: Messages in the feed, newest first.
IN_FEED: Final = 100
#: Alerts that may wait to be published; beyond it the oldest is dropped and found again at the next start.
_WAITING: Final = 1_000
_AGAIN_S: Final = 5.0
#: To sign a document costs a third of a second of a processor that orders to a thousand boxes need more.
SOUND_FIRST_S: Final = 2.0
#: Alert, a few Updates and Cancel: more steps at once would be a fault of ours.
_STEPS: Final = 4
_ATOM: Final = "http://www.w3.org/2005/Atom"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One message as the feed lists it."""

    identifier: str
    title: str
    msg_type: str
    status: str
    sent: datetime
    expires: datetime | None


class CapPublisher:
    """Writes and gives our own CAP messages. ``sender``: how we sign all of them."""

    def __init__(
        self, *, db: Database, alerts: Alerts, directory: Directory, clock: Clock, folder: Path, sender: str
    ) -> None:
        self._db = db
        self._alerts = alerts
        self._directory = directory
        self._clock = clock
        self._folder = folder
        self.sender = sender
        self._identity: CapIdentity | None = None
        self._waiting: dict[str, OwnAlert] = {}
        self._poked = asyncio.Event()
        self.fault: str | None = None
        self.published = 0

    def alert_changed(self, alert: Alert) -> None:
        """A listener of the alert desk: it was given, extended or cancelled."""
        own = OwnAlert.of(alert)
        if own is not None:
            self.changed(own)

    def drill_changed(self, drill: Drill) -> None:
        """A listener of the drill desk: one was started or cancelled. Published as an exercise."""
        own = OwnAlert.of_drill(drill)
        if own is not None:
            self.changed(own)

    def changed(self, own: OwnAlert) -> None:
        """Something that is published changed."""
        self._waiting.pop(own.id, None)
        self._waiting[own.id] = own
        while len(self._waiting) > _WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        self._poked.set()

    async def run(self) -> None:
        """Publish what changes, for ever; first what a crash may have left."""
        since = self._clock.now() - LOOK_BACK
        for alert in self._alerts.alerts(SYSTEM):
            if alert.given is not None and alert.given.at >= since:
                self.alert_changed(alert)
        while True:
            self._poked.clear()
            await self.step()
            try:
                async with asyncio.timeout(_AGAIN_S if self._waiting else None):
                    await self._poked.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(SOUND_FIRST_S)

    async def step(self) -> None:
        """Publish everything that waits; what cannot be written now goes on waiting."""
        for own in list(self._waiting.values()):
            try:
                await self._publish(own)
            except (StoreError, VaultError, OSError) as error:
                self.fault = f"our alerts cannot be published as CAP: {error}"
                _log.warning("cap_not_published", alert=own.id, detail=str(error))
                return
            except CapError as error:
                _log.error("cap_not_published", alert=own.id, code=error.code, detail=str(error))
                self.fault = f"the alert {own.id} cannot be written as CAP: {error}"
            if self._waiting.get(own.id) is own:
                del self._waiting[own.id]
        if not self._waiting and self.fault is not None and "cannot be published" in self.fault:
            self.fault = None

    async def identity(self) -> CapIdentity:
        """Key and certificate; made now when they are not there.

        Raises:
            VaultError: they cannot be read.
        """
        if self._identity is None:
            now = self._clock.now()
            self._identity = await asyncio.to_thread(ensure_identity, self._folder, self.sender, now=now)
        return self._identity

    async def feed(self) -> list[FeedEntry]:
        """The newest messages."""
        query = select(PublishedAlert).order_by(col(PublishedAlert.seq).desc()).limit(IN_FEED)
        async with self._db.read() as session:
            rows = (await session.exec(query)).all()
        return [FeedEntry(row.identifier, row.title, row.msg_type, row.status, row.sent, row.expires) for row in rows]

    async def document(self, identifier: str) -> bytes:
        """One message, as it was signed.

        Raises:
            NotFoundError: there is none.
        """
        query = select(PublishedAlert).where(col(PublishedAlert.identifier) == identifier)
        async with self._db.read() as session:
            row = (await session.exec(query)).first()
        if row is None:
            raise NotFoundError(f"there is no CAP message {identifier!r}", code="cap_not_found")
        return row.body

    async def _publish(self, own: OwnAlert) -> None:
        for _ in range(_STEPS):
            before, earlier = await self._before(own.id), await self._earlier(own)
            kind = next_step(own, before, earlier)
            if kind is None:
                return
            now = self._clock.now()
            identity = await self.identity()
            alert = message(own, kind, before, self._directory, sender=self.sender, now=now, earlier=earlier)
            body = await asyncio.to_thread(_signed, alert, identity)
            async with self._db.transaction(SYSTEM) as tx:
                tx.session.add(
                    PublishedAlert(
                        identifier=alert.identifier,
                        alert_id=own.id,
                        version=len(before) + 1,
                        msg_type=kind,
                        status=own.status,
                        title=own.title,
                        sent=alert.sent,
                        expires=own.expires,
                        body=body,
                    )
                )
                said = {"identifier": alert.identifier, "type": kind, "sha256": hashlib.sha256(body).hexdigest()}
                tx.audit("cap.publish", own.id, said)
                await tx.session.exec(delete(PublishedAlert).where(col(PublishedAlert.sent) < now - KEPT))
            self.published += 1

    async def _earlier(self, own: OwnAlert) -> list[Published]:
        """What was published of the alerts whose place it took everywhere."""
        told: list[Published] = []
        for alert in self._alerts.alerts(SYSTEM):
            if alert.id in own.replaces and alert.state is AlertState.REPLACED and alert.successor == own.id:
                told += await self._before(alert.id)
        return sorted(told, key=lambda one: one.sent)

    async def _before(self, alert_id: str) -> list[Published]:
        query = select(PublishedAlert).where(col(PublishedAlert.alert_id) == alert_id)
        async with self._db.read() as session:
            rows = (await session.exec(query.order_by(col(PublishedAlert.version)))).all()
        return [Published(row.identifier, row.version, row.msg_type, row.sent, row.expires) for row in rows]


def atom(
    entries: Sequence[FeedEntry], *, sender: str, base: str, link_of: Callable[[str], str], now: datetime
) -> bytes:
    """The feed as Atom (RFC 4287). ``base``: where it is read from; ``link_of``: the address of a message."""
    root = etree.Element(f"{{{_ATOM}}}feed", nsmap={None: _ATOM})
    _text(root, "id", base)
    _text(root, "title", f"Loa: CAP alerts of {sender}")
    _text(root, "updated", (entries[0].sent if entries else now).isoformat())
    _text(etree.SubElement(root, f"{{{_ATOM}}}author"), "name", sender)
    etree.SubElement(root, f"{{{_ATOM}}}link", rel="self", href=base)
    for entry in entries:
        element = etree.SubElement(root, f"{{{_ATOM}}}entry")
        _text(element, "id", f"urn:loa:cap:{sender}:{entry.identifier}")
        _text(element, "title", f"[{entry.status}] {entry.msg_type}: {entry.title}")
        _text(element, "updated", entry.sent.isoformat())
        etree.SubElement(
            element, f"{{{_ATOM}}}link", rel="alternate", type="application/cap+xml", href=link_of(entry.identifier)
        )
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _signed(alert: CapAlert, identity: CapIdentity) -> bytes:
    return sign_alert(write_alert(alert), identity.key, identity.certificate)


def _text(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{_ATOM}}}{name}").text = text
