"""From a proposal to the alert desk's own draft, and back from its alerts to the warning they came from. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from controller.services.alerts import CADENCE, MAX_LIFE, Alert, AlertDraft, AlertKind, Origin, Repetition, Where, Words
from controller.services.alerts.model import DEFAULT_VALID, MIN_VALID
from controller.services.orders import Scope
from controller.services.warnings.drafts import Proposal, cancel_words
from controller.services.warnings.model import SourceEntry, WarningEntry

#: A two-hourly repetition that would end sooner than this is left out.
_WORTH: Final = timedelta(minutes=30)


def draft_of(proposal: Proposal, warning: WarningEntry, source: SourceEntry, *, now: datetime, by: str) -> AlertDraft:
    """The draft a proposal stands for. ``by``: ``cap`` for people, ``policy`` for an automatic rule."""
    ends = proposal.expires or now + MAX_LIFE
    valid = min(max(ends - now, MIN_VALID), DEFAULT_VALID)
    draft = AlertDraft(
        where=Where(Scope(clusters=proposal.clusters)),
        kind=AlertKind.TEMPLATE if proposal.template is not None else AlertKind.TEXT,
        template=proposal.template,
        title=proposal.title,
        category=proposal.category,
        repetition=_repetition(proposal, ends, now),
        valid=valid,
        replaces=proposal.replaces,
        origin=Origin(by, warning.id, f"{source.name}: {warning.sender} {warning.identifier}"[:200]),
    )
    if proposal.template is not None:
        return draft
    words = tuple(Words(one.language, one.text) for one in proposal.words)
    twin = cancel_words(proposal.title, [one.language for one in proposal.words])
    return replace(draft, words=words, cancel_words=tuple(Words(one.language, one.text) for one in twin))


def alert_of(warning_id: str, alerts: Iterable[Alert]) -> Alert | None:
    """The newest alert that was made from a warning; None = none was."""
    mine = (alert for alert in alerts if from_warning(alert) == warning_id)
    return max(mine, key=lambda alert: alert.composed.at, default=None)


def from_warning(alert: Alert) -> str | None:
    """The warning an alert was made from; None = people's own."""
    origin = alert.draft.origin
    return origin.reference if origin.kind in {"cap", "policy"} and origin.reference.startswith("wa_") else None


def _repetition(proposal: Proposal, ends: datetime, now: datetime) -> Repetition | None:
    """None = as the template says, or once round for words."""
    until = min(ends, now + MAX_LIFE - timedelta(minutes=1))
    if not proposal.two_hourly or until - now < CADENCE + _WORTH:
        return None
    return Repetition(every=CADENCE, until=until)
