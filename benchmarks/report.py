"""How every benchmark says what it measured: one line per case, or a table for people.

A case: ``{bench, case, metric, value, unit, peer, peer_value, ratio, goal, ok}``. Numbers are finite or null; the peer
fields are null where there is none; ``ratio`` is ours by the peer's. ``goal`` is an upper bound, of the value or, where a
peer is the measure, of the ratio; ``ok`` is null where nothing was promised.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured number, its peer's beside it, and the bound to hold. ``judged`` says what the bound is of."""

    bench: str
    case: str
    metric: str
    value: float | None
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    goal: float | None = None
    judged: Literal["value", "ratio"] = "value"

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        if self.value is None or not self.peer_value:
            return None
        return self.value / self.peer_value

    @property
    def ok(self) -> bool | None:
        """Whether the goal was held; a goal without a number to judge is missed."""
        if self.goal is None:
            return None
        number = self.ratio if self.judged == "ratio" else self.value
        return number is not None and math.isfinite(number) and number <= self.goal

    def plain(self) -> dict[str, object]:
        """The case as JSON values, to six digits."""
        return {
            "bench": self.bench,
            "case": self.case,
            "metric": self.metric,
            "value": _finite(self.value),
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": _finite(self.peer_value),
            "ratio": _finite(self.ratio),
            "goal": self.goal,
            "ok": self.ok,
        }


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A command line with the one flag every benchmark has: ``--json``."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n", 1)[0])
    made.add_argument("--json", action="store_true", help="one JSON object per case on stdout")
    return made


def arguments(doc: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line of a benchmark that has no other flags."""
    return parser(doc).parse_args(argv)


def note(text: str) -> None:
    """A word for people, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def tell(cases: Iterable[Measured], *, as_json: bool) -> int:
    """Print the cases as they come (or one table at the end); the exit code is 1 when a goal was missed."""
    done: list[Measured] = []
    for case in cases:
        done.append(case)
        if as_json:
            sys.stdout.write(json.dumps(case.plain(), ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()
        else:
            note(f"{case.case}: {case.metric} {_number(case.value)} {case.unit}")
    if not as_json:
        Console().print(_table(done))
    return 1 if any(case.ok is False for case in done) else 0


def _table(cases: Sequence[Measured]) -> Table:
    table = Table(title=cases[0].bench if cases else None)
    for column in ("case", "metric", "value", "peer", "ratio", "goal", ""):
        table.add_column(column, justify="right" if column in {"value", "ratio"} else "left")
    for case in cases:
        verdict = {True: "[green]held", False: "[red]missed", None: ""}[case.ok]
        beside = "" if case.peer is None else f"{case.peer}: {_number(case.peer_value)} {case.unit}"
        unit = f"× {case.peer}" if case.judged == "ratio" else case.unit
        goal = "" if case.goal is None else f"≤ {case.goal:g} {unit}"
        value = f"{_number(case.value)} {case.unit}"
        table.add_row(case.case, case.metric, value, beside, _number(case.ratio), goal, verdict)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _finite(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
