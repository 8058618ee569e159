"""The priority ladder: who is heard when two things want the same loudspeaker.

The values are part of the wire (PROTOCOL.md) and of users' scripts. Higher wins; what equals do to each
other is a property of the class, not of the moment. The classes lie on three buses of the mixer, and what a class does
to one beneath it follows from the two classes alone: it silences it, or it may be asked to speak over it.
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


class Bus(IntEnum):
    """The three buses of the mixer. A drill lies on the emergency bus: it must sound as the emergency would."""

    EMERGENCY = 3
    LOCAL = 2
    SCHEDULED = 1


def bus_of(priority: Priority) -> Bus:
    """The bus a class belongs to: emergency from 70, local from 50, scheduled below.

    Raises:
        ValueError: STOP, which is no sound.
    """
    if priority is Priority.STOP:
        raise ValueError("STOP lies on no bus: it is silence on all of them")
    if priority >= Priority.DRILL:
        return Bus.EMERGENCY
    return Bus.LOCAL if priority >= Priority.COMMUNE_LIVE else Bus.SCHEDULED


def may_duck(upper: Priority, lower: Priority) -> bool:
    """Whether a cluster may choose that ``upper`` speaks over ``lower`` instead of silencing it.

    Only a live announcement of the commune over a relay, music or a test tone. Two people who speak at once are not
    understood, so a programme and a bulletin are always silenced, and beneath an emergency or a drill all is silent.
    """
    return upper is Priority.COMMUNE_LIVE and lower <= Priority.RELAY


class AmongEquals(Enum):
    """What a newcomer does when its own class is sounding already."""

    NEWEST_WINS = "newest_wins"
    WAITS = "waits"


def among_equals(priority: Priority) -> AmongEquals:
    """The rule for a newcomer of ``priority`` that meets its equal: only live emergency voice takes over."""
    return AmongEquals.NEWEST_WINS if priority is Priority.EMERGENCY_LIVE else AmongEquals.WAITS
