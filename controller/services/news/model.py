"""Topics of change, and who may know of one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """What kind of thing changed; ids are those of the API's paths."""

    AREA = "area"
    CLUSTER = "cluster"
    ZONE = "zone"
    AGENT = "agent"
    BOX = "box"  # the live state of clusters; ids are cluster ids
    ALERT = "alert"
    DRILL = "drill"
    LIVE = "live"
    ORDER = "order"
    WARNING = "warning"
    RECORDING = "recording"
    PROGRAMME = "programme"
    SOURCE = "source"
    TEMPLATE = "template"
    NOTICE = "notice"  # one's own
    SESSION = "session"  # one's own


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may know: these users, or whoever may read one of the areas (``whole``: all of them).

    ``areas`` None: everybody who is signed in. No area and no user: whoever may read everything.
    """

    areas: frozenset[str] | None = frozenset()
    users: frozenset[str] = frozenset()
    whole: bool = False

    def joined(self, other: Audience) -> Audience:
        """Both: a thing that moved concerns those who saw it before and those who see it now."""
        if self == other:
            return self
        areas = None if self.areas is None or other.areas is None else self.areas | other.areas
        return Audience(areas, self.users | other.users, self.whole or other.whole)


EVERYONE = Audience(areas=None)
