"""What the policies of an item say, as functions of its times and its progress. Each answers one question.

Not here: in which order they are asked (:mod:`schedules.arbiter.run`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from schedules.airtime import cap_of, next_quiet_begin, overlaps_quiet
from schedules.arbiter.decision import EventKind
from schedules.arbiter.outcome import Outcome
from schedules.arbiter.situation import Entry, LiveSource
from schedules.arbiter.state import Phase, Progress
from schedules.instants import NO_FRAMES, duration_of, frames_of
from schedules.model import AfterPreempt, ClusterSettings, Item, LateKind, Overrun, Relay

#: A programme counts as played when no more than this was not heard (rounding of resumed runs, a late first wake-up).
WHOLE_WITHIN = frames_of(timedelta(milliseconds=100))


#: A relay whose stream was closed so shortly before the end of its window was carried whole.
RELAY_TAIL = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an occurrence ends."""

    kind: EventKind
    outcome: Outcome
    code: str = ""


def ending(progress: Progress, code: str) -> Ending:
    """Broken off before its end: cut if it had begun, missed if not."""
    if progress.first is not None:
        return Ending(EventKind.CUT, Outcome.PARTIAL, code)
    return Ending(EventKind.MISSED, Outcome.MISSED, code)


def admitted(entry: Entry, now: datetime) -> Progress | Ending:
    """What becomes of an item that is first looked at ``now``: on time, or by its late policy."""
    item = entry.item
    fresh = Progress(Phase.WAITING, item.expires, now, content=entry.content)
    if now == item.start or entry.ordered:
        return fresh
    if item.late.kind is LateKind.SKIP:
        return Ending(EventKind.SKIPPED, Outcome.SKIPPED, "late")
    if item.late.within is not None:
        in_time = now <= item.start + item.late.within
        return fresh if in_time else Ending(EventKind.MISSED, Outcome.MISSED, "late")
    joining = replace(fresh, anchor_at=item.start, moving=entry.total is not None)
    if entry.total is not None and joining.position(now) >= entry.total:
        return Ending(EventKind.MISSED, Outcome.MISSED, "late")
    return joining


def recovered(entry: Entry, progress: Progress, now: datetime) -> Progress | Ending:
    """What becomes of an item in whose middle the agent was off; ``progress.heard`` is already counted."""
    item = entry.item
    paused = replace(progress, phase=Phase.PAUSED, interrupted=True)
    if entry.ordered and item.priority.crosses_quiet_hours:
        return _recovered_emergency(entry, paused, now)
    if item.late.kind is LateKind.SKIP:
        return ending(progress, "agent_was_off")
    if item.late.within is not None:
        if now > item.start + item.late.within:
            return ending(progress, "agent_was_off")
        return replace(paused, anchor_at=now, anchor_frames=NO_FRAMES, moving=False)
    return replace(paused, moving=entry.total is not None)


def _recovered_emergency(entry: Entry, paused: Progress, now: datetime) -> Progress:
    """An emergency goes on by the clock, in step with the neighbours, whatever its late policy says.

    Has its time passed meanwhile, it is heard once more from its first word (how much of it was heard nobody knows: a
    power cut leaves no note); its expiry, and the cap on what is heard in all, hold as ever.
    """
    if entry.total is None or paused.position(now) < entry.total:
        return replace(paused, moving=entry.total is not None)
    return replace(paused, anchor_at=now, anchor_frames=NO_FRAMES, moving=False)


def paused(progress: Progress, now: datetime) -> Progress:
    """Off the air, at the sample where it is."""
    return replace(
        progress,
        phase=Phase.PAUSED,
        anchor_at=now,
        anchor_frames=progress.position(now),
        moving=False,
        since=None,
        heard=progress.heard_until(now),
        stream_id=None,
    )


def preempted(subject: Entry | LiveSource, progress: Progress, now: datetime) -> Progress | Ending:
    """What becomes of a sounding item (or live source) that a higher class silences ``now``."""
    silenced = paused(progress, now)
    if isinstance(subject, LiveSource):
        return silenced
    match subject.item.after_preempt:
        case AfterPreempt.SKIP:
            return Ending(EventKind.SKIPPED, Outcome.PARTIAL, "after_preempt")
        case AfterPreempt.RESTART:
            return replace(silenced, anchor_frames=NO_FRAMES)
        case AfterPreempt.JOIN:
            if subject.total is None:
                return silenced
            # Its line on the clock stays what it was, to the sample.
            return replace(silenced, anchor_at=progress.anchor_at, anchor_frames=progress.anchor_frames, moving=True)
        case AfterPreempt.RESUME:
            return silenced


def blocked(entry: Entry, progress: Progress) -> Progress | Ending:
    """What becomes of an item at whose start a higher class is sounding already."""
    match entry.item.after_preempt:
        case AfterPreempt.SKIP:
            return Ending(EventKind.SKIPPED, Outcome.SKIPPED, "after_preempt")
        case AfterPreempt.JOIN:
            return replace(progress, moving=entry.total is not None)
        case AfterPreempt.RESUME | AfterPreempt.RESTART:
            return progress


def held_until(entry: Entry) -> datetime:
    """Until when missing audio can still come in time."""
    item = entry.item
    if entry.ordered:
        return item.expires
    if item.late.kind is LateKind.SKIP:
        return item.start
    within = item.start + item.late.within if item.late.within is not None else item.nominal_end
    return min(within, item.expires)


