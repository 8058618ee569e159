"""What may be done with an alert that was read: sound it, show it, or nothing. A pure function.

Rules kept here, in this order:

1. What was refused, and what was received before (same sender, identifier and sent), is ignored.
2. A broken signature, and every status but Actual, is only ever shown: Test, Exercise, Draft and System never sound,
   and end nothing.
3. Ack and Error are between machines: shown. A quarantined alert is shown and ends nothing.
4. An alert for some people only (scope Restricted or Private) is shown: a loudspeaker is public.
5. A Cancel ends what it names and sounds nothing itself: the all-clear is people's to give.
6. An alert that a Cancel or Update ended before it arrived is ignored.
7. Alert and Update sound when an info block is in force now. An Update ends what it names even when it is over.

"Sounds" means that nothing in the alert speaks against it; whether it does is the policy of its source (signature,
event, severity), and people's. Not here: areas, languages, policy.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from controller.cap.alert import AlertKey, CapAlert
from controller.cap.life import begins_at, ends_at
from controller.cap.reading import Reading
from controller.cap.signatures import Verdict

#: How far a sender's clock may be ahead of ours before an alert counts as from the future.
CLOCK_SLACK: Final = timedelta(minutes=15)

_STATUS_CODES: Final = {"Test": "test", "Exercise": "exercise", "Draft": "draft", "System": "system"}


class Effect(StrEnum):
    """What an alert may lead to."""

    SOUNDS = "sounds"
    SHOWN = "shown"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came before: keys of alerts received, and keys that a Cancel or Update has ended."""

    received: Collection[AlertKey] = frozenset()
    ended: Collection[AlertKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Disposition:
    """The verdict. ``infos``: indexes of the blocks in force; ``ends``: alerts that are over by it."""

    effect: Effect
    code: str
    infos: tuple[int, ...] = ()
    ends: tuple[AlertKey, ...] = ()


def dispose(reading: Reading, *, now: datetime, seen: Seen = Seen()) -> Disposition:
    """What may be done with ``reading`` at ``now``, after everything in ``seen``."""
    alert = reading.alert
    if alert is None:
        return Disposition(Effect.IGNORED, reading.code)
    if alert.key in seen.received:
        return Disposition(Effect.IGNORED, "duplicate")
    held = _held_back(reading, alert) or ("sent_in_the_future" if alert.sent > now + CLOCK_SLACK else None)
    if held:
        return Disposition(Effect.SHOWN, held)
    ends = tuple(key for key in alert.references if key != alert.key)
    if alert.msg_type == "Cancel":
        return Disposition(Effect.SHOWN, "cancel", ends=ends)
    if alert.key in seen.ended:
        return Disposition(Effect.IGNORED, "superseded", ends=ends if alert.msg_type == "Update" else ())
    return _in_force(alert, now, ends if alert.msg_type == "Update" else ())


def _held_back(reading: Reading, alert: CapAlert) -> str | None:
    """Why an alert is only shown, whatever it says."""
    if reading.signature is Verdict.INVALID:
        return "signature_invalid"
    if alert.status != "Actual":
        return _STATUS_CODES.get(alert.status, "status_unknown")
    if alert.msg_type not in {"Alert", "Update", "Cancel"}:
        return {"Ack": "ack", "Error": "error"}.get(alert.msg_type, "msg_type_unknown")
    if reading.quarantine:
        return "quarantined"
    if alert.scope not in {"Public", None}:
        return "not_public"
    return None


def _in_force(alert: CapAlert, now: datetime, ends: tuple[AlertKey, ...]) -> Disposition:
    if not alert.infos:
        return Disposition(Effect.SHOWN, "no_info", ends=ends)
    lasting = [at for at, info in enumerate(alert.infos) if ends_at(alert, info) > now]
    if not lasting:
        return Disposition(Effect.SHOWN, "expired", ends=ends)
    begun = tuple(at for at in lasting if begins_at(alert, alert.infos[at]) <= now + CLOCK_SLACK)
    if not begun:
        return Disposition(Effect.SHOWN, "not_yet_effective", ends=ends)
    return Disposition(Effect.SOUNDS, alert.msg_type.lower(), infos=begun, ends=ends)
