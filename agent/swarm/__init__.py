"""Many complete agents in one process (``swarm``) or several (``processes``)."""

from __future__ import annotations

from agent.swarm.processes import ranges, run_children
from agent.swarm.swarm import Swarm, SwarmConfig

__all__ = ["Swarm", "SwarmConfig", "ranges", "run_children"]
