"""What an id in the log stands for: its name, where it is, and whether it is still there.

Rules kept here:

1. A name is looked up where the thing lives now (:meth:`Names.know` adds a place to look, by the prefix of its ids).
2. What is gone keeps the name that the log itself last gave it (:class:`Names` is given those, see ``Remembered``).
3. ``areas`` are where a thing is: whoever may read the log of all of them may read what the log says about it. A thing
   whose place is not known is for those who may read everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from controller.services.directory import Directory

ThingKind = Literal[
    "area", "zone", "cluster", "agent", "user", "recording", "source", "programme", "template", "alert", "drill",
    "warning", "warning_source", "live",
]  # fmt: skip

_ID: Final = re.compile(r"[a-z]{2}_[a-z2-7]{10}")
#: As much of a box's name as people compare (its id is the hash of its key).
_BOX_LETTERS: Final = 8


@dataclass(frozen=True, slots=True)
class Thing:
    """Something the log speaks of. ``page``: the id under which the console shows it; None when it is gone."""

    kind: ThingKind
    name: str
    page: str | None
    areas: frozenset[str] = frozenset()


Lookup = Callable[[str], Thing | None]
#: Names that the log itself gave to what may be gone.
Remembered = Mapping[str, str]

#: What an id is, by its first letters.
KINDS: Final[Mapping[str, ThingKind]] = {
    "ar": "area", "zn": "zone", "cl": "cluster", "us": "user", "rc": "recording", "so": "source", "pr": "programme",
    "tp": "template", "al": "alert", "dr": "drill", "wa": "warning", "ws": "warning_source", "lv": "live",
}  # fmt: skip


class Names:
    """Where the things of the log are looked up."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._lookups: dict[str, Lookup] = {
            "ar": self._area,
            "zn": self._zone,
            "cl": self._cluster,
            "us": self._user,
        }

    def know(self, prefix: str, lookup: Lookup) -> None:
        """Ask ``lookup`` for ids that begin with ``prefix``."""
        self._lookups[prefix] = lookup

    def find(self, text: str, remembered: Remembered) -> Thing | None:
        """What an id stands for; None when ``text`` is no id of a thing, or of one nobody knows any more."""
        if text in self._directory.agents:
            return self._agent(text)
        if not is_id(text):
            return None
        lookup = self._lookups.get(text[:2])
        found = None if lookup is None else lookup(text)
        if found is None and text in remembered:
            return Thing(KINDS[text[:2]], remembered[text], None)
        return found

    def areas_of(self, clusters: frozenset[str]) -> frozenset[str]:
        """Where clusters are; empty when one of them is gone, as its place is no longer known."""
        known = self._directory.clusters
        return frozenset(known[each].area_id for each in clusters) if clusters <= known.keys() else frozenset()

    def _area(self, area_id: str) -> Thing | None:
        area = self._directory.areas.get(area_id)
        return None if area is None else Thing("area", area.name, area_id, frozenset({area_id}))

    def _zone(self, zone_id: str) -> Thing | None:
        zone = self._directory.zones.get(zone_id)
        return None if zone is None else Thing("zone", zone.name, zone_id, frozenset({zone.area_id}))

    def _cluster(self, cluster_id: str) -> Thing | None:
        cluster = self._directory.clusters.get(cluster_id)
        return None if cluster is None else Thing("cluster", cluster.name, cluster_id, frozenset({cluster.area_id}))

    def _user(self, user_id: str) -> Thing | None:
        user = self._directory.users.get(user_id)
        if user is None:
            return None
        held = {grant.area_id for grant in user.grants}
        areas = frozenset(each for each in held if each is not None)
        return Thing("user", user.display_name or user.name, user_id, frozenset() if None in held else areas)

    def _agent(self, agent_id: str) -> Thing:
        cluster = self._directory.clusters.get(self._directory.agents[agent_id].cluster_id or "")
        name = agent_id[:_BOX_LETTERS]
        if cluster is None:
            return Thing("agent", name, None)
        return Thing("agent", name, cluster.id, frozenset({cluster.area_id}))


def is_id(text: str) -> bool:
    """Whether this is an id of a thing that has a name."""
    return text[:2] in KINDS and _ID.fullmatch(text) is not None
