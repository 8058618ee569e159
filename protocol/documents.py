"""The signed documents: what each says, and its bytes.

Rules kept here:

1. A document is a frozen value; :func:`protocol.codec.encode` gives its one JSON form and
   :func:`protocol.codec.decode` reads it strictly: unknown fields are ignored, wrong types and bounds are refused.
2. Each kind has its own payload type, its own role and its own counter (:mod:`protocol.trust`).
3. ``term`` and ``seq`` (a key set's ``version``) are compared in that order.

Not here: bytes (:mod:`protocol.codec`), items and days (:mod:`protocol.items`), signatures (:mod:`protocol.envelope`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from protocol.items import DayDocument, DayLike, day_sha256, decode_day, decode_item, encode_day, encode_item
from protocol.keys import KeySet, OnlineKey
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import ClusterSettings, Item, Recorded

__all__ = [
    "PAYLOAD_TYPES",
    "CloseStreamOrder",
    "Command",
    "DayDocument",
    "DayLike",
    "DayReference",
    "Document",
    "DocumentKind",
    "KeySet",
    "OnlineKey",
    "Order",
    "PlanManifest",
    "PlayOrder",
    "ReleaseOrder",
    "RootSuccessor",
    "Settings",
    "SilentTestOrder",
    "StockClip",
    "StockKind",
    "StopOrder",
    "StreamOpen",
    "Targets",
    "WithdrawOrder",
    "body_sha256",
    "day_sha256",
    "decode_day",
    "decode_item",
    "encode_day",
    "encode_item",
    "kind_of",
]


#: Least silence between two repetitions of an order: an alarm without a pause cannot be stopped by listening to it.
LEAST_PAUSE: Final = timedelta(seconds=10)


class DocumentKind(StrEnum):
    """A kind of signed document; the names are those of messages, acknowledgements and counters."""

    ROOT = "root"
    KEY_SET = "key_set"
    SETTINGS = "settings"
    PLAN = "plan"
    COMMAND = "command"
    STREAM_OPEN = "stream_open"


#: DSSE payload types: what keeps a signature over one kind from passing for another.
PAYLOAD_TYPES: Final = {
    DocumentKind.ROOT: "application/vnd.loa.root.v1+json",
    DocumentKind.KEY_SET: "application/vnd.loa.key-set.v1+json",
    DocumentKind.SETTINGS: "application/vnd.loa.settings.v1+json",
    DocumentKind.PLAN: "application/vnd.loa.plan.v1+json",
    DocumentKind.COMMAND: "application/vnd.loa.command.v1+json",
    DocumentKind.STREAM_OPEN: "application/vnd.loa.stream-open.v1+json",
}


@dataclass(frozen=True, slots=True)
class RootSuccessor:
    """Root N+1, signed by root N and by itself. ``version`` is N+1; a first root is version 1."""

    version: int
    previous: str  # fingerprint of root N
    public: bytes
    issued: datetime


class StockKind(StrEnum):
    """What a sound is kept in stock for."""

    TEMPLATE = "template"  # an emergency message: siren, text, cancel twin
    DRILL_NOTICE = "drill_notice"  # "this is a drill": every drill begins and ends with one of these
    CHIME = "chime"
    NOTICE = "notice"  # words of the system itself
    OTHER = "other"  # of a later version


@dataclass(frozen=True, slots=True)
class StockClip:
    """A sound that an agent keeps whatever its plan says: fetched before anything else, and never evicted."""

    sha256: str
    frames: Frames
    size: int  # bytes of the file
    kind: StockKind = StockKind.TEMPLATE


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds at one cluster, for one agent. ``seq`` counts settings only."""

    agent_id: str
    term: int
    seq: int
    issued: datetime
    expires: datetime
    cluster: ClusterSettings
    stock: tuple[StockClip, ...] = ()

    @property
    def drill_notices(self) -> frozenset[str]:
        """The sounds of which a drill's first and last must be one."""
        return frozenset(clip.sha256 for clip in self.stock if clip.kind is StockKind.DRILL_NOTICE)


@dataclass(frozen=True, slots=True)
class DayReference:
    """One day of a plan: fetch it by ``sha256`` if that is not cached."""

    date: date
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class PlanManifest:
    """The plan of one agent: which days it consists of, and which settings it was compiled with."""

    agent_id: str
    cluster_id: str
    term: int
    seq: int
    issued: datetime
    expires: datetime
    settings_sha256: str
    days: tuple[DayReference, ...]


