"""The alert desk: review, compose, confirm or override, extend, cancel. (Being built; signatures hold.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.services.alerts.model import Alert, AlertDraft
from controller.services.context import Actor

#: Told of an alert right after its orders are on their way (issued), or after its cancel twin is (cancelled).
AlertListener = Callable[[Alert], None]


@dataclass(frozen=True, slots=True)
class Composed:
    """An alert that waits for its second person. ``code`` is shown to the composer once."""

    alert: Alert
    code: str


class AlertDesk:
    """Use-cases of alerts. ``on_issued`` and ``on_cancelled`` are lists of listeners (quick, never raising)."""

    on_issued: list[AlertListener]
    on_cancelled: list[AlertListener]

    def alerts(self, actor: Actor) -> Sequence[Alert]:
        """Alerts the actor may know of, newest first."""
        raise NotImplementedError

    def get(self, actor: Actor, alert_id: str) -> Alert:
        """One alert."""
        raise NotImplementedError

    async def compose(self, actor: Actor, draft: AlertDraft, *, idempotency_key: str | None = None) -> Composed:
        """Freeze a draft and arm it (words to be spoken first, armed when they are)."""
        raise NotImplementedError

    async def confirm(self, actor: Actor, alert_id: str, code: str, *, idempotency_key: str | None = None) -> Alert:
        """The second person says yes: it sounds."""
        raise NotImplementedError

    async def override(self, actor: Actor, alert_id: str, reason: str, *, idempotency_key: str | None = None) -> Alert:
        """The composer alone, with a reason: it sounds, and every superior is told."""
        raise NotImplementedError

    async def extend(
        self, actor: Actor, alert_id: str, until: datetime, *, idempotency_key: str | None = None
    ) -> Alert:
        """Let it go on longer."""
        raise NotImplementedError

    async def cancel(
        self,
        actor: Actor,
        alert_id: str,
        *,
        all_clear: bool = False,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> Alert:
        """Silence it and send its cancel twin (or the all-clear template) to the same clusters."""
        raise NotImplementedError

    async def propose(self, draft: AlertDraft) -> Alert:
        """A draft made by the system (``draft.origin``): a person must compose it anew, then another confirm."""
        raise NotImplementedError

    async def issue_automatic(self, draft: AlertDraft, policy_name: str) -> Alert:
        """Send at once, by a policy that was approved beforehand. Templates only; superiors are told."""
        raise NotImplementedError


__all__ = ["AlertDesk", "AlertListener", "Composed", "timedelta"]
