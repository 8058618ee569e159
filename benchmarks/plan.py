"""The plan of 10 000 clusters for 7 days: from nothing, after one edit, and what an agent does with it.

A province as it might be: 300 communes of 30 to 36 clusters, two kinds of languages in every third, national and
provincial relays for all, bulletins of districts and communes, and some clusters with a programme of their own. "Days
encoded" includes the documents agents fetch (bytes and SHA-256), each made once and shared; the manifests are not.
Peer: none measures this; the goals are the design's.
"""

from __future__ import annotations

import gc
import sys
import time as clock
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from benchmarks.report import Case, arguments, at_most, report
from protocol.items import day_sha256, encode_day
from schedules.arbiter import Situation, State, advance, timeline
from schedules.compiler import CompiledPlan, DayPlan, check_rule, compile_plan, recompile
from schedules.instants import Frames
from schedules.ladder import Priority
from schedules.model import Approval, Clip, ClusterSettings, QuietHours
from schedules.recurrence import Recurrence
from schedules.rules import RecordedContent, RecordingRef, RelayContent, Rule

CLUSTERS = 10_000
DAYS = 7
FIRST = date(2026, 8, 30)

_ZONE = "Asia/Ho_Chi_Minh"
_COMMUNES = 300
_APPROVAL = Approval("us_chair00001", datetime(2026, 8, 1, tzinfo=UTC))
_CHIME = Clip("c" * 64, Frames(3 * 48_000))


def clusters() -> list[ClusterSettings]:
    """10 000 clusters."""
    made = []
    for number in range(CLUSTERS):
        commune = number % _COMMUNES
        languages = ("vi", "bru") if commune % 3 == 0 and number % 2 else ("vi",)
        quiet = QuietHours(time(21, 30), time(4, 45)) if commune % 10 else QuietHours(time(21), time(5))
        made.append(ClusterSettings(f"cl_{number:06}", _ZONE, quiet_hours=quiet, languages=languages))
    return made


def rules(everywhere: list[ClusterSettings]) -> list[Rule]:
    """Some 2 000 rules."""
    all_ids = frozenset(cluster.cluster_id for cluster in everywhere)
    communes = [frozenset(f"cl_{n:06}" for n in range(commune, CLUSTERS, _COMMUNES)) for commune in range(_COMMUNES)]
    made = [_relay("national-morning", "05:00", 30, all_ids), _relay("national-noon", "11:30", 30, all_ids)]
    made += [_relay("national-evening", "17:00", 30, all_ids), _relay("province", "18:00", 20, all_ids)]
    for district in range(30):
        targets = frozenset().union(*communes[district * 10 : district * 10 + 10])
        made.append(_bulletin(f"district-{district:02}", "05:31", "FREQ=DAILY", 9, targets))
    for number, targets in enumerate(communes):
        made.append(_bulletin(f"commune-{number:03}-a", "06:10", "FREQ=WEEKLY;BYDAY=MO,WE,FR", 8, targets))
        made.append(_bulletin(f"commune-{number:03}-b", "16:30", "FREQ=WEEKLY;BYDAY=TU,TH", 8, targets))
        made.append(_bulletin(f"commune-{number:03}-c", "07:00", "FREQ=MONTHLY;BYDAY=1SU", 15, targets))
        made.append(_bulletin(f"commune-{number:03}-d", "19:00", "FREQ=DAILY", 5, targets))
    for number in range(800):
        one = frozenset({f"cl_{number * 12:06}"})
        made.append(_bulletin(f"village-{number:03}", "19:30", "FREQ=WEEKLY;BYDAY=SA", 6, one))
    return made


def _at(local: str) -> datetime:
    return datetime.combine(date(2026, 1, 5), time.fromisoformat(local))


def _relay(name: str, local: str, minutes: int, targets: frozenset[str]) -> Rule:
    recurrence = Recurrence(_at(local), _ZONE, "FREQ=DAILY")
    content = RelayContent("so_voice00001")
    return Rule(f"pr_{name}", name, Priority.RELAY, recurrence, content, targets, slot=timedelta(minutes=minutes))


