"""Taps: what agents send back on the media connection while somebody listens.

Rules kept here:

1. One tap an agent. Frames of an agent that nobody asked, of another tap, or malformed ones are dropped and counted.
2. A session that ends ends its tap; whoever listens is told.
3. While a tap stands its agent's media connection is kept open, also without a stream.

Not here: who may listen, and how many (:mod:`controller.services.listening`).
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.gateway.counts import GatewayCounts
from controller.gateway.frames import text_frame
from controller.gateway.roster import Roster
from controller.services.listening.ports import TapSink
from protocol.errors import ProtocolError
from protocol.messages import Listen, ListenEnd, Listening, encode
from protocol.tap import unpack


@dataclass(frozen=True, slots=True)
class _Open:
    tap: int
    sink: TapSink


class TapDesk:
    """Implements :class:`controller.services.listening.ports.Taps`."""

    def __init__(self, roster: Roster, counts: GatewayCounts) -> None:
        self._roster = roster
        self._counts = counts
        self._open: dict[str, _Open] = {}

    def open(self, agent_id: str, request: Listen, sink: TapSink) -> bool:
        """Ask an agent to be heard. False: it is not online."""
        session = self._roster.sessions.get(agent_id)
        if session is None:
            return False
        self._open[agent_id] = _Open(request.tap, sink)
        session.link.order(text_frame(encode(request)))
        return True

    def close(self, agent_id: str, tap: int) -> None:
        """Nobody listens any more. The agent closes its media connection by itself."""
        known = self._open.get(agent_id)
        if known is None or known.tap != tap:
            return
        del self._open[agent_id]
        session = self._roster.sessions.get(agent_id)
        if session is not None:
            session.link.order(text_frame(encode(ListenEnd(tap=tap))))

    def wanted(self, agent_id: str) -> bool:
        """Somebody listens to the agent."""
        return agent_id in self._open

    def heard(self, agent_id: str, data: bytes) -> bool:
        """Take a frame of an agent. False: nobody wants it."""
        known = self._open.get(agent_id)
        try:
            frame = unpack(data)
        except ProtocolError:
            frame = None
        if known is None or frame is None or frame.tap != known.tap:
            self._counts.tap_frames_refused += 1
            return False
        self._counts.tap_frames += 1
        known.sink.frame(frame)
        return True

    def said(self, agent_id: str, answer: Listening) -> None:
        """Take an agent's answer."""
        known = self._open.get(agent_id)
        if known is None or known.tap != answer.tap:
            return
        if not answer.on:
            del self._open[agent_id]
        known.sink.said(answer)

    def left(self, agent_id: str) -> None:
        """The agent's session is gone."""
        known = self._open.pop(agent_id, None)
        if known is not None:
            known.sink.lost()
