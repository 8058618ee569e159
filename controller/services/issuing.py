"""Plans and settings as signed documents for one agent each: made when something changed, kept while they hold.

Rules kept here:

1. An agent's documents are made anew when its days, its settings, the term or the plan key changed, or when half of
   their life is over. Else the very same bytes are offered again, which an agent recognises.
2. Numbers rise over restarts (:mod:`controller.services.sequence`); the last issue of every agent is read back at
   start, so that a restart re-issues nothing.
3. A manifest names exactly the days of the agent's own cluster. Days are content: bytes under their hash, shared by
   every cluster with the same programme, encoded once.
4. What is issued is written behind (:meth:`Issuer.flush`): an agent may hold a plan some moments before its row
   exists, never the other way round a row that no agent was offered is harmless.

Not here: what is planned (:mod:`controller.services.planning`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import bindparam, delete, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controller.services.context import Clock
from controller.services.dispatch import Signers
from controller.services.sequence import Sequence
from controller.store import Database, tables
from protocol.codec import decode, encode
from protocol.documents import (
    PAYLOAD_TYPES,
    DayReference,
    DocumentKind,
    PlanManifest,
    Settings,
    StockClip,
    body_sha256,
)
from protocol.envelope import open_envelope, seal
from protocol.errors import ProtocolError
from protocol.keys import Role
from schedules.model import ClusterSettings

#: How long settings hold. Longer than any plan (35 days), and within the life of a superseded key (40 days).
SETTINGS_LIFE: Final = timedelta(days=38)
#: How long what has expired stays in the database, for whoever asks what an agent was told.
_KEEP_EXPIRED: Final = timedelta(days=30)
#: Documents nobody was offered for so long are removed; longer than the longest plan (35 days) lives.
_KEEP_DOCUMENTS: Final = timedelta(days=70)

_ANSWERED = (
    update(tables.PlanIssue)
    .where(
        col(tables.PlanIssue.agent_id) == bindparam("agent"),
        col(tables.PlanIssue.term) == bindparam("of_term"),
        col(tables.PlanIssue.seq) == bindparam("of_seq"),
    )
    .values(acked_at=bindparam("at"), ack_outcome=bindparam("said"))
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Issue:
    """What one agent was (or is to be) offered."""

    plan: PlanManifest
    plan_envelope: bytes
    settings: Settings
    settings_body: bytes
    settings_envelope: bytes
    key_fingerprint: str


@dataclass(slots=True)
class Acknowledged:
    """What an agent said about its plan last."""

    term: int
    seq: int
    accepted: bool
    code: str
    at: datetime


@dataclass(slots=True)
class _Behind:
    """What is to be written."""

    issues: list[Issue] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    acks: dict[tuple[str, int, int], Acknowledged] = field(default_factory=dict)
    #: A write of some of this failed or was cancelled; the database may have committed it all the same.
    again: bool = False


class Issuer:
    """Signs and remembers."""

    def __init__(self, db: Database, signers: Signers, clock: Clock, *, life: timedelta) -> None:
        self._db = db
        self._signers = signers
        self._clock = clock
        self._life = life
        self._plan_numbers = Sequence(db, "plan_seq")
        self._settings_numbers = Sequence(db, "settings_seq")
        self._issues: dict[str, Issue] = {}
        self._behind = _Behind()
        self._writing = asyncio.Lock()
        self.acknowledged: dict[str, Acknowledged] = {}

    async def load(self) -> None:
        """Read back the last issue of every agent (at start)."""
        await self.ensure(1)
        async with self._db.read() as session:
            latest = select(func.max(tables.PlanIssue.id)).group_by(col(tables.PlanIssue.agent_id))
            rows = (await session.exec(select(tables.PlanIssue).where(col(tables.PlanIssue.id).in_(latest)))).all()
            for row in rows:
                issue = await self._read_back(session, row)
                if issue is not None:
                    self._issues[row.agent_id] = issue
                    if row.acked_at is not None:
                        accepted = row.ack_outcome == "accepted"
                        code = "" if accepted else row.ack_outcome or ""
                        self.acknowledged[row.agent_id] = Acknowledged(row.term, row.seq, accepted, code, row.acked_at)

    async def ensure(self, count: int) -> None:
        """Reserve numbers for so many agents.

        Raises:
            StoreBusyError: the database is locked.
        """
        await self._plan_numbers.ensure(count)
        await self._settings_numbers.ensure(count)

    def of(self, agent_id: str) -> Issue | None:
        """The last issue of an agent."""
        return self._issues.get(agent_id)

    def next_renewal(self, agents: Iterable[str]) -> datetime | None:
        """When the first issue of these agents has lived half its life."""
        issues = (self._issues.get(agent_id) for agent_id in agents)
        return min((_renewal(issue) for issue in issues if issue is not None), default=None)

    def forget(self, agent_id: str) -> None:
        """An agent is gone, or serves another cluster."""
        self._issues.pop(agent_id, None)

    def issue(
        self,
        agent_id: str,
        cluster: ClusterSettings,
        days: tuple[DayReference, ...],
        stock: tuple[StockClip, ...] = (),
    ) -> tuple[Issue, bool, bool]:
        """The documents an agent must have, and whether settings and plan are new."""
        now = self._clock.now()
        key = self._signers.key(Role.PLAN)
        old = self._issues.get(agent_id)
        if old is not None and (old.key_fingerprint != key.fingerprint or old.plan.term != self._signers.term):
            old = None
        settings_new = (
            old is None
            or (old.settings.cluster, old.settings.stock) != (cluster, stock)
            or _half_over(old.settings.issued, old.settings.expires, now)
        )
        if old is not None and not settings_new:
            settings, body, envelope = old.settings, old.settings_body, old.settings_envelope
            if (
                old.plan.days == days
                and old.plan.cluster_id == cluster.cluster_id
                and not _half_over(old.plan.issued, old.plan.expires, now)
            ):
                return old, False, False
        else:
            number = self._settings_numbers.take()
            settings = Settings(agent_id, self._signers.term, number, now, now + SETTINGS_LIFE, cluster, stock)
            body = encode(settings)
            envelope = seal(PAYLOAD_TYPES[DocumentKind.SETTINGS], body, key)
        plan = PlanManifest(
            agent_id=agent_id,
            cluster_id=cluster.cluster_id,
            term=self._signers.term,
            seq=self._plan_numbers.take(),
            issued=now,
            expires=now + self._life,
            settings_sha256=body_sha256(body),
            days=days,
        )
        sealed = seal(PAYLOAD_TYPES[DocumentKind.PLAN], encode(plan), key)
        issue = Issue(plan, sealed, settings, body, envelope, key.fingerprint)
        self._issues[agent_id] = issue
        self._behind.issues.append(issue)
        return issue, settings_new, True

    def keep_documents(self, bodies: Mapping[str, bytes]) -> None:
        """Write day documents behind, so that an agent that is slow still finds yesterday's."""
        self._behind.documents.update(bodies)

    def answered(self, agent_id: str, term: int, seq: int, *, accepted: bool, code: str = "") -> None:
        """An agent accepted or refused a plan."""
        said = Acknowledged(term, seq, accepted, code, self._clock.now())
        last = self.acknowledged.get(agent_id)
        if last is None or (last.term, last.seq) <= (term, seq):
            self.acknowledged[agent_id] = said
        self._behind.acks[agent_id, term, seq] = said

    @property
    def waiting(self) -> bool:
        """Whether something is to be written, or is being written."""
        return self._writing.locked() or bool(self._behind.issues or self._behind.documents or self._behind.acks)

    async def flush(self) -> None:
        """Write what waits.

        Raises:
            StoreBusyError: the database is locked; it still waits.
        """
        async with self._writing:
            behind, self._behind = self._behind, _Behind()
            try:
                async with self._db.telemetry() as session:
                    await self._write(session, behind)
            except BaseException:
                self._behind.issues[:0] = behind.issues
                self._behind.documents = behind.documents | self._behind.documents
                self._behind.acks = behind.acks | self._behind.acks
                self._behind.again = True
                raise

    async def prune(self, in_use: frozenset[str]) -> None:
        """Remove what expired long ago (once a day). ``in_use``: documents of the plan in force.

        Raises:
            StoreBusyError: the database is locked; there is another day.
        """
        now = self._clock.now()
        issue, document = tables.PlanIssue, tables.Document
        keep = in_use | {issue.plan.settings_sha256 for issue in self._issues.values()}
        latest = select(func.max(issue.id)).group_by(col(issue.agent_id))
        async with self._db.telemetry() as session:
            old = delete(issue).where(col(issue.expires) < now - _KEEP_EXPIRED, col(issue.id).not_in(latest))
            await session.exec(old)
            stale = select(document.sha256).where(col(document.created_at) < now - _KEEP_DOCUMENTS)
            for sha256 in [each for each in await session.exec(stale) if each not in keep]:
                await session.exec(delete(document).where(col(document.sha256) == sha256))

    async def _write(self, session: AsyncSession, behind: _Behind) -> None:
        now = self._clock.now()
        documents = dict(behind.documents)
        documents.update({body_sha256(issue.settings_body): issue.settings_body for issue in behind.issues})
        known = set(await _known(session, documents))
        session.add_all(
            tables.Document(sha256=sha256, body=body, created_at=now)
            for sha256, body in documents.items()
            if sha256 not in known
        )
        issues = await _unwritten(session, behind.issues) if behind.again else behind.issues
        session.add_all(_row_of(issue) for issue in issues)
        await session.flush()
        if behind.acks:
            rows = [
                {"agent": agent_id, "of_term": term, "of_seq": seq, "at": said.at, "said": _outcome(said)}
                for (agent_id, term, seq), said in behind.acks.items()
            ]
            await (await session.connection()).execute(_ANSWERED, rows)

    async def _read_back(self, session: AsyncSession, row: tables.PlanIssue) -> Issue | None:
        """An issue as it was; None when a part is missing or of another format (it is then made anew)."""
        try:
            opened = open_envelope(row.envelope)
            plan = decode(DocumentKind.PLAN, opened.payload)
            if not isinstance(plan, PlanManifest):
                return None
            kept = await session.get(tables.Document, plan.settings_sha256)
            settings = None if kept is None else decode(DocumentKind.SETTINGS, kept.body)
        except ProtocolError as error:
            _log.warning("issue_unreadable", agent=row.agent_id, why=error.detail)
            return None
        key = self._signers.key(Role.PLAN)
        if kept is None or not isinstance(settings, Settings) or key.fingerprint not in opened.signatures:
            return None
        # Ed25519 signs the same bytes the same way, so the envelope need not be kept.
        envelope = seal(PAYLOAD_TYPES[DocumentKind.SETTINGS], kept.body, key)
        return Issue(plan, row.envelope, settings, kept.body, envelope, key.fingerprint)


