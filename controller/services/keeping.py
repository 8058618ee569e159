"""Who owns the background tasks: :class:`controller.supervisor.Supervisor`, as the use-cases and the gateway see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class Keeper(Protocol):
    """Keeps named tasks alive: a task that fails is started again, one that cannot live ends the process."""

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work()``, and again whenever it fails."""
        ...

    def every(self, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Call ``work()`` again and again, ``seconds`` after it ended."""
        ...
