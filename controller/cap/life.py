"""How long an alert lasts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from controller.cap.alert import CapAlert, CapInfo

#: CAP leaves it to each receiver when an info block without ``expires`` ends. One day: no warning of ours is older.
DEFAULT_LIFE: Final = timedelta(hours=24)


def ends_at(alert: CapAlert, info: CapInfo) -> datetime:
    """When ``info`` is over."""
    if info.expires is not None:
        return info.expires
    begun = max(alert.sent, info.effective or alert.sent)
    try:
        return begun + DEFAULT_LIFE
    except OverflowError:
        return begun


def begins_at(alert: CapAlert, info: CapInfo) -> datetime:
    """When ``info`` counts from: ``effective``, which is ``sent`` when absent (CAP 1.2, 3.2.2)."""
    return info.effective or alert.sent


def all_expired(alert: CapAlert, now: datetime) -> bool:
    """Whether every info block is over (also: there is none)."""
    return all(ends_at(alert, info) <= now for info in alert.infos)
