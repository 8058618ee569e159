"""What listening in needs of the agents' listener."""

from __future__ import annotations

from typing import Protocol

from protocol.messages import Listen, Listening
from protocol.tap import TapFrame


class TapSink(Protocol):
    """Who is told of one tap. Called on the event loop; must not wait and must not raise."""

    def said(self, answer: Listening) -> None:
        """The agent answered, or says that the tap ended by itself."""
        ...

    def frame(self, frame: TapFrame) -> None:
        """Something sounded (or nothing did)."""
        ...

    def lost(self) -> None:
        """The agent's session is gone."""
        ...


class Taps(Protocol):
    """The agents' side of it (:class:`controller.gateway.taps.TapDesk`)."""

    def open(self, agent_id: str, request: Listen, sink: TapSink) -> bool:
        """Ask an agent; asked again with the same number, its time begins anew. False: it is not online."""
        ...

    def close(self, agent_id: str, tap: int) -> None:
        """Nobody listens any more."""
        ...
