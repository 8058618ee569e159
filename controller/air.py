"""Everything that goes on air, put together: recordings, programmes, plans, orders, relays.

The part of the composition root between the foundation and the agents' listener. Agents need the desk (briefings) and
the desk needs the agents (orders, plans), so the desk is built on a :class:`GatewaySwitch` and the listener plugged in
when it is open; until then nobody is online.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from audio.ingest import IngestLimits, Ingestor
from audio.speech import EspeakEngine, PiperEngine, SpeechEngine, Voices
from audio.stream import SpeechEncoder, StreamEncoder
from controller.alarms import Alarms, Around, open_alarms
from controller.api.alert_routes import AlertRoutes
from controller.api.drill_routes import DrillRoutes
from controller.api.library_routes import LibraryRoutes
from controller.api.live_routes import LiveRoutes
from controller.api.notice_routes import NoticeRoutes
from controller.api.occurrence_routes import OccurrenceRoutes
from controller.api.order_routes import OrderRoutes
from controller.api.programme_routes import ProgrammeRoutes
from controller.api.recording_routes import RecordingRoutes
from controller.api.report_routes import ReportRoutes
from controller.api.routing import Route
from controller.api.source_routes import SourceRoutes
from controller.api.template_routes import TemplateRoutes
from controller.api.upcoming_routes import UpcomingRoutes
from controller.config import Config
from controller.drills import Drills, open_drills
from controller.feeds import AddressPolicy
from controller.foundation import Foundation
from controller.services.arming import Arming
from controller.services.briefing import DeskBriefer
from controller.services.carrier import EncoderFactory
from controller.services.carriers import CarrierPool
from controller.services.catalogue import Catalogue
from controller.services.chimes import ensure_chimes
from controller.services.dispatch import Courier
from controller.services.health import Health
from controller.services.hold_desk import HoldDesk
from controller.services.intake import Ingests
from controller.services.issuing import Issuer
from controller.services.leads import Leads
from controller.services.ledger import Ledger
from controller.services.live import LiveDesk, LiveTimes, Means, SpeechFactory, Studio
from controller.services.media_store import MediaStore
from controller.services.occurrences import OccurrenceService
from controller.services.order_rules import OrderMemory
from controller.services.orders import OrderDesk
from controller.services.planning import Planner
from controller.services.ports import AgentGateway
from controller.services.programme_model import CHIMES, ChimeKind
from controller.services.programmes import ProgrammeService
from controller.services.recordings import RecordingService
from controller.services.relays import RelayDesk
from controller.services.reports import ReportService
from controller.services.rulebook import Rulebook
from controller.services.sources import SourceService
from controller.services.stock import StockShelf
from controller.services.streams import StreamOpener
from controller.services.tapes import Tapes
from controller.services.upcoming import Upcoming
from controller.services.voice_trial import VoiceTrial
from controller.services.waveforms import Waveforms
from controller.store import StoreBusyError
from controller.supervisor import Supervisor
from schedules.instants import MediaUs
from schedules.model import Clip


class GatewaySwitch:
    """An :class:`~controller.services.ports.AgentGateway` that is nobody's until the listener is open."""

    def __init__(self) -> None:
        self._target: AgentGateway | None = None

    def plug(self, target: AgentGateway) -> None:
        """From now on, speak to these agents."""
        self._target = target

    def unplug(self) -> None:
        """The listener is closing."""
        self._target = None

    def online(self) -> frozenset[str]:
        """See the port."""
        return frozenset() if self._target is None else self._target.online()

    async def send_command(self, envelope: bytes, targets: frozenset[str]) -> int:
        """See the port."""
        return 0 if self._target is None else await self._target.send_command(envelope, targets)

    async def offer_plan(self, agent_id: str, envelopes: Sequence[bytes]) -> bool:
        """See the port."""
        return False if self._target is None else await self._target.offer_plan(agent_id, envelopes)

    async def send_key_set(self, envelope: bytes) -> int:
        """See the port."""
        return 0 if self._target is None else await self._target.send_key_set(envelope)

    async def open_stream(self, stream_id: int, envelope: bytes, targets: frozenset[str]) -> int:
        """See the port."""
        return 0 if self._target is None else await self._target.open_stream(stream_id, envelope, targets)

    def publish(self, stream_id: int, bundle: bytes, play_at: MediaUs) -> None:
        """See the port."""
        if self._target is not None:
            self._target.publish(stream_id, bundle, play_at)

    async def close_stream(self, stream_id: int) -> None:
        """See the port."""
        if self._target is not None:
            await self._target.close_stream(stream_id)

    async def disconnect(self, agent_id: str, code: str) -> None:
        """See the port."""
        if self._target is not None:
            await self._target.disconnect(agent_id, code)


