"""Which message may act on which: Updates, Cancels, and what they refer to.

Rules kept here:

1. A message acts only on messages of its own source and its own status, and never on one whose signature is better
   than its own: what anybody may write cannot take back what a service signed.
2. A message that was replaced or cancelled before it came is only shown.
3. What proves its sender closes what came before it under the same name and proved nothing.
4. What waits is closed by what replaces or cancels it, also when an alert was composed and waits for its second person.
   What sounds (:meth:`Links.standing`) ends with the alert that takes its place, or is decided apart
   (:func:`controller.services.warnings.policy.judge_cancel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.services.alerts import Alert, AlertState
from controller.services.context import SYSTEM
from controller.services.errors import NotFoundError
from controller.services.warnings.book import PROVEN, WarningBook
from controller.services.warnings.model import ENDS, SourceEntry, State, WarningEntry
from controller.services.warnings.notice import Notice
from controller.services.warnings.policy import Issued
from controller.services.warnings.ports import Alerts


@dataclass(frozen=True, slots=True)
class Linked:
    """Rows of the same source that a message speaks of, and that it may act on."""

    open: tuple[WarningEntry, ...] = ()
    issued: tuple[WarningEntry, ...] = ()  # an alert of ours was made from them
    reasons: tuple[str, ...] = ()


class Links:
    """Follows references in the book."""

    def __init__(self, book: WarningBook, alerts: Alerts) -> None:
        self._book = book
        self._alerts = alerts

    async def linked(self, notice: Notice, source: SourceEntry) -> Linked:
        """What a message speaks of and may act on."""
        others = [one for one in notice.references if one != notice.identity]
        if not others:
            return Linked(reasons=("reference_missing",))
        if notice.quarantine or notice.signature == "invalid":
            return Linked()
        found = await self._book.named(source.id, others)
        if not found:
            return Linked(reasons=("reference_unknown",))
        same = [one for one in found if one.status == notice.status]
        allowed = [one for one in same if notice.signature == "valid" or one.signature != "valid"]
        reasons = (("other_status",) if len(same) < len(found) else ()) + (
            ("weaker_signature",) if len(allowed) < len(same) else ()
        )
        return Linked(
            tuple(one for one in allowed if one.state not in ENDS and one.state is not State.ACCEPTED),
            tuple(one for one in allowed if one.alert_id is not None and one.msg_type != "Cancel"),
            reasons,
        )

    def standing(self, linked: Linked) -> tuple[Issued, ...]:
        """Our alerts that still hold because of the messages spoken of, or that took the place of those."""
        found: dict[str, Issued] = {}
        for one in linked.issued:
            alert = self.alert(one)
            while alert is not None and alert.state is AlertState.REPLACED:
                alert = self._named(alert.successor)
            if alert is not None and alert.state.given:
                automatic = alert.draft.origin.kind == "policy"
                found.setdefault(alert.id, Issued(alert.id, one.sender, automatic=automatic))
        return tuple(found.values())

    async def outdo(self, entry: WarningEntry, notice: Notice, source: SourceEntry) -> None:
        """Close what took this message's name without proving its sender, unless it sounded already."""
        if notice.signature != PROVEN:
            return
        false = [one for one in await self._book.unproven(notice, source.id) if one.id != entry.id]
        await self.supersede(
            entry,
            Linked(
                tuple(one for one in false if one.state not in ENDS and one.state is not State.ACCEPTED),
                tuple(one for one in false if one.alert_id is not None),
            ),
        )

    async def superseded(self, notice: Notice, source: SourceEntry) -> bool:
        """Whether a message that came before replaced or cancelled this one."""
        return any(
            one.msg_type in {"Update", "Cancel"}
            and one.status == notice.status
            and not one.quarantine
            and one.signature != "invalid"
            and (one.signature == "valid" or notice.signature != "valid")
            for one in await self._book.referring(source.id, notice.identity)
        )

    async def supersede(self, entry: WarningEntry, linked: Linked) -> None:
        """Close what a later message replaced or cancelled and nobody heard; what was heard is decided apart."""
        for one in linked.open:
            await self._close(one, entry, (State.RECEIVED, State.SHOWN, State.PROPOSED))
        for one in linked.issued:
            alert = self.alert(one)
            if one.state is State.ACCEPTED and alert is not None and alert.state.waiting:
                # It waits for its second person, who must not confirm what its sender took back.
                await self._alerts.cancel(
                    SYSTEM, alert.id, reason=f"{entry.sender}: {entry.msg_type} {entry.identifier}"
                )
                await self._close(one, entry, (State.ACCEPTED,))

    async def _close(self, one: WarningEntry, by: WarningEntry, expected: Sequence[State]) -> None:
        quiet = one.state in {State.RECEIVED, State.SHOWN}
        await self._book.settle(
            SYSTEM,
            one.id,
            {"state": State.CANCELLED.value, "superseded_by": by.id},
            expected=expected,
            audit=None if quiet else "warning.superseded",
            details={"by": by.id},
        )

    def alert(self, entry: WarningEntry) -> Alert | None:
        """The alert that a warning led to, if it is known."""
        return None if entry.alert_id is None else self._named(entry.alert_id)

    def _named(self, alert_id: str) -> Alert | None:
        try:
            return self._alerts.get(SYSTEM, alert_id)
        except NotFoundError:
            return None
