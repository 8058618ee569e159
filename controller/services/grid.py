"""The grid: which programme sounds when and where, as people look at it; for a day or for weeks.

Rules kept here:

1. Times, lengths and places come from the code that compiles the plans (:mod:`schedules.compiler`): what is shown
   is what sounds, but for edits of the last second.
2. A programme without approved content is shown all the same, as what it is: a hole.
3. A window is at most :data:`MAX_SPAN` and a grid at most :data:`MAX_ITEMS` occurrences; what is cut off is said.
4. A reader sees the programmes they may read, and clusters counted where they may read.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from controller.services.catalogue import Catalogue, ProgrammeEntry
from controller.services.cluster_states import ClusterStates, StateKind
from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.errors import InvalidError
from controller.services.exceptions import own_sound
from controller.services.programme_model import RecordedSpec, RelaySpec
from controller.services.reasons import ReasonKind
from controller.services.rulebook import Gap, Rulebook
from schedules.compiler import Forecast, Kind, forecast, kinds_of
from schedules.instants import SAMPLE_RATE
from schedules.model import ClusterSettings
from schedules.rules import Rule

MAX_SPAN: Final = timedelta(days=42)
MAX_ITEMS: Final = 2_000


@dataclass(frozen=True, slots=True)
class GridItem:
    """One occurrence.

    ``gaps``: why nothing sounds; ``moved``: it is not where its rule has it; ``own``: its sound, where that is not its
    programme's.
    """

    programme: ProgrammeEntry
    when: Forecast
    gaps: tuple[Gap, ...]
    moved: bool
    own: RecordedSpec | None
    on_air: int  # clusters that sound it now
    editable: bool  # by this reader

    @property
    def clusters(self) -> int:
        """Clusters it is for."""
        return len(self.when.sounds) + len(self.when.quiet) + len(self.when.lacking)


@dataclass(frozen=True, slots=True)
class Grid:
    """Occurrences by start. ``cut``: there were more."""

    items: tuple[GridItem, ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class _Line:
    """A programme to be laid out. ``rule`` has no content where there are gaps."""

    programme: ProgrammeEntry
    rule: Rule
    gaps: tuple[Gap, ...]
    hole: timedelta | None  # the length of what cannot sound; None: it can
    editable: bool


class GridService:
    """Lays it out."""

    def __init__(
        self, *, directory: Directory, catalogue: Catalogue, rulebook: Rulebook, states: ClusterStates, clock: Clock
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._rulebook = rulebook
        self._states = states
        self._clock = clock

    async def between(
        self, actor: Actor, begin: datetime, end: datetime, area_id: str | None = None, *, limit: int = MAX_ITEMS
    ) -> Grid:
        """What sounds, or should, in ``[begin, end)`` at the clusters one may read, below ``area_id`` if it is given.

        Raises:
            InvalidError: ``bad_span``.
            NotFoundError, ForbiddenError: there is no such area, or it may not be read.
        """
        if not timedelta(0) < end - begin <= MAX_SPAN:
            raise InvalidError(f"a grid covers up to {MAX_SPAN.days} days", code="bad_span")
        places = self._places(actor, area_id)
        lines = self._lines(actor, places)
        wanted = {each for line in lines for each in line.rule.targets} & places
        settings = [self._directory.effective_settings(each) for each in sorted(wanted)]
        found, cut = await asyncio.to_thread(_lay_out, lines, settings, (begin, end), limit)
        now = self._clock.now()
        sounding = self._sounding(actor) if begin <= now < end else {}
        items = tuple(
            GridItem(
                programme=line.programme,
                when=when,
                gaps=line.gaps if line.hole is not None or not (when.sounds or when.quiet) else (),
                moved=when.recurrence != when.start,
                own=own_sound(line.programme.spec, when.recurrence),
                on_air=sounding.get((line.programme.id, when.recurrence), 0),
                editable=line.editable and when.start > now,
            )
            for line, when in found
        )
        return Grid(items, cut)

    def _places(self, actor: Actor, area_id: str | None) -> frozenset[str]:
        """Active clusters whose sound the reader may know of."""
        if area_id is not None:
            self._directory.area(area_id)
            self._directory.require(actor, Permission.READ, area_id)
            return frozenset(each.id for each in self._directory.clusters_in(area_id) if each.active)
        allowed = {each for each in self._directory.areas if self._directory.allows(actor, Permission.READ, each)}
        return frozenset(
            each.id for each in self._directory.clusters.values() if each.active and each.area_id in allowed
        )

    def _lines(self, actor: Actor, places: frozenset[str]) -> list[_Line]:
        """The programmes that mean one of these places; one of a higher area sounds there, and is shown there."""
        active = [entry for entry in self._catalogue.active_programmes() if self._concerns(actor, entry, places)]
        lines = []
        for entry in active:
            rule, gaps = self._rulebook.rule_of(entry)
            hole = None if rule is not None else self._length(entry)
            rule = rule or self._rulebook.times(entry.id, entry.spec)
            if rule is not None:
                lines.append(_Line(entry, rule, gaps, hole, self._may_edit(actor, entry)))
        return lines

    def _concerns(self, actor: Actor, entry: ProgrammeEntry, places: frozenset[str]) -> bool:
        targets = self._rulebook.clusters(entry.spec.targets)
        if targets:
            return not targets.isdisjoint(places)
        return self._directory.allows(actor, Permission.READ, entry.spec.area_id)

    def _may_edit(self, actor: Actor, entry: ProgrammeEntry) -> bool:
        spec, known = entry.spec, self._directory.clusters
        areas = {spec.area_id, *spec.targets.areas}
        areas |= {known[each].area_id for each in spec.targets.clusters if each in known}
        zones = self._directory.zones
        areas |= {zones[each].area_id for each in spec.targets.zones if each in zones}
        return all(self._directory.allows(actor, Permission.SCHEDULE, each) for each in areas)

    def _length(self, entry: ProgrammeEntry) -> timedelta:
        """How long it will be once its recordings may sound, as far as they have a length."""
        content = entry.spec.content
        if entry.spec.slot is not None or isinstance(content, RelaySpec):
            return entry.spec.slot or timedelta(0)
        known = (self._catalogue.recordings.get(each) for each in content.recordings)
        frames = sum(int(each.frames) for each in known if each is not None and each.frames is not None)
        once = timedelta(seconds=frames / SAMPLE_RATE)
        return once * content.repeat + content.gap * (content.repeat - 1)

    def _sounding(self, actor: Actor) -> Mapping[tuple[str, datetime | None], int]:
        found: Counter[tuple[str, datetime | None]] = Counter()
        for state in self._states.readable(actor):
            reason = state.reason
            if state.kind is StateKind.PLAYING and reason is not None and reason.kind is ReasonKind.PROGRAMME:
                found[reason.id or "", reason.recurrence] += 1
        return found


def _lay_out(
    lines: Sequence[_Line], settings: Sequence[ClusterSettings], span: tuple[datetime, datetime], limit: int
) -> tuple[list[tuple[_Line, Forecast]], bool]:
    """Runs in a thread."""
    kinds: tuple[Kind, ...] = kinds_of(settings)
    found: list[tuple[_Line, Forecast]] = []
    cut = False
    for line in lines:
        made, too_many = forecast(line.rule, kinds, *span)
        cut |= too_many
        found += [(line, _with_hole(each, line.hole)) for each in made]
    found.sort(key=lambda each: (each[1].start, each[0].programme.id))
    return found[:limit], cut or len(found) > limit


def _with_hole(when: Forecast, hole: timedelta | None) -> Forecast:
    if hole is None:
        return when
    return Forecast(when.recurrence, when.start, when.start + hole, when.sounds, when.quiet, when.lacking)
