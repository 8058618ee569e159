"""The priority ladder: who is heard when two things want the same loudspeaker.

The values are part of the wire (PROTOCOL.md) and of users' scripts. Higher wins; what equals do to each
other is a property of the class, not of the moment.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class Priority(IntEnum):
    """A class of sound. The number is its rank and its name on the wire."""

    STOP = 100
    EMERGENCY_LIVE = 90
    EMERGENCY_STORED = 80
    DRILL = 70
    PRIORITY_BULLETIN = 60
    COMMUNE_LIVE = 50
    PROGRAMME = 40
    RELAY = 30
    FILLER = 20
    TEST_TONE = 10

    @property
    def crosses_quiet_hours(self) -> bool:
        """Only an emergency may wake people."""
        return self >= Priority.EMERGENCY_STORED


class AmongEquals(Enum):
    """What a newcomer does when its own class is sounding already."""

    NEWEST_WINS = "newest_wins"
    WAITS = "waits"


def among_equals(priority: Priority) -> AmongEquals:
    """The rule for a newcomer of ``priority`` that meets its equal: only live emergency voice takes over."""
    return AmongEquals.NEWEST_WINS if priority is Priority.EMERGENCY_LIVE else AmongEquals.WAITS
