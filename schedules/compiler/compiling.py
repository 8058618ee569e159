"""Rules and clusters in, plans out, with the work shared.

Rules kept here:

1. Work is done once for each *audience*: clusters with the same rules, languages, zone and quiet hours. A rule is
   expanded once; its items are made once for each set of recordings that some cluster gets.
2. The next compilation takes over what did not change, down to the identity of items and days.
3. A day is the local date, in the cluster's zone, of an item's start.
4. Nothing below class 80 that would touch quiet hours, and nothing without approval, gets into a plan.
5. The output depends on rules, clusters and days alone, not on the order they come in.

Not here: what the desk refuses before it comes to this (:mod:`schedules.compiler.checks`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from schedules.airtime import may_sound
from schedules.compiler.layout import Sounds, item_of
from schedules.compiler.occurrences import Occurrence, occurrences
from schedules.compiler.plan import CompiledPlan, DayPlan, Problem
from schedules.ladder import Priority
from schedules.model import ClusterSettings, Item, QuietHours, Recorded
from schedules.recurrence import zone_of
from schedules.rules import RecordedContent, Rule

_DAY = timedelta(days=1)
_WIDEST_OFFSET = timedelta(hours=26)  # zones reach from −12 to +14 h

#: Classes whose equals must not overlap in a plan: of the others a newcomer waits, which is what is wanted.
EXCLUSIVE = frozenset({Priority.PROGRAMME, Priority.RELAY})


@dataclass(frozen=True, slots=True)
class _Place:
    """What of a cluster decides about items, besides its rules."""

    languages: tuple[str, ...]
    timezone: str
    quiet_hours: QuietHours | None


@dataclass(frozen=True, slots=True)
class _Share:
    """One rule's items at one kind of place, each with its local date. Compared by identity."""

    items: tuple[tuple[date, Item], ...]
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class _RuleWork:
    """What has been done for one rule in one window."""

    rule: Rule
    found: tuple[Occurrence, ...]
    problems: tuple[Problem, ...]
    items: dict[Recorded | None, dict[Occurrence, Item]] = field(default_factory=dict)
    shares: dict[_Place, _Share] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _AudienceWork:
    shares: tuple[_Share, ...]
    days: tuple[DayPlan, ...]
    problems: tuple[Problem, ...]

    def all_problems(self) -> Iterator[Problem]:
        """Its own, and those of its shares."""
        for share in self.shares:
            yield from share.problems
        yield from self.problems


@dataclass(slots=True)
class _Memory:
    window: tuple[datetime, datetime] | None = None
    rules: dict[str, _RuleWork] = field(default_factory=dict)
    audiences: dict[tuple[tuple[str, ...], _Place], _AudienceWork] = field(default_factory=dict)
    days: dict[tuple[date, tuple[int, ...]], DayPlan] = field(default_factory=dict)


def compile_plan(
    rules: Iterable[Rule],
    clusters: Sequence[ClusterSettings],
    *,
    first_day: date,
    days: int = 7,
    pause: Callable[[], None] = lambda: None,
) -> CompiledPlan:
    """Compile from nothing.

    Args:
        rules: all rules; ids are unique.
        clusters: all clusters; rules' targets that are not among them are left out.
        first_day: the first local day (of each cluster's own zone). Yesterday, usually: what began before midnight is
            still in the plan after it.
        days: how many days, 1 to 35.
        pause: called between rules and between clusters; whoever has something more urgent holds still in it.
    """
    return _Compilation(_Memory(), first_day, days, pause).run(rules, clusters)


def recompile(
    previous: CompiledPlan,
    rules: Iterable[Rule],
    clusters: Sequence[ClusterSettings],
    *,
    first_day: date | None = None,
    days: int | None = None,
    pause: Callable[[], None] = lambda: None,
) -> CompiledPlan:
    """Compile again, taking over all that did not change. Equal to :func:`compile_plan` of the same input."""
    memory = previous.memory if isinstance(previous.memory, _Memory) else _Memory()
    return _Compilation(memory, first_day or previous.first_day, days or previous.length, pause).run(rules, clusters)


