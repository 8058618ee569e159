"""What the desk refuses or warns of before a rule is saved.

Rules kept here: a rule is judged by its occurrences of the next :data:`HORIZON`, at every kind of cluster it reaches;
each problem is told once, with its first instant.

Not here: what the compiler leaves out all the same (:mod:`schedules.compiler.compiling`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from schedules.airtime import may_sound
from schedules.compiler.compiling import EXCLUSIVE
from schedules.compiler.layout import Sounds, length_of, uncovered
from schedules.compiler.occurrences import MAX_A_DAY, Occurrence, next_occurrence, occurrences
from schedules.compiler.plan import Problem
from schedules.model import ClusterSettings, Overrun
from schedules.rules import RelayContent, Rule

#: How far ahead occurrences are looked at: two months show every weekly and monthly collision.
HORIZON = timedelta(days=62)

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Subject:
    """A rule with what was found out about it."""

    rule: Rule
    clusters: tuple[ClusterSettings, ...]
    sounds: dict[tuple[str, ...], Sounds]
    found: tuple[Occurrence, ...]
    too_many: bool

    @property
    def longest(self) -> timedelta:
        """The length of an occurrence where it is longest."""
        lengths = (length_of(self.rule, sound) for sounds in self.sounds.values() for sound in sounds.all)
        return max(lengths, default=timedelta(0))


def check_rule(
    rule: Rule, others: Iterable[Rule], clusters: Sequence[ClusterSettings], *, now: datetime
) -> tuple[Problem, ...]:
    """What is wrong with ``rule`` beside ``others`` (which may hold an older version of it).

    Codes: no_target, no_content, not_approved, never, in_past, too_often, too_long, overlap, quiet_hours; warnings:
    unknown_target, language_uncovered, longer_than_slot.
    """
    subject = _subject(rule, clusters, now)
    return (
        *_targets(subject, clusters),
        *_content(subject),
        *_times(subject, now),
        *_lengths(subject),
        *_quiet(subject),
        *_overlaps(subject, others, clusters, now),
    )


def _subject(rule: Rule, clusters: Sequence[ClusterSettings], now: datetime) -> _Subject:
    reached = tuple(cluster for cluster in clusters if cluster.cluster_id in rule.targets)
    sounds = {languages: Sounds(rule, languages) for languages in sorted({cluster.languages for cluster in reached})}
    found, too_many = occurrences(rule, now, now + HORIZON)
    if not found:
        later = next_occurrence(rule, now)
        found = () if later is None else (later,)
    return _Subject(rule, reached, sounds, found, too_many)


def _targets(subject: _Subject, clusters: Sequence[ClusterSettings]) -> Iterator[Problem]:
    rule = subject.rule
    if not subject.clusters:
        yield Problem("no_target", "choose at least one cluster for it to sound at", rule.id)
    unknown = sorted(rule.targets - {cluster.cluster_id for cluster in clusters})
    if unknown:
        shown = ", ".join(unknown[:_SHOWN])
        yield Problem("unknown_target", f"{len(unknown)} clusters are not known: {shown}", rule.id, warning=True)


def _content(subject: _Subject) -> Iterator[Problem]:
    rule, content = subject.rule, subject.rule.content
    if isinstance(content, RelayContent):
        if any(clip.approval is None for clip in content.fallback):
            yield Problem("not_approved", "a fallback recording is not approved", rule.id)
        return
    if not content.recordings or any(ref.frames <= 0 for ref in content.recordings):
        yield Problem("no_content", "choose at least one recording that has a length", rule.id)
    if any(ref.approval is None for ref in content.recordings):
        yield Problem("not_approved", "a recording is not approved", rule.id)
    for languages in subject.sounds:
        lacking = uncovered(content, languages)
        if lacking:
            there = [cluster.cluster_id for cluster in subject.clusters if cluster.languages == languages]
            message = f"{len(there)} clusters also speak {', '.join(lacking)}, and no recording is in it"
            tongues = tuple(lacking)
            yield Problem("language_uncovered", message, rule.id, min(there), warning=True, languages=tongues)


def _times(subject: _Subject, now: datetime) -> Iterator[Problem]:
    rule = subject.rule
    if not subject.found:
        ever = next_occurrence(rule, None)
        if ever is None:
            yield Problem("never", "by its rule it never comes", rule.id)
        else:
            yield Problem("in_past", "all its times are past", rule.id, at=ever.start)
    past = [start for _, start in rule.moved if start < now]
    if past and not any(occurrence.start >= now for occurrence in subject.found):
        yield Problem("in_past", "an occurrence was moved into the past", rule.id, at=min(past))
    if subject.too_many:
        yield Problem("too_often", f"more than {MAX_A_DAY} times a day is no programme", rule.id)


def _lengths(subject: _Subject) -> Iterator[Problem]:
    rule, longest = subject.rule, subject.longest
    for cluster in subject.clusters:
        cap = cluster.max_relay if isinstance(rule.content, RelayContent) else cluster.max_item
        if longest > cap:
            message = f"it lasts {_minutes(longest)}; the longest allowed there is {_minutes(cap)}"
            yield Problem("too_long", message, rule.id, cluster.cluster_id)
            break
    durations = [sound.duration for sounds in subject.sounds.values() for sound in sounds.all if sound is not None]
    if rule.slot is not None and durations and max(durations) > rule.slot:
        what = "is cut" if rule.overrun is Overrun.CUT_WITH_FADE else "runs over"
        message = f"it lasts {_minutes(max(durations))} and {what} at the end of its slot of {_minutes(rule.slot)}"
        yield Problem("longer_than_slot", message, rule.id, warning=True)
    for first, second in pairwise(subject.found):
        if rule.priority in EXCLUSIVE and first.start + longest > second.start:
            yield Problem("overlap", "it comes again before it has ended", rule.id, at=second.start)
            break


def _quiet(subject: _Subject) -> Iterator[Problem]:
    """One example of each kind of cluster is enough."""
    rule = subject.rule
    kinds = {(c.languages, c.timezone, c.quiet_hours): c for c in reversed(subject.clusters)}
    hits: list[tuple[datetime, ClusterSettings]] = []
    for cluster in kinds.values():
        sounds = subject.sounds[cluster.languages]
        for occurrence in subject.found:
            length = length_of(rule, sounds.of(occurrence.recurrence))
            if not may_sound(cluster, rule.priority, occurrence.start, occurrence.start + length):
                hits.append((occurrence.start, cluster))
                break
    if hits:
        at, cluster = min(hits, key=lambda hit: (hit[0], hit[1].cluster_id))
        quiet = cluster.quiet_hours
        hours = "" if quiet is None else f" ({quiet.begin:%H:%M} to {quiet.end:%H:%M})"
        message = f"it would sound in quiet hours{hours}; only emergencies may"
        yield Problem("quiet_hours", message, rule.id, cluster.cluster_id, at)


def _overlaps(
    subject: _Subject, others: Iterable[Rule], clusters: Sequence[ClusterSettings], now: datetime
) -> Iterator[Problem]:
    rule = subject.rule
    if rule.priority not in EXCLUSIVE or not subject.found:
        return
    known = {cluster.cluster_id for cluster in clusters}
    for other in others:
        shared = rule.targets & other.targets & known
        if other.id == rule.id or other.priority is not rule.priority or not shared:
            continue
        met = _first_meeting(subject, _subject(other, clusters, now - _reach(other)))
        if met is not None:
            message = f"it overlaps {other.title!r} at {len(shared)} clusters"
            yield Problem("overlap", message, rule.id, min(shared), met, other=other.title)


def _reach(rule: Rule) -> timedelta:
    """How long before the present an occurrence may have begun that still sounds: half a day covers every cap."""
    return max(timedelta(hours=12), rule.slot or timedelta(0))


def _first_meeting(one: _Subject, two: _Subject) -> datetime | None:
    """The first instant at which occurrences of both sound."""
    spans = [(o.start, o.start + one.longest, 1) for o in one.found]
    spans += [(o.start, o.start + two.longest, 2) for o in two.found]
    ends: dict[int, datetime] = {}
    for start, end, owner in sorted(spans):
        other = ends.get(3 - owner)
        if other is not None and start < other:
            return start
        ends[owner] = max(end, ends.get(owner, end))
    return None


def _minutes(length: timedelta) -> str:
    seconds = round(length.total_seconds())
    return f"{seconds // 60} min {seconds % 60:02} s"