@dataclass(frozen=True, slots=True)
class Targets:
    """Whom a command or a stream is for: everyone, or clusters and agents by id."""

    everyone: bool = False
    clusters: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()

    def include(self, agent_id: str, cluster_id: str | None) -> bool:
        """Whether this agent, which serves that cluster, is meant."""
        return self.everyone or agent_id in self.agents or (cluster_id is not None and cluster_id in self.clusters)


@dataclass(frozen=True, slots=True)
class StreamOpen:
    """The authority of a live stream: no open, no sound.

    ``opened`` and ``not_after`` are its issue and expiry. An extension is another open of the same stream with a
    higher ``seq`` and a later ``not_after``. ``rule_id`` and ``recurrence`` bind it to the relay item it carries.
    """

    stream: int
    timeline: int
    priority: Priority
    key_id: int  # signs the bundles
    opened: datetime
    not_after: datetime
    targets: Targets
    title: str
    term: int
    seq: int
    rule_id: str | None = None
    recurrence: datetime | None = None


@dataclass(frozen=True, slots=True)
class StopOrder:
    """Silence now: everything that sounds or waits at ``Command.issued`` is done for good.

    With a ``hold`` the agent is mute for that long from ``Command.issued`` on: nothing sounds, emergencies included.
    """

    hold: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """End the mute that a STOP with a ``hold`` began. A mute that somebody set at the box itself stays."""


@dataclass(frozen=True, slots=True)
class SilentTestOrder:
    """Prove yourself without a sound: stock, clock, output, disk. Answered by a ``progress`` with its checks."""


@dataclass(frozen=True, slots=True)
class WithdrawOrder:
    """Take one rule, or one occurrence of it, off the air and out of the plan."""

    rule_id: str
    recurrence: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlayOrder:
    """Sound this item, now or at its ``start``; with ``every``, again and again.

    Repetition k is the item moved by k × ``every`` (``recurrence``, ``start``, ``expires``, ``slot_end``), an
    occurrence of its own, for as long as it starts before ``until``. None outlives the start of the next. An order with
    the same rule, recurrence and ``every`` as an earlier one takes its place: so it is extended or shortened.

    Raises:
        ValueError: ``every`` without ``until`` or the other way round, or a sound that leaves no pause between two.
    """

    item: Item
    every: timedelta | None = None
    until: datetime | None = None

    @property
    def ends(self) -> datetime:
        """Nothing of it sounds at or after this instant."""
        if self.every is None or self.until is None:
            return self.item.expires
        return max(self.item.expires, self.until + min(self.every, self.item.expires - self.item.start))

    def __post_init__(self) -> None:
        if (self.every is None) != (self.until is None):
            raise ValueError("a repetition names both 'every' and 'until'")
        if self.every is None:
            return
        if not isinstance(self.item.content, Recorded):
            raise ValueError("only stored sound is repeated")  # noqa: TRY004 - a value is wrong, not a type
        if self.item.content.duration + LEAST_PAUSE > self.every:
            raise ValueError("a sound must leave ten seconds of silence before it is repeated")


@dataclass(frozen=True, slots=True)
class CloseStreamOrder:
    """End one live stream."""

    stream: int


Order = StopOrder | ReleaseOrder | WithdrawOrder | PlayOrder | CloseStreamOrder | SilentTestOrder


@dataclass(frozen=True, slots=True)
class Command:
    """An order to act on at once. ``nonce`` (32 hex digits) lets people and logs name it."""

    term: int
    seq: int
    issued: datetime
    expires: datetime
    nonce: str
    targets: Targets
    order: Order

    @property
    def priority(self) -> Priority | None:
        """The class that would sound, or None for an order that only silences."""
        return self.order.item.priority if isinstance(self.order, PlayOrder) else None


Document = RootSuccessor | KeySet | Settings | PlanManifest | Command | StreamOpen

_KINDS: Final[dict[type, DocumentKind]] = {
    RootSuccessor: DocumentKind.ROOT,
    KeySet: DocumentKind.KEY_SET,
    Settings: DocumentKind.SETTINGS,
    PlanManifest: DocumentKind.PLAN,
    Command: DocumentKind.COMMAND,
    StreamOpen: DocumentKind.STREAM_OPEN,
}


def kind_of(document: Document) -> DocumentKind:
    """The kind of a document value."""
    return _KINDS[type(document)]


def body_sha256(body: bytes) -> str:
    """SHA-256 of a document's bytes, in hex: what a manifest names its settings by."""
    return _remembered_sha256(body) if len(body) <= _SHARED_BYTES else _sha256(body)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


#: The same order is judged by many agents of a process (a swarm's).
_SHARED_BYTES = 16_384
_remembered_sha256 = lru_cache(maxsize=64)(_sha256)
