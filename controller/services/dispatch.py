"""Orders on their way: numbered by the journal, signed, sent, and followed until every agent has answered.

Rules kept here:

1. This path touches no database. (term, seq) and durability come from the
   :class:`~controller.store.journal.CommandJournal`, targets from the directory, the signature from the vault.
2. An order is sent to the agents that are online; the others get it when they connect, as long as it has not expired
   (:meth:`Courier.pending_for`). An agent refuses a number it has seen, so nothing is acted on twice.
3. A long list of clusters becomes several commands (:data:`~protocol.limits.MAX_TARGETS` each), one order for people.
4. At most :data:`KEPT` commands are followed; the oldest are forgotten here (the journal and the database keep them).

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
from controller.services.ports import AgentGateway
from controller.store.journal import CommandJournal, JournalEntry
from protocol.codec import decode, encode, seal_document
from protocol.documents import Command, DocumentKind, Order, PlayOrder, StopOrder, Targets, WithdrawOrder
from protocol.errors import ProtocolError
from protocol.jsonsafe import loads_object
from protocol.keys import Role, SigningKey
from protocol.limits import MAX_BODY, MAX_COMMAND_LIFE, MAX_TARGETS

#: Commands followed at a time.
KEPT: Final = 500
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


@dataclass(slots=True)
class Sent:
    """One command and where it stands with each agent: queued, sent, accepted or refused."""

    command: Command
    envelope: bytes
    clusters: frozenset[str] | None  # None: everyone
    states: dict[str, tuple[str, str]] = field(default_factory=dict)  # agent -> (state, code)

    def counts(self) -> dict[str, int]:
        """How many agents are in each state."""
        counts = {"queued": 0, "sent": 0, "accepted": 0, "refused": 0}
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
    """Sends orders and follows them. ``on_delivery`` hears number (term, seq), agent, state, code, detail."""

    def __init__(
        self, journal: CommandJournal, signers: Signers, gateway: AgentGateway, directory: Directory, clock: Clock
    ) -> None:
        self._journal = journal
        self._signers = signers
        self._gateway = gateway
        self._directory = directory
        self._clock = clock
        self._sent: OrderedDict[tuple[int, int], Sent] = OrderedDict()
        self._orders: OrderedDict[str, Dispatched] = OrderedDict()
        self.on_delivery: DeliveryListener | None = None
        self.on_journalled: Callable[[], None] | None = None

    def restore(self) -> tuple[tuple[int, int], ...]:
        """Take up again the unexpired orders of the journal (at start); returns their numbers."""
        now = self._clock.now()
        for entry in self._journal.entries_after(0):
            command = _command_of(entry)
            if command is not None and command.expires > now:
                self._remember(self._follow(command))
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
            JournalError: no number can be had; nothing was sent.
        """
        parts: list[Sent] = []
        durable = True
        issued = self._clock.now()
        for group in _groups(clusters):
            draft = Command(
                1, 1, issued, issued + min(life, MAX_COMMAND_LIFE), secrets.token_hex(_NONCE_BYTES), group, order
            )
            body = {
                "command": encode(draft).decode(),
                "details": dict(details or {}),
                "idempotency_key": idempotency_key,
            }
            entry = await self._journal.append(actor=actor, kind=kind_of(order), body=body, at=issued)
            durable = durable and entry.durable
            parts.append(await self._send(_numbered(draft, entry)))
        for part in parts:  # everything is on its way before anything is written down about it
            await self._mark_sent(part)
        first = parts[0].command
        dispatched = Dispatched(first.nonce, kind_of(order), issued, first.expires, tuple(parts), durable)
        self._keep(dispatched)
        if not durable:
            _log.error("order_not_durable", order=dispatched.name, why=self._journal.fault)
        if self.on_journalled is not None:
            self.on_journalled()
        return dispatched

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
        envelope = seal_document(command, self._signers.key(Role.PLAN))
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
        if self.on_delivery is not None:
            self.on_delivery((sent.command.term, sent.command.seq), agent_id, state, code, detail)


def kind_of(order: Order) -> str:
    """What an order is called in the journal and the database."""
    if isinstance(order, StopOrder):
        return "stop"
    if isinstance(order, WithdrawOrder):
        return "withdraw"
    return "play" if isinstance(order, PlayOrder) else "close_stream"


def _groups(clusters: frozenset[str] | None) -> Iterable[Targets]:
    if clusters is None:
        return [Targets(everyone=True)]
    names = sorted(clusters)
    return [Targets(clusters=tuple(names[at : at + MAX_TARGETS])) for at in range(0, len(names), MAX_TARGETS)]


def _numbered(draft: Command, entry: JournalEntry) -> Command:
    return Command(entry.term, entry.seq, draft.issued, draft.expires, draft.nonce, draft.targets, draft.order)


def _command_of(entry: JournalEntry) -> Command | None:
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