def _bulletin(name: str, local: str, rrule: str, minutes: int, targets: frozenset[str]) -> Rule:
    frames = Frames(minutes * 60 * 48_000 // 2)
    recordings = tuple(RecordingRef(f"{name}-{tag}".ljust(64, "0"), frames, tag, _APPROVAL) for tag in ("vi", "bru"))
    content = RecordedContent(recordings, chime_before=_CHIME, chime_after=_CHIME)
    return Rule(f"pr_{name}", name, Priority.PROGRAMME, Recurrence(_at(local), _ZONE, rrule), content, targets)


def encode(plan: CompiledPlan, known: dict[int, tuple[DayPlan, str]]) -> dict[int, tuple[DayPlan, str]]:
    """The documents of all distinct days: what is ``known`` (by identity) is not made again."""
    made: dict[int, tuple[DayPlan, str]] = {}
    for days in plan.days.values():
        for day in days:
            if id(day) not in made:
                made[id(day)] = known.get(id(day)) or (day, day_sha256(encode_day(day)))
    return made


def _seconds(begun: float) -> float:
    return clock.perf_counter() - begun


def measure() -> Iterator[Case]:
    """All cases."""
    everywhere = clusters()
    grid = rules(everywhere)
    gc.collect()
    begun = clock.perf_counter()
    plan = compile_plan(grid, everywhere, first_day=FIRST, days=DAYS)
    compiled = _seconds(begun)
    documents = encode(plan, {})
    total = _seconds(begun)
    name = f"{CLUSTERS} clusters × {DAYS} days, {len(grid)} rules"
    yield Case("plan", name, "compile from nothing", compiled, "s")
    yield at_most("plan", name, "compile and encode days from nothing", total, "s", 30)
    yield Case("plan", name, "distinct day documents", len(documents), "documents")

    edits = {
        "one commune's programme moved": _moved(grid, "pr_commune-007-a"),
        "the same for all": _moved(grid, "pr_province"),
    }
    for what, edited in edits.items():
        begun = clock.perf_counter()
        after = recompile(plan, edited, everywhere)
        encode(after, documents)
        yield at_most("plan", what, "compile and encode days after one edit", _seconds(begun), "s", 2)
    begun = clock.perf_counter()
    tomorrow = recompile(plan, grid, everywhere, first_day=FIRST + timedelta(days=1))
    encode(tomorrow, documents)
    yield Case("plan", "the window moves on by a day", "compile and encode days", _seconds(begun), "s")

    now = datetime(2026, 8, 30, tzinfo=UTC)
    begun = clock.perf_counter()
    check_rule(grid[40], grid, everywhere, now=now)
    yield Case("plan", f"beside {len(grid)} rules", "check one rule at the desk", _seconds(begun), "s")
    yield from _arbiter(plan, everywhere[0], now)


def _moved(grid: list[Rule], rule_id: str) -> list[Rule]:
    """The same rules, one of them five minutes later."""
    shift = timedelta(minutes=5)
    edited = []
    for rule in grid:
        start = rule.recurrence.dtstart
        later = replace(rule.recurrence, dtstart=start + shift)
        edited.append(replace(rule, recurrence=later) if rule.id == rule_id else rule)
    return edited


def _arbiter(plan: CompiledPlan, settings: ClusterSettings, now: datetime) -> Iterator[Case]:
    """What an agent does with its week: decide at every change, or preview it."""
    items = tuple(item for day in plan.days[settings.cluster_id] for item in day.items)
    situation = Situation(settings, items, ready_from=now)
    begun = clock.perf_counter()
    timeline(situation, now, now + timedelta(days=DAYS))
    yield Case("plan", f"a week of {len(items)} items", "preview", _seconds(begun) * 1e3, "ms")
    state, at, calls = State.initial(), now, 0
    begun = clock.perf_counter()
    until: datetime | None = at
    while until is not None:
        state, decision = advance(state, situation, until)
        until = decision.until
        calls += 1
    yield Case("plan", f"a week of {len(items)} items", "one decision", _seconds(begun) * 1e3 / calls, "ms")


if __name__ == "__main__":
    sys.exit(report(measure(), as_json=arguments(__doc__).json))
