"""What listening in needs of the agents' listener and of the stations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from controller.services.carrier import CarrierState
from controller.services.chunks import Chunk
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


class StationLease(Protocol):
    """A hold on a station."""

    def release(self) -> None:
        """Listen no more."""
        ...


class Stations(Protocol):
    """The stations (:class:`controller.services.carriers.CarrierPool`): each fetched once, whoever listens."""

    @property
    def open(self) -> bool:
        """Whether stations can be taken."""
        ...

    def take(self, source_id: str, listener: Callable[[Chunk], None]) -> StationLease:
        """Hear a station from its next chunk on."""
        ...

    def state_of(self, source_id: str) -> CarrierState | None:
        """How a station is; None when nobody listens to it."""
        ...
