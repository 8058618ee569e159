"""Who is asking, what they may do, and what time it is.

Rules kept here:

1. A right is a verb (:class:`Permission`). People get rights through roles; a role is granted over an area and holds
   for everything below it (:meth:`controller.services.directory.Directory.require` knows the tree).
2. Time comes in through :class:`Clock`; no use-case reads a clock of its own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from schedules.instants import MediaUs, MonoUs


class Clock(Protocol):
    """The two times of this machine."""

    def now(self) -> datetime:
        """Wall time: aware, UTC."""
        ...

    def mono_us(self) -> MonoUs:
        """Monotonic time, in microseconds."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Wall time: aware, UTC."""
        return datetime.now(UTC)

    def mono_us(self) -> MonoUs:
        """Monotonic time, in microseconds."""
        return MonoUs(time.monotonic_ns() // 1000)


class Permission(StrEnum):
    """A verb that may be granted."""

    READ = "read"
    DRAFT = "draft"
    APPROVE = "approve"
    SCHEDULE = "schedule"
    PLAY_NOW = "play_now"
    STOP = "stop"
    VOLUME = "volume"
    AGENT_CONTROL = "agent_control"
    ENROL = "enrol"
    POLICY_EDIT = "policy_edit"
    USERS = "users"
    AUDIT_READ = "audit_read"
    GO_LIVE = "go_live"
    LISTEN = "listen"
    EMERGENCY_COMPOSE = "emergency_compose"
    EMERGENCY_CONFIRM = "emergency_confirm"
    DRILL = "drill"


#: What a password alone does not open, where a second factor is asked for: whatever wakes people at night. Not STOP.
SECOND_FACTOR_VERBS = frozenset({Permission.EMERGENCY_COMPOSE, Permission.EMERGENCY_CONFIRM, Permission.DRILL})


class Role(StrEnum):
    """A set of verbs that belongs to a job at the desk."""

    ADMIN = "admin"
    EDITOR = "editor"  # biên tập
    APPROVER = "approver"  # phê duyệt
    OPERATOR = "operator"  # trực
    DUTY_OFFICER = "duty_officer"  # trực ban phòng chống thiên tai
    TECHNICIAN = "technician"
    VIEWER = "viewer"


_P = Permission

#: What each role may do. Approving is nobody's by-product: an editor cannot approve, an operator cannot draft. That
#: composing and confirming an alert take two people is checked by person, not by role.
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.EDITOR: frozenset({_P.READ, _P.DRAFT, _P.SCHEDULE}),
    Role.APPROVER: frozenset({_P.READ, _P.APPROVE, _P.STOP}),
    Role.OPERATOR: frozenset({_P.READ, _P.PLAY_NOW, _P.GO_LIVE, _P.LISTEN, _P.STOP, _P.VOLUME}),
    Role.DUTY_OFFICER: frozenset(
        {_P.READ, _P.EMERGENCY_COMPOSE, _P.EMERGENCY_CONFIRM, _P.DRILL, _P.GO_LIVE, _P.LISTEN, _P.STOP}
    ),
    Role.TECHNICIAN: frozenset({_P.READ, _P.VOLUME, _P.AGENT_CONTROL, _P.ENROL, _P.LISTEN, _P.STOP}),
    Role.VIEWER: frozenset({_P.READ}),
}


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """A role over an area and everything below it; ``area_id`` None means everywhere."""

    role: Role
    area_id: str | None

    def allows(self, permission: Permission) -> bool:
        """Whether the role contains the verb."""
        return permission in PERMISSIONS[self.role]


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever is asking."""

    user_id: str
    name: str
    grants: tuple[RoleGrant, ...] = ()
    token_hash: str | None = None  # the session they came with
    second_factor: bool = False  # it was opened with one
    withheld: frozenset[Permission] = frozenset()  # granted by a role, and not in this session
    must_change: bool = False  # somebody else made their password: they choose their own before anything else

    @property
    def audit_name(self) -> str:
        """How the audit log names them."""
        return f"{self.user_id} {self.name}"

    def granted(self, permission: Permission) -> bool:
        """Whether a role holds the verb over any area at all, also when this session may not use it."""
        return any(grant.allows(permission) for grant in self.grants)

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether the verb may be used over any area at all. The first, coarse check of a route."""
        return permission not in self.withheld and self.granted(permission)

    def may_everywhere(self, permission: Permission) -> bool:
        """Whether the verb may be used over the whole installation."""
        granted = any(grant.area_id is None and grant.allows(permission) for grant in self.grants)
        return granted and permission not in self.withheld


#: The program itself (first start, drained journal, expiry).
SYSTEM = Actor("system", "loa", (RoleGrant(Role.ADMIN, None),))


class RunClock:
    """The media timeline of this run: the monotonic clock under a random name (DESIGN, section 4)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.timeline: int = secrets.randbits(64)

    def now(self) -> MediaUs:
        """Microseconds on the timeline."""
        return MediaUs(self._clock.mono_us())
