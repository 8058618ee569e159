"""How a box comes to be one of ours, and how it stops being one.

1. A provisioning token enrols one box, once, for one cluster, until it expires. Only its hash is kept. The box that
   used it may use it again (its answer was lost); no other may.
2. Eight digits: a box that nobody prepared waits, with its digits, in a bounded list in memory. A person with the
   right to enrol types the digits *that the box shows*, for that one box. Three wrong tries and the box has to begin
   again, with new digits. There is no way to approve several at once.
3. A revoked key never comes back by itself: neither a token nor digits re-admit it.
4. Enrolments with tokens are committed together: a district that powers up at once is one transaction, not hundreds.

Not here: the conversation with the box (:mod:`controller.gateway.enrol`), tries per address (also there).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, select

from controller.services.batching import Batcher
from controller.services.context import SYSTEM, Actor, Clock, Permission
from controller.services.directory import AgentEntry, Directory
from controller.services.errors import ConflictError, FieldProblem, ForbiddenError, InvalidError, NotFoundError
from controller.services.keeping import Keeper
from controller.store import Database, Transaction, tables
from protocol.enrolment import Provisioning
from protocol.handshake import Peer

#: How long a card is good by default, and at most.
TOKEN_LIFE: Final = timedelta(days=30)
TOKEN_LIFE_MAX: Final = timedelta(days=366)
#: Tokens in one provisioning file (the wire's own bound is the same).
TOKENS_MAX: Final = 8192
#: Random bytes in a token: 144 bits, of which the wire wants at least 60.
_TOKEN_BYTES: Final = 18
#: Boxes that may wait for a person at a time; one address may hold a quarter of them.
PENDING_MAX: Final = 256
_PENDING_PER_ADDRESS: Final = 64
_WRONG_MAX: Final = 3
_DIGITS: Final = 8


@dataclass(eq=False, slots=True)
class Pending:
    """A box that waits for a person. ``answer`` is its cluster, or the reason it was turned away."""

    peer: Peer
    digits: str
    address: str
    since: datetime
    answer: asyncio.Future[str]
    wrong: int = 0


@dataclass(frozen=True, slots=True)
class _Redemption:
    peer: Peer
    token: str


@dataclass(slots=True)
class _Desk:
    """The boxes that wait, by id. In memory: after a restart they ask again."""

    waiting: dict[str, Pending] = field(default_factory=dict)

    def add(self, pending: Pending) -> None:
        """Let a box wait; it takes the place of an older try of its own.

        Raises:
            ConflictError: too many wait.
        """
        self.turn_away(pending.peer.agent_id, "a newer try of the same box took its place", code="superseded")
        same = sum(1 for other in self.waiting.values() if other.address == pending.address)
        if len(self.waiting) >= PENDING_MAX or same >= _PENDING_PER_ADDRESS:
            raise ConflictError(
                "too many boxes wait for approval; approve or wait, then try again", code="pending_full"
            )
        self.waiting[pending.peer.agent_id] = pending

    def turn_away(self, agent_id: str, why: str, *, code: str) -> None:
        """End one box's wait with a reason."""
        pending = self.waiting.pop(agent_id, None)
        if pending is not None and not pending.answer.done():
            pending.answer.set_exception(ForbiddenError(why, code=code))


