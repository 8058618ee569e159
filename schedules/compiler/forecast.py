"""One rule's occurrences with what becomes of them at every cluster: the grid that people look at.

It takes the same occurrences, layouts and airtime rules as the compiler, and adds what the compiler leaves out: where
an occurrence touches quiet hours, and where there is no sound for it.

Not here: rights, titles, what is on air (:mod:`controller.services.grid`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schedules.airtime import may_sound
from schedules.compiler.layout import Sounds, length_of
from schedules.compiler.occurrences import occurrences
from schedules.model import ClusterSettings
from schedules.rules import Rule

#: How long before a window an occurrence may have begun that still sounds in it: half a day covers every cap.
REACH = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Kind:
    """Clusters at which everything sounds alike: the same languages, zone and quiet hours."""

    example: ClusterSettings
    clusters: frozenset[str]


@dataclass(frozen=True, slots=True)
class Forecast:
    """One occurrence. ``end`` is that of the longest sound; the three sets share no cluster and are all it is for."""

    recurrence: datetime
    start: datetime
    end: datetime
    sounds: frozenset[str]
    quiet: frozenset[str]  # it is left out there: it would touch their quiet hours
    lacking: frozenset[str]  # no recording is in a language of theirs


def kinds_of(clusters: Iterable[ClusterSettings]) -> tuple[Kind, ...]:
    """Clusters by what decides about their sound."""
    found: defaultdict[tuple[object, ...], list[ClusterSettings]] = defaultdict(list)
    for cluster in clusters:
        found[cluster.languages, cluster.timezone, cluster.quiet_hours].append(cluster)
    return tuple(Kind(alike[0], frozenset(each.cluster_id for each in alike)) for alike in found.values())


def forecast(rule: Rule, kinds: Sequence[Kind], begin: datetime, end: datetime) -> tuple[tuple[Forecast, ...], bool]:
    """Occurrences that sound somewhere in ``[begin, end)``, and whether there were too many to take all.

    Args:
        rule: the rule.
        kinds: all clusters; those it is not for are left out.
        begin: aware UTC.
        end: aware UTC, after ``begin``.
    """
    meant = ((kind, rule.targets & kind.clusters) for kind in kinds)
    reached = [(kind, clusters, Sounds(rule, kind.example.languages)) for kind, clusters in meant if clusters]
    reach = max(REACH, rule.slot or timedelta(0))
    found, too_many = occurrences(rule, begin - reach, end)
    made = []
    for occurrence in found:
        one = _at(rule, reached, occurrence.recurrence, occurrence.start)
        if one.end > begin or one.start >= begin:
            made.append(one)
    return tuple(made), too_many


def _at(
    rule: Rule, reached: Sequence[tuple[Kind, frozenset[str], Sounds]], recurrence: datetime, start: datetime
) -> Forecast:
    sounds: set[str] = set()
    quiet: set[str] = set()
    lacking: set[str] = set()
    longest = rule.slot or timedelta(0)
    for kind, clusters, heard in reached:
        if heard.is_lacking(recurrence):
            lacking |= clusters
            continue
        length = length_of(rule, heard.of(recurrence))
        longest = max(longest, length)
        fits = may_sound(kind.example, rule.priority, start, start + length)
        (sounds if fits else quiet).update(clusters)
    return Forecast(recurrence, start, start + longest, frozenset(sounds), frozenset(quiet), frozenset(lacking))
