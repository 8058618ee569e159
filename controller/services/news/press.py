"""The words of events: server-sent events (HTML standard, section 9.2), as text.

Rules kept here:

1. What an actor may not know of is left out at the moment of printing.
2. Only the last event of a batch carries the number: who loses the line within a batch is told all of it again.
3. Pages with the same rights that read the same batch within :data:`FRESH_US` share the printed text.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from controller.services.context import Actor
from controller.services.directory import Directory
from controller.services.news.hub import Batch, NewsHub
from controller.services.news.model import Topic
from controller.services.news.sight import Sight

#: How long a printed batch serves others.
FRESH_US: Final = 250_000
_PRINTS: Final = 64

#: More about things of a topic than their ids: fields of the event.
Details = Callable[[Sequence[str]], Mapping[str, Any]]


class Press:
    """Prints batches. ``details`` by topic are asked when an event is printed."""

    def __init__(self, hub: NewsHub, directory: Directory, now_us: Callable[[], int]) -> None:
        self._hub = hub
        self._directory = directory
        self._now_us = now_us
        self._prints: OrderedDict[tuple[object, ...], tuple[int, str]] = OrderedDict()
        self.details: dict[Topic, Details] = {}

    def hello(self) -> str:
        """The first event of a stream."""
        return self._event("hello", {"run": self._hub.run_id, "seq": self._hub.seq}, seq=self._hub.seq)

    def resync(self) -> str:
        """The reader missed something, or may see other things than before: it must load everything afresh."""
        return self._event("resync", {"run": self._hub.run_id, "seq": self._hub.seq}, seq=self._hub.seq)

    def farewell(self, code: str) -> str:
        """The last event of a stream, with the reason."""
        return self._event("bye", {"code": code})

    def heartbeat(self, seq: int) -> str:
        """A comment, which also moves the place to go on from (it makes no event in the page)."""
        return f": \nid: {self._hub.run_id}.{seq}\n\n"

    def place(self, event_id: str) -> int | None:
        """The place in this run's ring that an event's id means; None when it is of another run, or no id at all."""
        run, _, seq = event_id.partition(".")
        return int(seq) if run == self._hub.run_id and seq.isascii() and seq.isdigit() and len(seq) < 16 else None  # noqa: PLR2004 - no run lasts longer

    def print(self, batch: Batch, actor: Actor) -> str:
        """The events of a batch for an actor; empty when none is for them."""
        if batch.lost:
            return self.resync()
        personal = any(audience.users for _, things in batch.changes for _, audience in things)
        key = (batch.after, batch.seq, actor.grants, actor.user_id if personal else "")
        now = self._now_us()
        printed = self._prints.get(key)
        if printed is None or now - printed[0] > FRESH_US:
            printed = self._prints[key] = now, self._print(batch, actor)
            while len(self._prints) > _PRINTS:
                self._prints.popitem(last=False)
        return printed[1]

    def _print(self, batch: Batch, actor: Actor) -> str:
        sight = Sight(self._directory, actor)
        found: list[dict[str, Any]] = []
        for topic, things in batch.changes:
            ids = [thing for thing, audience in things if sight.sees(audience)]
            if ids:
                more = self.details.get(topic)
                found.append({"topic": topic.value, "ids": ids, **({} if more is None else more(ids))})
        last = len(found) - 1
        return "".join(
            self._event("change", data, seq=batch.seq if number == last else None) for number, data in enumerate(found)
        )

    def _event(self, name: str, data: Mapping[str, Any], *, seq: int | None = None) -> str:
        number = "" if seq is None else f"id: {self._hub.run_id}.{seq}\n"
        words = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return f"{number}event: {name}\ndata: {words}\n\n"
