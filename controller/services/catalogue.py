"""Recordings, sources and programmes in memory: what plans are compiled from, and what play-now looks up.

Rules kept here:

1. The catalogue mirrors the database like the :class:`~controller.services.directory.Directory` does: loaded once, then
   fed from ``tx.on_commit``, never ahead of the disk. Reading never awaits.
2. The decision on a recording counts for the bytes it was made about: with other bytes the recording has none.
3. Archived recordings and ended programmes stay known while something may still speak of them.

Not here: who may see what (the services ask the directory), how rows are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.directory import Change
from controller.services.errors import NotFoundError
from controller.services.programme_model import ProgrammeSpec, spec_of
from controller.store import tables
from schedules.instants import Frames
from schedules.model import Approval


@dataclass(frozen=True, slots=True)
class Decision:
    """What someone with the right said about exactly the bytes ``sha256``."""

    sha256: str
    approved: bool
    by: str
    at: datetime
    reason: str = ""

    @classmethod
    def of(cls, row: tables.Approval) -> Decision:
        """The decision of a row."""
        return cls(row.sha256, row.decision == "approved", row.by, row.at, row.reason)


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """A sound someone brought. ``decision`` is the last one about its present bytes."""

    id: str
    area_id: str
    title: str
    language: str | None
    original_name: str
    sha256: str | None
    frames: Frames | None
    bytes: int | None
    report: Mapping[str, Any] = field(hash=False)
    state: str  # processing | ready | refused | archived
    created_by: str
    created_at: datetime
    decision: Decision | None = None

    @property
    def approval(self) -> Approval | None:
        """The approval that goes on air with it, if its present bytes are approved."""
        if self.state != "ready" or self.decision is None or not self.decision.approved:
            return None
        return Approval(self.decision.by, self.decision.at) if self.decision.sha256 == self.sha256 else None

    @classmethod
    def of(cls, row: tables.Recording, decision: Decision | None) -> RecordingEntry:
        """The entry of a row; a decision about other bytes is left out."""
        return cls(
            row.id,
            row.area_id,
            row.title,
            row.language,
            row.original_name,
            row.sha256,
            None if row.frames is None else Frames(row.frames),
            row.bytes,
            row.report,
            row.state,
            row.created_by,
            row.created_at,
            decision if decision is not None and decision.sha256 == row.sha256 else None,
        )


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A radio stream that may be relayed."""

    id: str
    area_id: str
    title: str
    url: str
    state: str  # active | archived
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, row: tables.Source) -> SourceEntry:
        """The entry of a row."""
        return cls(row.id, row.area_id, row.title, row.url, row.state, row.created_by, row.created_at)


@dataclass(frozen=True, slots=True)
class ProgrammeEntry:
    """A rule of the schedule, with what a person decided in ``spec``."""

    id: str
    spec: ProgrammeSpec
    state: str  # active | withdrawn | ended
    version: int
    created_by: str
    created_at: datetime

    @property
    def active(self) -> bool:
        """Whether plans are made with it."""
        return self.state == "active"

    @classmethod
    def of(cls, row: tables.Programme) -> ProgrammeEntry:
        """The entry of a row."""
        return cls(row.id, spec_of(row.model_dump()), row.state, row.version, row.created_by, row.created_at)


Listener = Callable[[Change], None]


class Catalogue:
    """The memory of recordings, sources and programmes. See the module's rules."""

    def __init__(self) -> None:
        self.recordings: dict[str, RecordingEntry] = {}
        self.sources: dict[str, SourceEntry] = {}
        self.programmes: dict[str, ProgrammeEntry] = {}
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call ``listener`` after every change (kinds recording, source, programme). Quick, and never raising."""
        self._listeners.append(listener)

    async def load(self, session: AsyncSession) -> None:
        """Fill from the database (at start)."""
        decisions: dict[tuple[str, str], Decision] = {}
        for row in await session.exec(select(tables.Approval).order_by(col(tables.Approval.id))):
            decisions[row.recording_id, row.sha256] = Decision.of(row)
        for recording in await session.exec(select(tables.Recording)):
            decision = decisions.get((recording.id, recording.sha256 or ""))
            self.put_recording(RecordingEntry.of(recording, decision))
        for source in await session.exec(select(tables.Source)):
            self.put_source(SourceEntry.of(source))
        for programme in await session.exec(select(tables.Programme)):
            self.put_programme(ProgrammeEntry.of(programme))

    def put_recording(self, entry: RecordingEntry) -> None:
        """Add or replace a recording."""
        self.recordings[entry.id] = entry
        self._tell(Change("recording", entry.id, areas=frozenset({entry.area_id})))

    def decide(self, recording_id: str, decision: Decision) -> RecordingEntry:
        """Keep a decision with the recording it is about."""
        entry = replace(self.recordings[recording_id], decision=decision)
        self.put_recording(entry)
        return entry

    def put_source(self, entry: SourceEntry) -> None:
        """Add or replace a source."""
        self.sources[entry.id] = entry
        self._tell(Change("source", entry.id, areas=frozenset({entry.area_id})))

    def put_programme(self, entry: ProgrammeEntry) -> None:
        """Add or replace a programme."""
        before = self.programmes.get(entry.id)
        self.programmes[entry.id] = entry
        areas = frozenset({entry.spec.area_id, (before or entry).spec.area_id})
        self._tell(Change("programme", entry.id, areas=areas))

    def recording(self, recording_id: str) -> RecordingEntry:
        """One recording.

        Raises:
            NotFoundError: there is none with this id.
        """
        if recording_id not in self.recordings:
            raise NotFoundError(f"there is no recording {recording_id!r}", code="recording_not_found")
        return self.recordings[recording_id]

    def source(self, source_id: str) -> SourceEntry:
        """One source.

        Raises:
            NotFoundError: there is none with this id.
        """
        if source_id not in self.sources:
            raise NotFoundError(f"there is no source {source_id!r}", code="source_not_found")
        return self.sources[source_id]

    def programme(self, programme_id: str) -> ProgrammeEntry:
        """One programme.

        Raises:
            NotFoundError: there is none with this id.
        """
        if programme_id not in self.programmes:
            raise NotFoundError(f"there is no programme {programme_id!r}", code="programme_not_found")
        return self.programmes[programme_id]

    def active_programmes(self) -> Iterable[ProgrammeEntry]:
        """The programmes that plans are made with."""
        return [entry for entry in self.programmes.values() if entry.active]

    def uses_of(self, recording_id: str) -> tuple[ProgrammeEntry, ...]:
        """The active programmes that use a recording."""
        return tuple(entry for entry in self.active_programmes() if recording_id in entry.spec.recordings)

    def programmes_in(self, zone_id: str) -> tuple[str, ...]:
        """The titles of the active programmes that sound in a zone."""
        return tuple(entry.spec.title for entry in self.active_programmes() if zone_id in entry.spec.targets.zones)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