class _Compilation:
    def __init__(self, old: _Memory, first_day: date, length: int, pause: Callable[[], None]) -> None:
        if not 1 <= length <= 35:  # noqa: PLR2004 - the longest horizon
            raise ValueError("a plan has 1 to 35 days")
        self._old, self._new = old, _Memory()
        self._first, self._length, self._pause = first_day, length, pause
        midnight = datetime.combine(first_day, time(), UTC)
        self._window = midnight - _WIDEST_OFFSET, midnight + length * _DAY + _WIDEST_OFFSET
        self._new.window = self._window

    def run(self, rules: Iterable[Rule], clusters: Sequence[ClusterSettings]) -> CompiledPlan:
        ordered = sorted(rules, key=lambda rule: rule.id)
        known = {cluster.cluster_id for cluster in clusters}
        problems: list[Problem] = []
        for rule in ordered:
            self._pause()
            self._new.rules[rule.id] = work = self._work_of(rule)
            problems += work.problems
            if not rule.targets & known:
                problems.append(Problem("no_target", f"{rule.title!r} reaches no cluster", rule.id))
        plans: dict[str, tuple[DayPlan, ...]] = {}
        seen: set[tuple[tuple[str, ...], _Place]] = set()
        for cluster, rule_ids in _rules_by_cluster(ordered, clusters):
            self._pause()
            place = _Place(cluster.languages, cluster.timezone, cluster.quiet_hours)
            audience = (rule_ids, place)
            work_done = self._new.audiences.get(audience) or self._audience(audience, cluster)
            plans[cluster.cluster_id] = work_done.days
            if audience not in seen:
                seen.add(audience)
                problems += [replace(problem, cluster_id=cluster.cluster_id) for problem in work_done.all_problems()]
        return CompiledPlan(self._first, self._length, plans, _distinct(problems), self._new)

    def _work_of(self, rule: Rule) -> _RuleWork:
        """A rule's occurrences; what was made of the same ones before is taken over."""
        before = self._old.rules.get(rule.id)
        if before is not None and before.rule != rule:
            before = None
        if before is not None and self._old.window == self._window:
            return before
        if not _is_approved(rule):
            message = f"{rule.title!r} holds a recording that nobody approved; it is left out"
            return _RuleWork(rule, (), (Problem("not_approved", message, rule.id),))
        found, too_many = occurrences(rule, *self._window)
        problems: tuple[Problem, ...] = ()
        if too_many:
            problems = (Problem("too_often", f"{rule.title!r} comes too often; only the first are kept", rule.id),)
        if before is None:
            return _RuleWork(rule, found, problems)
        if (before.found, before.problems) == (found, problems):
            return before
        kept = set(found)
        items = {s: {o: item for o, item in made.items() if o in kept} for s, made in before.items.items()}
        return _RuleWork(rule, found, problems, items)

    def _audience(self, audience: tuple[tuple[str, ...], _Place], example: ClusterSettings) -> _AudienceWork:
        rule_ids, place = audience
        shares = tuple(self._share(self._new.rules[each], place, example) for each in rule_ids)
        before = self._old.audiences.get(audience)
        if before is not None and _same(before.shares, shares) and self._covers(before.days):
            work = before
            for day in work.days:
                self._new.days[day.date, tuple(map(id, day.items))] = day
        else:
            work = _AudienceWork(shares, self._days(shares), _overlaps(shares, example.cluster_id))
        self._new.audiences[audience] = work
        return work

    def _covers(self, days: tuple[DayPlan, ...]) -> bool:
        return len(days) == self._length and days[0].date == self._first

    def _share(self, work: _RuleWork, place: _Place, example: ClusterSettings) -> _Share:
        share = work.shares.get(place)
        if share is None:
            share = work.shares[place] = self._make_share(work, place, example)
        return share

    def _make_share(self, work: _RuleWork, place: _Place, example: ClusterSettings) -> _Share:
        rule, sounds = work.rule, Sounds(work.rule, place.languages)
        zone = zone_of(place.timezone)
        kept: list[tuple[date, Item]] = []
        problems: list[Problem] = []
        if sounds.usual_is_lacking:
            message = f"{rule.title!r} has no recording in {', '.join(place.languages) or 'any language'}"
            lacking = Problem(
                "language_uncovered", message, rule.id, example.cluster_id, warning=True, languages=place.languages
            )
            if not rule.replaced:
                return _Share((), (lacking,))
            problems.append(lacking)
        quiet = False
        for occurrence in work.found:
            if sounds.is_lacking(occurrence.recurrence):
                continue
            sound = sounds.of(occurrence.recurrence)
            made = work.items.setdefault(sound, {})
            item = made.get(occurrence)
            if item is None:
                item = made[occurrence] = item_of(rule, sound, occurrence.recurrence, occurrence.start)
            if may_sound(example, item.priority, item.start, item.nominal_end):
                kept.append((item.start.astimezone(zone).date(), item))
            elif not quiet:
                quiet = True
                message = f"{rule.title!r} would sound in quiet hours; those occurrences are left out"
                problems.append(Problem("quiet_hours", message, rule.id, example.cluster_id, item.start))
        return _Share(tuple(kept), tuple(problems))

    def _days(self, shares: tuple[_Share, ...]) -> tuple[DayPlan, ...]:
        by_day: dict[date, list[Item]] = defaultdict(list)
        for share in shares:
            for day, item in share.items:
                by_day[day].append(item)
        return tuple(self._day(day, by_day.get(day, [])) for day in self._dates())

    def _dates(self) -> list[date]:
        return [self._first + number * _DAY for number in range(self._length)]

    def _day(self, day: date, items: list[Item]) -> DayPlan:
        items.sort(key=_by_start)
        key = (day, tuple(map(id, items)))
        plan = self._new.days.get(key) or self._old.days.get(key)
        if plan is None:
            plan = DayPlan(day, tuple(items))
        self._new.days[key] = plan
        return plan


