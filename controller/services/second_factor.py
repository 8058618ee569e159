"""The second factor at sign-in: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when it is gone.

Rules kept here:

1. A secret counts only after a code made with it was shown: nobody locks themselves out with a picture they could not
   scan. What is not confirmed within :data:`PENDING` is void.
2. The secret lies sealed in the database (:mod:`controller.keys.sealing`); of recovery codes only the hash is kept.
3. A time step opens one session only, and none before it: who looks over a shoulder has nothing.
4. Guessing is throttled by user, whatever the address; where one may guess a password, the code is asked after it.

Not here: what is refused to sessions without one (:mod:`controller.services.directory`), how it is taken away
(:mod:`controller.services.accounts`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import pyotp
import structlog
from sqlmodel import col, delete

from controller.keys import UnsealError
from controller.keys.sealing import Sealer
from controller.services.accounts import AccountService
from controller.services.context import Actor, Clock
from controller.services.directory import Directory, UserEntry
from controller.services.errors import ConflictError, ForbiddenError, UnauthenticatedError
from controller.services.passwords import new_password
from controller.services.throttle import Throttle
from controller.store import Database, tables

#: Name under which an app shows it.
ISSUER: Final = "Loa"
RECOVERY_CODES: Final = 8
#: How long a secret waits for its first code.
PENDING: Final = timedelta(minutes=15)
#: So soon after a sign-in the password is not asked again.
FRESH: Final = timedelta(minutes=10)
#: Wrong codes of one user within the throttle's window. Five of a million, three of them right at a time.
TRIES: Final = 5
#: Steps of clock error that are forgiven, in either direction (RFC 6238, section 5.2).
_DRIFT: Final = (0, -1, 1)
_STEP_S: Final = 30
_DIGITS: Final = 6


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A secret to be put into an app; shown once."""

    secret: str  # base32, to be typed
    uri: str  # the same as otpauth://, to be scanned


