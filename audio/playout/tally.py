"""How much of a cue was due, and how much of it was there: exact, however late its events are told.

A busy loop tells late that a fader moved or that a chunk came. Counting by what was known *then* would count the same
stretch twice; so what lies behind :meth:`Tally.settle` is kept as two sums, and everything after it as the chunks and
the fader's edges themselves. What was there is never more than what was due, and neither is ever negative.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator


class Tally:
    """One cue's. Instants are monotonic microseconds; chunks come in order and do not overlap."""

    __slots__ = ("_before", "_edges", "_muted", "_settled", "_spans", "begin")

    def __init__(self, begin: int | None) -> None:
        """``begin``: its first sample; None: not known yet, nothing is due."""
        self.begin = begin
        self._settled = 0
        self._before = (0, 0)  # due and there, before the settled instant
        self._muted = False  # at the settled instant
        self._edges: list[tuple[int, bool]] = []
        self._spans: deque[tuple[int, int]] = deque()

    @property
    def muted(self) -> bool:
        """The fader is shut, as of the last edge."""
        return self._edges[-1][1] if self._edges else self._muted

    def fade(self, at: int, *, muted: bool) -> None:
        """The fader was shut or opened at ``at``."""
        if muted is not self.muted:
            last = self._edges[-1][0] if self._edges else self._settled
            self._edges.append((max(at, last), muted))

    def bring(self, begin: int, end: int) -> None:
        """A chunk of live sound lies there."""
        self._spans.append((begin, end))

    def settle(self, until: int) -> None:
        """Nothing earlier than ``until`` will be told any more: fold it into the sums."""
        if until <= self._settled:
            return
        self._before = self.count(until)
        while self._edges and self._edges[0][0] <= until:
            self._muted = self._edges.pop(0)[1]
        while self._spans and self._spans[0][1] <= until:
            self._spans.popleft()
        self._settled = until

    def count(self, until: int) -> tuple[int, int]:
        """Due and there, from the beginning to ``until``: unmuted time, and what of it chunks had brought."""
        due, there = self._before
        for begin, end in self._open(until):
            due += end - begin
            there += sum(max(0, min(end, last) - max(begin, first)) for first, last in self._spans)
        return due, there

    def _open(self, until: int) -> Iterator[tuple[int, int]]:
        """The stretches between the settled instant and ``until`` in which the fader was open."""
        if self.begin is None:
            return
        at, muted = max(self.begin, self._settled), self._muted
        for edge, shut in (*self._edges, (until, True)):
            end = min(edge, until)
            if not muted and end > at:
                yield at, end
            at, muted = max(at, end), shut
