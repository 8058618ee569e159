"""What warnings need of the alert desk (:mod:`controller.services.alerts` is the real one)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.services.alerts import Alert, AlertDraft
from controller.services.context import Actor


class ComposedAlert(Protocol):
    """An alert that waits for its second person; ``code`` is shown to the composer once."""

    @property
    def alert(self) -> Alert:
        """The alert."""
        ...

    @property
    def code(self) -> str:
        """What the second person needs."""
        ...


class Alerts(Protocol):
    """The alert desk, as far as warnings go."""

    def alerts(self, actor: Actor) -> Sequence[Alert]:
        """Alerts the actor may know of, newest first."""
        ...

    def get(self, actor: Actor, alert_id: str) -> Alert:
        """One alert."""
        ...

    async def compose(self, actor: Actor, draft: AlertDraft, *, idempotency_key: str | None = None) -> ComposedAlert:
        """Freeze a draft and arm it."""
        ...

    async def issue_automatic(self, draft: AlertDraft, policy_name: str) -> Alert:
        """Send at once, by a policy that was approved beforehand."""
        ...

    async def cancel(
        self,
        actor: Actor,
        alert_id: str,
        *,
        all_clear: bool = False,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Alert:
        """Silence it and send its cancel twin."""
        ...


class Notices(Protocol):
    """What people must come to know (:class:`controller.services.alerts.notices.NoticeBook` is the real one)."""

    def superiors(self, clusters: frozenset[str], *, besides: str) -> tuple[str, ...]:
        """Everybody who may confirm alerts, or edit the policy, at one of these clusters or above it."""
        ...

    def post(self, users: Iterable[str], kind: str, subject: str, text: str) -> object:
        """Tell people, each of them once about one subject."""
        ...


@dataclass(frozen=True, slots=True)
class Composition:
    """What accepting a warning gave: the alert that waits for its second person, or the one that was cancelled."""

    alert_id: str
    code: str | None = None