class SecondFactors:
    """Use-cases around second factors."""

    def __init__(
        self,
        db: Database,
        directory: Directory,
        clock: Clock,
        accounts: AccountService,
        sealer: Sealer,
        *,
        throttle: Throttle | None = None,
    ) -> None:
        self._db = db
        self._directory = directory
        self._clock = clock
        self._accounts = accounts
        self._sealer = sealer
        self._throttle = throttle or Throttle()

    async def begin(self, actor: Actor, password: str | None) -> Pending:
        """Make a secret for the actor's app; it counts once :meth:`confirm` was called with one of its codes.

        Raises:
            ConflictError: there is a second factor already; it must be removed first.
            ForbiddenError: the password is wrong, or must be given because the sign-in was long ago.
            TooManyError: too many wrong passwords.
        """
        user = self._directory.users[actor.user_id]
        if user.second_factor:
            raise ConflictError("there is a second factor already; remove it first", code="already_enrolled")
        if password is not None:
            await self._accounts.check_own_password(actor, password)
        elif not self._fresh(actor):
            raise ForbiddenError("enter your password again", code="password_required")
        secret = pyotp.random_base32()
        row = tables.SecondFactor(
            user_id=user.id, secret=self._sealer.seal(secret, _context(user.id)), created_at=self._clock.now()
        )
        async with self._db.transaction(actor) as tx:
            await tx.session.merge(row)
            tx.audit("user.second_factor_begin", user.id, {"name": user.name})
        return Pending(secret, pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name=ISSUER))

    async def confirm(self, actor: Actor, code: str) -> tuple[str, ...]:
        """Make the pending secret count; the session at hand then has a second factor. Returns the recovery codes.

        Raises:
            ConflictError: nothing is pending, or it waited too long.
            ForbiddenError: the code is wrong.
            TooManyError: too many wrong ones.
        """
        user, now = self._directory.users[actor.user_id], self._clock.now()
        key = {f"code:{user.id}": TRIES}
        self._throttle.attempt(key, now)
        codes = tuple(new_password() for _ in range(RECOVERY_CODES))
        async with self._db.transaction(actor) as tx:
            row = await tx.session.get(tables.SecondFactor, user.id)
            if row is None or row.confirmed_at is not None or now - row.created_at > PENDING:
                raise ConflictError("nothing waits to be confirmed; begin again", code="nothing_pending")
            step = self._step(row, user.id, code, now)
            if step is None:
                raise ForbiddenError(
                    "this is not the app's code; check its time and try the next one", code="wrong_code"
                )
            row.confirmed_at, row.last_step = now, step
            tx.session.add(row)
            await tx.session.exec(delete(tables.RecoveryCode).where(col(tables.RecoveryCode.user_id) == user.id))
            tx.session.add_all([tables.RecoveryCode(hash=_hash(user.id, one), user_id=user.id) for one in codes])
            tx.audit("user.second_factor", user.id, {"name": user.name})
            enrolled = replace(user, second_factor=True)
            tx.on_commit(lambda: self._directory.put_user(enrolled))
            entry = self._directory.tokens.get(actor.token_hash or "")
            if entry is not None:
                raised = replace(entry, second_factor=True)
                token = await tx.session.get_one(tables.Token, entry.hash)
                token.second_factor = True
                tx.session.add(token)
                tx.on_commit(lambda: self._directory.put_token(raised))
        self._throttle.succeeded(key, forget=next(iter(key)))
        return codes

    async def check(self, user: UserEntry, code: str | None) -> None:
        """Let through who shows a fresh code of the user's app, or one of their recovery codes, which is then gone.

        Raises:
            UnauthenticatedError: ``second_factor_required``, ``second_factor_wrong``.
            TooManyError: too many wrong ones.
            StoreBusyError: that it was used could not be written down.
        """
        if not code:
            raise UnauthenticatedError(
                "enter the code of your authenticator app, or a recovery code", code="second_factor_required"
            )
        key, now = {f"code:{user.id}": TRIES}, self._clock.now()
        self._throttle.attempt(key, now)
        if not await self._spend(user, code, now):
            raise UnauthenticatedError(
                "the code is wrong or was used before; wait for the next one, or use a recovery code",
                code="second_factor_wrong",
            )
        self._throttle.succeeded(key, forget=next(iter(key)))

    async def _spend(self, user: UserEntry, code: str, now: datetime) -> bool:
        """Whether the code opens a session, and that it never does again."""
        if len(_plain(code)) != _DIGITS:
            return await self._spend_recovery(user, code)
        async with self._db.telemetry() as session:  # the sign-in that follows is what the audit log tells
            row = await session.get(tables.SecondFactor, user.id)
            step = None if row is None else self._step(row, user.id, code, now)
            if row is None or step is None or step <= row.last_step:
                return False
            row.last_step = step
            session.add(row)
            return True

    async def _spend_recovery(self, user: UserEntry, code: str) -> bool:
        async with self._db.transaction(Actor(user.id, user.name)) as tx:
            found = await tx.session.get(tables.RecoveryCode, _hash(user.id, code))
            if found is None:
                return False
            await tx.session.delete(found)
            tx.audit("user.recovery_code", user.id, {"name": user.name})
            return True

    def _step(self, row: tables.SecondFactor, user_id: str, code: str, now: datetime) -> int | None:
        """The time step this code is of; None when it is of none that may be now, or the secret cannot be read."""
        try:
            app = pyotp.TOTP(self._sealer.unseal(row.secret, _context(user_id)))
        except UnsealError as error:  # database.key is not the one of this database; recovery codes still work
            _log.error("a second factor cannot be read", user=user_id, reason=str(error))
            return None
        current, said = int(now.timestamp()) // _STEP_S, _plain(code).encode()
        steps = (current + drift for drift in _DRIFT)
        return next((step for step in steps if hmac.compare_digest(app.generate_otp(step).encode(), said)), None)

    def _fresh(self, actor: Actor) -> bool:
        entry = self._directory.tokens.get(actor.token_hash or "")
        return entry is not None and entry.sitting and self._clock.now() - entry.created_at < FRESH


def _hash(user_id: str, code: str) -> str:
    """What is kept of a recovery code: 79 random bits need no slow hash."""
    return hashlib.sha256(f"{user_id}\0{_plain(code)}".encode()).hexdigest()


def _plain(code: str) -> str:
    """A code as people type it, without what is there for reading."""
    return "".join(sign for sign in code.lower() if sign.isalnum())


def _context(user_id: str) -> str:
    return f"second-factor\0{user_id}"