async def _unwritten(session: AsyncSession, issues: Iterable[Issue]) -> list[Issue]:
    """Those that have no row yet."""
    row, missing = tables.PlanIssue, []
    for issue in issues:
        plan = issue.plan
        same = (row.agent_id == plan.agent_id, row.term == plan.term, row.seq == plan.seq)
        if (await session.exec(select(row.id).where(*same))).first() is None:
            missing.append(issue)
    return missing


async def _known(session: AsyncSession, documents: Iterable[str]) -> list[str]:
    names = list(documents)
    found: list[str] = []
    for at in range(0, len(names), 500):
        part = names[at : at + 500]
        query = select(tables.Document.sha256).where(col(tables.Document.sha256).in_(part))
        found += (await session.exec(query)).all()
    return found


def _row_of(issue: Issue) -> tables.PlanIssue:
    days: dict[str, str] = {_name(day.date): day.sha256 for day in issue.plan.days}
    return tables.PlanIssue(
        agent_id=issue.plan.agent_id,
        cluster_id=issue.plan.cluster_id,
        term=issue.plan.term,
        seq=issue.plan.seq,
        envelope=issue.plan_envelope,
        days=days,
        issued=issue.plan.issued,
        expires=issue.plan.expires,
    )


def _outcome(said: Acknowledged) -> str:
    return "accepted" if said.accepted else said.code or "refused"


def _name(day: date) -> str:
    return day.isoformat()


def _renewal(issue: Issue) -> datetime:
    return min(
        issue.plan.issued + (issue.plan.expires - issue.plan.issued) / 2,
        issue.settings.issued + (issue.settings.expires - issue.settings.issued) / 2,
    )


def _half_over(issued: datetime, expires: datetime, now: datetime) -> bool:
    return now - issued >= (expires - issued) / 2
