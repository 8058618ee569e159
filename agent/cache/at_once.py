"""An executor for stores that never wait: a swarm's agents that keep everything in memory.

A worker thread is for a card that takes fifty milliseconds. For a database in memory it is nothing but two changes of
thread and a fight for the interpreter's lock, a thousand times over when a thousand agents hear the same order. Order
and answers are the same as with one worker thread: what is given first is done first, and is done when it is awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class AtOnce(Executor):
    """Runs what it is given before :meth:`submit` returns."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` now; what it raises is the future's."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is the caller's, as from a thread
            future.set_exception(error)
        return future
