"""When a cluster may sound: quiet hours and the caps an agent keeps by itself.

Rules kept here:

1. Quiet hours are local times of the cluster's zone, half-open (sound may end at their first instant and begin at
   their last), and may cross midnight. They hold for classes below 80; the caller knows the class.
2. A clock change inside them does not open a hole: both ends are placed on the time line by RFC 5545's rule.

Not here: who is heard (:mod:`schedules.arbiter`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from schedules.ladder import Priority
from schedules.model import ClusterSettings, Item, QuietHours, Relay
from schedules.recurrence import resolve, zone_of

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@lru_cache(maxsize=8192)
def _night(quiet: QuietHours, timezone: str, day: date) -> tuple[datetime, datetime]:
    """The quiet hours that begin on a local day, as UTC instants; begin = end if a clock change swallows them."""
    zone = zone_of(timezone)
    last_day = day if quiet.begin < quiet.end else day + _DAY
    begin = resolve(datetime.combine(day, quiet.begin), zone)
    return begin, max(begin, resolve(datetime.combine(last_day, quiet.end), zone))


@lru_cache(maxsize=256)
def _day_around(quiet: QuietHours, timezone: str, hour: datetime) -> tuple[datetime, datetime] | None:
    """The time without quiet hours that holds a whole hour from ``hour`` on, if there is one."""
    zone = zone_of(timezone)
    last_night = hour.astimezone(zone).date() - _DAY
    after = hour
    for day in (last_night, last_night + _DAY, last_night + 2 * _DAY, last_night + 3 * _DAY):
        begin, end = _night(quiet, timezone, day)
        if begin >= end:
            continue
        if end <= hour:
            after = end
        elif begin >= hour + _HOUR:
            return after, begin
        else:
            return None
    return None


def _open_around(settings: ClusterSettings, instant: datetime) -> tuple[datetime, datetime] | None:
    """A stretch without quiet hours around the instant, where that is easily told."""
    assert settings.quiet_hours is not None  # noqa: S101 - its callers have looked
    hour = instant.replace(minute=0, second=0, microsecond=0)
    return _day_around(settings.quiet_hours, settings.timezone, hour)


def _local_day(settings: ClusterSettings, instant: datetime) -> date:
    return instant.astimezone(zone_of(settings.timezone)).date()


def overlaps_quiet(settings: ClusterSettings, start: datetime, end: datetime) -> bool:
    """Whether some instant of ``[start, end)`` lies in the cluster's quiet hours."""
    if settings.quiet_hours is None or end <= start:
        return False
    free = _open_around(settings, start)
    if free is not None and free[0] <= start and end <= free[1]:
        return False
    day, last = _local_day(settings, start) - _DAY, _local_day(settings, end)
    while day <= last:
        begin, finish = _night(settings.quiet_hours, settings.timezone, day)
        if max(begin, start) < min(finish, end):
            return True
        day += _DAY
    return False


def quiet_at(settings: ClusterSettings, now: datetime) -> bool:
    """Whether ``now`` lies in the cluster's quiet hours."""
    if settings.quiet_hours is None:
        return False
    today = _local_day(settings, now)
    nights = (_night(settings.quiet_hours, settings.timezone, day) for day in (today - _DAY, today))
    return any(begin <= now < end for begin, end in nights)


def next_quiet_change(settings: ClusterSettings, now: datetime) -> datetime | None:
    """The first instant after ``now`` at which quiet hours begin or end; None where there are none."""
    if settings.quiet_hours is None:
        return None
    day = _local_day(settings, now) - _DAY
    while True:
        for edge in _night(settings.quiet_hours, settings.timezone, day):
            if edge > now and quiet_at(settings, edge) != quiet_at(settings, edge - timedelta(microseconds=1)):
                return edge.astimezone(UTC)
        day += _DAY


def next_quiet_begin(settings: ClusterSettings, now: datetime) -> datetime | None:
    """The first instant after ``now`` at which quiet hours begin; None where there are none."""
    if settings.quiet_hours is None:
        return None
    free = _open_around(settings, now)
    if free is not None:
        return free[1]
    day = _local_day(settings, now) - _DAY
    while True:
        begin, end = _night(settings.quiet_hours, settings.timezone, day)
        if now < begin < end:
            return begin
        day += _DAY


def cap_of(settings: ClusterSettings, item: Item) -> timedelta:
    """How long this cluster lets the item sound, whatever the plan says."""
    if isinstance(item.content, Relay):
        return settings.max_relay
    return settings.max_emergency if item.priority.crosses_quiet_hours else settings.max_item


def may_sound(settings: ClusterSettings, priority: Priority, start: datetime, end: datetime) -> bool:
    """Whether a sound of this class may fill ``[start, end)`` as far as quiet hours go."""
    return priority.crosses_quiet_hours or not overlaps_quiet(settings, start, end)
