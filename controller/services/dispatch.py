"""Orders on their way: numbered by the journal, signed, sent, and followed until every agent has answered.

Rules kept here:

1. This path touches no database. (term, seq) and durability come from the
   :class:`~controller.store.journal.CommandJournal`, targets from the directory, the signature from the vault.
2. An order is sent to the agents that are online; the others get it when they connect, as long as it has not expired
   (:meth:`Courier.pending_for`). An agent refuses a number it has seen, so nothing is acted on twice.
3. A long list of clusters becomes several commands (:data:`TARGETS_A_COMMAND` each), one order for people, so that a
   box on a slow line is not told the names of a thousand others before it may sound. What belongs to one decision is
   one line of the journal, and none of it is sent before all of it is there.
4. What sounds is recorded or refused (``not_recorded``, nothing was sent); what only silences goes out all the same.
5. A document is signed with the key of a role that may sign it (:func:`protocol.authority.roles_of`).
6. What was silenced before it reached an agent is not told to that agent any more (:meth:`Courier.retire`).
7. At most :data:`KEPT` commands are followed; the oldest are forgotten here (the journal and the database keep them).

Not here: who may give which order (:mod:`controller.services.orders`), copying into the database
(:mod:`controller.services.ledger`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from controller.services.context import Clock
from controller.services.directory import Directory
from controller.services.errors import BusyError
from controller.services.ports import AgentGateway
from controller.services.precedence import Precedence
from controller.store.errors import JournalError
from controller.store.journal import CommandJournal, Draft, JournalEntry
from protocol.authority import OnlineDocument, roles_of
from protocol.codec import decode, encode, seal_document
from protocol.documents import (
    CloseStreamOrder,
    Command,
    DocumentKind,
    Order,
    PlayOrder,
    ReleaseOrder,
    SilentTestOrder,
    StopOrder,
    Targets,
    WithdrawOrder,
)
from protocol.errors import ProtocolError
from protocol.jsonsafe import loads_object
from protocol.keys import Role, SigningKey
from protocol.limits import MAX_BODY, MAX_COMMAND_LIFE

#: Commands followed at a time, and orders remembered.
KEPT: Final = 2_000
#: Clusters named in one command: with 128 its envelope has about 4 kB. More would be allowed on the wire.
TARGETS_A_COMMAND: Final = 128
_NONCE_BYTES: Final = 16
#: Agents noted in one go: some milliseconds.
_SLICE: Final = 250

_log = structlog.get_logger(__name__)


class Signers(Protocol):
    """The vault, as far as signing goes."""

    @property
    def term(self) -> int:
        """The term documents are numbered under."""
        ...

    def key(self, role: Role) -> SigningKey:
        """The online key of a role."""
        ...


@dataclass(frozen=True, slots=True)
class Sheet:
    """One order and whom it is for (None: everyone). ``life``: how long it is worth acting on, where that differs."""

    order: Order
    clusters: frozenset[str] | None
    life: timedelta | None = None


@dataclass(slots=True)
class Sent:
    """One command and where it stands with each agent: queued, sent, accepted, refused or retired."""

    command: Command
    envelope: bytes
    clusters: frozenset[str] | None  # None: everyone
    states: dict[str, tuple[str, str]] = field(default_factory=dict)  # agent -> (state, code)

    def counts(self) -> dict[str, int]:
        """How many agents are in each state."""
        counts = {"queued": 0, "sent": 0, "accepted": 0, "refused": 0, "retired": 0}
        for state, _ in self.states.values():
            counts[state] += 1
        return counts


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One order for people: one command or several. ``durable`` False: acted on, but the disk refused to keep it."""

    name: str  # nonce of the first command
    kind: str
    issued: datetime
    expires: datetime
    parts: tuple[Sent, ...]
    durable: bool

    @property
    def agents(self) -> int:
        """Agents it is for."""
        return sum(len(part.states) for part in self.parts)

    @property
    def online(self) -> int:
        """Agents it was sent to at once or that answered since."""
        return sum(sum(state != "queued" for state, _ in part.states.values()) for part in self.parts)


DeliveryListener = Callable[[tuple[int, int], str, str, str, str], None]


