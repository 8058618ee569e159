r"""The append-only journal of orders: what makes STOP independent of the database, and its number unrepeatable.

Rules kept here:

1. :meth:`CommandJournal.append` returns after the order, with its (term, seq), has reached the disk (fsync).
2. A seq is never given twice, whatever happens: the file first holds ``reserve: N``, and only numbers up to N are
   given out before the next reservation is on the disk. A start goes on after the last one, so holes are normal.
3. A line is ``SHA-256(previous hash + body) SPACE body LF``. A torn tail (power cut) is cut off and kept beside the
   file; a fault further up moves the whole file aside and says so: orders go on, the evidence is not touched.
4. When the disk refuses a line, the order still gets a number that was reserved before: the entry comes back with
   ``durable=False`` and :attr:`CommandJournal.fault` says why. An order to be silent must not fail for a full disk.
5. What must be recorded before it may sound (``strict``) is recorded or refused (:class:`NotRecordedError`): a line
   that the disk takes too long for is taken back, so that no later start finds it.
6. What belongs together is one line (``batch``): it is there whole, or not at all.

One thread of its own does all writing. Not here: what an order means, and copying entries into the database (that is
:mod:`controller.services`, by :meth:`CommandJournal.entries_after` and :meth:`CommandJournal.forget_before`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from controller.store.audit import GENESIS, canonical, stamp
from controller.store.errors import JournalError, NotRecordedError
from controller.store.files import fsync_directory

#: Numbers reserved at a time. A start skips at most so many.
RESERVE = 1_024
#: Longest wait for the disk, in seconds, before an order goes out without being durable.
FSYNC_SECONDS = 2.0
_DIGEST = 64


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One order as journalled. ``hash`` links it to everything before it."""

    term: int
    seq: int
    at: datetime
    actor: str
    kind: str
    body: Mapping[str, Any]
    hash: str
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be journalled: a kind and its body."""

    kind: str
    body: Mapping[str, Any]


class CommandJournal:
    """The open journal. Open it with :meth:`open`, close it in the end."""

    def __init__(self, path: Path, scan: _Scan, term: int) -> None:
        self.path = path
        self.term = term
        self.fault: str | None = None  # why the last line did not reach the disk
        self.recovered: str | None = scan.recovered  # what had to be mended when it was opened
        self._head = scan.head
        self._seq = scan.reserved
        self._reserved = scan.reserved
        self._entries: list[JournalEntry] = scan.entries
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._file: IO[bytes] = path.open("ab", buffering=0)

    @classmethod
    def open(cls, path: Path, *, term: int) -> CommandJournal:
        """Open or make the journal, mend a torn tail, and reserve the first numbers. Blocks: call it at start.

        Raises:
            JournalError: the file cannot be read or written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scan = _recover(path)
            journal = cls(path, scan, term)
            journal._write_reservation()
            fsync_directory(path.parent)
        except OSError as error:
            raise JournalError(f"the journal of orders {path} cannot be used: {error}") from error
        return journal

    @property
    def last_seq(self) -> int:
        """The highest number given out so far."""
        return self._seq

    async def append(self, *, actor: str, kind: str, body: Mapping[str, Any], at: datetime) -> JournalEntry:
        """Give an order its number and put it on the disk.

        ``durable`` is False when the disk refused or took longer than :data:`FSYNC_SECONDS` (rule 4).

        Raises:
            JournalError: the disk refuses, and no reserved number is left.
        """
        (entry,) = await self.append_all([Draft(kind, body)], actor=actor, at=at, strict=False)
        return entry

    async def append_all(
        self, drafts: Sequence[Draft], *, actor: str, at: datetime, strict: bool
    ) -> tuple[JournalEntry, ...]:
        """Give several orders their numbers and put them on the disk together, as one line.

        Args:
            drafts: at least one.
            actor: who gives them.
            at: when.
            strict: refuse rather than return what is not on the disk.

        Raises:
            NotRecordedError: ``strict``, and the disk refused or was too slow; nothing is kept.
            JournalError: no reserved number is left.
        """
        async with self._turn:
            await self._reserve_ahead(len(drafts))
            first = self._seq + 1
            self._seq += len(drafts)  # from here on the numbers are used up, come what may
            lines = [
                {"term": self.term, "seq": first + place, "at": stamp(at), "actor": actor}
                | {"kind": each.kind, "body": each.body}
                for place, each in enumerate(drafts)
            ]
            text = canonical(lines[0] if len(lines) == 1 else {"batch": lines})
            fate = _Fate()
            digest = await self._try(lambda: self._write(text, fate if strict else None), fate if strict else None)
            if digest is None and strict:
                raise NotRecordedError(f"the disk refuses the journal of orders: {self.fault}; nothing was sent")
            entries = tuple(
                JournalEntry(
                    self.term, first + place, at, actor, each.kind, each.body, digest or "", digest is not None
                )
                for place, each in enumerate(drafts)
            )
            self._entries += entries
            return entries

    def entries_after(self, seq: int) -> tuple[JournalEntry, ...]:
        """What was journalled with a number above ``seq`` and is not forgotten, in order."""
        return tuple(entry for entry in self._entries if entry.seq > seq)

    def forget_before(self, seq: int) -> None:
        """Let go of the memory of entries up to ``seq`` (they are in the database). The file keeps them."""
        self._entries = [entry for entry in self._entries if entry.seq > seq]

    def raise_term(self, term: int) -> None:
        """Number further orders under a higher term (after a restore). Numbers go on rising all the same."""
        if term < self.term:
            raise JournalError(f"the term cannot fall from {self.term} to {term}")
        self.term = term

    async def close(self) -> None:
        """Wait (bounded) for what is being written and let go of the file."""
        async with self._turn:
            self._thread.shutdown(wait=False)
            async with asyncio.timeout(FSYNC_SECONDS):
                await asyncio.to_thread(self._thread.shutdown)
            self._file.close()

    async def _reserve_ahead(self, count: int) -> None:
        left = self._reserved - self._seq
        if left >= count + RESERVE // 2 or (left >= count and self.fault is not None):
            return
        await self._try(lambda: self._write_reservation(count))
        if self._reserved - self._seq < count:
            raise JournalError(f"the disk refuses the journal of orders: {self.fault}")

    async def _try(self, write: Callable[[], str], fate: _Fate | None = None) -> str | None:
        """Write in the journal's thread; the line's hash, None (and :attr:`fault`) when it is not on the disk.

        With a ``fate``, a line that comes too late is taken back by the thread that wrote it.
        """
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._thread, write)
        try:
            try:
                async with asyncio.timeout(FSYNC_SECONDS):
                    digest = await asyncio.shield(writing)
            except TimeoutError:
                if fate is None or fate.abandon():
                    raise
                digest = await writing  # it reached the disk in the very last moment
        except (OSError, TimeoutError) as error:
            self.fault = str(error) or f"the disk took longer than {FSYNC_SECONDS:.0f} s"
            return None
        self.fault = None
        return digest

    def _write_reservation(self, count: int = 0) -> str:
        upto = self._seq + count + RESERVE
        digest = self._write(canonical({"reserve": upto}))
        self._reserved = upto
        return digest

    def _write(self, text: str, fate: _Fate | None = None) -> str:
        """Append one line and fsync; take it back when nobody waits for it any more.

        Runs in the journal's thread (or before there is one).
        """
        digest = _link(self._head, text)
        end = self._file.seek(0, os.SEEK_END)
        data = f"{digest} {text}\n".encode()
        try:
            written = self._file.write(data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes fitted on the disk")
            os.fsync(self._file.fileno())
            if fate is not None and not fate.keep():
                raise OSError("the disk was too slow; the line was taken back")
        except OSError:
            os.truncate(self.path, end)  # half a line must not stand before a whole one
            raise
        self._head = digest
        return digest


class _Fate:
    """Whether a line counts: decided once, by whoever comes first, the disk or the one who waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: bool | None = None

    def keep(self) -> bool:
        """The line is on the disk. False: nobody waits for it any more."""
        return self._decide(kept=True)

    def abandon(self) -> bool:
        """Nobody waits any longer. False: it is on the disk already."""
        return not self._decide(kept=False)

    def _decide(self, *, kept: bool) -> bool:
        with self._lock:
            if self._kept is None:
                self._kept = kept
            return self._kept


@dataclass(slots=True)
class _Scan:
    entries: list[JournalEntry]
    head: str = GENESIS
    reserved: int = 0
    good_bytes: int = 0
    fault_at: int | None = None  # number of the first bad line
    total_lines: int = 0
    recovered: str | None = None


def read_journal(path: Path) -> tuple[tuple[JournalEntry, ...], int | None]:
    """Every good entry of a journal file, and the number of its first bad line (None: all good). Writes nothing."""
    scan = _scan(path)
    return tuple(scan.entries), scan.fault_at


def _recover(path: Path) -> _Scan:
    scan = _scan(path)
    if scan.fault_at is None:
        return scan
    mark = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    if scan.fault_at == scan.total_lines:
        with path.open("rb+") as file:
            file.seek(scan.good_bytes)
            path.with_suffix(f".torn-{mark}").write_bytes(file.read())
            file.truncate(scan.good_bytes)
            os.fsync(file.fileno())
        scan.recovered = "the last line was cut off by a power failure; no order that was sent is missing"
        return scan
    aside = path.with_suffix(f".damaged-{mark}")
    highest = max(scan.reserved, *_numbers_anywhere(path))
    path.rename(aside)
    fsync_directory(path.parent)
    # Far beyond anything the damaged part may have reserved.
    recovered = f"line {scan.fault_at} is damaged; the file was kept as {aside.name} and a new one begun"
    return _Scan(scan.entries, reserved=highest + 2 * RESERVE, recovered=recovered)


def _scan(path: Path) -> _Scan:
    scan = _Scan([])
    if not path.exists():
        return scan
    with path.open("rb") as file:
        for raw in file:
            scan.total_lines += 1
            if scan.fault_at is None and not _take(scan, raw):
                scan.fault_at = scan.total_lines
    return scan


def _take(scan: _Scan, raw: bytes) -> bool:
    try:
        line = raw.decode()
        digest, text = line[:_DIGEST], line[_DIGEST + 1 : -1]
        if not line.endswith("\n") or line[_DIGEST] != " " or digest != _link(scan.head, text):
            return False
        value = json.loads(text)
        if "reserve" in value:
            scan.reserved = max(scan.reserved, int(value["reserve"]))
        else:
            entries = [_entry_of(one, digest) for one in value.get("batch", (value,))]
            scan.entries += entries
            scan.reserved = max(scan.reserved, *(entry.seq for entry in entries))
    except (ValueError, KeyError, TypeError, IndexError):
        return False
    scan.head = digest
    scan.good_bytes += len(raw)
    return True


def _entry_of(value: Mapping[str, Any], digest: str) -> JournalEntry:
    at = datetime.fromisoformat(value["at"])
    return JournalEntry(value["term"], value["seq"], at, value["actor"], value["kind"], value["body"], digest)


def _numbers_anywhere(path: Path) -> Iterator[int]:
    """Every number that a readable line of a damaged file mentions, trusted or not."""
    yield 0
    for raw in path.read_bytes().splitlines():
        try:
            value = json.loads(raw[_DIGEST + 1 :])
            for one in value.get("batch", (value,)):
                yield int(one.get("reserve", one.get("seq", 0)))
        except (ValueError, AttributeError, TypeError):
            continue


def _link(head: str, text: str) -> str:
    return hashlib.sha256(f"loa-journal-1\0{head}{text}".encode()).hexdigest()
