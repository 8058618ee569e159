"""Signing in and out: tokens of 256 random bits, of which only the hash is kept.

Rules kept here:

1. Who comes with a token is answered from memory (:meth:`Sessions.actor_of`), also while the database is locked.
2. A token dies when it is unused for its idle time, at its expiry, at sign-out, with a new password, and at once when
   its user is disabled.
3. Guessing is throttled by name and by address; people who are signed in are not touched by it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlmodel import col, delete, select, update

from controller.services.context import Actor, Clock
from controller.services.directory import Directory, TokenEntry, UserEntry
from controller.services.errors import InvalidError, NotFoundError, TooManyError, UnauthenticatedError
from controller.services.passwords import MAX_LENGTH, Passwords
from controller.services.second_factor import SecondFactors
from controller.services.throttle import PER_ACCOUNT, PER_ADDRESS, Throttle
from controller.store import Database, StoreBusyError, tables
from controller.store.actions import AuditAction

#: A session unused for so long is gone: a shift at the desk.
IDLE = timedelta(hours=12)
#: A session ends at the latest after this.
LIFE = timedelta(days=7)
#: Longest life of a script's token.
MAX_TOKEN_LIFE = timedelta(days=400)
#: Live tokens one user may have; a new one pushes out the longest unused.
MAX_TOKENS = 20
_TOKEN_BYTES = 32

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh token; the only time it is seen in the clear."""

    token: str
    actor: Actor
    expires: datetime
    must_change: bool


