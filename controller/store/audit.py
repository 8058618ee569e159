r"""The audit log: a chain in which every row's hash covers the row before it.

Rules kept here:

1. ``hash = SHA-256("loa-audit-1\0" + canonical JSON of [seq, at, actor, action, subject, details, prev_hash])``; the
   texts that are hashed are the texts that are stored, so verifying needs no parsing.
2. ``seq`` starts at 1 and has no holes. The first row's ``prev_hash`` is 64 zeros.
3. The last seq is also kept as the counter ``audit_head``, so that cutting the tail off is found.
4. Verifying is a pure function over rows and works without a server. It names every row that is wrong and goes on.

What this cannot find: someone with the database file who rewrites the whole chain and the head. Against that, write the
head hash down (``audit verify`` prints it) and give it back later with ``--expect``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from schedules.instants import require_utc

GENESIS = "0" * 64
HEAD_COUNTER = "audit_head"
_DOMAIN = b"loa-audit-1\0"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of the log, exactly as stored."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    details: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFault:
    """One thing wrong with the chain. ``seq`` is the row (or missing row) it was found at."""

    seq: int
    code: str  # altered | missing | reordered | broken_link | truncated | unexpected_head
    message: str


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """Outcome of a walk over the log."""

    rows: int
    head_seq: int
    head_hash: str
    faults: tuple[AuditFault, ...]

    @property
    def ok(self) -> bool:
        """No row was altered, removed or moved."""
        return not self.faults


def canonical(details: Mapping[str, object]) -> str:
    """JSON with sorted keys and no spaces: one value, one text."""
    return json.dumps(details, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stamp(at: datetime) -> str:
    """An instant as the log writes it."""
    return require_utc(at).isoformat(timespec="microseconds")


def entry_hash(seq: int, texts: Sequence[str]) -> str:
    """The hash of a row (rule 1). ``texts``: at, actor, action, subject, details, prev_hash."""
    text = json.dumps([seq, *texts], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(_DOMAIN + text.encode()).hexdigest()


def chain(
    head_seq: int, head_hash: str, *, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, object]
) -> AuditEntry:
    """The row that follows the head."""
    seq, when, text = head_seq + 1, stamp(at), canonical(details)
    digest = entry_hash(seq, (when, actor, action, subject, text, head_hash))
    return AuditEntry(seq, when, actor, action, subject, text, head_hash, digest)


class Walk:
    """A walk over the log in the order given, row after row. It names everything that is wrong and goes on."""

    def __init__(self, expect: tuple[int, str] | None = None) -> None:
        """Begin before the first row. ``expect``: (seq, hash) written down earlier that must still be in the chain."""
        self._expect = expect
        self._found: str | None = None
        self._faults: list[AuditFault] = []
        self._last_hash, self._highest = GENESIS, 0
        self.last_seq = 0
        self.rows = 0

    def take(self, row: AuditEntry) -> None:
        """The next row, in stored order (by seq; another order is reported)."""
        self._faults.extend(_faults_of(row, self.last_seq, self._last_hash))
        self.rows += 1
        self.last_seq, self._last_hash = row.seq, row.hash
        self._highest = max(self._highest, row.seq)
        if self._expect is not None and row.seq == self._expect[0]:
            self._found = row.hash

    def verdict(self, head: int | None) -> AuditVerdict:
        """After the last row. ``head``: value of the counter ``audit_head``, None when it is missing."""
        faults = list(self._faults)
        if head is None and self.rows:
            faults.append(AuditFault(self.last_seq, "truncated", "the counter of the last row is missing"))
        elif head is not None and head != self._highest:
            ends = f"the log ends at row {self._highest}, but rows up to {head} were written"
            faults.append(AuditFault(head, "truncated", ends))
        if self._expect is not None and self._found != self._expect[1]:
            lost = "the hash that was written down is not in this log"
            faults.append(AuditFault(self._expect[0], "unexpected_head", lost))
        return AuditVerdict(self.rows, self.last_seq, self._last_hash, tuple(faults))


def verify(rows: Iterable[AuditEntry], *, head: int | None, expect: tuple[int, str] | None = None) -> AuditVerdict:
    """Walk a whole log; see :class:`Walk`."""
    walk = Walk(expect)
    for row in rows:
        walk.take(row)
    return walk.verdict(head)


def _faults_of(row: AuditEntry, last_seq: int, last_hash: str) -> list[AuditFault]:
    faults = []
    digest = entry_hash(row.seq, (row.at, row.actor, row.action, row.subject, row.details, row.prev_hash))
    if digest != row.hash:
        faults.append(AuditFault(row.seq, "altered", f"row {row.seq} was altered after it was written"))
    if row.seq <= last_seq:
        faults.append(AuditFault(row.seq, "reordered", f"row {row.seq} stands after row {last_seq}"))
    elif row.seq != last_seq + 1:
        missing = f"row {last_seq + 1}" if row.seq == last_seq + 2 else f"rows {last_seq + 1} to {row.seq - 1}"
        faults.append(AuditFault(last_seq + 1, "missing", f"{missing} removed"))
    elif row.prev_hash != last_hash:
        faults.append(
            AuditFault(
                row.seq, "broken_link", f"row {row.seq} does not continue row {last_seq}: one of the two was replaced"
            )
        )
    return faults
