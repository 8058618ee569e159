"""Boards fed with facts: what the courier delivered, what boxes tell about their sounding, where STOP was ordered.

Rules kept here:

1. A fact finds its board by the order's rule; everything happens in the event loop, at once, without waiting.
2. At most :data:`KEPT` boards are kept; the oldest that is over goes first.

Drills use a :class:`BoardRoom` of their own, so that a drill never shows among alerts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from controller.services.alerts.board import Board
from controller.services.context import Clock
from controller.services.directory import Directory
from controller.services.dispatch import Courier
from protocol.documents import PlayOrder
from protocol.messages import Progress
from protocol.telemetry import PlayRecord

KEPT: Final = 200


class BoardRoom:
    """Every board, and where each fact belongs."""

    def __init__(self, courier: Courier, directory: Directory, clock: Clock) -> None:
        self._courier = courier
        self._directory = directory
        self._clock = clock
        self._boards: dict[str, Board] = {}
        self._rules: dict[str, Board] = {}
        self._streams: dict[int, Board] = {}
        self._news: dict[str, asyncio.Event] = {}
        #: Told of every board that changed. They must be quick and must not raise.
        self.listeners: list[Callable[[Board], None]] = []
        courier.delivery_listeners.append(self._delivered)

    def open(
        self, name: str, rules: Iterable[str], clusters: Iterable[str], start: datetime, expires: datetime
    ) -> Board:
        """A board for orders that are about to be given (or were, before a restart)."""
        boxes = {each: self._directory.agents_of([each]) for each in clusters}
        board = Board(name, start, expires, boxes, given=min(start, self._clock.now()))
        self._boards[name] = board
        self.follow(name, rules)
        for over in [each for each in self._boards.values() if each.closed][: max(0, len(self._boards) - KEPT)]:
            self.drop(over.name)
        return board

    def follow(self, name: str, rules: Iterable[str]) -> None:
        """These orders belong to the board, too."""
        for rule_id in rules:
            self._rules[rule_id] = self._boards[name]

    def follow_streams(self, name: str, streams: Iterable[int]) -> None:
        """These live streams are what the board is about."""
        self._streams.update(dict.fromkeys(streams, self._boards[name]))

    def begin(self, name: str, at: datetime) -> None:
        """A live voice began: from now on a box can be late."""
        board = self._boards.get(name)
        if board is not None:
            board.start = min(board.start, at)

    def prolong(self, name: str, rules: Iterable[str], expires: datetime) -> None:
        """The orders of a board go on longer, maybe under further rules."""
        board = self._boards.get(name)
        if board is not None:
            self.follow(name, rules)
            board.prolong(expires)

    def silenced(self, name: str, clusters: frozenset[str], at: datetime) -> None:
        """The orders of a board were withdrawn there."""
        board = self._boards.get(name)
        if board is not None:
            board.stopped(clusters, at)
            self._tell(board)

    def drop(self, name: str) -> None:
        """Forget a board (nothing was given after all)."""
        board = self._boards.pop(name, None)
        self._rules = {rule: each for rule, each in self._rules.items() if each is not board}
        self._streams = {stream: each for stream, each in self._streams.items() if each is not board}

    def get(self, name: str) -> Board | None:
        """A board by the name it was opened with."""
        return self._boards.get(name)

    def all(self) -> tuple[Board, ...]:
        """Every board."""
        return tuple(self._boards.values())

    def recall(self) -> None:
        """Take over what the courier knows of restored orders (at start)."""
        now = self._clock.now()
        for sent in self._courier.followed():
            order = sent.command.order
            board = self._rules.get(order.item.rule_id) if isinstance(order, PlayOrder) else None
            if board is not None:
                for agent_id, (state, code) in sent.states.items():
                    if state != "queued":
                        board.delivery(agent_id, state, code, now)

    def progress(self, agent_id: str, said: Progress) -> None:
        """A box told how far it is."""
        board = self._board_of(said)
        if board is not None:
            board.progress(agent_id, said, self._clock.now())
            self._tell(board)

    def records(self, agent_id: str, records: Sequence[PlayRecord]) -> None:
        """What a box kept of its sounding: tells of what was said while nobody listened (a restart, a dead line)."""
        for record in records:
            board = self._rules.get(record.rule_id or "") or self._streams.get(record.stream or 0)
            if board is not None and record.started is not None:
                board.recorded(agent_id, record, self._clock.now())
                self._tell(board)

    def stopped(self, clusters: frozenset[str] | None, at: datetime) -> None:
        """STOP was ordered."""
        for board in self._boards.values():
            if not board.closed:
                board.stopped(clusters, at)
                self._tell(board)

    async def changed(self, board: Board, revision: int, patience_s: float) -> bool:
        """Wait (bounded) until a board is beyond a revision; False when it is not by then."""
        if board.revision > revision:
            return True
        event = self._news.setdefault(board.name, asyncio.Event())
        try:
            async with asyncio.timeout(patience_s):
                await event.wait()
        except TimeoutError:
            return board.revision > revision
        return True

    def _board_of(self, said: Progress) -> Board | None:
        if said.rule_id is not None and said.rule_id in self._rules:
            return self._rules[said.rule_id]
        if said.stream is not None:
            return self._streams.get(said.stream)
        sent = self._courier.sent((said.term, said.seq))
        order = None if sent is None else sent.command.order
        return self._rules.get(order.item.rule_id) if isinstance(order, PlayOrder) else None

    def _delivered(self, number: tuple[int, int], agent_id: str, state: str, code: str, _detail: str) -> None:
        sent = self._courier.sent(number)
        order = None if sent is None else sent.command.order
        board = self._rules.get(order.item.rule_id) if isinstance(order, PlayOrder) else None
        if board is not None:
            board.delivery(agent_id, state, code, self._clock.now())
            self._tell(board)

    def _tell(self, board: Board) -> None:
        event = self._news.pop(board.name, None)
        if event is not None:
            event.set()
        for listener in self.listeners:
            listener(board)
