"""What a cluster will sound by its plan, and what of it a STOP has ended.

Not here: what it sounds by orders (:mod:`controller.services.cluster_states`).
"""

from __future__ import annotations

from datetime import datetime

from controller.services.dispatch import Courier
from controller.services.planning import Planner
from schedules.model import Item


class Upcoming:
    """Looks ahead."""

    def __init__(self, planner: Planner, courier: Courier) -> None:
        self._planner = planner
        self._courier = courier

    def of(self, cluster_id: str, now: datetime) -> list[Item]:
        """Items of the plan that sound now or later, by start; what a STOP ended there does not come back."""
        ahead = (item for item in self._planner.items_of(cluster_id) if item.nominal_end > now)
        return sorted((item for item in ahead if not self._ended(item, cluster_id, now)), key=lambda item: item.start)

    def _ended(self, item: Item, cluster_id: str, now: datetime) -> bool:
        if item.start > now:
            return False
        stopped = self._courier.stopped_since(item.start)
        return stopped is None or cluster_id in stopped