def _by_start(item: Item) -> tuple[datetime, datetime, str]:
    return item.start, item.recurrence, item.rule_id


def _same(before: tuple[_Share, ...], now: tuple[_Share, ...]) -> bool:
    return len(before) == len(now) and all(old is new for old, new in zip(before, now, strict=True))


def _is_approved(rule: Rule) -> bool:
    approved = (
        ref.approval
        for each in rule.contents
        for ref in (each.recordings if isinstance(each, RecordedContent) else each.fallback)
    )
    return all(approval is not None for approval in approved)


def _rules_by_cluster(
    rules: Sequence[Rule], clusters: Sequence[ClusterSettings]
) -> list[tuple[ClusterSettings, tuple[str, ...]]]:
    """Each cluster, in the order of ids, with the ids of its rules in order."""
    reached: Mapping[str, list[str]] = {cluster.cluster_id: [] for cluster in clusters}
    for rule in rules:
        for target in rule.targets:
            ids = reached.get(target)
            if ids is not None:
                ids.append(rule.id)
    ordered = sorted(clusters, key=lambda cluster: cluster.cluster_id)
    return [(cluster, tuple(reached[cluster.cluster_id])) for cluster in ordered]


def _overlaps(shares: tuple[_Share, ...], cluster_id: str) -> tuple[Problem, ...]:
    """Equal classes that meet: the agent lets the second wait, which is rarely what its author meant."""
    problems = []
    for priority in EXCLUSIVE:
        items = sorted((item for s in shares for _, item in s.items if item.priority is priority), key=_by_start)
        for first, second in pairwise(items):
            if first.nominal_end > second.start:
                message = f"{second.title!r} begins while {first.title!r} still sounds; it will wait"
                problems.append(Problem("overlap", message, second.rule_id, cluster_id, second.start, warning=True))
    return tuple(problems)


def _distinct(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each problem of a rule once, with the first cluster and instant as its example."""
    first: dict[tuple[str, str, str], Problem] = {}
    for problem in sorted(problems, key=_by_example):
        first.setdefault((problem.rule_id, problem.code, problem.message), problem)
    return tuple(sorted(first.values(), key=lambda each: (each.rule_id, each.code, each.message)))


def _by_example(problem: Problem) -> tuple[str, datetime]:
    return problem.cluster_id or "", problem.at or datetime.min.replace(tzinfo=UTC)
