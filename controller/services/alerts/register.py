"""Every alert of the last days in memory, fed by the journal of orders; what a key was used for.

Rules kept here:

1. Each step of an alert's life is one journalled decision (``alert.compose``, ``alert.confirm`` …) that carries the
   whole alert: the last one wins, so a restart folds the journal and stands where it stood.
2. An idempotency key belongs to the person who used it and to one alert, and is journalled with the decision: after a
   crash it is known exactly if the decision is.
3. At most :data:`KEPT` alerts are kept here; those that still sound are never forgotten.

Not here: who may take which step (:mod:`controller.services.alerts.desk`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from controller.services.alerts.model import Alert, AlertStep
from controller.services.alerts.records import ALERTS
from controller.services.context import Actor
from controller.services.errors import ConflictError, NotFoundError
from controller.store.journal import Draft, JournalEntry

KEPT: Final = 500
#: Alerts that ended longer ago are left to the database.
MEMORY: Final = timedelta(days=14)
PREFIX: Final = "alert."


@dataclass(frozen=True, slots=True)
class Used:
    """What an idempotency key stands for."""

    alert_id: str
    step: str  # compose | confirm | override | extend | cancel | clear
    at: datetime
    digest: str = ""  # of what was asked, where that may differ


class AlertRegister:
    """The memory of alerts."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}
        #: Told of every alert that was added or took a step. They must be quick and must not raise.
        self.listeners: list[Callable[[Alert], None]] = []
        self._keys: dict[tuple[str, str], Used] = {}

    def get(self, alert_id: str) -> Alert:
        """One alert.

        Raises:
            NotFoundError: ``alert_not_found``.
        """
        if alert_id not in self.alerts:
            raise NotFoundError(f"there is no alert {alert_id!r}", code="alert_not_found")
        return self.alerts[alert_id]

    def put(self, alert: Alert) -> None:
        """Add or replace one."""
        self.alerts[alert.id] = alert
        if len(self.alerts) > KEPT:
            over = [each.id for each in self.alerts.values() if not each.state.given and not each.state.waiting]
            for alert_id in over[: len(self.alerts) - KEPT]:
                del self.alerts[alert_id]
        for listener in self.listeners:
            listener(alert)

    def newest_first(self) -> list[Alert]:
        """Every alert that is remembered."""
        return sorted(self.alerts.values(), key=lambda alert: alert.composed.at, reverse=True)

    def used(self, actor: Actor, key: str | None) -> Used | None:
        """What this person used a key for."""
        return None if key is None else self._keys.get((actor.user_id, key))

    def use(self, actor: Actor, key: str | None, used: Used) -> None:
        """Remember a key, once the decision is recorded."""
        if key is not None:
            self._keys[actor.user_id, key] = used

    def replay(
        self, actor: Actor, key: str | None, step: str, digest: str = "", *, alert_id: str | None = None
    ) -> Alert | None:
        """The alert a repeated request is about (``alert_id``: the one it names); None when the key is new.

        Raises:
            ConflictError: ``idempotency_key_reused`` for something else.
        """
        used = self.used(actor, key)
        if used is None:
            return None
        if (used.step, used.digest) != (step, digest) or alert_id not in {None, used.alert_id}:
            raise ConflictError("this Idempotency-Key was used for something else", code="idempotency_key_reused")
        return self.alerts.get(used.alert_id)

    def restore(self, entries: Iterable[JournalEntry], rows: Iterable[Mapping[str, Any]], now: datetime) -> None:
        """Fold what the database has and then what the journal has (at start)."""
        for body in rows:
            alert = ALERTS.load(body)
            if alert is not None:
                self.put(alert)
        for entry in entries:
            alert = alert_of(entry)
            if alert is None or (now - entry.at > MEMORY and not alert.state.given):
                continue
            self.put(alert)
            key, user = entry.body.get("idempotency_key"), entry.body.get("user")
            if isinstance(key, str) and isinstance(user, str):
                step = entry.kind.removeprefix(PREFIX)
                self._keys[user, key] = Used(alert.id, step, entry.at, str(entry.body.get("digest", "")))


def decision(
    step: AlertStep, alert: Alert, actor: Actor, *, key: str | None = None, digest: str = "", **details: object
) -> Draft:
    """A step as the journal keeps it."""
    said: dict[str, object] = {
        "title": alert.title,
        "clusters": len(alert.clusters),
        "state": str(alert.state),
        "origin": f"{alert.draft.origin.kind} {alert.draft.origin.reference}".strip(),
        **details,
    }
    return Draft(
        f"{PREFIX}{step}",
        {
            "subject": alert.id,
            "user": actor.user_id,
            "idempotency_key": key,
            "digest": digest,
            "details": said,
            "record": ALERTS.dump(alert),
        },
    )


def alert_of(entry: JournalEntry) -> Alert | None:
    """The alert a journalled decision left behind; None for other entries."""
    record = entry.body.get("record")
    return ALERTS.load(record) if entry.kind.startswith(PREFIX) and isinstance(record, Mapping) else None
