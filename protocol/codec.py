"""Documents as bytes, and back.

Rules kept here:

1. One JSON form per value (sorted keys, no spaces), so that equal documents have equal bytes and hashes.
2. Reading is strict about types, ranges and lengths and lenient about fields it does not know.
3. What is read back equals what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, cast

from protocol.documents import (
    PAYLOAD_TYPES,
    CloseStreamOrder,
    Command,
    DayReference,
    Document,
    DocumentKind,
    Order,
    PlanManifest,
    PlayOrder,
    ReleaseOrder,
    RootSuccessor,
    SilentTestOrder,
    StockClip,
    StockKind,
    StopOrder,
    StreamOpen,
    Targets,
    WithdrawOrder,
    kind_of,
)
from protocol.documents import Settings as SettingsDocument
from protocol.envelope import seal
from protocol.errors import MalformedError
from protocol.fields import Fields, unsigned64_text
from protocol.items import decode_item, encode_item
from protocol.jsonsafe import dumps, loads_object
from protocol.keys import AGENT_ID_DIGITS, KeySet, OnlineKey, Role, SigningKey, key_id_of
from protocol.limits import (
    MAX_BODY,
    MAX_CLIP_BYTES,
    MAX_COMMAND_LIFE,
    MAX_DAY,
    MAX_DAYS,
    MAX_FRAMES,
    MAX_HOLD,
    MAX_KEYS,
    MAX_PLAN,
    MAX_REPEAT,
    MAX_STOCK,
    MAX_STREAM_LIFE,
    MAX_TARGETS,
    MAX_TITLE,
    MAX_U32,
    MIN_EVERY,
)
from protocol.settings_codec import decode_cluster, encode_cluster
from schedules.instants import Frames, to_unix_us
from schedules.ladder import Priority

_MICROSECOND: Final = timedelta(microseconds=1)


def encode(document: Document) -> bytes:
    """The body of a document, ready to be sealed."""
    return dumps(_WRITERS[kind_of(document)](document))


def decode(kind: DocumentKind, body: bytes) -> Document:
    """Read a body whose signature was checked.

    Raises:
        MalformedError: it breaks the format of its kind.
    """
    shared = kind in _SHARED and len(body) <= _SHARED_BYTES
    return _remembered(kind, body) if shared else _read(kind, body)


def _read(kind: DocumentKind, body: bytes) -> Document:
    fields = Fields(loads_object(body, max_bytes=MAX_BODY))
    try:
        return _READERS[kind](fields)
    except ValueError as error:
        raise MalformedError("bad_field", f"the document contradicts itself: {error}") from None


#: Orders are frozen values, and many agents of one process are told the same one at once: the same bytes are read once.
#: What each agent makes of them (signature, counters, target, time) it judges by itself.
_SHARED = frozenset({DocumentKind.COMMAND, DocumentKind.STREAM_OPEN})
_SHARED_BYTES = 16_384
_remembered = lru_cache(maxsize=64)(_read)


def seal_document(document: Document, *keys: SigningKey) -> bytes:
    """Encode and sign: one key, or for a root's successor the old root and the new.

    Returns:
        The DSSE envelope as JSON.

    Raises:
        MalformedError: ``too_large``.
    """
    return seal(PAYLOAD_TYPES[kind_of(document)], encode(document), *keys)


def _span(issued: datetime, expires: datetime) -> dict[str, int]:
    return {"issued": to_unix_us(issued), "expires": to_unix_us(expires)}


def _read_span(fields: Fields, longest: timedelta | None = None) -> tuple[datetime, datetime]:
    issued, expires = fields.instant("issued"), fields.instant("expires")
    if expires <= issued or (longest is not None and expires - issued > longest):
        fields.refuse("expires", "must be after issued, and not too long after")
    return issued, expires


def _counters(fields: Fields) -> tuple[int, int]:
    return fields.integer("term", 1, MAX_U32), fields.integer("seq", 1)


def _write_root(document: RootSuccessor) -> dict[str, Any]:
    return {
        "version": document.version,
        "previous": document.previous,
        "public": document.public.hex(),
        "issued": to_unix_us(document.issued),
    }


def _read_root(fields: Fields) -> RootSuccessor:
    return RootSuccessor(
        fields.integer("version", 2, MAX_U32),
        fields.hexadecimal("previous", 64),
        bytes.fromhex(fields.hexadecimal("public", 64)),
        fields.instant("issued"),
    )


def _write_key_set(document: KeySet) -> dict[str, Any]:
    keys = [
        {
            "key_id": key.key_id,
            "public": key.public.hex(),
            "roles": sorted(key.roles),
            "not_before": to_unix_us(key.not_before),
            "not_after": to_unix_us(key.not_after),
        }
        for key in document.keys
    ]
    head = {"root": document.root_fingerprint, "term": document.term, "version": document.version, "keys": keys}
    return head | _span(document.issued, document.expires)


def _read_key_set(fields: Fields) -> KeySet:
    keys = tuple(_read_key(each) for each in fields.objects("keys", MAX_KEYS))
    if len({key.key_id for key in keys}) != len(keys):
        fields.refuse("keys", "two keys with one key_id")
    issued, expires = _read_span(fields)
    term, version = fields.integer("term", 1, MAX_U32), fields.integer("version", 1)
    return KeySet(fields.hexadecimal("root", 64), term, version, issued, expires, keys)


def _read_key(fields: Fields) -> OnlineKey:
    public = bytes.fromhex(fields.hexadecimal("public", 64))
    key_id = fields.integer("key_id", 0, MAX_U32)
    if key_id != key_id_of(public):
        fields.refuse("key_id", "not the first four bytes of the key's SHA-256")
    known = {role.value for role in Role}
    roles = frozenset(Role(name) for name in fields.identifiers("roles", 16) if name in known)
    not_before, not_after = fields.instant("not_before"), fields.instant("not_after")
    if not_after <= not_before:
        fields.refuse("not_after", "must be after not_before")
    return OnlineKey(key_id, public, roles, not_before, not_after)


def _write_settings(document: SettingsDocument) -> dict[str, Any]:
    head = {"agent": document.agent_id, "term": document.term, "seq": document.seq}
    value = head | _span(document.issued, document.expires) | {"cluster": encode_cluster(document.cluster)}
    if document.stock:
        value["stock"] = [_write_stock(clip) for clip in document.stock]
    return value


def _write_stock(clip: StockClip) -> dict[str, Any]:
    return {"clip": clip.sha256, "frames": clip.frames, "bytes": clip.size, "kind": clip.kind.value}


def _read_stock(fields: Fields) -> StockClip:
    kind = fields.identifier("kind")
    return StockClip(
        fields.hexadecimal("clip", 64),
        Frames(fields.integer("frames", 1, MAX_FRAMES)),
        fields.integer("bytes", 1, MAX_CLIP_BYTES),
        StockKind(kind) if kind in {known.value for known in StockKind} else StockKind.OTHER,
    )


def _read_settings(fields: Fields) -> SettingsDocument:
    agent = fields.hexadecimal("agent", AGENT_ID_DIGITS)
    stock = tuple(_read_stock(each) for each in fields.objects("stock", MAX_STOCK))
    if len({clip.sha256 for clip in stock}) != len(stock):
        fields.refuse("stock", "expected each sound once")
    cluster = decode_cluster(fields.object("cluster"))
    return SettingsDocument(agent, *_counters(fields), *_read_span(fields), cluster, stock)


def _write_plan(document: PlanManifest) -> dict[str, Any]:
    days = [{"date": day.date.isoformat(), "sha256": day.sha256, "bytes": day.size} for day in document.days]
    return {
        "agent": document.agent_id,
        "cluster": document.cluster_id,
        "term": document.term,
        "seq": document.seq,
        "settings_sha256": document.settings_sha256,
        "days": days,
        "issued": to_unix_us(document.issued),
        "expires": to_unix_us(document.expires),
    }


def _read_plan(fields: Fields) -> PlanManifest:
    days = tuple(
        DayReference(each.day("date"), each.hexadecimal("sha256", 64), each.integer("bytes", 2, MAX_DAY))
        for each in fields.objects("days", MAX_DAYS)
    )
    if any(a.date >= b.date for a, b in pairwise(days)):
        fields.refuse("days", "expected rising dates, each once")
    if sum(day.size for day in days) > MAX_PLAN:
        fields.refuse("days", f"more than {MAX_PLAN} bytes in all")
    agent, cluster = fields.hexadecimal("agent", AGENT_ID_DIGITS), fields.identifier("cluster")
    head = (agent, cluster, *_counters(fields), *_read_span(fields))
    return PlanManifest(*head, fields.hexadecimal("settings_sha256", 64), days)


def _write_targets(targets: Targets) -> dict[str, Any]:
    value: dict[str, Any] = {"everyone": True} if targets.everyone else {}
    if targets.clusters:
        value["clusters"] = list(targets.clusters)
    if targets.agents:
        value["agents"] = list(targets.agents)
    return value


def _read_targets(fields: Fields) -> Targets:
    clusters = fields.identifiers("clusters", MAX_TARGETS)
    targets = Targets(fields.flag("everyone"), clusters, fields.identifiers("agents", MAX_TARGETS))
    if targets == Targets():
        fields.refuse("everyone", "no target is named")
    return targets


def _write_command(document: Command) -> dict[str, Any]:
    head = {"term": document.term, "seq": document.seq, "nonce": document.nonce}
    body = {"targets": _write_targets(document.targets), "order": _write_order(document.order)}
    return head | _span(document.issued, document.expires) | body


def _read_command(fields: Fields) -> Command:
    head = (*_counters(fields), *_read_span(fields, MAX_COMMAND_LIFE), fields.hexadecimal("nonce", 32))
    return Command(*head, _read_targets(fields.object("targets")), _read_order(fields.object("order")))


def _write_order(order: Order) -> dict[str, Any]:
    match order:
        case StopOrder(hold):
            return {"kind": "stop"} | ({} if hold is None else {"hold_us": hold // _MICROSECOND})
        case ReleaseOrder():
            return {"kind": "release"}
        case SilentTestOrder():
            return {"kind": "test"}
        case WithdrawOrder(rule_id, recurrence):
            bound = {} if recurrence is None else {"recurrence": to_unix_us(recurrence)}
            return {"kind": "withdraw", "rule": rule_id} | bound
        case PlayOrder(item, every, until):
            repeat: dict[str, Any] = {}
            if every is not None and until is not None:
                repeat = {"every_us": every // _MICROSECOND, "until": to_unix_us(until)}
            return {"kind": "play", "item": encode_item(item)} | repeat
        case CloseStreamOrder(stream):
            return {"kind": "close_stream", "stream": unsigned64_text(stream)}


def _read_order(fields: Fields) -> Order:
    kind = fields.text("kind", 32)
    if kind not in _ORDER_READERS:
        fields.refuse("kind", "expected stop, release, withdraw, play, close_stream or test")
    return _ORDER_READERS[kind](fields)


def _read_play(fields: Fields) -> PlayOrder:
    item = decode_item(fields.object("item"))
    every = fields.optional("every_us", lambda name: fields.duration(name, MAX_REPEAT, MIN_EVERY))
    until = fields.optional("until", fields.instant)
    if until is not None and not item.start < until <= item.start + MAX_REPEAT:
        fields.refuse("until", "must be after the item's start, and at most 24 hours after")
    return PlayOrder(item, every, until)


def _read_stop(fields: Fields) -> StopOrder:
    return StopOrder(fields.optional("hold_us", lambda name: fields.duration(name, MAX_HOLD, _MICROSECOND)))


_ORDER_READERS: Final[dict[str, Callable[[Fields], Order]]] = {
    "stop": _read_stop,
    "release": lambda _: ReleaseOrder(),
    "withdraw": lambda fields: WithdrawOrder(fields.identifier("rule"), fields.optional("recurrence", fields.instant)),
    "play": _read_play,
    "close_stream": lambda fields: CloseStreamOrder(fields.unsigned64("stream")),
    "test": lambda _: SilentTestOrder(),
}


def _write_stream_open(document: StreamOpen) -> dict[str, Any]:
    value: dict[str, Any] = {
        "stream": unsigned64_text(document.stream),
        "timeline": unsigned64_text(document.timeline),
        "priority": int(document.priority),
        "key_id": document.key_id,
        "opened": to_unix_us(document.opened),
        "not_after": to_unix_us(document.not_after),
        "targets": _write_targets(document.targets),
        "title": document.title,
        "term": document.term,
        "seq": document.seq,
    }
    if document.rule_id is not None:
        value["rule"] = document.rule_id
    if document.recurrence is not None:
        value["recurrence"] = to_unix_us(document.recurrence)
    return value


def _read_stream_open(fields: Fields) -> StreamOpen:
    opened, not_after = fields.instant("opened"), fields.instant("not_after")
    if not opened < not_after <= opened + MAX_STREAM_LIFE:
        fields.refuse("not_after", "must be after opened, and at most 12 hours after")
    if fields.has("rule") != fields.has("recurrence"):
        fields.refuse("recurrence", "a bound stream names both rule and recurrence")
    term, seq = _counters(fields)
    return StreamOpen(
        stream=fields.unsigned64("stream"),
        timeline=fields.unsigned64("timeline"),
        priority=fields.choice("priority", Priority),
        key_id=fields.integer("key_id", 0, MAX_U32),
        opened=opened,
        not_after=not_after,
        targets=_read_targets(fields.object("targets")),
        title=fields.text("title", MAX_TITLE, shortest=0),
        term=term,
        seq=seq,
        rule_id=fields.optional("rule", fields.identifier),
        recurrence=fields.optional("recurrence", fields.instant),
    )


_WRITERS: Final = cast(
    "dict[DocumentKind, Callable[[Document], dict[str, Any]]]",
    {
        DocumentKind.ROOT: _write_root,
        DocumentKind.KEY_SET: _write_key_set,
        DocumentKind.SETTINGS: _write_settings,
        DocumentKind.PLAN: _write_plan,
        DocumentKind.COMMAND: _write_command,
        DocumentKind.STREAM_OPEN: _write_stream_open,
    },
)
_READERS: Final[dict[DocumentKind, Callable[[Fields], Document]]] = {
    DocumentKind.ROOT: _read_root,
    DocumentKind.KEY_SET: _read_key_set,
    DocumentKind.SETTINGS: _read_settings,
    DocumentKind.PLAN: _read_plan,
    DocumentKind.COMMAND: _read_command,
    DocumentKind.STREAM_OPEN: _read_stream_open,
}
