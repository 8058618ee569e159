"""Live streams: numbered, signed, announced, fed, extended, ended. What relays and the live desk have in common.

Rules kept here:

1. A stream is opened by a signed document with a number of the orders' journal, so that it is in the audit log and
   no agent takes it twice. The database is not asked.
2. The class decides the key: 80 and more is signed by the emergency key, the rest by the live key. Agents refuse a
   class that the key's role does not allow. No stream is a drill: a live voice cannot be made to say that it is one.
3. More clusters than fit into one open (:data:`~protocol.limits.MAX_TARGETS`) become several streams of one sound:
   each chunk is packed and signed once for each stream, whatever the number of agents.
4. A stream lives at most :data:`~protocol.limits.MAX_STREAM_LIFE`; longer ones are extended by another open.
5. Agents whose lines are too slow for live sound are left out (:class:`Leads`), but of no emergency: there late or
   broken sound is better than none, and who was slow ten minutes ago may be quick now.
6. A regular end is marked in the stream (an END bundle) and the stream closed when that has sounded. Closing at once
   discards what is queued and silences the agents.

Not here: who may speak where (:mod:`controller.services.live`), which windows there are
(:mod:`controller.services.relays`), sockets (:mod:`controller.gateway`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from controller.services.chunks import PACKET_FRAMES, Chunk, SourceKind
from controller.services.context import Clock
from controller.services.directory import Directory
from controller.services.dispatch import Signers
from controller.services.ports import AgentGateway, MediaClock
from controller.store.journal import CommandJournal
from protocol.bundle import Bundle, pack
from protocol.codec import seal_document
from protocol.documents import StreamOpen, Targets
from protocol.keys import Role, SigningKey
from protocol.limits import MAX_STREAM_LIFE, MAX_TARGETS
from schedules.instants import MediaUs, to_unix_us
from schedules.ladder import Priority

_STREAM_BITS: Final = 64
#: A stream that ended by itself is closed this much after its last sample: late agents finish it.
LINGER: Final = timedelta(milliseconds=500)

_log = structlog.get_logger(__name__)


class Leads(Protocol):
    """How far ahead agents must be sent live sound."""

    def lead_us(self, agents: Iterable[str], kind: SourceKind) -> int:
        """Microseconds from sending a bundle to its first sample that all of ``agents`` (but stragglers) need."""
        ...

    def left_out(self, agents: Iterable[str], kind: SourceKind) -> frozenset[str]:
        """Stragglers beyond the cap of the kind: the others do not wait for them."""
        ...


class FixedLeads:
    """The same for everybody: what a LAN and a sound card with 120 ms of buffer need."""

    _LEADS: Final = {SourceKind.MICROPHONE: 200_000, SourceKind.LIVE: 1_000_000, SourceKind.RELAY: 3_000_000}

    def lead_us(self, agents: Iterable[str], kind: SourceKind) -> int:  # noqa: ARG002 - the port's
        """See the port."""
        return self._LEADS[kind]

    def left_out(self, agents: Iterable[str], kind: SourceKind) -> frozenset[str]:  # noqa: ARG002 - the port's
        """Nobody."""
        return frozenset()


@dataclass(slots=True)
class CarriedStream:
    """One signed live stream. ``ends``: when the last sample that was sent has sounded."""

    document: StreamOpen
    envelope: bytes
    key: SigningKey
    agents: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    seq: int = 0
    samples: int = 0
    ends: MediaUs | None = None

    @property
    def stream_id(self) -> int:
        """Its name on the wire."""
        return self.document.stream

    @property
    def clusters(self) -> frozenset[str]:
        """The clusters it may sound in."""
        return frozenset(self.document.targets.clusters)

    def bundle(self, chunk: Chunk, now: MediaUs) -> bytes:
        """The chunk as the next bundle of this stream."""
        self.seq += 1
        bundle = Bundle(
            key_id=self.key.key_id,
            timeline=self.document.timeline,
            stream=self.stream_id,
            seq=self.seq,
            lead_ms=min(max(0, (chunk.play_at - now) // 1000), 0xFFFF),
            frame_samples=PACKET_FRAMES,
            play_at=chunk.play_at,
            sample_index=self.samples,
            packets=chunk.packets,
            end=chunk.end,
            discontinuity=chunk.discontinuity or self.seq == 1,
        )
        self.samples += len(chunk.packets) * PACKET_FRAMES
        self.ends = chunk.ends
        return pack(bundle, self.key)


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What is to be opened: everything that the signed document will say, but its number."""

    priority: Priority
    clusters: frozenset[str]
    title: str
    not_after: datetime
    actor: str  # for the audit log
    kind: SourceKind
    rule_id: str | None = None
    recurrence: datetime | None = None
    details: dict[str, object] = field(default_factory=dict)


