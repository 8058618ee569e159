"""What the box says of itself.

``probe`` (temperature, disk, memory, load), ``timekeeping`` (may the system's clock be believed), ``report`` (the
status message). Faults and events live in :mod:`agent.watch`.
"""

from __future__ import annotations

from agent.health.probe import Condition, Probe
from agent.health.report import Reporter, SharedProbe, Subjects
from agent.health.timekeeping import Timekeeper

__all__ = ["Condition", "Probe", "Reporter", "SharedProbe", "Subjects", "Timekeeper"]