class Courier:
    """Sends orders and follows them. Listeners must be quick and must not raise.

    ``delivery_listeners`` hear number (term, seq), agent, state, code, detail; ``order_listeners`` every order given,
    once it is on its way.
    """

    def __init__(
        self,
        journal: CommandJournal,
        signers: Signers,
        gateway: AgentGateway,
        directory: Directory,
        clock: Clock,
        *,
        precedence: Precedence | None = None,
    ) -> None:
        """``precedence``: what holds still while an order is on its way; None: nothing has to."""
        self._journal = journal
        self._signers = signers
        self._gateway = gateway
        self._directory = directory
        self._clock = clock
        self._precedence = precedence or Precedence()
        self._sent: OrderedDict[tuple[int, int], Sent] = OrderedDict()
        self._orders: OrderedDict[str, Dispatched] = OrderedDict()
        self.delivery_listeners: list[DeliveryListener] = []
        self.order_listeners: list[Callable[[Dispatched], None]] = []
        self.on_journalled: Callable[[], None] | None = None

    def restore(self) -> tuple[tuple[int, int], ...]:
        """Take up again the unexpired orders of the journal (at start); returns their numbers."""
        now = self._clock.now()
        for entry in self._journal.entries_after(0):
            command = command_of(entry)
            if command is not None and command.expires > now:
                self._remember(self._follow(command))
        for sent in list(self._sent.values()):
            if isinstance(sent.command.order, StopOrder):
                self.retire(sent.clusters, sent.command.issued)
            elif isinstance(sent.command.order, WithdrawOrder) and sent.command.order.recurrence is None:
                self.retire_rules(frozenset({sent.command.order.rule_id}), sent.clusters)
        return tuple(self._sent)

    def recall(self, number: tuple[int, int], answers: Mapping[str, tuple[str, str]]) -> None:
        """What agents answered to a restored order before the restart: it is not told to them again."""
        sent = self._sent.get(number)
        if sent is not None:
            sent.states.update({agent: said for agent, said in answers.items() if agent in sent.states})

    async def give(
        self,
        order: Order,
        clusters: frozenset[str] | None,
        *,
        actor: str,
        life: timedelta,
        details: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Dispatched:
        """Number, sign and send an order to clusters (None: to everyone).

        Args:
            order: what to do.
            clusters: at least one, or None.
            actor: who says so, for the audit log.
            life: how long it is worth acting on; at most 24 h.
            details: more for the audit log.
            idempotency_key: kept with the order.

        Raises:
            BusyError: ``not_recorded``; nothing was sent.
        """
        return await self.give_all(
            [Sheet(order, clusters)], actor=actor, life=life, details=details, idempotency_key=idempotency_key
        )

    async def give_all(
        self,
        sheets: Sequence[Sheet],
        *,
        actor: str,
        life: timedelta,
        details: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        notes: Sequence[Draft] = (),
    ) -> Dispatched:
        """Several orders that are one decision: journalled together, then sent in order.

        ``notes`` are journalled before them, in the same line (what the decision was). If any order sounds, all of it
        is on the disk before a byte is sent, or nothing is sent at all.

        Raises:
            BusyError: ``not_recorded``; nothing was sent.
        """
        self._precedence.order()
        issued = self._clock.now()
        drafts = [
            Command(1, 1, issued, _end(issued, sheet.life or life), secrets.token_hex(_NONCE_BYTES), group, sheet.order)
            for sheet in sheets
            for group in _groups(sheet.clusters)
        ]
        said = {"details": dict(details or {}), "idempotency_key": idempotency_key}
        lines = [Draft(kind_of(one.order), {"command": encode(one).decode(), **said}) for one in drafts]
        strict = any(isinstance(sheet.order, PlayOrder) for sheet in sheets)
        entries = await self._journalled([*notes, *lines], actor, issued, strict=strict)
        numbered = [_numbered(one, entry) for one, entry in zip(drafts, entries[len(notes) :], strict=True)]
        parts = [await self._send(command) for command in numbered]
        for part in parts:  # everything is on its way before anything is written down about it
            await self._mark_sent(part)
        first = parts[0].command
        durable = all(entry.durable for entry in entries)
        kind = kind_of(first.order)
        dispatched = Dispatched(first.nonce, kind, issued, first.expires, tuple(parts), durable)
        self._keep(dispatched)
        if not durable:
            _log.error("order_not_durable", order=dispatched.name, why=self._journal.fault)
        for listener in self.order_listeners:
            listener(dispatched)
        self._tell_journalled()
        return dispatched

    async def note(self, notes: Sequence[Draft], *, actor: str) -> tuple[JournalEntry, ...]:
        """Journal decisions that send nothing.

        Raises:
            BusyError: ``not_recorded``.
        """
        entries = await self._journalled(notes, actor, self._clock.now(), strict=True)
        self._tell_journalled()
        return entries

    def retire(self, clusters: frozenset[str] | None, before: datetime) -> None:
        """Silence was ordered there: sounds issued before it are not told to agents that have not got them yet."""
        agents = None if clusters is None else self._directory.agents_of(clusters)
        for sent in self._sent.values():
            if isinstance(sent.command.order, PlayOrder) and sent.command.issued <= before:
                for agent_id, (state, _) in list(sent.states.items()):
                    if state == "queued" and (agents is None or agent_id in agents):
                        self._mark(sent, agent_id, "retired")

    def retire_rules(self, rules: frozenset[str], clusters: frozenset[str] | None = None) -> None:
        """These items were withdrawn there: agents that have not got them yet are not told of them."""
        agents = None if clusters is None else self._directory.agents_of(clusters)
        for sent in self._sent.values():
            order = sent.command.order
            if isinstance(order, PlayOrder) and order.item.rule_id in rules:
                for agent_id, (state, _) in list(sent.states.items()):
                    if state == "queued" and (agents is None or agent_id in agents):
                        self._mark(sent, agent_id, "retired")

    def pending_for(self, agent_id: str) -> tuple[bytes, ...]:
        """Unexpired orders an agent that connects now has not answered, in the order of their numbers."""
        entry = self._directory.agents.get(agent_id)
        if entry is None:
            return ()
        now = self._clock.now()
        found: list[tuple[tuple[int, int], bytes]] = []
        for number, sent in self._sent.items():
            state = sent.states.get(agent_id, ("queued", ""))[0]
            waiting = state in {"queued", "sent"} and sent.command.expires > now
            if waiting and sent.command.targets.include(agent_id, entry.cluster_id):
                self._mark(sent, agent_id, "sent")
                found.append((number, sent.envelope))
        return tuple(envelope for _, envelope in sorted(found))

    def answered(self, agent_id: str, term: int, seq: int, *, accepted: bool, code: str = "", detail: str = "") -> None:
        """An agent accepted or refused an order."""
        sent = self._sent.get((term, seq))
        if sent is not None:
            self._mark(sent, agent_id, "accepted" if accepted else "refused", code, detail)

    def order(self, name: str) -> Dispatched | None:
        """An order by its name, while it is remembered."""
        return self._orders.get(name)

    def sent(self, number: tuple[int, int]) -> Sent | None:
        """One command by its number, while it is followed."""
        return self._sent.get(number)

    def followed(self) -> Sequence[Sent]:
        """Every command that is followed, oldest first."""
        return tuple(self._sent.values())

    def recent(self) -> Sequence[Dispatched]:
        """The orders that are remembered, newest first."""
        return tuple(reversed(self._orders.values()))

    def stopped_since(self, instant: datetime) -> frozenset[str] | None:
        """Clusters that were told to STOP at or after ``instant``; None when everyone was."""
        found: set[str] = set()
        for sent in self._sent.values():
            if isinstance(sent.command.order, StopOrder) and sent.command.issued >= instant:
                if sent.clusters is None:
                    return None
                found |= sent.clusters
        return frozenset(found)

    def _remember(self, sent: Sent) -> None:
        """A restored command, as an order of its own."""
        command = sent.command
        self._keep(
            Dispatched(command.nonce, kind_of(command.order), command.issued, command.expires, (sent,), durable=True)
        )

    def _keep(self, dispatched: Dispatched) -> None:
        self._orders[dispatched.name] = dispatched
        while len(self._orders) > KEPT:
            self._orders.popitem(last=False)

    async def _journalled(
        self, drafts: Sequence[Draft], actor: str, at: datetime, *, strict: bool
    ) -> tuple[JournalEntry, ...]:
        try:
            return await self._journal.append_all(drafts, actor=actor, at=at, strict=strict)
        except JournalError as error:
            _log.error("order_not_recorded", why=str(error))
            raise BusyError(
                f"it was not recorded, and nothing was sent: {error}; free some space, then ask again (STOP works)",
                code="not_recorded",
            ) from error

    def _tell_journalled(self) -> None:
        if self.on_journalled is not None:
            self.on_journalled()

    async def _send(self, command: Command) -> Sent:
        sent = self._follow(command)
        await self._gateway.send_command(sent.envelope, frozenset(sent.states))
        return sent

    async def _mark_sent(self, sent: Sent) -> None:
        """Note who was online; a slice at a time, because their sockets are being written meanwhile."""
        online = sorted(self._gateway.online() & sent.states.keys())
        for at in range(0, len(online), _SLICE):
            for agent_id in online[at : at + _SLICE]:
                if sent.states[agent_id][0] == "queued":  # some have answered already
                    self._mark(sent, agent_id, "sent")
            await asyncio.sleep(0)

    def _follow(self, command: Command) -> Sent:
        envelope = seal_document(command, self._signers.key(role_for(command)))
        clusters = None if command.targets.everyone else frozenset(command.targets.clusters)
        agents = self._directory.agents_of(self._directory.clusters if clusters is None else clusters)
        sent = Sent(command, envelope, clusters, dict.fromkeys(agents, ("queued", "")))
        self._sent[command.term, command.seq] = sent
        while len(self._sent) > KEPT:
            self._sent.popitem(last=False)
        return sent

    def _mark(self, sent: Sent, agent_id: str, state: str, code: str = "", detail: str = "") -> None:
        if sent.states.get(agent_id) == (state, code):
            return
        sent.states[agent_id] = (state, code)
        for listener in self.delivery_listeners:
            listener((sent.command.term, sent.command.seq), agent_id, state, code, detail)


#: Which key signs where several may: the everyday one first.
_PREFERRED: Final = (Role.PLAN, Role.LIVE, Role.EMERGENCY, Role.DRILL)


def role_for(document: OnlineDocument) -> Role:
    """The role whose key signs a document of ours."""
    allowed = roles_of(document)
    return next(role for role in _PREFERRED if role in allowed)


_KINDS: Final[dict[type[Order], str]] = {
    StopOrder: "stop",
    ReleaseOrder: "release",
    WithdrawOrder: "withdraw",
    PlayOrder: "play",
    CloseStreamOrder: "close_stream",
    SilentTestOrder: "test",
}


#: Every kind of order there is.
ORDER_KINDS: Final = frozenset(_KINDS.values())


def kind_of(order: Order) -> str:
    """What an order is called in the journal and the database."""
    return _KINDS[type(order)]


def _end(issued: datetime, life: timedelta) -> datetime:
    return issued + min(life, MAX_COMMAND_LIFE)


def _groups(clusters: frozenset[str] | None) -> Iterable[Targets]:
    if clusters is None:
        return [Targets(everyone=True)]
    names = sorted(clusters)
    each = TARGETS_A_COMMAND
    return [Targets(clusters=tuple(names[at : at + each])) for at in range(0, len(names), each)]


def _numbered(draft: Command, entry: JournalEntry) -> Command:
    return Command(entry.term, entry.seq, draft.issued, draft.expires, draft.nonce, draft.targets, draft.order)


def command_of(entry: JournalEntry) -> Command | None:
    """The command of a journal entry; None when it is of another kind, or of a version that wrote it otherwise."""
    text = entry.body.get("command")
    if not isinstance(text, str):
        return None
    try:
        draft = decode(DocumentKind.COMMAND, text.encode())
    except ProtocolError as error:
        _log.warning("journal_entry_unreadable", seq=entry.seq, why=error.detail)
        return None
    return _numbered(draft, entry) if isinstance(draft, Command) else None


def order_body(text: str) -> dict[str, Any]:
    """The JSON of a journalled command, for the database."""
    return dict(loads_object(text, max_bytes=MAX_BODY))