class EnrolmentService:
    """Use-cases of enrolling, moving and revoking boxes."""

    def __init__(self, db: Database, directory: Directory, clock: Clock, *, root_fingerprint: str) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        self._root = root_fingerprint
        self._desk = _Desk()
        self._redeemer: Batcher[_Redemption, str | Exception] = Batcher(
            self._redeem_all, name="enrolments", limit=2048, batch=256
        )

    def open(self, keeper: Keeper) -> None:
        """Begin to take tokens."""
        self._redeemer.open(keeper)

    def close(self) -> None:
        """Take no more; whoever waits is told to come back."""
        self._redeemer.close()
        for agent_id in list(self._desk.waiting):
            self._desk.turn_away(agent_id, "the controller restarts; ask again", code="restarting")

    # --- the people's side ------------------------------------------------------------------------------------

    async def provision(
        self, actor: Actor, cluster_ids: Sequence[str], *, controller: str | None, life: timedelta = TOKEN_LIFE
    ) -> tuple[Provisioning, datetime]:
        """Make one-time tokens, one for each cluster named (a cluster may be named twice). Returns file and expiry.

        Raises:
            InvalidError: no cluster, too many, or a life out of bounds.
            NotFoundError: there is no such cluster.
            ForbiddenError: the right to enrol there is missing.
        """
        if not 0 < len(cluster_ids) <= TOKENS_MAX:
            raise InvalidError(
                f"name 1 to {TOKENS_MAX} clusters", fields=[FieldProblem("clusters", f"1 to {TOKENS_MAX}")]
            )
        if not timedelta(minutes=1) <= life <= TOKEN_LIFE_MAX:
            raise InvalidError("a token lives 1 minute to 366 days", fields=[FieldProblem("life_s", "out of bounds")])
        for cluster_id in dict.fromkeys(cluster_ids):
            self._directory.require_cluster(actor, Permission.ENROL, cluster_id)
        now = self._clock.now()
        tokens = [secrets.token_urlsafe(_TOKEN_BYTES) for _ in cluster_ids]
        async with self._db.transaction(actor) as tx:
            for token, cluster_id in zip(tokens, cluster_ids, strict=True):
                tx.session.add(
                    tables.ProvisioningToken(
                        hash=_hash(token),
                        cluster_id=cluster_id,
                        created_by=actor.user_id,
                        created_at=now,
                        expires=now + life,
                    )
                )
            tx.audit(
                "agent.provision",
                cluster_ids[0] if len(cluster_ids) == 1 else f"{len(cluster_ids)} clusters",
                {"clusters": list(cluster_ids), "expires": (now + life).isoformat()},
            )
        return Provisioning(controller, self._root, tuple(tokens)), now + life

    def pending(self, actor: Actor) -> tuple[Pending, ...]:
        """The boxes that wait, oldest first.

        Raises:
            ForbiddenError: the right to enrol is held nowhere.
        """
        if not actor.may_somewhere(Permission.ENROL):
            raise ForbiddenError("you need the right 'enrol'; ask an administrator for a role")
        return tuple(sorted(self._desk.waiting.values(), key=lambda one: one.since))

    async def approve(self, actor: Actor, agent_id: str, cluster_id: str, code: str) -> AgentEntry:
        """Let one waiting box in: ``code`` are the digits that the box itself shows.

        Raises:
            NotFoundError: no such box waits, or there is no such cluster.
            ForbiddenError: the right to enrol there is missing, or the digits are not the box's.
            InvalidError: the code is not eight digits.
            ConflictError: the box was revoked before.
        """
        self._directory.require_cluster(actor, Permission.ENROL, cluster_id)
        typed = "".join(letter for letter in code if not letter.isspace() and letter != "-")
        if len(typed) != _DIGITS or not (typed.isascii() and typed.isdigit()):
            raise InvalidError("the code is the eight digits the box shows", fields=[FieldProblem("code", "8 digits")])
        pending = self._desk.waiting.get(agent_id)
        if pending is None or pending.answer.done():
            raise NotFoundError(
                f"no box {agent_id!r} waits for approval; it must be switched on and connected", code="not_pending"
            )
        if not hmac.compare_digest(typed, pending.digits.replace(" ", "")):
            self._count_wrong(pending)
        async with self._db.transaction(actor) as tx:
            entry = await self._admit(tx, pending.peer, cluster_id, approved_by=actor.user_id)
            tx.audit("agent.approve", agent_id, {"cluster": cluster_id, "route": "code"})
        self._desk.waiting.pop(agent_id, None)
        if not pending.answer.done():
            pending.answer.set_result(cluster_id)
        return entry

    async def move(self, actor: Actor, agent_id: str, cluster_id: str) -> AgentEntry:
        """Let an approved box serve another cluster.

        Raises:
            NotFoundError: there is no such box or cluster.
            ForbiddenError: the right to enrol is missing at the old or the new place.
            ConflictError: the box is not approved.
        """
        self._require_place(actor, self._directory.agent(agent_id), Permission.ENROL)
        self._directory.require_cluster(actor, Permission.ENROL, cluster_id)
        async with self._db.transaction(actor) as tx:
            row = await _row(tx, agent_id)
            if row.state != "approved":
                raise ConflictError(f"the box is {row.state}, not approved", code="not_approved")
            row.cluster_id = cluster_id
            tx.session.add(row)
            tx.audit("agent.move", agent_id, {"cluster": cluster_id})
            return self._publish(tx, row)

    async def revoke(self, actor: Actor, agent_id: str) -> AgentEntry:
        """Never speak to a box again. Its connections end within the second; saying it twice is no error.

        Raises:
            NotFoundError: there is no such box.
            ForbiddenError: the right to control the box is missing.
        """
        self._require_place(actor, self._directory.agent(agent_id), Permission.AGENT_CONTROL)
        self._desk.turn_away(agent_id, "this box was revoked", code="revoked")
        async with self._db.transaction(actor) as tx:
            row = await _row(tx, agent_id)
            row.state = "revoked"
            tx.session.add(row)
            tx.audit("agent.revoke", agent_id, {"cluster": row.cluster_id})
            return self._publish(tx, row)

    # --- the boxes' side --------------------------------------------------------------------------------------

    async def redeem(self, peer: Peer, token: str) -> str:
        """Enrol a box that proved its key, with a token. Returns its cluster.

        Raises:
            ForbiddenError: the token is unknown, used, expired, or the box was revoked (codes ``bad_token``,
                ``token_used``, ``token_expired``, ``revoked``).
            BusyError, StoreBusyError: too much at once; try again.
        """
        result = await self._redeemer.submit(_Redemption(peer, token))
        if isinstance(result, Exception):
            raise result
        return result

    def wait_for_person(self, peer: Peer, digits: str, address: str) -> Pending:
        """Put a box that showed its digits on the list.

        Raises:
            ForbiddenError: it was revoked.
            ConflictError: too many wait.
        """
        known = self._directory.agents.get(peer.agent_id)
        if known is not None and known.state == "revoked":
            raise ForbiddenError("this box was revoked", code="revoked")
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        pending = Pending(peer, digits, address, self._clock.now(), answer)
        self._desk.add(pending)
        return pending

    def leave(self, pending: Pending) -> None:
        """A waiting box is gone."""
        if self._desk.waiting.get(pending.peer.agent_id) is pending:
            del self._desk.waiting[pending.peer.agent_id]
        if pending.answer.done() and not pending.answer.cancelled():
            pending.answer.exception()  # nobody else will look at it

    # --- inside -----------------------------------------------------------------------------------------------

    def _count_wrong(self, pending: Pending) -> None:
        pending.wrong += 1
        left = _WRONG_MAX - pending.wrong
        if left > 0:
            raise ForbiddenError(f"these are not the digits this box shows; {left} tries left", code="wrong_code")
        self._desk.turn_away(pending.peer.agent_id, "wrong digits were typed; ask again", code="wrong_code")
        raise ForbiddenError(
            "these are not the digits this box shows; it begins again now and will show new ones", code="wrong_code"
        )

    def _require_place(self, actor: Actor, entry: AgentEntry, permission: Permission) -> None:
        if entry.cluster_id is None or entry.cluster_id not in self._directory.clusters:
            self._directory.require(actor, permission, None)
        else:
            self._directory.require_cluster(actor, permission, entry.cluster_id)

    async def _redeem_all(self, batch: Sequence[_Redemption]) -> list[str | Exception]:
        """One transaction for everyone who waits; each gets a cluster or their own refusal."""
        now = self._clock.now()
        results: list[str | Exception] = []
        async with self._db.transaction(SYSTEM) as tx:
            hashes = [_hash(one.token) for one in batch]
            found = await tx.session.exec(
                select(tables.ProvisioningToken).where(col(tables.ProvisioningToken.hash).in_(hashes))
            )
            tokens = {row.hash: row for row in found}
            for one, digest in zip(batch, hashes, strict=True):
                try:
                    results.append(await self._redeem_one(tx, one.peer, tokens.get(digest), now))
                except (ForbiddenError, ConflictError) as error:
                    results.append(error)
        return results

    async def _redeem_one(
        self, tx: Transaction, peer: Peer, token: tables.ProvisioningToken | None, now: datetime
    ) -> str:
        known = self._directory.agents.get(peer.agent_id)
        if known is not None and known.state == "revoked":
            raise ForbiddenError("this box was revoked", code="revoked")
        if token is None or token.cluster_id is None:
            raise ForbiddenError(
                "the token is not one of this controller's; make a new provisioning file", code="bad_token"
            )
        if token.used_by is not None and token.used_by != peer.agent_id:
            raise ForbiddenError("the token was used by another box; make a new provisioning file", code="token_used")
        if now >= token.expires:
            raise ForbiddenError("the token has expired; make a new provisioning file", code="token_expired")
        if token.used_by is None:
            await self._admit(tx, peer, token.cluster_id, approved_by=token.created_by)
            token.used_by, token.used_at = peer.agent_id, now
            tx.session.add(token)
            tx.audit("agent.enrol", peer.agent_id, {"cluster": token.cluster_id, "route": "token"})
        return token.cluster_id

    async def _admit(self, tx: Transaction, peer: Peer, cluster_id: str, *, approved_by: str) -> AgentEntry:
        """Make a box an approved one.

        Raises:
            ForbiddenError: it was revoked.
        """
        row = await tx.session.get(tables.Agent, peer.agent_id)
        if row is not None and row.state == "revoked":
            raise ForbiddenError("this box was revoked; a revoked key is never used again", code="revoked")
        if row is None:
            row = tables.Agent(
                id=peer.agent_id, public_key=peer.public_key.hex(), enrolled_at=self._clock.now(), state="approved"
            )
        row.cluster_id, row.state, row.approved_by = cluster_id, "approved", approved_by
        row.software = peer.software
        tx.session.add(row)
        return self._publish(tx, row)

    def _publish(self, tx: Transaction, row: tables.Agent) -> AgentEntry:
        entry = AgentEntry.of(row)
        tx.on_commit(lambda: self._directory.put_agent(entry))
        return entry


async def _row(tx: Transaction, agent_id: str) -> tables.Agent:
    row = await tx.session.get(tables.Agent, agent_id)
    if row is None:
        raise NotFoundError(f"there is no agent {agent_id!r}", code="agent_not_found")
    return row


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