def refusal(settings: ClusterSettings, entry: Entry) -> Ending | None:
    """Why this cluster never sounds the item, whatever happens around it."""
    item = entry.item
    if entry.total == 0:
        return Ending(EventKind.REFUSED, Outcome.REFUSED, "empty")
    if not item.priority.crosses_quiet_hours and overlaps_quiet(settings, item.start, item.nominal_end):
        return Ending(EventKind.REFUSED, Outcome.REFUSED, "quiet_hours")
    return None


def _met_quiet(settings: ClusterSettings, since: datetime, now: datetime) -> bool:
    """Whether quiet hours began in between: what was due before them is not heard the morning after either."""
    return overlaps_quiet(settings, since, now + timedelta(microseconds=1))


def over(settings: ClusterSettings, entry: Entry, progress: Progress, now: datetime) -> Ending | None:
    """Why an admitted item is over ``now`` by its own times; None while it is not."""
    item = entry.item
    on_air = progress.phase.is_heard
    if entry.total is not None and progress.position(now) >= entry.total:
        return _played(entry, progress, now) if on_air else ending(progress, "preempted")
    if item.slot_end is not None and now >= item.slot_end and isinstance(item.content, Relay):
        return _window_closed(progress, item.slot_end)
    code = _bound_reached(settings, item, progress, now)
    return None if code is None else ending(progress, code)


def _bound_reached(settings: ClusterSettings, item: Item, progress: Progress, now: datetime) -> str | None:
    """The bound that an item has met: its code, or None."""
    if now >= item.expires:
        return "expired"
    if item.slot_end is not None and now >= item.slot_end and item.overrun is Overrun.CUT_WITH_FADE:
        return "slot_end"
    if progress.heard_until(now) >= frames_of(cap_of(settings, item)):
        return "too_long"
    if not item.priority.crosses_quiet_hours and _met_quiet(settings, item.start, now):
        return "quiet_hours"
    return None


def _played(entry: Entry, progress: Progress, now: datetime) -> Ending:
    whole = entry.total is None or progress.heard_until(now) + WHOLE_WITHIN >= entry.total
    return Ending(EventKind.FINISHED, Outcome.PLAYED if whole else Outcome.PARTIAL)


def _window_closed(progress: Progress, slot_end: datetime) -> Ending:
    """A relay at the end of its window. The other end may have closed its stream a little early."""
    at_the_end = progress.phase.is_heard or progress.anchor_at >= slot_end - RELAY_TAIL
    if progress.first is not None and at_the_end:
        return Ending(EventKind.FINISHED, Outcome.PLAYED)
    return ending(progress, progress.code or "window_end")


def live_over(settings: ClusterSettings, source: LiveSource, progress: Progress, now: datetime) -> Ending | None:
    """Why an open live source is over ``now``; None while it is not."""
    if now >= source.not_after or now >= source.opened_at + settings.max_relay:
        return ending(progress, "time_limit")
    if not source.priority.crosses_quiet_hours and _met_quiet(settings, source.opened_at, now):
        if progress.first is None:
            return Ending(EventKind.REFUSED, Outcome.REFUSED, "quiet_hours")
        return ending(progress, "quiet_hours")
    return None


def closed(progress: Progress) -> Ending:
    """A live source that its operator has closed."""
    if progress.first is None:
        return Ending(EventKind.MISSED, Outcome.MISSED, "closed_before_air")
    return Ending(EventKind.FINISHED, Outcome.PLAYED, "closed")


def end_on_air(
    settings: ClusterSettings, entry: Entry | LiveSource, progress: Progress, now: datetime
) -> tuple[datetime, bool]:
    """When a sounding item ends if nothing disturbs it, and whether it is cut (and must fade) there."""
    cuts: list[datetime] = []
    natural: datetime | None = None
    if isinstance(entry, LiveSource):
        priority = entry.priority
        cuts += [entry.not_after, entry.opened_at + settings.max_relay]
    else:
        item, priority = entry.item, entry.item.priority
        natural = _natural_end(entry, progress)
        remaining = frames_of(cap_of(settings, item)) - progress.heard
        cuts += [item.expires, (progress.since or now) + duration_of(remaining)]
        if item.slot_end is not None and item.overrun is Overrun.CUT_WITH_FADE:
            cuts.append(item.slot_end)
    if not priority.crosses_quiet_hours:
        night = next_quiet_begin(settings, now)
        cuts += [] if night is None else [night]
    first_cut = min(cuts)
    return (natural, False) if natural is not None and natural <= first_cut else (first_cut, True)


def _natural_end(entry: Entry, progress: Progress) -> datetime | None:
    if entry.total is None:
        return entry.item.slot_end
    return progress.anchor_at + duration_of(entry.total - progress.anchor_frames)


def changes_of_waiting(entry: Entry, progress: Progress) -> list[datetime]:
    """Instants at which an admitted or held item that is not on air may be over."""
    item = entry.item
    instants = [item.expires]
    if item.slot_end is not None and (item.overrun is Overrun.CUT_WITH_FADE or isinstance(item.content, Relay)):
        instants.append(item.slot_end)
    if progress.phase is Phase.HELD:
        instants.append(held_until(entry))
    elif progress.moving and entry.total is not None:
        instants.append(progress.anchor_at + duration_of(entry.total - progress.anchor_frames))
    return instants


#: Endings by order or by plan.
STOPPED = Ending(EventKind.STOPPED, Outcome.STOPPED)
WITHDRAWN = Ending(EventKind.WITHDRAWN, Outcome.WITHDRAWN)
NOT_IN_PLAN = Ending(EventKind.WITHDRAWN, Outcome.WITHDRAWN, "not_in_plan")
CONTENT_CHANGED = Ending(EventKind.WITHDRAWN, Outcome.WITHDRAWN, "content_changed")
