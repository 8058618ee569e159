"""What the tests of warnings share: a small district, an alert desk that only remembers, and warnings to send them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from controller.cap import CapAlert, CapArea, CapInfo, Circle, NameValue, Polygon, sign_alert, write_alert
from controller.cap.alert import AlertKey
from controller.feeds import AddressPolicy
from controller.services.alerts import (
    Alert,
    AlertDraft,
    AlertState,
    Category,
    Composed,
    Message,
    Person,
    Repetition,
    SpokenClip,
    Step,
)
from controller.services.alerts.notices import NoticeBook
from controller.services.clusters import ClusterSpec
from controller.services.context import SYSTEM, Actor
from controller.services.errors import ConflictError, NotFoundError, ServiceError
from controller.services.warnings import (
    GeocodeRow,
    Kept,
    SourceEntry,
    SourceKind,
    SourceSpec,
    WarningBook,
    WarningDesk,
    WarningEntry,
    WarningHandler,
    WarningIntake,
    WarningPolicy,
    WarningReader,
    WarningRule,
    WarningSources,
)
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Clip
from tests.unit.controller.desk import START, Desk, open_desk

SENDER = "kttv@khituong.example"


class FakeAlerts:
    """An alert desk that remembers what it was asked and sounds nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.kept: dict[str, Alert] = {}
        self.refuse: ServiceError | None = None

    def alerts(self, actor: Actor) -> Sequence[Alert]:
        return list(reversed(self.kept.values()))

    def get(self, actor: Actor, alert_id: str) -> Alert:
        if alert_id not in self.kept:
            raise NotFoundError("there is no such alert")
        return self.kept[alert_id]

    async def compose(self, actor: Actor, draft: AlertDraft, *, idempotency_key: str | None = None) -> Composed:
        return Composed(self._make(actor, draft, AlertState.ARMED), "ABCD")

    async def issue_automatic(self, draft: AlertDraft, policy_name: str) -> Alert:
        assert draft.template is not None
        assert policy_name
        return self.give(self._make(SYSTEM, draft, AlertState.ARMED).id)

    async def cancel(
        self,
        actor: Actor,
        alert_id: str,
        *,
        all_clear: bool = False,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Alert:
        if self.refuse is not None:
            raise self.refuse
        alert = self.get(actor, alert_id)
        if not alert.state.given and not alert.state.waiting:
            raise ConflictError("it is over")
        ended = replace(alert, state=AlertState.CANCELLED, ended=Step(_person(actor), self._desk.clock.now(), reason))
        self.kept[alert_id] = ended
        return ended

    def give(self, alert_id: str, expires: datetime | None = None) -> Alert:
        """The second person said yes."""
        now = self._desk.clock.now()
        alert = self.kept[alert_id]
        for name in alert.draft.replaces:
            old = self.kept[name]
            old = replace(old, taken=old.taken | (old.clusters & alert.clusters), successor=alert_id)
            self.kept[name] = old if old.remaining else replace(old, state=AlertState.REPLACED)
        given = replace(
            alert,
            state=AlertState.CONFIRMED,
            given=Step(Person("us_second", "second"), now),
            start=now,
            expires=expires or now + timedelta(hours=1),
        )
        self.kept[alert_id] = given
        return given

    def _make(self, actor: Actor, draft: AlertDraft, state: AlertState) -> Alert:
        if self.refuse is not None:
            raise self.refuse
        scope = draft.where.scope
        clusters = self._desk.directory.clusters_of(areas=scope.areas, clusters=scope.clusters)
        words = [(one.language, one.text) for one in draft.words] or [("vi", f"Lời của mẫu {draft.template}")]
        alert = Alert(
            id=f"al_{len(self.kept) + 1}",
            title=draft.title,
            category=draft.category,
            priority=Priority.EMERGENCY_STORED,
            draft=draft,
            clusters=clusters,
            repetition=draft.repetition or Repetition(),
            message=_message(words),
            twin=_message([(language, f"Huỷ: {text}") for language, text in words]),
            state=state,
            composed=Step(_person(actor), self._desk.clock.now()),
        )
        self.kept[alert.id] = alert
        return alert


def _person(actor: Actor) -> Person:
    return Person(actor.user_id, actor.name)


def _message(words: list[tuple[str, str]]) -> Message:
    clip = Clip("a" * 64, Frames(48_000))
    return Message(None, tuple(SpokenClip(language, text, clip) for language, text in words))


@dataclass
class World:
    """A district of three communes: A Vao and Tà Rụt on the map, Ba Nang without coordinates."""

    desk: Desk
    alerts: FakeAlerts
    book: WarningBook
    sources: WarningSources
    reader: WarningReader
    intake: WarningIntake
    handler: WarningHandler
    people: WarningDesk
    notices: NoticeBook
    district: str = ""
    areas: dict[str, str] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)

    async def source(self, **more: Any) -> SourceEntry:
        """A source that pushes and speaks for the district."""
        said: dict[str, Any] = {"name": "KTTV Quảng Trị", "area_id": self.district, **more}
        return await self.sources.create(SYSTEM, SourceSpec(**said))

    async def automatic(self, **more: Any) -> SourceEntry:
        """A source that may send flash floods by itself."""
        said: dict[str, Any] = {
            "certificates": (pem(),),
            "templates": {"Flash flood": "tp_flash"},
            "policy": automatic_policy(),
            **more,
        }
        return await self.source(**said)

    async def take(self, source: SourceEntry, data: bytes) -> list[Kept]:
        """Bring a document and let it be judged."""
        kept = await self.intake.take(source, SourceKind.PUSH, data)
        await self.handler.step()
        return kept

    async def taken(self, source: SourceEntry, alert: CapAlert, *, signed: bool = False) -> WarningEntry:
        """Bring one warning and see what became of it."""
        kept = await self.take(source, xml(alert, signed=signed))
        assert kept[0].id is not None, kept
        return await self.book.get(kept[0].id)

    async def audited(self) -> list[str]:
        """What the audit log says was done."""
        return [row.action for row in (await self.desk.audit.rows(SYSTEM, before=None, limit=500)).rows]


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """The district, every part real but the alert desk."""
    async with open_desk(folder) as desk:
        alerts, book, reader = FakeAlerts(desk), WarningBook(desk.db), WarningReader()
        sources = WarningSources(
            db=desk.db, directory=desk.directory, policy=AddressPolicy(allow_private=True), clock=desk.clock
        )
        async with desk.db.read() as session:
            await sources.load(session)
        await book.load()
        notices = NoticeBook(desk.directory, desk.clock)
        handler = WarningHandler(
            book=book,
            sources=sources,
            reader=reader,
            alerts=alerts,
            notices=notices,
            directory=desk.directory,
            clock=desk.clock,
        )
        intake = WarningIntake(book=book, reader=reader, clock=desk.clock, taken=handler.poke)
        people = WarningDesk(book=book, sources=sources, alerts=alerts, directory=desk.directory, clock=desk.clock)
        world = World(desk, alerts, book, sources, reader, intake, handler, people, notices)
        if not desk.directory.areas:
            await _settle(world)
        try:
            yield world
        finally:
            reader.close()