class StreamOpener:
    """Opens, feeds and ends live streams. ``leads`` may be exchanged while it runs."""

    def __init__(
        self,
        *,
        journal: CommandJournal,
        signers: Signers,
        gateway: AgentGateway,
        directory: Directory,
        media: MediaClock,
        clock: Clock,
        leads: Leads | None = None,
    ) -> None:
        self._journal = journal
        self._signers = signers
        self._gateway = gateway
        self._directory = directory
        self._media = media
        self._clock = clock
        self.leads: Leads = leads or FixedLeads()

    async def open(self, plan: StreamPlan) -> list[CarriedStream]:
        """Number, sign and announce one stream, or several when there are many clusters.

        Raises:
            JournalError: no number can be had; nothing is open.
        """
        opened: list[CarriedStream] = []
        names = sorted(plan.clusters)
        groups = (names[at : at + MAX_TARGETS] for at in range(0, len(names), MAX_TARGETS))
        try:
            for group in groups:
                opened += [await self._open_one(plan, group)]
        except BaseException:
            await self.close(opened)
            raise
        return opened

    def lead_us(self, streams: Collection[CarriedStream], kind: SourceKind) -> int:
        """How far ahead the sound of these streams must be sent, in microseconds."""
        agents = frozenset().union(*(one.agents for one in streams)) if streams else frozenset[str]()
        return self.leads.lead_us(agents, kind)

    def publish(self, streams: Iterable[CarriedStream], chunk: Chunk) -> None:
        """Sign a chunk once for each stream and send the same bytes to all of its agents. Never waits."""
        now = self._media.now()
        for stream in streams:
            self._gateway.publish(stream.stream_id, stream.bundle(chunk, now), chunk.play_at)

    async def extend(self, streams: Sequence[CarriedStream], not_after: datetime, *, actor: str) -> None:
        """Let streams live until ``not_after``, at most :data:`~protocol.limits.MAX_STREAM_LIFE` from now.

        Raises:
            JournalError: no number can be had; the streams end when they would have.
        """
        now = self._clock.now()
        for stream in streams:
            document = replace(stream.document, opened=now, not_after=_bounded(now, not_after))
            await self._sign(stream, document, actor, {})
            await self._gateway.open_stream(stream.stream_id, stream.envelope, stream.agents)

    async def retarget(self, streams: list[CarriedStream], remaining: frozenset[str], kind: SourceKind) -> None:
        """Follow agents that were approved or replaced, and clusters that are to hear it no longer."""
        for stream in list(streams):
            clusters = stream.clusters & remaining
            agents, left_out = self._listeners(clusters, kind, stream.document.priority)
            if not clusters:
                streams.remove(stream)  # first: nothing may be sent into a stream that is being closed
                await self.close([stream])
            elif agents != stream.agents:
                stream.agents, stream.left_out = agents, left_out
                await self._gateway.open_stream(stream.stream_id, stream.envelope, agents)

    def stale(self, streams: Iterable[CarriedStream], remaining: frozenset[str], kind: SourceKind) -> bool:
        """Whether :meth:`retarget` would change something."""
        return any(
            self._listeners(one.clusters & remaining, kind, one.document.priority)[0] != one.agents
            or not one.clusters & remaining
            for one in streams
        )

    async def end(self, streams: Iterable[CarriedStream]) -> None:
        """Mark the regular end, let everything sound that was sent, then close."""
        streams = list(streams)
        now = self._media.now()
        for stream in streams:
            at = max(now, stream.ends if stream.ends is not None else now)
            self._gateway.publish(stream.stream_id, stream.bundle(_ending(MediaUs(at)), now), MediaUs(at))
        last = max((stream.ends or now for stream in streams), default=now)
        try:
            await asyncio.sleep(max(0, last - now) / 1e6 + LINGER.total_seconds())
        finally:
            await self.close(streams)

    async def close(self, streams: Iterable[CarriedStream]) -> None:
        """Silence and forget streams at once; what is queued of them is discarded."""
        for stream in streams:
            await self._gateway.close_stream(stream.stream_id)

    async def _open_one(self, plan: StreamPlan, clusters: Sequence[str]) -> CarriedStream:
        now = self._clock.now()
        key = self._signers.key(role_of(plan.priority))
        document = StreamOpen(
            stream=secrets.randbits(_STREAM_BITS),
            timeline=self._media.timeline,
            priority=plan.priority,
            key_id=key.key_id,
            opened=now,
            not_after=_bounded(now, plan.not_after),
            targets=Targets(clusters=tuple(clusters)),
            title=plan.title,
            term=0,
            seq=0,
            rule_id=plan.rule_id,
            recurrence=plan.recurrence,
        )
        stream = CarriedStream(document, b"", key)
        await self._sign(stream, document, plan.actor, plan.details)
        stream.agents, stream.left_out = self._listeners(clusters, plan.kind, plan.priority)
        if stream.left_out:
            _log.warning("stream_stragglers_left_out", stream=_name(stream), agents=sorted(stream.left_out)[:20])
        await self._gateway.open_stream(stream.stream_id, stream.envelope, stream.agents)
        return stream

    async def _sign(self, stream: CarriedStream, document: StreamOpen, actor: str, details: dict[str, object]) -> None:
        """Give ``document`` the journal's next number and the stream that document."""
        body: dict[str, object] = {
            "stream": _name(stream),
            "class": int(document.priority),
            "not_after": to_unix_us(document.not_after),
        }
        said: dict[str, object] = {"clusters": len(document.targets.clusters), **details}
        if document.rule_id is not None and document.recurrence is not None:
            said |= {"rule": document.rule_id, "recurrence": document.recurrence.isoformat()}
        body["details"] = said
        entry = await self._journal.append(actor=actor, kind="stream_open", body=body, at=document.opened)
        stream.document = replace(document, term=entry.term, seq=entry.seq)
        stream.envelope = seal_document(stream.document, stream.key)

    def _listeners(
        self, clusters: Iterable[str], kind: SourceKind, priority: Priority
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Whom to send it, and who is left out."""
        agents = self._directory.agents_of(clusters)
        if priority >= Priority.EMERGENCY_STORED:
            return agents, frozenset()
        left_out = self.leads.left_out(agents, kind)
        return agents - left_out, left_out


def role_of(priority: Priority) -> Role:
    """Whose key signs streams of a class.

    Raises:
        ValueError: a drill is no stream.
    """
    if priority == Priority.DRILL:
        raise ValueError("no stream is a drill; agents refuse it")
    return Role.EMERGENCY if priority >= Priority.EMERGENCY_STORED else Role.LIVE


def _ending(at: MediaUs) -> Chunk:
    return Chunk(at, (), discontinuity=False, end=True)


def _bounded(now: datetime, not_after: datetime) -> datetime:
    return min(not_after, now + MAX_STREAM_LIFE)


def _name(stream: CarriedStream) -> str:
    return f"{stream.stream_id:016x}"
