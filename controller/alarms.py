"""Everything about alerts, put together: library, desk, boards, stock, notices.

The part of the composition root on top of :mod:`controller.air`'s orders and live desk. What boxes tell about their
sounding and their stock is plugged in when the fleet is there (:meth:`Alarms.watch`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from audio.speech import SpeechEngine
from controller.feeds.webhook import Webhook
from controller.foundation import Foundation
from controller.services.alerts.books import AlertBooks
from controller.services.alerts.composing import Composer
from controller.services.alerts.desk import AlertDesk
from controller.services.alerts.model import Message, Tone
from controller.services.alerts.notices import NoticeBook
from controller.services.alerts.post import NoticePost
from controller.services.alerts.register import AlertRegister
from controller.services.alerts.review import Facts
from controller.services.alerts.sending import AlertSender
from controller.services.alerts.speech import Speaker
from controller.services.alerts.stock import AlertStock
from controller.services.alerts.templates import TemplateBook, TemplateService
from controller.services.alerts.tending import AlertTender
from controller.services.alerts.tones import ensure_tones
from controller.services.alerts.watch import BoardRoom
from controller.services.catalogue import Catalogue
from controller.services.directory import Directory
from controller.services.dispatch import Courier
from controller.services.fleet import FleetService
from controller.services.health import Health
from controller.services.hold_desk import HoldDesk
from controller.services.holds import Hold
from controller.services.intake import Ingests
from controller.services.issuing import Issuer
from controller.services.ledger import Ledger
from controller.services.live import LiveDesk, LiveSession, LiveState
from controller.services.media_store import MediaStore
from controller.services.order_rules import OrderMemory
from controller.services.orders import OrderDesk
from controller.services.ports import AgentGateway
from controller.services.recordings import RecordingService
from controller.services.stock import StockShelf
from controller.supervisor import Supervisor
from schedules.model import Clip

_TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Around:
    """What alerts stand on."""

    store: MediaStore
    catalogue: Catalogue
    recordings: RecordingService
    ingestor: Ingests
    speech: SpeechEngine | None
    gateway: AgentGateway
    courier: Courier
    ledger: Ledger
    orders: OrderDesk
    holds: HoldDesk
    memory: OrderMemory
    live: LiveDesk | None
    issuer: Issuer
    shelf: StockShelf


@dataclass(slots=True)
class Alarms:
    """The desk of alerts and what belongs to it."""

    desk: AlertDesk
    templates: TemplateService
    book: TemplateBook
    boards: BoardRoom
    notices: NoticeBook
    books: AlertBooks
    stock: AlertStock
    tender: AlertTender
    tones: Mapping[Tone, Clip]
    readiness: StockView
    speaker: Speaker
    post: NoticePost | None  # None: notices stay in the console

    def start(self, supervisor: Supervisor, health: Health) -> None:
        """Give the tasks to their owner."""
        supervisor.start("alert-speech", self.desk.run)
        supervisor.every("alerts", _TICK_S, self.tender.tick)
        if self.post is not None:
            post = self.post
            supervisor.start("notices", post.run)
            health.add("notices", lambda: post.fault)

    def watch(self, fleet: FleetService) -> None:
        """From now on, hear what boxes tell."""
        self.readiness.fleet = fleet
        fleet.watch_progress(self.boards.progress)
        fleet.watch_records(self.boards.records)


class StockView:
    """Which clusters hold which sounds, as far as their boxes have told, and which would sound at all."""

    def __init__(self, base: Foundation, around: Around, stock: AlertStock) -> None:
        self._directory = base.directory
        self._clock = base.clock
        self._holds = around.holds
        self._issuer = around.issuer
        self._gateway = around.gateway
        self._stock = stock
        self.fleet: FleetService | None = None

    def online(self, cluster_id: str) -> bool:
        """Whether a box of the cluster is connected."""
        return bool(self._directory.agents_of([cluster_id]) & self._gateway.online())

    def mute(self, cluster_id: str) -> bool:
        """Whether it would stay silent: the desk said so, or all of its boxes say so of themselves."""
        agents = self._directory.agents_of([cluster_id])
        return self._holds.silent(cluster_id) or (bool(agents) and all(map(self._muted, agents)))

    def holding(self, message: Message) -> Callable[[str], bool]:
        """For every cluster: whether all of its boxes hold what it would hear of the message."""

        def holds(cluster_id: str) -> bool:
            agents = self._directory.agents_of([cluster_id])
            wanted = self._stock.sounds_for(message, cluster_id)
            return bool(agents) and all(self._has(agent_id, wanted) for agent_id in agents)

        return holds

    def _muted(self, agent_id: str) -> bool:
        status = None if self.fleet is None else self.fleet.box(agent_id).status
        return status is not None and status.muted is not None and status.muted.until > self._clock.now()

    def _has(self, agent_id: str, wanted: frozenset[str]) -> bool:
        issue = self._issuer.of(agent_id)
        status = None if self.fleet is None else self.fleet.box(agent_id).status
        if issue is None or status is None or status.stock is None:
            return False
        named = {clip.sha256 for clip in issue.settings.stock}
        complete = status.stock.here >= status.stock.wanted and status.plan.settings_seq >= issue.settings.seq
        return complete and wanted <= named


async def open_alarms(base: Foundation, around: Around) -> Alarms:
    """Build everything about alerts. :meth:`AlertTender.restore` comes after the courier's own restore.

    Raises:
        StoreError: the database cannot be read.
    """
    directory, clock = base.directory, base.clock
    tones = await ensure_tones(around.store)
    book, register = TemplateBook(around.catalogue), AlertRegister()
    notices = NoticeBook(directory, clock)
    async with base.db.read() as session:
        await book.load(session)
        await notices.load(session)
    boards = BoardRoom(around.courier, directory, clock)
    books = AlertBooks(base.db, notices)
    books.rooms.append(boards)
    around.ledger.keepers.append(books.keep)
    stock = AlertStock(
        shelf=around.shelf, book=book, register=register, tones=tones, directory=directory, store=around.store
    )
    view = StockView(base, around, stock)
    sender = AlertSender(
        register=register,
        boards=boards,
        book=book,
        courier=around.courier,
        directory=directory,
        memory=around.memory,
        clock=clock,
    )
    sender.voice = around.live
    speaker = Speaker(around.speech, around.ingestor, around.store)
    desk = AlertDesk(
        composer=Composer(
            directory=directory,
            catalogue=around.catalogue,
            book=book,
            speaker=speaker,
            tones=tones,
        ),
        book=book,
        register=register,
        boards=boards,
        notices=notices,
        sender=sender,
        directory=directory,
        facts=Facts(directory, view.online, view.mute, lambda _: False),
        stocked=view.holding,
        clock=clock,
    )
    templates = TemplateService(
        db=base.db,
        directory=directory,
        catalogue=around.catalogue,
        recordings=around.recordings,
        book=book,
        tones=tones,
        clock=clock,
    )
    tender = AlertTender(desk, books, stock, around.memory, clock)
    around.orders.stop_listeners.append(tender.stopped)
    if around.live is not None:
        around.live.listeners.append(lambda session: _voice_changed(tender, session))
    around.holds.listeners.append(lambda *held: _tell_superiors(notices, directory, *held))
    around.recordings.used_by.append(book.uses_of)
    post = _post(base)
    if post is not None:
        notices.messengers.append(post)
    return Alarms(desk, templates, book, boards, notices, books, stock, tender, tones, view, speaker, post)


def _voice_changed(tender: AlertTender, session: LiveSession) -> None:
    """A live session changed: of an alert's voice the tender must know."""
    alert_id = session.billing.alert_id
    if alert_id is None:
        return
    if session.state is LiveState.ENDED:
        tender.voice_ended(alert_id, session.view().code)
    else:
        tender.voice_changed(alert_id, session.on_air, session.ends)


def _tell_superiors(notices: NoticeBook, directory: Directory, cluster_id: str, hold: Hold) -> None:
    """Somebody of the crew keeps a cluster silent, emergencies included: who answers for alerts there must know."""
    cluster = directory.cluster(cluster_id)
    until = hold.until.astimezone(ZoneInfo(directory.timezone_of(cluster.area_id)))
    text = (
        f"{directory.called(hold.name) or hold.name} giữ im lặng cụm loa “{cluster.name}” đến {until:%H:%M} "
        f"ngày {until.day}/{until.month}, kể cả cảnh báo khẩn cấp"
    )
    told = notices.superiors(frozenset({cluster_id}), besides=hold.user_id)
    notices.post(told, "cluster_held", f"{cluster_id}/{hold.since:%Y%m%dT%H%M%SZ}", text)


def _post(base: Foundation) -> NoticePost | None:
    url = base.config.notice_url
    return None if url is None else NoticePost(Webhook(url, base.config.notice_token), base.directory)


__all__ = ["Alarms", "Around", "StockView", "open_alarms"]