async def _settle(world: World) -> None:
    desk = world.desk
    district = await desk.areas.create(SYSTEM, name="Đakrông", kind="huyện")
    world.district = district.id
    places = {
        "A Vao": (16.45, 106.95, ("vi", "bru")),
        "Tà Rụt": (16.40, 107.02, ("vi",)),
        "Ba Nang": (None, None, ("vi", "en")),
    }
    for name, (latitude, longitude, languages) in places.items():
        area = await desk.areas.create(SYSTEM, name=name, kind="xã", parent_id=district.id)
        world.areas[name] = area.id
        spec = ClusterSpec(f"Cụm {name}", area.id, latitude, longitude, languages)
        world.clusters[name] = (await desk.clusters.create(SYSTEM, spec)).id


def automatic_policy(**more: Any) -> WarningPolicy:
    rule = WarningRule(name="lũ quét", senders=(SENDER,), events=("flash flood",))
    return WarningPolicy.model_validate({"mode": "automatic", "rules": [rule.model_dump()], **more})


def geocodes(world: World) -> tuple[GeocodeRow, ...]:
    return (GeocodeRow("XA", "19567", (world.areas["Ba Nang"],)),)


BOX = Polygon(((16.3, 106.8), (16.3, 107.2), (16.6, 107.2), (16.6, 106.8)))


def flood(**more: Any) -> CapAlert:
    """A flash flood warning over A Vao and Tà Rụt."""
    said: dict[str, Any] = {
        "identifier": "VN-QTR-1",
        "sender": SENDER,
        "sent": START,
        "status": "Actual",
        "msg_type": "Alert",
        "infos": (info(), info(language="en", headline="Flash flood warning", description="Leave the river.")),
        **more,
    }
    return CapAlert(**said)


def info(**more: Any) -> CapInfo:
    said: dict[str, Any] = {
        "language": "vi-VN",
        "categories": ("Met",),
        "event": "Flash flood",
        "urgency": "Immediate",
        "severity": "Extreme",
        "certainty": "Observed",
        "expires": START + timedelta(hours=6),
        "headline": "Cảnh báo lũ quét huyện Đakrông",
        "description": "Nước sông Đakrông lên nhanh. Bà con rời xa bờ sông.",
        "areas": (CapArea("Huyện Đakrông", polygons=(BOX,)),),
        **more,
    }
    return CapInfo(**said)


def coded(value: str) -> CapArea:
    return CapArea("Xã Ba Nang", geocodes=(NameValue("XA", value),))


def circle(latitude: float, longitude: float, kilometres: float) -> CapArea:
    return CapArea("Vòng tròn", circles=(Circle(latitude, longitude, kilometres),))


def about(other: CapAlert, msg_type: str, identifier: str, **more: Any) -> CapAlert:
    """A later message about another one."""
    said: dict[str, Any] = {
        "identifier": identifier,
        "msg_type": msg_type,
        "sent": other.sent + timedelta(minutes=10),
        "references": (AlertKey(other.sender, other.identifier, other.sent),),
        **more,
    }
    return replace(other, **said)


Identity = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


@cache
def identity(at: datetime = START) -> Identity:
    """The met service's signing key and certificate, good around an instant."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "KTTV")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=300))
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def pem(at: datetime = START) -> str:
    return identity(at)[1].public_bytes(Encoding.PEM).decode()


def xml(alert: CapAlert, *, signed: bool = False, at: datetime = START) -> bytes:
    data = write_alert(alert)
    return sign_alert(data, *identity(at)) if signed else data


async def eventually(condition: Callable[[], Awaitable[object]], seconds: float = 20.0) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.02)


__all__ = ["Category", "FakeAlerts", "World", "open_world"]
