"""Recordings of everything live that went on air, made of the very packets that were sent.

Rules kept here:

1. Recording never delays or silences anything: :meth:`Tape.write` only appends to memory. One task writes to the
   disk and the database. What the disk refuses is lost from the recording, and a fault is told.
2. At most :data:`WAITING` bytes of one recording wait in memory (minutes of sound); then the newest is dropped.
3. A recording that a crash cut off is found at the next start and closed as ``cut_off``; it plays up to there. What
   is being recorded goes on when :meth:`Tapes.run` fails and is begun again; only its cancellation ends it.
4. Recordings are kept for so many days and so many bytes, the oldest go first; the database's room on the disk is
   left free.
5. Whoever may listen in (:attr:`~controller.services.context.Permission.LISTEN`) at one of its clusters may hear it.

Not here: the file format (:class:`audio.stream.OpusTape`), playing it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlmodel import col, select

from audio import ogg
from audio.stream import OpusTape
from controller.services.chunks import PACKET_US, Chunk
from controller.services.context import SYSTEM, Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import ForbiddenError, NotFoundError
from controller.store import Database, StoreBusyError
from controller.store.ids import new_id
from controller.store.live_tables import AirTape
from schedules.instants import MediaUs

#: Bytes of one recording that wait for the disk: four minutes at 32 kbit/s.
WAITING: Final = 1024 * 1024
#: How often what waits is written.
FLUSH_S: Final = 1.0
SWEEP_S: Final = 3600.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TapeLabel:
    """What a recording is of. ``kind``: live or relay; ``subject``: the session, or the programme."""

    kind: str
    title: str
    priority: int
    clusters: frozenset[str]
    subject: str
    actor: str
    recurrence: datetime | None = None
    source_id: str | None = None


@dataclass(slots=True)
class Tape:
    """One recording in the making."""

    id: str
    label: TapeLabel
    file: str
    started: datetime
    ended: datetime | None = None
    lost: int = 0
    _clock: Clock = field(repr=False, kw_only=True)
    _maker: OpusTape = field(default_factory=OpusTape, repr=False)
    _waiting: bytearray = field(default_factory=bytearray, repr=False)
    _ends: MediaUs | None = None
    _written: int = 0
    _known: bool = False

    def write(self, chunk: Chunk) -> None:
        """Keep what was sent. Silence is put where nothing was."""
        if self.ended is not None:
            return
        if not self._maker.frames:
            self._waiting += self._maker.begin()
        gap = 0 if self._ends is None else (chunk.play_at - self._ends) // PACKET_US
        made = self._maker.silence(max(0, gap)) + self._maker.add(chunk.packets)
        self._ends = chunk.ends
        if len(self._waiting) + len(made) > WAITING:
            self.lost += len(made)
        else:
            self._waiting += made

    def close(self) -> None:
        """Nothing more comes. May be called more than once."""
        if self.ended is None:
            self.ended = self._clock.now()
            if self._maker.frames:
                self._waiting += self._maker.finish()

    @property
    def empty(self) -> bool:
        """Nothing was ever sent."""
        return not self._maker.frames

    def take(self) -> bytes:
        """What waits for the disk; it waits no more."""
        data = bytes(self._waiting)
        self._waiting.clear()
        self._written += len(data)
        return data

    def fill(self, row: AirTape) -> None:
        """Write down how it stands."""
        row.frames, row.bytes, row.ended_at = self._maker.frames, self._written, self.ended
        row.state = "recording" if self.ended is None else ("cut_off" if self.lost else "whole")

    def row(self) -> AirTape:
        """It as the database knows it."""
        label = self.label
        row = AirTape(
            id=self.id,
            kind=label.kind,
            title=label.title,
            priority=label.priority,
            subject=label.subject,
            recurrence=label.recurrence,
            source_id=label.source_id,
            actor=label.actor,
            clusters=sorted(label.clusters),
            file=self.file,
            state="recording",
            started_at=self.started,
        )
        self.fill(row)
        return row


class Tapes:
    """The recorder of everything live. ``fault`` says what is wrong with it, or None."""

    def __init__(
        self, *, folder: Path, db: Database, directory: Directory, clock: Clock, reserve: int, days: int, most: int
    ) -> None:
        """``reserve``: bytes to leave free; ``days`` and ``most`` (bytes): how much is kept."""
        self.folder = folder
        self._db = db
        self._directory = directory
        self._clock = clock
        self._reserve = reserve
        self._keep = timedelta(days=days)
        self._most = most
        self._tapes: dict[str, Tape] = {}
        self._rows: set[str] = set()
        self.fault: str | None = None

    def begin(self, label: TapeLabel) -> Tape:
        """Record from now on; nothing reaches the disk before something was sent."""
        now = self._clock.now()
        tape_id = new_id("at")
        tape = Tape(tape_id, label, f"{now:%Y-%m}/{tape_id}.opus", now, _clock=self._clock)
        self._tapes[tape_id] = tape
        return tape

    async def run(self) -> None:
        """Write what comes until cancelled; then what is left."""
        await self._find_cut_off()
        swept = 0.0
        try:
            while True:
                await self.flush()
                if swept <= 0.0:
                    await self.sweep()
                    swept = SWEEP_S
                await asyncio.sleep(FLUSH_S)
                swept -= FLUSH_S
        except asyncio.CancelledError:
            for tape in self._tapes.values():
                tape.close()
            with contextlib.suppress(StoreBusyError):
                await self.flush()
            raise

    async def flush(self) -> None:
        """Bring what waits to the disk, and new and ended recordings into the database."""
        for tape in list(self._tapes.values()):
            data = tape.take()
            if data:
                await self._write(tape, data)
            if tape.ended is None and (tape.empty or tape.id in self._rows):
                continue
            if not tape.empty and not await self._note(tape):
                continue
            if tape.ended is not None:
                del self._tapes[tape.id]
                self._rows.discard(tape.id)

    async def sweep(self) -> None:
        """Forget what is too old, or too much."""
        oldest = self._clock.now() - self._keep
        gone: list[AirTape] = []
        try:
            async with self._db.transaction(SYSTEM) as tx:
                query = select(AirTape).where(AirTape.state != "recording").order_by(col(AirTape.started_at).desc())
                total = 0
                for row in list(await tx.session.exec(query)):
                    total += row.bytes
                    if row.started_at < oldest or total > self._most:
                        gone.append(row)
                        await tx.session.delete(row)
                        tx.audit("tape.expire", row.id, {"title": row.title, "started": row.started_at.isoformat()})
        except StoreBusyError:
            _log.warning("tapes_not_swept")
            return
        for row in gone:
            await asyncio.to_thread((self.folder / row.file).unlink, missing_ok=True)

    async def listed(self, actor: Actor) -> Sequence[AirTape]:
        """The recordings the actor may hear, newest first."""
        async with self._db.read() as session:
            found = await session.exec(select(AirTape).order_by(col(AirTape.started_at).desc()).limit(5000))
            rows = list(found)
        return [row for row in rows if self._may_hear(actor, row)]

    async def get(self, actor: Actor, tape_id: str) -> tuple[AirTape, Path]:
        """One recording and its file.

        Raises:
            NotFoundError, ForbiddenError: it is not there, or not for them.
        """
        async with self._db.read() as session:
            row = await session.get(AirTape, tape_id)
        if row is None:
            raise NotFoundError("there is no such recording; it may have been kept as long as was configured")
        if not self._may_hear(actor, row):
            raise ForbiddenError("you need the right 'listen' at one of its clusters")
        return row, self.folder / row.file

    def _may_hear(self, actor: Actor, row: AirTape) -> bool:
        known = [self._directory.clusters[one].area_id for one in row.clusters if one in self._directory.clusters]
        return self._directory.allows(actor, Permission.LISTEN, None) or any(
            self._directory.allows(actor, Permission.LISTEN, area) for area in set(known)
        )

    async def _write(self, tape: Tape, data: bytes) -> None:
        try:
            await asyncio.to_thread(self._append, self.folder / tape.file, data)
        except OSError as error:
            tape.lost += len(data)
            if self.fault is None:
                _log.error("tape_not_written", tape=tape.id, why=str(error))
            self.fault = f"what goes on air cannot be recorded: {error}"
        else:
            self.fault = None

    def _append(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(path.parent).free < self._reserve + len(data):
            raise OSError(f"less than {self._reserve >> 20} MiB are free in {path.parent}")
        with open(path, "ab", opener=_private) as file:
            file.write(data)

    async def _note(self, tape: Tape) -> bool:
        """Write its row; False when the database is busy (it is tried again with the next flush)."""
        try:
            async with self._db.transaction(SYSTEM) as tx:
                row = await tx.session.get(AirTape, tape.id)
                if row is None:
                    tx.session.add(tape.row())
                    tx.audit("tape.begin", tape.id, {"subject": tape.label.subject, "title": tape.label.title})
                else:
                    tape.fill(row)
                if tape.ended is not None:
                    tx.audit("tape.end", tape.id, {"subject": tape.label.subject, "lost_bytes": tape.lost})
        except StoreBusyError:
            return False
        self._rows.add(tape.id)
        return True

    async def _find_cut_off(self) -> None:
        """Close what was being recorded when the controller last went down."""
        async with self._db.read() as session:
            found = await session.exec(select(AirTape).where(AirTape.state == "recording"))
            files = {row.id: self.folder / row.file for row in found if row.id not in self._tapes}
        for tape_id, path in files.items():
            frames, size = await asyncio.to_thread(_measure, path)
            async with self._db.transaction(SYSTEM) as tx:
                row = await tx.session.get(AirTape, tape_id)
                if row is None or row.state != "recording":
                    continue
                row.frames, row.bytes, row.state = frames, size, "cut_off"
                row.ended_at = row.started_at + timedelta(seconds=frames / 48_000)
                tx.audit("tape.cut_off", row.id, {"subject": row.subject})


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _measure(path: Path) -> tuple[int, int]:
    """Samples and bytes of a file that may break off."""
    try:
        with path.open("rb") as file:
            frames = max((mark.granule for mark in ogg.scan(file)), default=0)
        return frames, path.stat().st_size
    except OSError:
        return 0, 0