class Sessions:
    """Use-cases around tokens."""

    def __init__(
        self,
        db: Database,
        directory: Directory,
        clock: Clock,
        passwords: Passwords,
        second_factors: SecondFactors,
        *,
        throttle: Throttle | None = None,
        suspect: Callable[[str, str], None] | None = None,
    ) -> None:
        """Prepare; ``suspect`` is told (code, sentence) of every sign-in that was refused."""
        self._db = db
        self._directory = directory
        self._clock = clock
        self._passwords = passwords
        self._second_factors = second_factors
        self._throttle = throttle or Throttle()
        self._suspect = suspect
        self._flushed: dict[str, datetime] = {}

    def actor_of(self, token: str) -> Actor | None:
        """Who comes with this token, None when nobody may. Uses memory only."""
        return self._directory.actor_of_token(token_hash(token), self._clock.now())

    async def login(
        self, name: str, password: str, *, address: str, label: str = "", code: str | None = None
    ) -> SignedIn:
        """Sign in with a password, and the code of the second factor if the user has one.

        Raises:
            UnauthenticatedError: name or password is wrong, or the user is disabled; it does not say which. Or the
                code is missing or wrong, which is said only to who knows the password.
            TooManyError: too many failures for this name or from this address.
            BusyError: too many are signing in right now.
            StoreBusyError: the new session could not be written.
        """
        keys = {f"name:{name.casefold()[:MAX_LENGTH]}": PER_ACCOUNT, f"address:{address}": PER_ADDRESS}
        user = self._directory.user_named(name)
        try:
            self._throttle.attempt(keys, self._clock.now())
        except TooManyError as error:
            self._refused(error.code, user, address)
            raise
        stored = None
        if user is not None and not user.disabled:
            async with self._db.read() as session:
                query = select(tables.User.password_hash).where(col(tables.User.id) == user.id)
                stored = (await session.exec(query)).first()
        if not await self._passwords.matches(stored, password[: MAX_LENGTH + 1]) or user is None:
            self._refused("wrong_credentials", user, address)
            raise UnauthenticatedError("the name or the password is wrong", code="wrong_credentials")
        if user.second_factor:
            await self._check_code(user, code, keys, address)
        self._throttle.succeeded(keys, forget=next(iter(keys)))
        return await self.enter(user.id, label=label or "sign-in", second_factor=user.second_factor)

    async def _check_code(self, user: UserEntry, code: str | None, keys: dict[str, int], address: str) -> None:
        try:
            await self._second_factors.check(user, code)
        except UnauthenticatedError as error:
            if code:
                self._refused(error.code, user, address)
            else:
                self._throttle.take_back(keys)  # a page that asks for the code only now is not guessing
            raise
        except TooManyError as error:
            self._refused(error.code, user, address)
            raise

    async def issue(
        self,
        user_id: str,
        *,
        label: str,
        idle: timedelta,
        life: timedelta,
        action: AuditAction,
        second_factor: bool,
        sitting: bool = False,
    ) -> SignedIn:
        """Make a token for a user.

        Args:
            user_id: whose.
            label: what it is, for the list of sessions.
            idle: unused for so long, it is gone.
            life: gone at the latest.
            action: how the audit log names it.
            second_factor: a second factor was shown, here or in the session it is made in.
            sitting: a person signs in with it just now.

        Raises:
            InvalidError: it would live too long.
        """
        if not timedelta(0) < life <= MAX_TOKEN_LIFE:
            raise InvalidError(f"a token lives at most {MAX_TOKEN_LIFE.days} days")
        user = self._directory.users[user_id]
        now = self._clock.now()
        token = f"loa_{secrets.token_urlsafe(_TOKEN_BYTES)}"
        row = tables.Token(
            hash=token_hash(token),
            user_id=user.id,
            label=label,
            created_at=now,
            last_used=now,
            idle_s=int(idle.total_seconds()),
            expires=now + life,
            sitting=sitting,
            second_factor=second_factor,
        )
        actor = self._directory.actor(user, row.hash, second_factor=second_factor)
        surplus = [entry.hash for entry in self.of_user(user.id)[MAX_TOKENS - 1 :]]
        async with self._db.transaction(actor) as tx:
            tx.session.add(row)
            if surplus:
                await tx.session.exec(delete(tables.Token).where(col(tables.Token.hash).in_(surplus)))
            said = {"label": label, "expires": row.expires.isoformat(), "second_factor": second_factor}
            tx.audit(action, user.id, said)
            entry = TokenEntry.of(row)
            tx.on_commit(lambda: self._directory.put_token(entry))
            tx.on_commit(lambda: self._directory.drop_tokens(surplus))
        return SignedIn(token, actor, row.expires, actor.must_change)

    async def enter(self, user_id: str, *, label: str, second_factor: bool = False) -> SignedIn:
        """Sign a user in without asking for anything. Only for who has shown already who they are, and for demos.

        Raises:
            StoreBusyError: the new session could not be written.
        """
        return await self.issue(
            user_id,
            label=label,
            idle=IDLE,
            life=LIFE,
            action="session.login",
            second_factor=second_factor,
            sitting=True,
        )

    def _refused(self, code: str, user: UserEntry | None, address: str) -> None:
        """Take note. What is no user's name is not repeated: it may be a password in the wrong field."""
        if self._suspect is not None:
            self._suspect(f"sign_in_{code}", f"{user.name if user else 'an unknown name'} from {address}")

    def of_user(self, user_id: str) -> list[TokenEntry]:
        """The living tokens of a user, last used first."""
        now = self._clock.now()
        mine = [entry for entry in self._directory.tokens.values() if entry.user_id == user_id and entry.alive(now)]
        return sorted(mine, key=lambda entry: entry.last_used, reverse=True)

    async def end(self, actor: Actor, token_digest: str) -> None:
        """Sign out one of the actor's own sessions.

        Raises:
            NotFoundError: it is not theirs, or gone.
        """
        entry = self._directory.tokens.get(token_digest)
        if entry is None or entry.user_id != actor.user_id:
            raise NotFoundError("there is no such session of yours", code="session_not_found")
        # Out at once, even if the database makes the row wait; sweep() removes what is left of it.
        self._directory.drop_tokens([token_digest])
        async with self._db.transaction(actor) as tx:
            await tx.session.exec(delete(tables.Token).where(col(tables.Token.hash) == token_digest))
            tx.audit("session.logout", actor.user_id, {"label": entry.label})

    async def sweep(self) -> int:
        """Write down when tokens were last used, remove the dead ones, return how many. Call it every few minutes."""
        now = self._clock.now()
        dead = [entry.hash for entry in self._directory.tokens.values() if not entry.alive(now)]
        used = {
            entry.hash: entry.last_used
            for entry in self._directory.tokens.values()
            if entry.alive(now) and self._flushed.get(entry.hash) != entry.last_used
        }
        if not dead and not used:
            return 0
        async with self._db.telemetry() as session:
            for digest, at in used.items():
                await session.exec(update(tables.Token).where(col(tables.Token.hash) == digest).values(last_used=at))
            if dead:
                await session.exec(delete(tables.Token).where(col(tables.Token.hash).in_(dead)))
        self._directory.drop_tokens(dead)
        self._flushed = {
            digest: at for digest, at in (self._flushed | used).items() if digest in self._directory.tokens
        }
        return len(dead)

    async def sweep_quietly(self) -> None:
        """:meth:`sweep` for a background task: a busy database is no failure, the next round does it."""
        try:
            await self.sweep()
        except StoreBusyError:
            _log.warning("sessions were not written down: the database is busy")


def token_hash(token: str) -> str:
    """What is kept of a token. 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


__all__ = ["IDLE", "LIFE", "MAX_TOKENS", "MAX_TOKEN_LIFE", "Sessions", "SignedIn", "token_hash"]
