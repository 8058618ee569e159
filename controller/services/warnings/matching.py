"""Which of our clusters a warning reaches: by figures on the map, or by geocodes that someone mapped to our areas.

Rules kept here:

1. Polygons and circles of one area are a union. Where an area has a figure that can be used, a cluster that knows
   where it stands is judged by figures alone: they are more exact than any code.
2. A cluster without coordinates, and an area without usable figures, are judged by the area's geocodes, as the
   source's table maps them to areas of our tree (and everything below these).
3. A source speaks for its own area: what it says of clusters elsewhere is counted and not followed.
4. An area of the warning that neither figure nor table places is named (``unplaced``), so that people see the gap.

Pure and without waiting; many corners times many clusters takes time, so callers run it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.services.warnings.notice import NoticeArea

#: Areas of a warning that are named as unplaced at most.
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster as matching sees it. ``areas``: its area and all above it."""

    id: str
    areas: frozenset[str]
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class GeocodeMap:
    """(valueName, value) -> ids of our areas. The name may be ``*``: whatever the scheme is called."""

    table: Mapping[tuple[str, str], frozenset[str]]

    @classmethod
    def of(cls, entries: Iterable[tuple[str, str, Iterable[str]]]) -> GeocodeMap:
        """From rows (valueName, value, area ids); upper and lower case are the same."""
        table: dict[tuple[str, str], frozenset[str]] = {}
        for name, value, areas in entries:
            key = (name.strip().casefold(), value.strip().casefold())
            table[key] = table.get(key, frozenset()) | frozenset(areas)
        return cls(table)

    def areas(self, geocodes: Iterable[tuple[str, str]]) -> frozenset[str]:
        """The areas that any of these codes means."""
        found: set[str] = set()
        for name, value in geocodes:
            code = value.strip().casefold()
            found |= self.table.get((name.strip().casefold(), code), frozenset())
            found |= self.table.get(("*", code), frozenset())
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Match:
    """Whom a warning reaches."""

    clusters: tuple[str, ...] = ()  # sorted
    outside: int = 0  # clusters it names for which the source does not speak
    unplaced: tuple[str, ...] = ()  # descriptions of its areas that are nowhere of ours


def match(places: Sequence[NoticeArea], sites: Sequence[Site], geocodes: GeocodeMap, *, speaks_for: str) -> Match:
    """The clusters in any of these places."""
    reached: set[str] = set()
    unplaced: list[str] = []
    for place in places:
        coded = geocodes.areas(place.geocodes)
        if not place.figures and not coded:
            unplaced.append(place.desc)
        reached.update(site.id for site in sites if _inside(place, coded, site))
    own = {site.id for site in sites if speaks_for in site.areas}
    return Match(tuple(sorted(reached & own)), len(reached - own), tuple(dict.fromkeys(unplaced))[:_NAMED])


def _inside(place: NoticeArea, coded: frozenset[str], site: Site) -> bool:
    if place.figures and site.latitude is not None and site.longitude is not None:
        return any(figure.contains(site.latitude, site.longitude) for figure in place.figures)
    return bool(coded & site.areas)