@dataclass(frozen=True, slots=True)
class AirContent:
    """What agents fetch by hash: clips from the media store, days from the planner."""

    store: MediaStore
    planner: Planner

    def media_path(self, sha256: str) -> Path | None:
        """The file of a clip."""
        return self.store.media_path(sha256)

    async def document(self, sha256: str) -> bytes | None:
        """The bytes of a day."""
        return await self.planner.document(sha256)


@dataclass(frozen=True, slots=True)
class Air:
    """The desk of everything that sounds."""

    gateway: GatewaySwitch
    store: MediaStore
    chimes: Mapping[ChimeKind, Clip]
    catalogue: Catalogue
    rulebook: Rulebook
    recordings: RecordingService
    waveforms: Waveforms
    voices: VoiceTrial
    sources: SourceService
    programmes: ProgrammeService
    planner: Planner
    shelf: StockShelf
    courier: Courier
    ledger: Ledger
    orders: OrderDesk
    holds: HoldDesk
    relays: RelayDesk
    reports: ReportService
    arming: Arming
    briefer: DeskBriefer
    content: AirContent
    leads: Leads
    carriers: CarrierPool
    tapes: Tapes
    opener: StreamOpener
    live: LiveDesk
    alarms: Alarms
    drills: Drills

    def routes(self, base: Foundation) -> tuple[Route, ...]:
        """Operations of the staff API."""
        programmes = ProgrammeRoutes(self.programmes, self.planner, base.directory, base.clock)
        return (
            *RecordingRoutes(self.recordings, self.catalogue, base.directory).table(),
            *LibraryRoutes(self.recordings, self.waveforms, self.voices).table(),
            *SourceRoutes(self.sources, self.relays.state_of).table(),
            *programmes.table(),
            *OccurrenceRoutes(OccurrenceService(self.programmes, base.clock), programmes).table(),
            *UpcomingRoutes(Upcoming(self.planner, self.courier), base.directory, base.clock).table(),
            *OrderRoutes(self.orders, self.holds).table(),
            *ReportRoutes(self.reports).table(),
            *LiveRoutes(self.live, self.tapes).table(),
            *TemplateRoutes(self.alarms.templates, self.alarms.book, self.alarms.readiness, base.directory).table(),
            *AlertRoutes(self.alarms.desk, self.store, base.directory, base.clock).table(),
            *NoticeRoutes(self.alarms.notices).table(),
            *DrillRoutes(self.drills.desk, base.directory, base.clock).table(),
        )

    def start(self, supervisor: Supervisor, health: Health) -> None:
        """Give the tasks to their owner."""
        supervisor.start("intake", self.recordings.intake.run)
        supervisor.start("planner", self.planner.run)
        supervisor.start("ledger", self.ledger.run)
        supervisor.start("carriers", self.carriers.run)
        supervisor.start("tapes", self.tapes.run)
        supervisor.start("relays", self.relays.run)
        supervisor.start("live", self.live.run)
        supervisor.start("arming", self.arming.run)
        self.alarms.start(supervisor, health)
        self.drills.start(supervisor)
        health.add("plan", lambda: self.planner.fault)
        health.add("air-recording", lambda: self.tapes.fault)


