"""What an agent believes, and the order in which it comes to believe it.

The shape is python-tuf's ``TrustedMetadataSet``: every document is verified against what is trusted already, and
only then becomes part of it. Invariants, each with a test that names it:

1. Nothing is parsed before its size is checked, and no body is parsed before its signature is.
2. A document counts only as the type its payload type says; the caller says which it expects.
3. The root signs key sets and its own successor; online keys sign the rest, each within its roles, and only if the
   key was valid when the document was issued. The expiry of a key set silences nothing accepted under it.
4. (term, seq) rises, for each kind of document by itself. Only a key set raises the term: an online key can sign
   neither below nor above the term of the key set.
5. What was accepted once is never accepted again: an equal number is ``already_have`` (same bytes: key set, settings,
   plan) or ``replayed``.
6. Counters move only after the signature was checked, and are on disk before anything is done: ``verify_*`` changes
   nothing and returns what to persist; ``commit`` makes it count.
7. A document for another agent or cluster is refused.
8. With ``now`` given, nothing expired or issued in the future (beyond the skew of two honest clocks) is accepted.
   Without trusted time (``now=None``) plans, settings, key sets and orders that only silence are accepted, and what
   sounds from class 80 on; lower classes are refused, because their age cannot be told.
9. Root N+1 is accepted only if N and N+1 both signed it and its version is exactly one more.
10. A drill is accepted only between two drill notices of the settings in force; a stream is never a drill.
11. ``restore_*`` accepts from the agent's own disk exactly the bytes that were accepted before, and nothing else.

One owner calls ``verify``, persists, and calls ``commit``. Orders that only silence may be acted upon between verify
and persisting (DESIGN: STOP acts, then persists), and so may an emergency in trusted time, if its number is above all
that was acted upon: a power cut before it is persisted makes it unknown, and it is sounded again as what it
interrupted would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar, cast

from protocol.authority import OnlineDocument, check_drill, check_time, check_without_time, roles_of, span_of
from protocol.codec import decode
from protocol.counters import Counters, Mark
from protocol.documents import (
    PAYLOAD_TYPES,
    Command,
    Document,
    DocumentKind,
    PlanManifest,
    RootSuccessor,
    Settings,
    StreamOpen,
    body_sha256,
)
from protocol.envelope import check_signature, check_signatures, open_envelope
from protocol.errors import AlreadyHaveError, TrustError
from protocol.gate import BundleGate
from protocol.keys import KeySet, OnlineKey, Role, roles_for, root_fingerprint

D = TypeVar("D", bound=Document)

#: Kinds a controller offers again after a reconnect; all others are orders, and an order given twice is a replay.
_REOFFERED: Final = frozenset({DocumentKind.ROOT, DocumentKind.KEY_SET, DocumentKind.SETTINGS, DocumentKind.PLAN})


@dataclass(frozen=True, slots=True)
class Verified(Generic[D]):
    """A document that may be believed once ``counters`` are on disk.

    Attributes:
        kind: which counter it moves.
        document: the document itself.
        counters: what to persist before :meth:`TrustedState.commit` and before acting.
        envelope: the sealed bytes, for the agent's disk.
        digest: SHA-256 of the body.
        key: the online key that signed, or None for the root's documents.
    """

    kind: DocumentKind
    document: D
    counters: Counters
    envelope: bytes
    digest: str
    key: OnlineKey | None


@dataclass(frozen=True, slots=True)
class _Opened:
    document: Document
    digest: str
    key: OnlineKey | None


class TrustedState:
    """The keys, counters and identity against which everything is judged. Not thread-safe: one owner."""

    def __init__(
        self,
        agent_id: str,
        root_public: bytes,
        counters: Counters | None = None,
        keyset_envelope: bytes | None = None,
        *,
        cluster_id: str | None = None,
        drill_notices: frozenset[str] = frozenset(),
    ) -> None:
        """Take up what the disk holds.

        Args:
            agent_id: this agent.
            root_public: the root key pinned now (after a rotation: the new one).
            counters: as last persisted; None for an agent that never accepted anything.
            keyset_envelope: the key set accepted last.
            cluster_id: the cluster this agent was enrolled for, until signed settings say it.
            drill_notices: the sounds that mark a drill, until signed settings say it.

        Raises:
            ProtocolError: the stored key set does not verify. Start without it: the controller sends it again.
        """
        self.agent_id = agent_id
        self._root_public = root_public
        self._counters = counters or Counters()
        self._cluster_id = cluster_id
        self._notices = drill_notices
        self._key_set: KeySet | None = None
        if keyset_envelope is not None:
            self._key_set = self._restore_key_set(keyset_envelope)

    @property
    def root_public(self) -> bytes:
        """The root key believed now; persist it when a rotation is committed."""
        return self._root_public

    @property
    def root_fingerprint(self) -> str:
        """The pinned root's fingerprint."""
        return root_fingerprint(self._root_public)

    @property
    def counters(self) -> Counters:
        """The counters in force."""
        return self._counters

    @property
    def key_set(self) -> KeySet | None:
        """The key set in force."""
        return self._key_set

    @property
    def cluster_id(self) -> str | None:
        """The cluster this agent serves, as far as it knows."""
        return self._cluster_id

    @property
    def drill_notices(self) -> frozenset[str]:
        """The sounds between which a drill must stand."""
        return self._notices

    def scratch(self) -> TrustedState:
        """An independent copy, to look several steps ahead before anything is persisted."""
        copy = TrustedState(
            self.agent_id,
            self._root_public,
            self._counters,
            cluster_id=self._cluster_id,
            drill_notices=self._notices,
        )
        copy._key_set = self._key_set
        return copy

    def verify_root(self, envelope: bytes | str) -> Verified[RootSuccessor]:
        """Judge the successor of the pinned root (invariant 9).

        Raises:
            ProtocolError: with the code of the first rule it breaks.
        """
        parsed = open_envelope(envelope, signatures=2)
        self._check_type(parsed.payload_type, DocumentKind.ROOT)
        if self.root_fingerprint not in parsed.signatures:
            raise TrustError("wrong_root", "not signed by the root this agent trusts")
        check_signature(parsed, self._root_public)
        document = cast("RootSuccessor", decode(DocumentKind.ROOT, parsed.payload))
        check_signatures(parsed, [self._root_public, document.public])
        if document.previous != self.root_fingerprint:
            raise TrustError("wrong_root", "succeeds another root than the one trusted")
        mark = Mark(0, document.version, body_sha256(parsed.payload))
        known = self._counters.get(DocumentKind.ROOT) or Mark(0, 1, "")
        if mark.seq != known.seq + 1:
            raise TrustError("older_version", f"root version {mark.seq} cannot follow {known.seq}")
        return self._verified(DocumentKind.ROOT, _Opened(document, mark.digest, None), mark, envelope)

    def verify_keyset(self, envelope: bytes | str, *, now: datetime | None) -> Verified[KeySet]:
        """Judge a key set offered by a controller.

        Raises:
            ProtocolError: with the code of the first rule it breaks.
        """
        opened, key_set = self._open_key_set(envelope)
        if key_set.root_fingerprint != self.root_fingerprint:
            raise TrustError("wrong_root", "names another root than the one that signed it")
        mark = Mark(key_set.term, key_set.version, opened.digest)
        missing = self._key_set is None and self._is_last(DocumentKind.KEY_SET, mark)
        if not missing:  # lost from the disk: take the same bytes again
            self._check_order(DocumentKind.KEY_SET, mark, key_set)
        check_time(key_set.issued, key_set.expires, now)
        return cast("Verified[KeySet]", self._verified(DocumentKind.KEY_SET, opened, mark, envelope))

    def verify_settings(self, envelope: bytes | str, *, now: datetime | None) -> Verified[Settings]:
        """Judge settings offered by a controller.

        Raises:
            AlreadyHaveError: they are the ones accepted last.
            ProtocolError: with the code of the first rule they break.
        """
        return cast("Verified[Settings]", self._verify_offer(DocumentKind.SETTINGS, envelope, now))

    def verify_plan(self, envelope: bytes | str, *, now: datetime | None) -> Verified[PlanManifest]:
        """Judge a plan manifest offered by a controller.

        Raises:
            AlreadyHaveError: it is the one accepted last.
            ProtocolError: with the code of the first rule it breaks.
        """
        return cast("Verified[PlanManifest]", self._verify_offer(DocumentKind.PLAN, envelope, now))

    def verify_command(self, envelope: bytes | str, *, now: datetime | None) -> Verified[Command]:
        """Judge an order.

        Raises:
            ProtocolError: with the code of the first rule it breaks.
        """
        return cast("Verified[Command]", self._verify_offer(DocumentKind.COMMAND, envelope, now))

    def verify_again(self, envelope: bytes, *, now: datetime | None) -> Command:
        """Judge an order from the agent's own disk that was fresh when it was accepted, in a state without its counter.

        Its own expiry bounds when it may be *given*; how long it sounds its item says.

        Raises:
            ProtocolError: with the code of the first rule it breaks.
        """
        opened = self._open_online(DocumentKind.COMMAND, envelope)
        document = cast("Command", opened.document)
        self._check_role(document, cast("OnlineKey", opened.key))
        self._check_target(document)
        self._check_term(document.term)
        if now is None:
            check_without_time(document)
        check_drill(document, self._notices)
        return document

    def verify_stream_open(self, envelope: bytes | str, *, now: datetime | None) -> Verified[StreamOpen]:
        """Judge the opening, or the extension, of a live stream.

        Raises:
            ProtocolError: with the code of the first rule it breaks.
        """
        return cast("Verified[StreamOpen]", self._verify_offer(DocumentKind.STREAM_OPEN, envelope, now))

    def restore_settings(self, envelope: bytes, *, now: datetime | None = None) -> Settings:
        """Take up settings from the agent's own disk (invariant 10).

        Raises:
            ProtocolError: not the ones accepted last, or, with ``now``, expired.
        """
        return cast("Settings", self._restore(DocumentKind.SETTINGS, envelope, now))

    def restore_plan(self, envelope: bytes, *, now: datetime | None = None) -> PlanManifest:
        """Take up the plan from the agent's own disk (invariant 10).

        Raises:
            ProtocolError: not the one accepted last, or, with ``now``, expired.
        """
        return cast("PlanManifest", self._restore(DocumentKind.PLAN, envelope, now))

    def check_still_new(self, verified: Verified[Any]) -> None:
        """Look once more, before something that was verified a moment ago is persisted.

        Raises:
            TrustError: ``replayed``: this order, or something newer of its kind, was committed in between (the same
                bytes may have come twice before the first was on disk).
        """
        mark = verified.counters.marks[verified.kind]
        known = self._counters.get(verified.kind)
        if known is not None and mark <= known:
            again = mark == known and mark.digest == known.digest and verified.kind in _REOFFERED
            if not again:
                raise TrustError("replayed", f"this {verified.kind.value}, or a newer one, was accepted meanwhile")

    def commit(self, verified: Verified[Any]) -> None:
        """Make a verified document count, after its counters were persisted.

        Raises:
            TrustError: ``replayed``, as :meth:`check_still_new`.
        """
        self.check_still_new(verified)
        mark = verified.counters.marks[verified.kind]
        self._counters = self._counters.advanced(verified.kind, mark)
        match verified.document:
            case RootSuccessor(public=public):
                self._root_public = public
            case KeySet():
                self._key_set = verified.document
            case Settings() as settings:
                self._cluster_id = settings.cluster.cluster_id
                self._notices = settings.drill_notices
            case PlanManifest(cluster_id=cluster_id):
                self._cluster_id = cluster_id

    def gate(self, opened: StreamOpen) -> BundleGate:
        """The gate for the bundles of a stream whose opening was verified.

        Raises:
            TrustError: ``unknown_key`` or ``wrong_role``: its bundle key may not carry its class.
        """
        return BundleGate(opened, self._bundle_key(opened))

    def link_key(self, key_id: int, *, now: datetime | None) -> OnlineKey:
        """The online key with which a controller proves itself in a handshake.

        Raises:
            TrustError: ``unknown_key``, ``wrong_role`` or ``key_not_valid``.
        """
        key = self._key_set.by_id(key_id) if self._key_set is not None else None
        if key is None:
            raise TrustError("unknown_key", "the controller's key is not in the key set")
        if Role.PLAN not in key.roles:
            raise TrustError("wrong_role", "the controller proves itself with a key that may not sign plans")
        if now is not None and not key.valid_at(now):
            raise TrustError("key_not_valid", "the controller's key is not valid now")
        return key

    def _verify_offer(self, kind: DocumentKind, envelope: bytes | str, now: datetime | None) -> Verified[Any]:
        opened = self._open_online(kind, envelope)
        document = cast("OnlineDocument", opened.document)
        self._check_role(document, cast("OnlineKey", opened.key))
        self._check_target(document)
        mark = Mark(document.term, document.seq, opened.digest)
        self._check_order(kind, mark, document)
        self._check_term(document.term)
        check_time(*span_of(document), now)
        if now is None:
            check_without_time(document)
        check_drill(document, self._notices)
        return self._verified(kind, opened, mark, envelope)

    def _restore(self, kind: DocumentKind, envelope: bytes, now: datetime | None) -> Document:
        opened = self._open_online(kind, envelope)
        document = cast("Settings | PlanManifest", opened.document)
        self._check_role(document, cast("OnlineKey", opened.key))
        self._check_target(document)
        if not self._is_last(kind, Mark(document.term, document.seq, opened.digest)):
            raise TrustError("replayed", f"not the {kind.value} that was accepted last")
        check_time(*span_of(document), now)
        if isinstance(document, Settings):
            self._cluster_id = document.cluster.cluster_id
            self._notices = document.drill_notices
        elif self._cluster_id is None:
            self._cluster_id = document.cluster_id
        return document

    def _open_online(self, kind: DocumentKind, envelope: bytes | str) -> _Opened:
        parsed = open_envelope(envelope)
        self._check_type(parsed.payload_type, kind)
        if self._key_set is None:
            raise TrustError("no_key_set", "no key set was accepted yet")
        key = self._key_set.by_fingerprint(next(iter(parsed.signatures)))
        if key is None:
            raise TrustError("unknown_key", "signed with a key that is not in the key set")
        check_signatures(parsed, [key.public])
        return _Opened(decode(kind, parsed.payload), body_sha256(parsed.payload), key)

    def _open_key_set(self, envelope: bytes | str) -> tuple[_Opened, KeySet]:
        parsed = open_envelope(envelope)
        self._check_type(parsed.payload_type, DocumentKind.KEY_SET)
        if self.root_fingerprint not in parsed.signatures:
            raise TrustError("wrong_root", "not signed by the root this agent trusts")
        check_signatures(parsed, [self._root_public])
        key_set = cast("KeySet", decode(DocumentKind.KEY_SET, parsed.payload))
        return _Opened(key_set, body_sha256(parsed.payload), None), key_set

    def _restore_key_set(self, envelope: bytes) -> KeySet:
        parsed = open_envelope(envelope)
        self._check_type(parsed.payload_type, DocumentKind.KEY_SET)
        key_set = cast("KeySet", decode(DocumentKind.KEY_SET, parsed.payload))
        mark = Mark(key_set.term, key_set.version, body_sha256(parsed.payload))
        if not self._is_last(DocumentKind.KEY_SET, mark):
            raise TrustError("replayed", "not the key set that was accepted last")
        # After a rotation the disk may still hold the set of root N. It is, by its digest, the very one that was
        # verified then; whoever can alter the digest on this disk can as well alter the pinned root beside it.
        if key_set.root_fingerprint == self.root_fingerprint:
            check_signatures(parsed, [self._root_public])
        return key_set

    @staticmethod
    def _check_type(payload_type: str, kind: DocumentKind) -> None:
        if payload_type != PAYLOAD_TYPES[kind]:
            raise TrustError("wrong_type", f"not a {kind.value}")

    def _check_role(self, document: OnlineDocument, key: OnlineKey) -> None:
        if not key.roles & roles_of(document):
            raise TrustError("wrong_role", "signed with a key that may not sign this")
        if not key.valid_at(span_of(document)[0]):
            raise TrustError("key_not_valid", "issued when its key was not valid")
        if isinstance(document, StreamOpen):
            self._bundle_key(document)

    def _bundle_key(self, opened: StreamOpen) -> OnlineKey:
        key = self._key_set.by_id(opened.key_id) if self._key_set is not None else None
        if key is None:
            raise TrustError("unknown_key", "the stream's bundle key is not in the key set")
        if not key.roles & roles_for(opened.priority, streamed=True):
            raise TrustError("wrong_role", "the stream's bundle key may not carry its class")
        if not key.valid_at(opened.opened):
            raise TrustError("key_not_valid", "opened when its bundle key was not valid")
        return key

    def _check_target(self, document: OnlineDocument) -> None:
        if isinstance(document, Command | StreamOpen):
            meant = document.targets.include(self.agent_id, self._cluster_id)
        else:
            meant = document.agent_id == self.agent_id
        if not meant:
            raise TrustError("wrong_target", "meant for another agent or cluster")

    def _check_term(self, term: int) -> None:
        rooted = self._key_set.term if self._key_set is not None else 0
        if term < rooted:
            raise TrustError("term_too_low", f"term {term} is over; the key set says {rooted}")
        if term > rooted:
            raise TrustError("term_not_rooted", f"term {term} is above the key set's {rooted}")

    def _is_last(self, kind: DocumentKind, mark: Mark) -> bool:
        known = self._counters.get(kind)
        return known is not None and mark == known and mark.digest == known.digest

    def _check_order(self, kind: DocumentKind, mark: Mark, document: Document) -> None:
        known = self._counters.get(kind)
        if known is None or mark > known:
            return
        why = f"{kind.value} {mark.term}.{mark.seq} does not follow {known.term}.{known.seq}"
        if kind not in _REOFFERED:
            raise TrustError("replayed", why)
        if self._is_last(kind, mark):
            raise AlreadyHaveError(f"the {kind.value} accepted last", document)
        raise TrustError("replayed" if mark == known else "older_version", why)

    def _verified(self, kind: DocumentKind, opened: _Opened, mark: Mark, envelope: bytes | str) -> Verified[Any]:
        sealed = envelope.encode() if isinstance(envelope, str) else envelope
        counters = self._counters.advanced(kind, mark)
        return Verified(kind, opened.document, counters, sealed, opened.digest, opened.key)
