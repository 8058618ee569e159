"""Mute: nothing sounds, whatever is due or ordered, emergencies included.

Rules kept here:

1. Two hands can set it: a technician at the box (somebody may stand before the horn, and may not trust the desk), and
   a signed STOP with a hold. Each ends only what it began: the technician by hand, the desk by a release order; and
   both end by themselves, at most :data:`LONGEST` after they began.
2. It survives a reboot. Without trusted time it is counted by the agent's own reading and moves along when the clock
   is set, so that a box that knows no time is not mute for ever.

Not here: how silence is made (:mod:`agent.conductor.conductor`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from protocol.limits import MAX_HOLD
from protocol.telemetry import MuteBy, MuteState
from schedules.instants import from_unix_us, to_unix_us

#: Longest mute, by whichever hand: a box forgotten mute is a village without a siren.
LONGEST = MAX_HOLD

#: What ``loa-agent mute`` sets when it is told nothing else.
USUAL = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Muted:
    """One mute that lasts."""

    by: MuteBy
    since: datetime
    until: datetime
    by_own_clock: bool = False

    def state(self) -> MuteState:
        """For the status message."""
        return MuteState(by=self.by, since=self.since, until=self.until)


class Mute:
    """At most one mute by each hand."""

    def __init__(self) -> None:
        self._by: Mapping[MuteBy, Muted] = {}

    def at(self, now: datetime) -> Muted | None:
        """The mute that lasts longest ``now``; None when the box may sound."""
        return max((one for one in self._by.values() if one.until > now), key=lambda one: one.until, default=None)

    def set(self, by: MuteBy, since: datetime, until: datetime, *, trusted: bool) -> None:
        """Mute until ``until`` (at most :data:`LONGEST` later). It replaces the one the same hand set before."""
        until = min(until, since + LONGEST)
        self._by = {**self._by, by: Muted(by, since, until, by_own_clock=not trusted)}

    def lift(self, by: MuteBy) -> bool:
        """End what this hand began; whether there was anything."""
        had = by in self._by
        self._by = {hand: one for hand, one in self._by.items() if hand is not by}
        return had

    def stepped(self, by: timedelta) -> None:
        """The wall clock was set: what was counted by the agent's own reading moves along."""
        moved = {
            hand: replace(one, since=one.since + by, until=one.until + by, by_own_clock=False)
            for hand, one in self._by.items()
            if one.by_own_clock
        }
        self._by = {**self._by, **moved}

    # -- remembering --------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """For the disk."""
        rows = [
            {
                "by": one.by.value,
                "since": to_unix_us(one.since),
                "until": to_unix_us(one.until),
                "own": one.by_own_clock,
            }
            for one in self._by.values()
        ]
        return json.dumps(rows).encode()

    def restore(self, data: bytes) -> None:
        """From the disk.

        Raises:
            ValueError: it cannot be read; the box is then not mute, which is the safe side for a siren.
        """
        try:
            rows: list[dict[str, Any]] = json.loads(data)
            found = [
                Muted(MuteBy(row["by"]), from_unix_us(row["since"]), from_unix_us(row["until"]), bool(row["own"]))
                for row in rows
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a mute: {error!r}") from error
        self._by = {one.by: one for one in found}
