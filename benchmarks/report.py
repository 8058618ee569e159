"""How every benchmark says what it measured: one line per case, or a table for people.

A case: ``{bench, case, metric, value, unit, peer, peer_value, ratio, goal, ok}``. Numbers are finite or null; the peer
fields are null where there is none; ``ratio`` is ours by the peer's. ``goal`` says in words and numbers what was to be
held, ``ok`` whether it was; both are null where nothing was promised.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Case:
    """One measured number. ``goal`` says what was to be held; ``ok`` is None where nothing was promised."""

    bench: str
    case: str
    metric: str
    value: float | None
    unit: str
    goal: str | None = None
    ok: bool | None = None
    peer: str | None = None
    peer_value: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        if self.value is None or not self.peer_value:
            return None
        return self.value / self.peer_value

    def plain(self) -> dict[str, object]:
        """The case as JSON values, numbers to six digits."""
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


def at_most(bench: str, case: str, metric: str, value: float, unit: str, bound: float) -> Case:  # noqa: PLR0917 - as Case
    """A case whose goal is an upper bound."""
    return Case(bench, case, metric, value, unit, goal=f"≤ {bound:g} {unit}", ok=value <= bound)


def against(
    bench: str, case: str, metric: str, value: float, unit: str, *, peer: str, peer_value: float, bound: float | None
) -> Case:
    """A case measured beside a peer; ``bound`` is the highest ratio that is good enough."""
    goal = None if bound is None else f"≤ {bound:g} × {peer}"
    ok = None if bound is None else value <= bound * peer_value
    return Case(bench, case, metric, value, unit, goal, ok, peer, peer_value)


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


def report(cases: Iterable[Case], *, as_json: bool) -> int:
    """Print the cases as they come (or one table at the end); the exit code is 1 when a goal was missed."""
    done: list[Case] = []
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


def _table(cases: Sequence[Case]) -> Table:
    table = Table(title=cases[0].bench if cases else None)
    for column in ("case", "metric", "value", "peer", "ratio", "goal", ""):
        table.add_column(column, justify="right" if column in {"value", "ratio"} else "left")
    for case in cases:
        verdict = {True: "[green]held", False: "[red]missed", None: ""}[case.ok]
        beside = "" if case.peer is None else f"{case.peer}: {_number(case.peer_value)} {case.unit}"
        value = f"{_number(case.value)} {case.unit}"
        table.add_row(case.case, case.metric, value, beside, _number(case.ratio), case.goal or "", verdict)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _finite(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
