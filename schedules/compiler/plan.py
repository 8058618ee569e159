"""What the compiler makes: a plan for each cluster, day by day, and what was wrong on the way.

Not here: how it is made (:mod:`schedules.compiler.compiling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from schedules.model import Item


@dataclass(frozen=True, slots=True)
class DayPlan:
    """The items that start on one local day, ascending by start.

    All clusters whose day is equal share one object, also from one compilation to the next, so what is made of a day
    (its document, its hash) can be kept by identity.
    """

    date: date
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person should know. A ``warning`` does not stand in the way; anything else is refused at the desk.

    ``code`` is stable snake_case. ``cluster_id`` is one example where it holds for some clusters only; ``other`` the
    title of the rule it meets; ``languages`` those it is about.
    """

    code: str
    message: str
    rule_id: str
    cluster_id: str | None = None
    at: datetime | None = None
    warning: bool = False
    other: str = ""
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledPlan:
    """The plan of every cluster: exactly ``length`` days from ``first_day``, also those without an item."""

    first_day: date
    length: int
    days: Mapping[str, tuple[DayPlan, ...]]
    problems: tuple[Problem, ...]
    memory: object = field(default=None, repr=False, compare=False)  # what the next compilation can take over
