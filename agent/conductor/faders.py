"""Where the fader of each cue stands, as the arbiter's decision says. Pure.

Rules kept here:

1. What is on air has its fader open. What runs on beneath it is silent, or softer by what the signed settings say.
2. A change that is known beforehand is told to the player with its instant, so that the fader moves at that very
   sample and one sound takes over from another without a hole; what is not known is done at once.
3. Who yields to a sound that is being made ready yields when that sound begins.

Not here: whether something is silenced or ducked (:mod:`schedules.arbiter`), the 100 ms it takes
(:mod:`audio.playout`).
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.conductor.cues import Key, key_of
from audio.playout import MUTED_DB, ON_AIR_DB
from schedules.arbiter import Decision, Presence, Sounding
from schedules.instants import MonoUs
from schedules.model import ClusterSettings


@dataclass(frozen=True, slots=True)
class Fader:
    """Where it is to stand, from ``at`` on (None: now)."""

    level_db: float
    at: MonoUs | None = None


def level_of(settings: ClusterSettings, sounding: Sounding) -> float:
    """The level of one sound, by how it is there."""
    match sounding.presence:
        case Presence.ON_AIR:
            return ON_AIR_DB
        case Presence.DUCKED:
            return MUTED_DB if settings.duck_db is None else settings.duck_db
        case Presence.MUTED:
            return MUTED_DB


def faders(
    decision: Decision, settings: ClusterSettings, *, begins: MonoUs | None, next_at: MonoUs | None
) -> dict[Key, Fader]:
    """Where the faders stand.

    Args:
        decision: what is on air, what runs on beneath it, and what comes next.
        settings: the cluster's.
        begins: when the sound on air begins, if that is still to come.
        next_at: when the next one begins, if that is near enough to be told to the player.
    """
    found: dict[Key, Fader] = {}
    for one in decision.beneath:
        found[key_of(one)] = Fader(level_of(settings, one), begins)
    if decision.sounding is not None:
        found[key_of(decision.sounding)] = Fader(ON_AIR_DB)
    if decision.upcoming is not None and next_at is not None:
        for one in decision.upcoming_beneath:
            found[key_of(one)] = Fader(level_of(settings, one), next_at)
        found[key_of(decision.upcoming)] = Fader(ON_AIR_DB, next_at)
    return found
