"""The compiler: rules × clusters → a frozen plan for each cluster, day by day; and the checks of the desk.

Differs from the first contract: :func:`recompile` finds what changed by comparing, so it takes the new rules and
clusters and no list of changes. :class:`Problem` also says whether it is only a ``warning``.
"""

from schedules.compiler.checks import HORIZON, check_rule
from schedules.compiler.compiling import compile_plan, recompile
from schedules.compiler.forecast import Forecast, Kind, forecast, kinds_of
from schedules.compiler.layout import item_of, lay_out, length_of, uncovered
from schedules.compiler.occurrences import Occurrence, next_occurrence, occurrences
from schedules.compiler.plan import CompiledPlan, DayPlan, Problem

__all__ = [
    "HORIZON",
    "CompiledPlan",
    "DayPlan",
    "Forecast",
    "Kind",
    "Occurrence",
    "Problem",
    "check_rule",
    "compile_plan",
    "forecast",
    "item_of",
    "kinds_of",
    "lay_out",
    "length_of",
    "next_occurrence",
    "occurrences",
    "recompile",
    "uncovered",
]
