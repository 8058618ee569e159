"""The desk of the air on a real foundation (database, journal, vault); clock, ingestor and agents are the test's."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from audio.ingest import Ingested, MediaReport, RefusedError
from controller.air import Air, open_air
from controller.config import load_config
from controller.foundation import Foundation, open_foundation
from controller.services.alerts.tones import TONES
from controller.services.catalogue import RecordingEntry
from controller.services.context import SYSTEM, Actor, Role, RoleGrant
from controller.services.entries import AgentEntry, AreaEntry, ClusterEntry
from controller.services.passwords import Passwords
from controller.services.programme_model import CHIMES, ProgrammeSpec, RecordedSpec, TargetSpec
from controller.services.recordings import NewRecording, Upload
from controller.store import tables
from protocol.codec import decode
from protocol.documents import Command, Document, DocumentKind, PlanManifest, Settings, StreamOpen
from protocol.envelope import open_envelope
from protocol.keys import SigningKey, agent_id_of
from protocol.trust import TrustedState
from schedules.instants import Frames, MediaUs
from schedules.ladder import Priority
from schedules.recurrence import Recurrence
from tests.unit.controller.desk import CHEAP, START, StillClock, fresh_database

ADMIN = Actor("us_admin", "admin", (RoleGrant(Role.ADMIN, None),))
#: START in Vietnam: 10:00 on 20 November 2026, a Friday; far from quiet hours.
TOMORROW_5 = datetime(2026, 11, 21, 5, 0)  # noqa: DTZ001 - local, as programmes say it


class FakeIngestor:
    """Takes any bytes as sound: 1 s for each byte. ``BAD`` at the beginning is refused."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()

    async def ingest(
        self, source: Path, destination_dir: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Ingested:
        data = source.read_bytes()  # noqa: ASYNC240 - a few bytes
        if on_progress is not None:
            on_progress(0.5)
        await self.gate.wait()
        if data.startswith(b"BAD"):
            raise RefusedError(MediaReport.refused(str(source), "not_audio", "this is no sound"))
        sha256 = hashlib.sha256(data).hexdigest()
        destination_dir.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a test's own folder
        path = destination_dir / f"{sha256}.opus"
        path.write_bytes(data)
        report = MediaReport(str(source), ok=True, code="ok", reason="", duration_s=float(len(data)))
        return Ingested(sha256, path, Frames(len(data) * 48_000), len(data), report)


@dataclass
class FakeGateway:
    """Agents that are online when the test says so; keeps everything it was given."""

    present: set[str] = field(default_factory=set)
    commands: list[tuple[bytes, frozenset[str]]] = field(default_factory=list)
    plans: list[tuple[str, tuple[bytes, ...]]] = field(default_factory=list)
    streams: dict[int, tuple[bytes, frozenset[str]]] = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    bundles: list[tuple[int, bytes, MediaUs]] = field(default_factory=list)

    def online(self) -> frozenset[str]:
        return frozenset(self.present)

    async def send_command(self, envelope: bytes, targets: frozenset[str]) -> int:
        self.commands.append((envelope, targets))
        return len(targets & self.present)

    async def offer_plan(self, agent_id: str, envelopes: Sequence[bytes]) -> bool:
        self.plans.append((agent_id, tuple(envelopes)))
        return agent_id in self.present

    async def send_key_set(self, envelope: bytes) -> int:
        return len(self.present)

    async def open_stream(self, stream_id: int, envelope: bytes, targets: frozenset[str]) -> int:
        self.streams[stream_id] = (envelope, targets)
        self.opened.append(stream_id)
        return len(targets & self.present)

    def publish(self, stream_id: int, bundle: bytes, play_at: MediaUs) -> None:
        assert stream_id in self.streams, "published on a stream that is not open"
        self.bundles.append((stream_id, bundle, play_at))

    async def close_stream(self, stream_id: int) -> None:
        del self.streams[stream_id]
        self.closed.append(stream_id)

    async def disconnect(self, agent_id: str, code: str) -> None:
        self.present.discard(agent_id)


@dataclass
class Stage:
    """One district with a desk."""

    base: Foundation
    air: Air
    clock: StillClock
    gateway: FakeGateway
    ingestor: FakeIngestor
    keys: dict[str, SigningKey] = field(default_factory=dict)

    async def area(self, name: str = "Tà Rụt", parent: str | None = None) -> str:
        row = tables.Area(id=f"ar_{_slug(name)}", parent_id=parent, name=name, kind="xã", created_at=START)
        await self._put(row)
        self.base.directory.put_area(AreaEntry.of(row))
        return row.id

    async def cluster(self, area_id: str, name: str, languages: Sequence[str] = ("vi",)) -> str:
        """A cluster with one approved agent."""
        row = tables.Cluster(
            id=f"cl_{_slug(name)}", area_id=area_id, name=name, languages=list(languages), created_at=START
        )
        await self._put(row)
        self.base.directory.put_cluster(ClusterEntry.of(row))
        await self.agent(row.id)
        return row.id

    async def agent(self, cluster_id: str) -> str:
        key = SigningKey.from_seed(hashlib.sha256(f"{cluster_id}{len(self.keys)}".encode()).digest())
        row = tables.Agent(
            id=agent_id_of(key.public),
            public_key=key.public.hex(),
            cluster_id=cluster_id,
            state="approved",
            enrolled_at=START,
        )
        await self._put(row)
        self.base.directory.put_agent(AgentEntry.of(row))
        self.keys[row.id] = key
        return row.id

    def agent_of(self, cluster_id: str) -> str:
        return min(self.base.directory.agents_of([cluster_id]))

    async def recording(
        self, area_id: str, data: bytes = b"0123456789", language: str | None = "vi", *, approved: bool = True
    ) -> RecordingEntry:
        """A recording of one second for each byte."""
        title = f"{data.decode(errors='replace')}"
        entry = await self.air.recordings.create(
            ADMIN, NewRecording(area_id, title, language, "voice.mp3"), Upload(_chunks(data), len(data))
        )
        entry = await self.settled(entry.id)
        if approved and entry.sha256 is not None:
            entry = await self.air.recordings.decide(ADMIN, entry.id, entry.sha256, approved=True)
        return entry

    async def settled(self, recording_id: str) -> RecordingEntry:
        await until(lambda: self.air.catalogue.recordings[recording_id].state != "processing")
        return self.air.catalogue.recordings[recording_id]

    def bulletin(self, area_id: str, recording_id: str, **changes: Any) -> ProgrammeSpec:
        """A daily programme at five in the morning."""
        said: dict[str, Any] = {
            "area_id": area_id,
            "title": "Bản tin sáng",
            "priority": Priority.PROGRAMME,
            "recurrence": Recurrence(TOMORROW_5, "Asia/Ho_Chi_Minh", "FREQ=DAILY"),
            "content": RecordedSpec((recording_id,)),
            "targets": TargetSpec(areas=(area_id,)),
        }
        return ProgrammeSpec(**(said | changes))

    def trusting(self, agent_id: str) -> TrustedState:
        """What a fresh agent believes: the root and the key set."""
        entry = self.base.directory.agents[agent_id]
        state = TrustedState(agent_id, self.base.vault.root_public, cluster_id=entry.cluster_id)
        state.commit(state.verify_keyset(self.base.vault.key_set_envelope, now=self.clock.now()))
        return state

    async def _put(self, row: Any) -> None:
        async with self.base.db.transaction(SYSTEM) as tx:
            tx.session.add(row)
            tx.audit("area.create", row.id)


@asynccontextmanager
async def open_stage(
    folder: Path, *, clock: StillClock | None = None, tasks: bool = True, **flags: Any
) -> AsyncIterator[Stage]:
    """A desk whose intake runs (and, with ``tasks``, planner and ledger too)."""
    if not (folder / "loa.db").exists():
        await fresh_database(folder)
        await asyncio.to_thread(_lay_out_chimes, folder / "media")
    said = {"announce": False, "allow_private_sources": True, "disk_reserve_mib": 0, **flags}
    config = load_config(folder, None, said, {})
    clock, ingestor, gateway = clock or StillClock(), FakeIngestor(), FakeGateway()
    async with open_foundation(config, clock, Passwords(CHEAP)) as base, open_air(base, ingestor=ingestor) as air:
        air.gateway.plug(gateway)
        works = [air.recordings.intake.run, *([air.planner.run, air.ledger.run] if tasks else [])]
        running = [asyncio.create_task(work(), name=work.__qualname__) for work in works]
        try:
            yield Stage(base, air, clock, gateway, ingestor)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def until(condition: Callable[[], object], *, within: float = 10.0) -> None:
    """Wait for something that tasks bring about."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - asks about state without a hook
            await asyncio.sleep(0.005)


def document(envelope: bytes, kind: DocumentKind) -> Document:
    """What an envelope says, its signature unchecked."""
    return decode(kind, open_envelope(envelope).payload)


def command(envelope: bytes) -> Command:
    said = document(envelope, DocumentKind.COMMAND)
    assert isinstance(said, Command)
    return said


def plan(envelope: bytes) -> PlanManifest:
    said = document(envelope, DocumentKind.PLAN)
    assert isinstance(said, PlanManifest)
    return said


def settings(envelope: bytes) -> Settings:
    said = document(envelope, DocumentKind.SETTINGS)
    assert isinstance(said, Settings)
    return said


def stream_open(envelope: bytes) -> StreamOpen:
    said = document(envelope, DocumentKind.STREAM_OPEN)
    assert isinstance(said, StreamOpen)
    return said


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def _lay_out_chimes(media: Path) -> None:
    """Chimes of a second and sirens of five, instead of real ones that take a second each to make."""
    index: dict[str, tuple[str, int]] = {}
    for kind in CHIMES:
        sha256 = hashlib.sha256(kind.encode()).hexdigest()
        path = media / sha256[:2] / sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kind.encode())
        index[kind] = (sha256, 48_000)
    (media / "chimes.json").write_text(json.dumps(index))
    tones: dict[str, tuple[str, int]] = {}
    for tone in TONES:
        sha256 = hashlib.sha256(f"tone {tone}".encode()).hexdigest()
        path = media / sha256[:2] / sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"tone {tone}".encode())
        tones[tone] = (sha256, 5 * 48_000)
    (media / "tones.json").write_text(json.dumps(tones))


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 4):
        yield data[at : at + 4]


def _slug(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:10]
