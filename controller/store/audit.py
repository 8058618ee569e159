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


def verify(rows: Iterable[AuditEntry], *, head: int | None, expect: tuple[int, str] | None = None) -> AuditVerdict:
    """Walk the log in the order given and name everything that is wrong.

    Args:
        rows: the log, in stored order (by seq; another order is reported).
        head: value of the counter ``audit_head``, None when it is missing.
        expect: (seq, hash) that was written down earlier and must still be in the chain.
    """
    faults: list[AuditFault] = []
    count, last_seq, last_hash, highest = 0, 0, GENESIS, 0
    found: str | None = None
    for row in rows:
        count += 1
        faults.extend(_faults_of(row, last_seq, last_hash))
        last_seq, last_hash, highest = row.seq, row.hash, max(highest, row.seq)
        if expect is not None and row.seq == expect[0]:
            found = row.hash
    if head is None and count:
        faults.append(AuditFault(last_seq, "truncated", "the counter of the last row is missing"))
    elif head is not None and head != highest:
        faults.append(
            AuditFault(head, "truncated", f"the log ends at row {highest}, but rows up to {head} were written")
        )
    if expect is not None and found != expect[1]:
        faults.append(AuditFault(expect[0], "unexpected_head", "the hash that was written down is not in this log"))
    return AuditVerdict(count, last_seq, last_hash, tuple(faults))


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
