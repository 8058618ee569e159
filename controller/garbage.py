"""Garbage collection that is not heard: looking through everything takes longer than sound and STOP may wait.

With 5 000 agents connected a full collection stops the event loop for a tenth of a second and more, and one of the
middle generation for 25 ms: agents' state is made anew all the time and survives there. So:

1. The collector by itself looks only at the youngest, a few hundred objects: 0.1 to 2 ms.
2. Everything is looked through when nothing live is on air, at most every :data:`EVERY_S`; what survives is set aside
   (``gc.freeze``) until the next time.
3. Live sound that is on air all the time, as no station of a district is, makes it wait for :data:`ON_AIR_S` at most.

For the whole process: begun by ``loa-controller serve``, not by tests and embedders.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from controller.services.keeping import Keeper

#: Allocations that trigger a look at the youngest; the older two generations are never looked at by themselves.
THRESHOLDS = (700, 1_000_000, 1_000_000)

LOOK_S = 30.0
EVERY_S = 600.0
ON_AIR_S = 12 * 3600.0


class GarbageCare:
    """Decides when everything is looked through."""

    def __init__(self, on_air: Callable[[], bool], now_us: Callable[[], int]) -> None:
        self._on_air = on_air
        self._now_us = now_us
        self._last_us = now_us()
        self._looked = False

    def open(self, keeper: Keeper) -> None:
        """Take over from the collector's own rules."""
        gc.set_threshold(*THRESHOLDS)
        keeper.every("garbage", LOOK_S, self.look)

    async def look(self) -> None:
        """Collect if it is time."""
        now = self._now_us()
        off_air_s = EVERY_S if self._looked else 0.0
        if (now - self._last_us) / 1e6 >= (ON_AIR_S if self._on_air() else off_air_s):
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            self._last_us, self._looked = now, True
