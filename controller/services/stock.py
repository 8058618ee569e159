"""The stock: sounds that every box of a cluster keeps whatever its plan says, named in its signed settings.

Rules kept here:

1. Others say what belongs there (emergency templates, chimes, the drill notice); the shelf merges, each sound once,
   the first to name it wins, at most :data:`~protocol.limits.MAX_STOCK`. What does not fit is said
   (:attr:`StockShelf.left_out`).
2. The order is that in which boxes fetch: sources in the order they were added.

Not here: settings and their numbers (:mod:`controller.services.issuing`), what a box really has (its status).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from protocol.documents import StockClip
from protocol.limits import MAX_STOCK

_log = structlog.get_logger(__name__)

Source = Callable[[str], Iterable[StockClip]]


class StockShelf:
    """What each cluster's boxes are to keep."""

    def __init__(self) -> None:
        #: Each tells what it wants at a cluster.
        self.sources: list[Source] = []
        #: How many sounds did not fit, by cluster.
        self.left_out: dict[str, int] = {}
        self._listeners: list[Callable[[], None]] = []

    def of(self, cluster_id: str) -> tuple[StockClip, ...]:
        """The stock of one cluster."""
        wanted: dict[str, StockClip] = {}
        for source in self.sources:
            for clip in source(cluster_id):
                wanted.setdefault(clip.sha256, clip)
        over = len(wanted) - MAX_STOCK
        if over > 0 and self.left_out.get(cluster_id) != over:
            _log.error("stock_too_large", cluster=cluster_id, left_out=over)
        if over > 0:
            self.left_out[cluster_id] = over
        else:
            self.left_out.pop(cluster_id, None)
        return tuple(wanted.values())[:MAX_STOCK]

    def changed(self) -> None:
        """Something belongs there now, or does not any more: boxes are to be told soon."""
        for listener in self._listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every change."""
        self._listeners.append(listener)
