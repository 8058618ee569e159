"""What becomes of a warning that came: judged, linked to what it replaces, shown, proposed, or sent.

Rules kept here:

1. Warnings are judged one after the other, oldest first, from the bytes that were kept: a restart in the middle judges
   again and sends nothing twice (the alert desk's own alerts name the warning they came from).
2. What goes wrong while sending makes a proposal of it: people see it, and nothing is lost.
3. A source that sent its hour's worth by itself is demoted before the next.
4. An Update that sounds takes the place of what sounds because of the messages it names; by itself only of what was
   sent by itself. What people sent goes on beside it until people end it, and the reasons say so.
5. What waits for people is told to everybody who may decide about it; each is told once.

Not here: the rules of what may sound (:mod:`controller.services.warnings.policy`), which message may act on which
(:mod:`controller.services.warnings.linking`), people's decisions (:mod:`controller.services.warnings.desk`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import structlog

from controller.services.alerts import Alert
from controller.services.context import SYSTEM, Clock
from controller.services.directory import Directory
from controller.services.errors import BusyError, NotFoundError, ServiceError
from controller.services.warnings.book import WarningBook
from controller.services.warnings.drafts import Proposal, event_names, names_of, propose, title_of
from controller.services.warnings.linking import Linked, Links
from controller.services.warnings.model import SourceEntry, State, WarningEntry
from controller.services.warnings.notice import Notice, notice_of
from controller.services.warnings.outcome import alert_of, draft_of, from_warning
from controller.services.warnings.placing import reach_of
from controller.services.warnings.policy import (
    Action,
    Case,
    Judgement,
    WarningRule,
    in_force,
    judge,
    judge_cancel,
    of_its_own,
    parts_to_sound,
)
from controller.services.warnings.ports import Alerts, Notices
from controller.services.warnings.reader import WarningReader
from controller.services.warnings.sources import WarningSources
from controller.store.errors import StoreError

#: The window in which automatic alerts of one source are counted.
HOUR: Final = timedelta(hours=1)
#: Without a poke, the book is looked at this often.
_LOOK_S: Final = 5.0
_SWEEP_S: Final = 20.0
_PRUNE: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


class WarningHandler:
    """Judges what came. One task (:meth:`run`)."""

    def __init__(
        self,
        *,
        book: WarningBook,
        sources: WarningSources,
        reader: WarningReader,
        alerts: Alerts,
        notices: Notices,
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._book = book
        self._sources = sources
        self._reader = reader
        self._alerts = alerts
        self._notices = notices
        self._directory = directory
        self._links = Links(book, alerts)
        self._clock = clock
        self._poked = asyncio.Event()
        self._next_sweep = self._next_prune = clock.now()

    def poke(self) -> None:
        """Something came."""
        self._poked.set()

    def alert_changed(self, alert: Alert) -> None:
        """A listener of the alert desk: an alert that came of a warning was given, or ended."""
        if from_warning(alert) is not None:
            self._next_sweep = self._clock.now()
            self._poked.set()

    async def run(self) -> None:
        """Judge what comes, for ever."""
        while True:
            self._poked.clear()
            try:
                await self.step()
            except (StoreError, BusyError) as error:  # what waits is in the book and waits on
                _log.warning("warnings_wait", code=error.code)
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._poked.wait()
            except TimeoutError:
                continue

    async def step(self) -> None:
        """Judge everything that waits; now and then tidy up."""
        while waiting := await self._book.waiting():
            for entry in waiting:
                await self._judge_safely(entry)
        now = self._clock.now()
        if now >= self._next_sweep:
            self._next_sweep = now + timedelta(seconds=_SWEEP_S)
            await self._follow()
            await self._book.expire(now)
        if now >= self._next_prune:
            self._next_prune = now + _PRUNE
            await self._book.prune([entry.id for entry in self._sources.all()], now)

    async def _judge_safely(self, entry: WarningEntry) -> None:
        """Judge one; what cannot be judged is shown with the reason, so that the next gets its turn."""
        try:
            await self._judge(entry)
        except (StoreError, BusyError):
            raise  # not the warning's fault: it waits
        except ServiceError as error:
            _log.warning("a warning could not be judged", warning=entry.id, code=error.code, detail=error.detail)
            await self._show(entry, (error.code,))
        except Exception as error:  # noqa: BLE001 - whatever it is: this warning is shown, the others go on
            _log.error("a warning could not be judged", warning=entry.id, exc_info=error)
            await self._show(entry, ("fault",))

    async def _judge(self, entry: WarningEntry) -> None:
        source = self._sources.find(entry.source_id)
        if source is None:
            await self._show(entry, ("source_removed",))
            return
        notice = await self.notice_of(entry, source)
        await self._links.outdo(entry, notice, source)
        if notice.msg_type == "Cancel":
            await self._cancelled(entry, notice, source)
        else:
            await self._told(entry, notice, source)

    async def notice_of(self, entry: WarningEntry, source: SourceEntry) -> Notice:
        """A warning read anew from its bytes, with the certificates of today.

        Raises:
            NotFoundError: the bytes are gone, or hold less than they did.
            BusyError: it could not be read in time.
        """
        data = await self._book.document(entry.document)
        readings = await self._reader.read(data, source.certificates, now=self._clock.now())
        reading = readings[entry.part] if entry.part < len(readings) else None
        if reading is None or reading.alert is None:
            raise NotFoundError("the warning cannot be read any more", code="document_not_found")
        return notice_of(
            reading.alert, signature=str(reading.signature), quarantine=reading.quarantine, flags=reading.flags
        )

    # --- Alert and Update ---

    async def _told(self, entry: WarningEntry, notice: Notice, source: SourceEntry) -> None:
        now = self._clock.now()
        linked = await self._links.linked(notice, source) if notice.msg_type == "Update" else Linked()
        await self._links.supersede(entry, linked)
        notice = in_force(notice, now)
        standing = self._links.standing(linked)
        reach = await reach_of(notice, source, self._directory, self._reader)
        template = source.template_for(event_names(notice))
        case = Case(
            reached=len(reach.languages),
            template=template is not None,
            demoted=source.demoted or await self._flooded(source),
            superseded=await self._links.superseded(notice, source),
            acted=any(twin.state in {State.PROPOSED, State.ACCEPTED, State.ISSUED}
                      for twin in await self._book.twins(notice, source.id)),
        )  # fmt: skip
        judgement = judge(notice, source.policy, case, now=now)
        judgement = replace(judgement, reasons=(*judgement.reasons, *linked.reasons))
        proposal = propose(
            notice,
            reach,
            template=template,
            two_hourly=source.policy.repeat_two_hourly,
            replaces=[one.alert_id for one in standing],
        )
        if judgement.action is Action.ISSUE and judgement.rule is not None:
            own = of_its_own(notice, standing)
            narrow, why = await self._narrowed(notice, source, judgement.rule, own)
            refused: tuple[str, ...] | None = why
            if narrow is not None:
                silent = set(proposal.clusters) - set(narrow.clusters)
                told = replace(judgement, reasons=_beside(left_out=bool(silent), goes_on=len(own) < len(standing)))
                refused = await self._issue(entry, source, told, narrow)
            if refused is None:
                return
            judgement = Judgement(Action.PROPOSE, refused)
        await self._settle(entry, judgement, proposal)

    async def _narrowed(
        self, notice: Notice, source: SourceEntry, rule: WarningRule, replaces: Sequence[str]
    ) -> tuple[Proposal | None, tuple[str, ...]]:
        """What may sound by a rule: the places and the template of the parts it holds for; None = why not."""
        template, parts, why = parts_to_sound(notice, rule, lambda info: source.template_for(names_of([info])))
        if template is None:
            return None, why
        notice = replace(notice, infos=parts)
        reach = await reach_of(notice, source, self._directory, self._reader)
        if not reach.languages:
            return None, ("rule_no_cluster",)
        narrow = propose(
            notice, reach, template=template, two_hourly=source.policy.repeat_two_hourly, replaces=replaces
        )
        return narrow, ()

    async def _settle(self, entry: WarningEntry, judgement: Judgement, proposal: Proposal) -> None:
        if judgement.action is Action.PROPOSE:
            await self._propose(entry, judgement.reasons, proposal)
        else:
            await self._show(entry, judgement.reasons, proposal)

    async def _issue(
        self, entry: WarningEntry, source: SourceEntry, judgement: Judgement, proposal: Proposal
    ) -> tuple[str, ...] | None:
        """Send by a rule, where it holds; None = done, else why it did not work."""
        rule = judgement.rule
        if rule is None:
            return ("no_rule",)
        now = self._clock.now()
        name = f"{source.name} / {rule.name}"
        alert = alert_of(entry.id, self._alerts.alerts(SYSTEM))
        if alert is None:
            try:
                alert = await self._alerts.issue_automatic(
                    draft_of(proposal, entry, source, now=now, by="policy"), name
                )
            except ServiceError as error:
                _log.error("an automatic alert was refused", warning=entry.id, code=error.code, detail=error.detail)
                return ("automatic_refused", error.code)
            except Exception as error:  # noqa: BLE001 - whatever it is: people decide, and hear why
                _log.error("an automatic alert failed", warning=entry.id, exc_info=error)
                return ("automatic_refused", "fault")
        changes = {
            "state": State.ISSUED.value, "reasons": list(judgement.reasons), "rule": rule.name, "alert_id": alert.id,
            "decided_by": SYSTEM.user_id, "decided_at": now, **_kept(proposal),
        }  # fmt: skip
        said = {"policy": name, "alert": alert.id, "clusters": len(proposal.clusters)}
        await self._book.settle(
            SYSTEM, entry.id, changes, expected=(State.RECEIVED,), audit="warning.issue", details=said
        )
        return None

    # --- Cancel ---

    async def _cancelled(self, entry: WarningEntry, notice: Notice, source: SourceEntry) -> None:
        linked = await self._links.linked(notice, source)
        await self._links.supersede(entry, linked)
        issued = self._links.standing(linked)
        judgement = judge_cancel(notice, source.policy, issued=issued)
        clusters = sorted({cluster for one in (*linked.open, *linked.issued) for cluster in one.clusters})
        proposal = Proposal(
            "cancel", title_of(notice), clusters=tuple(clusters), replaces=tuple(one.alert_id for one in issued)
        )
        reasons = (*judgement.reasons, *linked.reasons)
        if judgement.action is Action.ISSUE:
            refused = await self._perform(entry, source, proposal)
            if refused is None:
                return
            judgement, reasons = Judgement(Action.PROPOSE), refused
        if judgement.action is Action.PROPOSE:
            await self._propose(entry, reasons, proposal)
        else:
            await self._show(entry, reasons, proposal)

    async def _perform(self, entry: WarningEntry, source: SourceEntry, proposal: Proposal) -> tuple[str, ...] | None:
        """Cancel what the policy had sent; None = done, else why it did not work."""
        why = f"{source.name}: {entry.sender} cancelled it ({entry.identifier})"
        try:
            for alert_id in proposal.replaces:
                if self._alerts.get(SYSTEM, alert_id).state.given:
                    await self._alerts.cancel(SYSTEM, alert_id, reason=why, idempotency_key=f"{entry.id}:{alert_id}")
        except ServiceError as error:
            _log.error("an automatic cancel was refused", warning=entry.id, code=error.code, detail=error.detail)
            return ("automatic_refused", error.code)
        changes = {
            "state": State.ISSUED.value, "reasons": [], "alert_id": proposal.replaces[0], "decided_by": SYSTEM.user_id,
            "decided_at": self._clock.now(), **_kept(proposal),
        }  # fmt: skip
        await self._book.settle(
            SYSTEM,
            entry.id,
            changes,
            expected=(State.RECEIVED,),
            audit="warning.cancel",
            details={"alerts": list(proposal.replaces)},
        )
        return None

    async def _flooded(self, source: SourceEntry) -> bool:
        """Whether a source sent its hour's worth by itself; then it is demoted."""
        if not source.automatic:
            return False
        most = source.policy.most_automatic_per_hour
        if await self._book.automatic_since(source.id, self._clock.now() - HOUR) < most:
            return False
        why = f"{most} automatic alerts within an hour; people decide from now on"
        await self._sources.demote(source.id, why)
        text = f"Nguồn “{source.name}” đã tự phát {most} cảnh báo trong một giờ; từ nay phải có người quyết định."
        clusters = self._directory.clusters_of(areas=[source.area_id])
        self._tell(clusters, "warning_source_demoted", f"{source.id}:{self._clock.now().isoformat()}", text)
        return True

    def _tell(self, clusters: frozenset[str], kind: str, subject: str, text: str) -> None:
        self._notices.post(self._notices.superiors(clusters, besides=SYSTEM.user_id), kind, subject, text)

    # --- what the book says of it ---

    async def _propose(self, entry: WarningEntry, reasons: Sequence[str], proposal: Proposal) -> None:
        changes = {"state": State.PROPOSED.value, "reasons": list(reasons), **_kept(proposal)}
        said = {"clusters": len(proposal.clusters), "kind": proposal.kind}
        changed = await self._book.settle(
            SYSTEM, entry.id, changes, expected=(State.RECEIVED,), audit="warning.propose", details=said
        )
        if changed is not None:
            what = "Hủy cảnh báo" if proposal.kind == "cancel" else "Cảnh báo"
            text = f"{what} “{proposal.title}” cho {len(proposal.clusters)} cụm loa chờ người trực quyết định."
            self._tell(frozenset(proposal.clusters), "warning_proposed", entry.id, text)

    async def _show(self, entry: WarningEntry, reasons: Sequence[str], proposal: Proposal | None = None) -> None:
        changes = {
            "state": State.SHOWN.value,
            "reasons": list(dict.fromkeys(reasons)),
            **(_kept(proposal) if proposal is not None else {}),
        }
        await self._book.settle(SYSTEM, entry.id, changes, expected=(State.RECEIVED,))

    async def _follow(self) -> None:
        """What became of accepted warnings: their alert was given, or nobody confirmed it and they wait again."""
        for entry in await self._book.in_state(State.ACCEPTED):
            alert = self._links.alert(entry)
            if alert is not None and alert.given is not None:
                said = {"alert": alert.id, "by": alert.given.by.user_id}
                await self._book.settle(
                    SYSTEM, entry.id, {"state": State.ISSUED.value}, expected=(State.ACCEPTED,),
                    audit="warning.issue", details=said,
                )  # fmt: skip
            elif alert is None or not alert.state.waiting:
                await self._book.settle(
                    SYSTEM,
                    entry.id,
                    {"state": State.PROPOSED.value, "alert_id": None, "reasons": ["not_confirmed"]},
                    expected=(State.ACCEPTED,),
                    audit="warning.reopen",
                    details={"alert": entry.alert_id},
                )


def _beside(*, left_out: bool, goes_on: bool) -> tuple[str, ...]:
    """What an automatic alert left as it was."""
    return (("clusters_left_out",) if left_out else ()) + (("sent_by_people",) if goes_on else ())


def _kept(proposal: Proposal) -> dict[str, Any]:
    return {"proposal": proposal.encode(), "clusters": list(proposal.clusters)}
