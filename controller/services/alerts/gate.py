"""Who may take an alert's next step, asked at that very moment and of memory alone.

Rules kept here:

1. Rights are those of now: the account is looked up again, not taken from the request; an account that was disabled, or
   lost its role a moment ago, is refused.
2. Two people: who composed cannot confirm; and a composer who lost the right meanwhile voids what they composed.
3. The code is compared in constant time; after :data:`TRIES` wrong ones within a minute an account must wait, also
   with the right one.
4. One account gives at most :data:`EMERGENCIES_PER_MINUTE` emergencies a minute, counted apart from bulletins.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Final

from controller.services.alerts import places
from controller.services.alerts.model import Alert, AlertState
from controller.services.context import SYSTEM, Actor, Permission
from controller.services.directory import Directory
from controller.services.errors import ConflictError, ForbiddenError, TooManyError
from controller.services.order_rules import Rate

TRIES: Final = 5
EMERGENCIES_PER_MINUTE: Final = 6
COMPOSED_PER_MINUTE: Final = 12
_CODE_DIGITS: Final = 6


class Gate:
    """Lets through, or says why not."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._given = Rate(EMERGENCIES_PER_MINUTE)
        self._composed = Rate(COMPOSED_PER_MINUTE)
        self._wrong = Rate(TRIES)

    def now(self, actor: Actor) -> Actor:
        """The same person with the rights of this moment.

        Raises:
            ForbiddenError: ``account_gone``.
        """
        if actor.user_id == SYSTEM.user_id:
            return actor
        user = self._directory.users.get(actor.user_id)
        if user is None or user.disabled:
            raise ForbiddenError("this account may not sign in any more", code="account_gone")
        return replace(actor, name=user.name, grants=user.grants)

    def require(self, actor: Actor, permission: Permission, alert: Alert) -> None:
        """Let through who has the right over everything the alert is for.

        Raises:
            ForbiddenError: it is missing somewhere.
        """
        places.require(self._directory, actor, permission, alert.draft.where, alert.clusters)

    def require_second(self, actor: Actor, alert: Alert) -> None:
        """Let through a second person.

        Raises:
            ForbiddenError: ``same_person``, ``composer_lost_right``, or the right to confirm is missing.
        """
        self.require(actor, Permission.EMERGENCY_CONFIRM, alert)
        if actor.user_id == alert.composed.by.user_id:
            raise ForbiddenError(
                "you composed it; another person must confirm it, or override alone with a reason", code="same_person"
            )
        self._require_composer(alert)

    def require_alone(self, actor: Actor, alert: Alert) -> None:
        """Let through the composer who goes on alone.

        Raises:
            ForbiddenError: ``not_composer``, or the right is missing.
        """
        self.require(actor, Permission.EMERGENCY_COMPOSE, alert)
        if actor.user_id != alert.composed.by.user_id:
            raise ForbiddenError("only who composed it may override; you may confirm it", code="not_composer")

    def require_either(self, actor: Actor, alert: Alert) -> None:
        """Let through who may compose or confirm there (cancelling is one person's step).

        Raises:
            ForbiddenError: neither right.
        """
        if actor.user_id == SYSTEM.user_id:
            return
        if not places.allows(self._directory, actor, Permission.EMERGENCY_CONFIRM, alert.clusters):
            self.require(actor, Permission.EMERGENCY_COMPOSE, alert)

    def require_armed(self, alert: Alert, now: datetime) -> None:
        """Let through what waits for its second person.

        Raises:
            ConflictError: ``still_preparing``, ``code_expired``, or what became of it.
        """
        if alert.state is AlertState.COMPOSED:
            raise ConflictError("its speech is still being made; a moment", code="still_preparing")
        if alert.state is not AlertState.ARMED:
            raise ConflictError(f"this alert is {alert.state}", code=f"alert_{alert.state}")
        if alert.code_expires is None or now >= alert.code_expires:
            raise ConflictError("ten minutes have passed; compose it again", code="code_expired")

    def require_code(self, actor: Actor, alert: Alert, code: str, now: datetime) -> None:
        """Let through who knows the code.

        Raises:
            ForbiddenError: ``wrong_code``.
            TooManyError: too many wrong ones.
        """
        wait = self._wrong.wait(actor.user_id, now)  # before looking: who guesses on must not learn that one was right
        if wait is not None:
            raise TooManyError(
                "too many wrong codes; ask the composer, and wait",
                retry_after=math.ceil(wait.total_seconds()),
                code="too_many_codes",
            )
        if not hmac.compare_digest(code_hash(alert.id, code.strip()), alert.code_sha256):
            self._wrong.admit(actor.user_id, now)
            raise ForbiddenError("that is not the code the composer was shown", code="wrong_code")

    def admit_composed(self, actor: Actor, now: datetime) -> None:
        """Count a composed alert.

        Raises:
            TooManyError: ``too_many_alerts``.
        """
        self._admit(self._composed, actor, now)

    def admit_given(self, actor: Actor, now: datetime) -> None:
        """Count an alert that is given.

        Raises:
            TooManyError: ``too_many_alerts``.
        """
        self._admit(self._given, actor, now)

    def _require_composer(self, alert: Alert) -> None:
        by = alert.composed.by
        if by.user_id == SYSTEM.user_id:
            return
        user = self._directory.users.get(by.user_id)
        holds = user is not None and not user.disabled
        if (
            user is None
            or not holds
            or not places.allows(
                self._directory, Actor(user.id, user.name, user.grants), Permission.EMERGENCY_COMPOSE, alert.clusters
            )
        ):
            raise ForbiddenError(
                f"{by.name}, who composed it, has lost the right to; compose it again", code="composer_lost_right"
            )

    def _admit(self, rate: Rate, actor: Actor, now: datetime) -> None:
        wait = rate.admit(actor.user_id, now)
        if wait is not None:
            raise TooManyError(
                "too many alerts in a minute; STOP is always possible",
                retry_after=math.ceil(wait.total_seconds()),
                code="too_many_alerts",
            )


def new_code() -> str:
    """Six digits, easy to say on a telephone."""
    return f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}"


def code_hash(alert_id: str, code: str) -> str:
    """What is kept of a code."""
    return hashlib.sha256(f"loa-alert-code\0{alert_id}\0{code}".encode()).hexdigest()
