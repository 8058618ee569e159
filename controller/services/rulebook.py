"""From a programme of the desk to a rule of the domain: ids become hashes, areas become clusters.

Rules kept here:

1. Only a recording whose present bytes are approved becomes part of a rule; the approval travels with it.
2. What cannot become a rule is told as a :class:`Gap`, never silently dropped.
3. An area means every active cluster below it at the moment of compiling, and a zone its members of that moment.
4. What was made is kept while nothing it was made of changed, so that one edit among hundreds of programmes and ten
   thousand clusters costs the event loop no more than that edit.

Not here: overlaps, quiet hours and lengths (:func:`schedules.compiler.check_rule`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import is_
from typing import Final

from controller.services.catalogue import Catalogue, ProgrammeEntry, RecordingEntry
from controller.services.directory import Change, Directory
from controller.services.programme_model import ChimeKind, ProgrammeSpec, RecordedSpec, RelaySpec, TargetSpec
from schedules.model import Clip
from schedules.recurrence import resolve, zone_of
from schedules.rules import RecordedContent, RecordingRef, RelayContent, Rule, RuleContent

#: The code of a recording whose present bytes nobody has approved.
NOT_APPROVED: Final = "not_approved"
#: Sets of clusters kept at a time.
_MAX_PLACES: Final = 5000


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a programme (or a play-now order) cannot be made into sound: a stable code and words for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class _Made:
    """A rule and what it was made of."""

    parts: tuple[object, ...]
    rule: Rule | None
    gaps: tuple[Gap, ...]


class Rulebook:
    """Makes rules. ``chimes`` are the clips of the house."""

    def __init__(self, catalogue: Catalogue, directory: Directory, chimes: Mapping[ChimeKind, Clip]) -> None:
        self._catalogue = catalogue
        self._directory = directory
        self._chimes = chimes
        self._places: dict[TargetSpec, frozenset[str]] = {}
        self._made: dict[str, _Made] = {}
        directory.subscribe(self._hear)

    def _hear(self, change: Change) -> None:
        if change.kind in {"area", "cluster", "zone"}:
            self._places.clear()

    def rule(self, rule_id: str, spec: ProgrammeSpec, *, pending: bool = False) -> tuple[Rule | None, tuple[Gap, ...]]:
        """The rule of a programme, and what is wrong with it. A relay without its fallback is still a rule.

        ``pending``: as it will be once its recordings are approved; for judging it, never for a plan.
        """
        content, gaps = self._content(spec, pending=pending)
        if content is None:
            return None, gaps
        replaced, holes = self._replaced(spec)
        gaps += holes
        try:
            return self._rule(rule_id, spec, content, replaced), gaps
        except ValueError as error:
            return None, (*gaps, Gap("contradiction", str(error)))

    def rules(self, programmes: Iterable[ProgrammeEntry]) -> tuple[tuple[Rule, ...], dict[str, tuple[Gap, ...]]]:
        """Rules of all programmes that can have one, and by id what is wrong."""
        made: list[Rule] = []
        missing: dict[str, tuple[Gap, ...]] = {}
        kept: dict[str, _Made] = {}
        for entry in programmes:
            done = kept[entry.id] = self._rule_of(entry)
            rule, gaps = done.rule, done.gaps
            if rule is not None:
                made.append(rule)
            if gaps:
                missing[entry.id] = gaps
        self._made = kept
        return tuple(made), missing

    def rule_of(self, programme: ProgrammeEntry) -> tuple[Rule | None, tuple[Gap, ...]]:
        """As :meth:`rule`, of a programme as it stands; that which :meth:`rules` has made is used again."""
        made = self._rule_of(programme)
        return made.rule, made.gaps

    def times(self, rule_id: str, spec: ProgrammeSpec) -> Rule | None:
        """The times and places of a programme whose content cannot sound yet; None when even they make no sense."""
        try:
            return self._rule(rule_id, spec, RecordedContent(()))
        except ValueError:
            return None

    def clusters(self, targets: TargetSpec) -> frozenset[str]:
        """Ids of the active clusters that are meant."""
        known = self._places.get(targets)
        if known is None:
            zones = self._directory.clusters_of_zones(each for each in targets.zones if each in self._directory.zones)
            found = self._directory.clusters_of(areas=targets.areas, clusters=zones.union(targets.clusters))
            known = frozenset(each for each in found if self._directory.clusters[each].active)
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            self._places[targets] = known
        return known

    def references(
        self, recordings: Sequence[str], *, pending: bool = False
    ) -> tuple[tuple[RecordingRef, ...], tuple[Gap, ...]]:
        """Recordings as the domain knows them, and what is wrong with those that cannot go on air.

        ``pending``: that one waits for approval is nothing wrong.
        """
        refs: list[RecordingRef] = []
        gaps: list[Gap] = []
        for each in recordings:
            entry = self._catalogue.recordings.get(each)
            gap = _gap_of(each, entry)
            if gap is not None and not (pending and gap.code == NOT_APPROVED):
                gaps.append(gap)
            elif entry is not None and entry.sha256 is not None and entry.frames is not None:
                refs.append(RecordingRef(entry.sha256, entry.frames, entry.language, entry.approval))
        return tuple(refs), tuple(gaps)

    def chime(self, kind: ChimeKind | None) -> Clip | None:
        """The clip of a chime."""
        return None if kind is None else self._chimes[kind]

    def _rule_of(self, entry: ProgrammeEntry) -> _Made:
        """The rule of a programme, as it was made before if everything it was made of is still the same object."""
        source = entry.spec.content.source if isinstance(entry.spec.content, RelaySpec) else ""
        parts: tuple[object, ...] = (
            entry,
            self._catalogue.sources.get(source),
            self.clusters(entry.spec.targets),
            *(self._catalogue.recordings.get(each) for each in entry.spec.recordings),
        )
        before = self._made.get(entry.id)
        if before is not None and len(before.parts) == len(parts) and all(map(is_, before.parts, parts)):
            return before
        return _Made(parts, *self.rule(entry.id, entry.spec))

    def _replaced(self, spec: ProgrammeSpec) -> tuple[tuple[tuple[datetime, RecordedContent], ...], tuple[Gap, ...]]:
        """The sounds of single occurrences; one that cannot sound is without recordings, and told."""
        zone = zone_of(spec.recurrence.timezone)
        found: list[tuple[datetime, RecordedContent]] = []
        holes: tuple[Gap, ...] = ()
        for local, said in spec.replaced:
            refs, gaps = self.references(said.recordings)
            content, more = (None, gaps) if gaps else self._recorded(said, refs)
            found.append((resolve(local, zone), content or RecordedContent(())))
            holes += more
        return tuple(found), holes

    def _content(self, spec: ProgrammeSpec, *, pending: bool) -> tuple[RuleContent | None, tuple[Gap, ...]]:
        own = spec.content.recordings if isinstance(spec.content, RecordedSpec) else spec.content.fallback
        refs, gaps = self.references(own, pending=pending)
        if isinstance(spec.content, RelaySpec):
            source = self._catalogue.sources.get(spec.content.source)
            if source is None or source.state != "active":
                return None, (*gaps, Gap("unknown_source", f"there is no source {spec.content.source!r} in use"))
            return RelayContent(spec.content.source, tuple(Clip(r.sha256, r.frames, r.approval) for r in refs)), gaps
        if gaps:
            return None, gaps
        return self._recorded(spec.content, refs)

    def _recorded(
        self, content: RecordedSpec, refs: tuple[RecordingRef, ...]
    ) -> tuple[RecordedContent | None, tuple[Gap, ...]]:
        if not refs:
            return None, (Gap("no_content", "a programme needs at least one recording"),)
        try:
            return RecordedContent(
                refs, content.repeat, content.gap, self.chime(content.chime_before), self.chime(content.chime_after)
            ), ()
        except ValueError as error:
            return None, (Gap("contradiction", str(error)),)

    def _rule(
        self,
        rule_id: str,
        spec: ProgrammeSpec,
        content: RuleContent,
        replaced: tuple[tuple[datetime, RecordedContent], ...] = (),
    ) -> Rule:
        zone = zone_of(spec.recurrence.timezone)

        def instant(local: datetime) -> datetime:
            return resolve(local, zone)

        return Rule(
            id=rule_id,
            title=spec.title,
            priority=spec.priority,
            recurrence=spec.recurrence,
            content=content,
            targets=self.clusters(spec.targets),
            late=spec.late,
            after_preempt=spec.after_preempt,
            overrun=spec.overrun,
            slot=spec.slot,
            max_delay=spec.max_delay,
            moved=tuple((instant(old), instant(new)) for old, new in spec.moved),
            replaced=replaced,
        )


def _gap_of(recording_id: str, entry: RecordingEntry | None) -> Gap | None:
    if entry is None or entry.state == "archived":
        return Gap("unknown_recording", f"there is no recording {recording_id!r}")
    if entry.state == "processing":
        return Gap(
            "recording_not_ready", f"{entry.title!r} ({entry.id}) is still being processed; try again in a moment"
        )
    if entry.state == "refused":
        return Gap("recording_refused", f"{entry.title!r} ({entry.id}) could not be read as sound; upload it again")
    if entry.approval is None:
        return Gap(NOT_APPROVED, f"{entry.title!r} ({entry.id}) is not approved in its present form")
    return None
