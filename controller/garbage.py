"""Garbage collection that is not heard: looking through everything takes longer than sound and STOP may wait.

With 5 000 agents connected a full collection stops the event loop for a tenth of a second and more. So:

1. The collector by itself looks only at what is young.
2. Everything is looked through when nothing live is on air, at most every :data:`EVERY_S`; what survives is set aside
   (``gc.freeze``) until the next time.
3. When live sound is on air all that time, only what came since is looked through, which is little.

For the whole process: begun by ``loa-controller serve``, not by tests and embedders.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from controller.services.keeping import Keeper

#: Allocations that trigger a look at the youngest, and the youngest looks that trigger one at the young: at most a few
#: milliseconds. The third would trigger a look at everything: never by itself.
THRESHOLDS = (5_000, 10, 1_000_000)

LOOK_S = 30.0
EVERY_S = 600.0


class GarbageCare:
    """Decides when everything is looked through."""

    def __init__(self, on_air: Callable[[], bool], now_us: Callable[[], int]) -> None:
        self._on_air = on_air
        self._now_us = now_us
        self._last_whole_us: int | None = None
        self._last_us = now_us()

    def open(self, keeper: Keeper) -> None:
        """Take over from the collector's own rules."""
        gc.set_threshold(*THRESHOLDS)
        keeper.every("garbage", LOOK_S, self.look)

    async def look(self) -> None:
        """Collect if it is time."""
        now, on_air = self._now_us(), self._on_air()
        if not on_air and (self._last_whole_us is None or now - self._last_whole_us >= EVERY_S * 1e6):
            gc.unfreeze()
            gc.collect()
            gc.freeze()
            self._last_us = self._last_whole_us = now
        elif on_air and now - self._last_us >= EVERY_S * 1e6:
            gc.collect()
            gc.freeze()
            self._last_us = now
