"""What the arbiter's tests are made of: one day, items by the minute, and events as short lines."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta

from schedules.arbiter import Decision, Event, LiveSource, Situation, State, advance
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import (
    AfterPreempt,
    Amplifier,
    Approval,
    Clip,
    ClusterSettings,
    Item,
    LateKind,
    LatePolicy,
    Overrun,
    QuietHours,
    Recorded,
    Relay,
)

#: 07:00 in Việt Nam: quiet hours are far away.
DAY = datetime(2026, 8, 30, 0, 0, tzinfo=UTC)
CLUSTER = "cl_avao000003"
SETTINGS = ClusterSettings(CLUSTER, "Asia/Ho_Chi_Minh", quiet_hours=QuietHours(time(21, 30), time(4, 45)))
APPROVAL = Approval("us_chair00001", DAY - timedelta(days=1))
JOIN = LatePolicy(LateKind.JOIN)
SKIP = LatePolicy(LateKind.SKIP)


def at(minute: float) -> datetime:
    """``minute`` minutes into the day, to the microsecond."""
    return DAY + timedelta(microseconds=round(minute * 60_000_000))


def within(minutes: float) -> LatePolicy:
    return LatePolicy(LateKind.PLAY_FULL, timedelta(minutes=minutes))


def clip(name: str, minutes: float) -> Clip:
    return Clip(name.ljust(64, "0"), Frames(round(minutes * 60 * 48_000)), APPROVAL)


def item(
    rule: str,
    minute: float,
    minutes: float,
    priority: Priority = Priority.PROGRAMME,
    *,
    late: LatePolicy = JOIN,
    after: AfterPreempt = AfterPreempt.RESUME,
    overrun: Overrun = Overrun.LET_FINISH,
    slot: float | None = None,
    delay: float = 10,
    sound: str | None = None,
) -> Item:
    """A recorded item that starts ``minute`` minutes into the day and lasts ``minutes``."""
    start = at(minute)
    return Item(
        rule_id=rule,
        recurrence=start,
        title=rule,
        priority=priority,
        start=start,
        expires=at(minute + minutes + delay),
        content=Recorded((clip(sound or rule, minutes),)),
        slot_end=None if slot is None else at(minute + slot),
        late=late,
        after_preempt=after,
        overrun=overrun,
    )


def relay(
    rule: str,
    minute: float,
    minutes: float,
    *,
    late: LatePolicy = JOIN,
    after: AfterPreempt = AfterPreempt.RESUME,
    fallback: tuple[Clip, ...] = (),
    priority: Priority = Priority.RELAY,
) -> Item:
    """A relay through a window."""
    start = at(minute)
    content = Relay("so_voice00001", fallback)
    end = at(minute + minutes)
    return Item(rule, start, rule, priority, start, end, content, end, late, after)


def live(
    stream: int,
    minute: float,
    until: float,
    priority: Priority = Priority.COMMUNE_LIVE,
    *,
    of: Item | None = None,
    healthy: bool = True,
) -> LiveSource:
    """A live source, bound to a relay item with ``of``."""
    rule = None if of is None else of.rule_id
    recurrence = None if of is None else of.recurrence
    return LiveSource(stream, priority, at(minute), at(until), rule, recurrence, healthy)


def situation(*items: Item, **changes: object) -> Situation:
    """A healthy cluster, up since the day began, with this plan."""
    values: dict[str, object] = {"settings": SETTINGS, "items": items, "ready_from": DAY, **changes}
    return Situation(**values)  # type: ignore[arg-type]


def amplifier(lead: float, tail: float) -> Amplifier:
    return Amplifier("gpio", 17, timedelta(minutes=lead), timedelta(minutes=tail))


def told(events: Iterable[Event]) -> list[str]:
    """Events as ``minute kind subject [code] [outcome]``."""
    return [line(event) for event in events]


def line(event: Event) -> str:
    minute = (event.at - DAY).total_seconds() / 60
    subject = event.rule_id or event.occurrence_id.removeprefix("stream-").lstrip("0") or "-"
    words = [f"{minute:g}", event.kind.value, subject]
    words += [event.code] if event.code else []
    words += [f"={event.outcome.value}"] if event.outcome else []
    return " ".join(words)


def story(of: Situation, until: float = 600, state: State | None = None) -> list[str]:
    """All that happens until a minute."""
    return told(advance(state or State.initial(), of, at(until))[1].events)


def decide(of: Situation, minute: float, state: State | None = None) -> Decision:
    return advance(state or State.initial(), of, at(minute))[1]
