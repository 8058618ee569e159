"""What the controller says about itself: live tasks, and faults that parts report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: None = well; else a sentence for the administrator.
Check = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """A look at everything, taken at once."""

    ok: bool
    tasks: Mapping[str, str]
    faults: Mapping[str, str]


class Health:
    """Collects checks; none of them may wait."""

    def __init__(self, tasks: Callable[[], Mapping[str, str]]) -> None:
        self._tasks = tasks
        self._checks: dict[str, Check] = {}
        self.ready = False  # set when every listener is open

    def add(self, name: str, check: Check) -> None:
        """Ask ``check`` on every look."""
        self._checks[name] = check

    def report(self) -> HealthReport:
        """Look at everything."""
        tasks = dict(self._tasks())
        faults = {name: fault for name, check in self._checks.items() if (fault := check()) is not None}
        dead = any(state in {"failed", "restarting"} for state in tasks.values())
        return HealthReport(not faults and not dead, tasks, faults)
