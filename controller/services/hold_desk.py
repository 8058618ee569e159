"""One cluster kept mute while somebody works at it, emergencies included; and what is kept mute now.

Rules kept here:

1. A duty officer may do it for as long as an order holds. Who looks after the boxes there may do it, too: to one
   cluster at a time, for :data:`CREW_HOLD` at most, and never in the place of a duty officer's hold. So a stolen
   password silences one village for some hours.
2. The crew ends what one of the crew began, and nothing else; a duty officer ends both.
3. ``listeners`` hear of every hold of the crew: who answers for alerts there must know at once.

Not here: holds of areas and of everything (:meth:`controller.services.orders.OrderDesk.stop`), the mute that is set at
a box itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from controller.services.context import Actor, Clock, Permission
from controller.services.directory import Directory
from controller.services.dispatch import Dispatched
from controller.services.errors import ConflictError, InvalidError
from controller.services.holds import Hold
from controller.services.orders import OrderDesk

#: How long one of the crew may keep a cluster silent: a repair at a pole. Whoever needs longer asks the duty officer.
CREW_HOLD: Final = timedelta(hours=4)
#: Either will do.
_RIGHTS: Final = (Permission.AGENT_CONTROL, Permission.EMERGENCY_CONFIRM)


class HoldDesk:
    """Holds and releases single clusters. Listeners hear cluster and hold; they must be quick and must not raise."""

    def __init__(self, orders: OrderDesk, directory: Directory, clock: Clock) -> None:
        self._orders = orders
        self._directory = directory
        self._clock = clock
        self.listeners: list[Callable[[str, Hold], None]] = []

    async def hold(
        self, actor: Actor, cluster_id: str, length: timedelta, *, idempotency_key: str | None = None
    ) -> Dispatched:
        """Keep one cluster mute for so long, EMERGENCIES INCLUDED.

        Raises:
            NotFoundError: there is no such cluster.
            ForbiddenError: neither right is held there.
            InvalidError: ``hold_too_long`` for one of the crew.
            ConflictError: ``held_by_duty``, or ``hold_elsewhere``: they keep another cluster silent already.
        """
        crew = self._as_crew(actor, cluster_id)
        if crew:
            self._check_crew(actor, cluster_id, length)
        details = {"clusters": [cluster_id], **({"crew": True} if crew else {})}
        given = await self._orders.silence(actor, frozenset({cluster_id}), length, details, idempotency_key)
        if crew:
            for listener in self.listeners:
                listener(cluster_id, self._orders.holds.at(given.issued)[cluster_id])
        return given

    async def release(self, actor: Actor, cluster_id: str, *, idempotency_key: str | None = None) -> Dispatched:
        """Let one cluster sound again.

        Raises:
            NotFoundError: there is no such cluster.
            ForbiddenError: neither right is held there.
            ConflictError: ``held_by_duty``.
        """
        if self._as_crew(actor, cluster_id):
            self._require_not_the_duty(cluster_id, self._clock.now())
        details = {"clusters": [cluster_id]}
        return await self._orders.let_sound(actor, frozenset({cluster_id}), details, idempotency_key)

    def held(self, actor: Actor) -> dict[str, Hold]:
        """The clusters kept silent by order now, as far as the actor may read them."""
        known = self._directory.clusters
        return {
            cluster_id: replace(hold, called=self._directory.called(hold.name))
            for cluster_id, hold in self._orders.holds.at(self._clock.now()).items()
            if cluster_id in known and self._directory.allows(actor, Permission.READ, known[cluster_id].area_id)
        }

    def silent(self, cluster_id: str) -> bool:
        """Whether a cluster is kept silent by order now."""
        return cluster_id in self._orders.holds.at(self._clock.now())

    def _as_crew(self, actor: Actor, cluster_id: str) -> bool:
        """Whether they act here as who looks after the boxes, not as a duty officer."""
        area_id = self._directory.cluster(cluster_id).area_id
        self._directory.require_any(actor, _RIGHTS, area_id)
        return not self._directory.allows(actor, Permission.EMERGENCY_CONFIRM, area_id)

    def _check_crew(self, actor: Actor, cluster_id: str, length: timedelta) -> None:
        now = self._clock.now()
        self._require_not_the_duty(cluster_id, now)
        if length > CREW_HOLD:
            hours = CREW_HOLD // timedelta(hours=1)
            raise InvalidError(f"at most {hours} hours; a duty officer may hold it longer", code="hold_too_long")
        for other in self._orders.holds.of_crew(actor.user_id, now) - {cluster_id}:
            known = self._directory.clusters.get(other)
            name = other if known is None else known.name
            raise ConflictError(f"you keep {name!r} silent; release it first", code="hold_elsewhere")

    def _require_not_the_duty(self, cluster_id: str, now: datetime) -> None:
        hold = self._orders.holds.at(now).get(cluster_id)
        if hold is not None and not hold.crew:
            raise ConflictError(f"{hold.name}, a duty officer, keeps it silent", code="held_by_duty")