@asynccontextmanager
async def open_air(
    base: Foundation,
    *,
    ingestor: Ingests | None = None,
    encoder: EncoderFactory = StreamEncoder,
    speech: SpeechFactory | None = None,
) -> AsyncIterator[Air]:
    """Build the desk on an open foundation; its tasks begin with :meth:`Air.start`.

    Tests give an ``ingestor``, an ``encoder`` and a ``speech`` encoder that start no process.

    Raises:
        StoreError: the database cannot be read.
    """
    config, clock, directory = base.config, base.clock, base.directory
    store = MediaStore(
        config.data,
        reserve=config.disk_reserve_mib * 1024 * 1024,
        upload_max=config.upload_max_mib * 1024 * 1024,
        precedence=base.precedence,
    )
    store.open()
    catalogue = Catalogue()
    async with base.db.read() as session:
        await catalogue.load(session)
    chimes = await ensure_chimes(store)
    rulebook = Rulebook(catalogue, directory, chimes)
    gateway = GatewaySwitch()
    leads = Leads(clock.mono_us)
    policy = AddressPolicy(allow_private=config.allow_private_sources)

    ingestor = ingestor or Ingestor(IngestLimits(max_bytes=store.upload_max), store.uploads)
    voices = _voices(config)
    recordings = RecordingService(
        db=base.db,
        directory=directory,
        catalogue=catalogue,
        store=store,
        ingestor=ingestor,
        speech=voices,
        clock=clock,
        keep_originals=config.keep_originals,
    )
    issuer = Issuer(base.db, base.vault, clock, life=timedelta(days=config.horizon_days))
    shelf = StockShelf()
    courier = Courier(base.journal, base.vault, gateway, directory, clock, precedence=base.precedence)
    planner = Planner(
        db=base.db,
        directory=directory,
        catalogue=catalogue,
        rulebook=rulebook,
        issuer=issuer,
        gateway=gateway,
        clock=clock,
        horizon_days=config.horizon_days,
        shelf=shelf,
        precedence=base.precedence,
    )
    programmes = ProgrammeService(db=base.db, directory=directory, catalogue=catalogue, rulebook=rulebook, clock=clock)
    ledger = Ledger(base.db, base.journal, courier, clock)
    memory = OrderMemory()
    orders = OrderDesk(
        courier=courier,
        directory=directory,
        catalogue=catalogue,
        rulebook=rulebook,
        programmes=programmes,
        clock=clock,
        memory=memory,
    )
    holds = HoldDesk(orders, directory, clock)
    carriers = CarrierPool(catalogue=catalogue, media=base.media_clock, clock=clock, policy=policy, encoder=encoder)
    tapes = Tapes(
        folder=config.air_folder,
        db=base.db,
        directory=directory,
        clock=clock,
        reserve=config.disk_reserve_mib * 1024 * 1024,
        days=config.air_keep_days,
        most=config.air_keep_mib * 1024 * 1024,
    )
    opener = StreamOpener(
        journal=base.journal,
        signers=base.vault,
        gateway=gateway,
        directory=directory,
        media=base.media_clock,
        clock=clock,
        leads=leads,
    )
    relays = RelayDesk(
        plan=planner,
        courier=courier,
        opener=opener,
        carriers=carriers,
        tapes=tapes,
        media=base.media_clock,
        clock=clock,
        db=base.db,
    )
    live = LiveDesk(
        means=Means(
            opener=opener,
            media=base.media_clock,
            clock=clock,
            speech=speech or _speech_encoder(store, chimes),
            times=LiveTimes(),
        ),
        studio=Studio(policy, encoder, catalogue),
        tapes=tapes,
        directory=directory,
        db=base.db,
    )
    alarms = await open_alarms(
        base,
        Around(
            store=store,
            catalogue=catalogue,
            recordings=recordings,
            ingestor=ingestor,
            speech=voices,
            gateway=gateway,
            courier=courier,
            ledger=ledger,
            orders=orders,
            holds=holds,
            memory=memory,
            live=live,
            issuer=issuer,
            shelf=shelf,
        ),
    )
    drills = await open_drills(
        base, store=store, speaker=alarms.speaker, templates=alarms.book, courier=courier, shelf=shelf
    )
    arming = Arming(clock, (planner, relays, drills.calendar))
    air = Air(
        gateway=gateway,
        store=store,
        chimes=chimes,
        catalogue=catalogue,
        rulebook=rulebook,
        recordings=recordings,
        waveforms=Waveforms(),
        voices=VoiceTrial(voices, store.uploads),
        sources=SourceService(db=base.db, directory=directory, catalogue=catalogue, policy=policy, clock=clock),
        programmes=programmes,
        planner=planner,
        shelf=shelf,
        courier=courier,
        ledger=ledger,
        orders=orders,
        holds=holds,
        relays=relays,
        reports=ReportService(base.db, directory, planner),
        arming=arming,
        briefer=DeskBriefer(planner, courier),
        content=AirContent(store, planner),
        leads=leads,
        carriers=carriers,
        tapes=tapes,
        opener=opener,
        live=live,
        alarms=alarms,
        drills=drills,
    )
    orders.stop_listeners += [live.stopped, lambda *_: arming.poke_after_stop()]
    planner.subscribe(arming.poke)
    directory.subscribe(lambda change: arming.poke() if change.kind == "agent" else None)
    await issuer.load()
    await ledger.restore()
    orders.restore(base.journal.entries_after(0))
    await alarms.tender.restore(base.journal.entries_after(0))
    await recordings.resume()
    await planner.compile()
    try:
        yield air
    finally:
        with contextlib.suppress(StoreBusyError):  # what is not written is made again, or read from the journal
            await issuer.flush()
            await ledger.catch_up()
        await alarms.books.write()


def _voices(config: Config) -> SpeechEngine:
    """The operator's piper voices where there are any, the built-in voice for the rest."""
    if config.piper_program is None or not config.piper_voices:
        return EspeakEngine()
    files = {language: Path(file) for language, _, file in (each.partition("=") for each in config.piper_voices)}
    return Voices(PiperEngine(config.piper_program, files), EspeakEngine())


def _speech_encoder(store: MediaStore, chimes: Mapping[ChimeKind, Clip]) -> SpeechFactory:
    """Encoders of speech with the chimes of the house."""

    def make() -> SpeechEncoder:
        before, after = (_clip_path(store, chimes[kind]) for kind in CHIMES)
        return SpeechEncoder(chime_before=before, chime_after=after)

    return make


def _clip_path(store: MediaStore, clip: Clip) -> Path | None:
    path = store.media_path(clip.sha256)
    return None if path is None else path.absolute()
