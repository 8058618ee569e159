"""What one actor may know of, asked at the moment of telling, remembered for that moment."""

from __future__ import annotations

from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.services.news.model import Audience


class Sight:
    """The eyes of one actor, for one batch: make a new one for the next."""

    def __init__(self, directory: Directory, actor: Actor) -> None:
        self._directory = directory
        self._actor = actor
        self._everywhere = actor.may_everywhere(Permission.READ)
        self._areas: dict[str, bool] = {}

    def sees(self, audience: Audience) -> bool:
        """Whether the actor belongs to an audience."""
        if audience.users:
            return self._actor.user_id in audience.users
        if audience.areas is None or self._everywhere:
            return True
        readable = (self._reads(area_id) for area_id in audience.areas)
        return bool(audience.areas) and (all(readable) if audience.whole else any(readable))

    def _reads(self, area_id: str) -> bool:
        known = self._areas.get(area_id)
        if known is None:
            known = self._areas[area_id] = self._directory.allows(self._actor, Permission.READ, area_id)
        return known
