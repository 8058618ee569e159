"""What the use-cases need from the outside world, and what the outside world tells them.

:class:`AgentGateway` is implemented by :mod:`controller.gateway` and by a fake in the tests; :class:`FleetEvents` is
implemented by the use-cases and called by the gateway. Neither side knows more of the other than this page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from schedules.instants import MediaUs

if TYPE_CHECKING:
    from protocol.messages import Ack, Event, Hello, Progress, Status
    from protocol.telemetry import PlayRecord

__all__ = ["AgentGateway", "Briefing", "FleetEvents", "MediaClock"]


class MediaClock(Protocol):
    """The timeline of this controller run: what live bundles are stamped with, and what the gateway's clock serves."""

    @property
    def timeline(self) -> int:
        """The random u64 that names this run."""
        ...

    def now(self) -> MediaUs:
        """Microseconds on the timeline."""
        ...


@dataclass(frozen=True, slots=True)
class Briefing:
    """Signed envelopes an agent needs when it connects, in the order to send them. None = nothing to tell."""

    key_set: bytes | None = None
    settings: bytes | None = None
    plan: bytes | None = None
    commands: tuple[bytes, ...] = ()  # unexpired orders it has not acknowledged
    streams: tuple[tuple[int, bytes], ...] = ()  # open live streams that target it: (stream id, StreamOpen)


class AgentGateway(Protocol):
    """The agents' side of the controller, as the use-cases see it. No method waits for an agent's answer."""

    def online(self) -> frozenset[str]:
        """Ids of the agents with a live control connection."""
        ...

    async def send_command(self, envelope: bytes, targets: frozenset[str]) -> int:
        """Put a signed order ahead of everything else to the agents named; returns how many were online."""
        ...

    async def offer_plan(self, agent_id: str, envelopes: Sequence[bytes]) -> bool:
        """Send settings and plan (settings first) to one agent; False when it is not online."""
        ...

    async def send_key_set(self, envelope: bytes) -> int:
        """Send a new key set to every agent; returns how many were online."""
        ...

    async def open_stream(self, stream_id: int, envelope: bytes, targets: frozenset[str]) -> int:
        """Announce a live stream to the agents named; returns how many were online."""
        ...

    def publish(self, stream_id: int, bundle: bytes, play_at: MediaUs) -> None:
        """Fan one signed bundle out to the stream's targets. Never blocks; a slow agent loses it."""
        ...

    async def close_stream(self, stream_id: int) -> None:
        """Tell the targets that the stream is over and forget it."""
        ...

    async def disconnect(self, agent_id: str, code: str) -> None:
        """Cut an agent off (revoked)."""
        ...


class FleetEvents(Protocol):
    """What agents do and say, told to the use-cases."""

    async def connected(self, agent_id: str, hello: Hello) -> Briefing:
        """An approved agent has proved its key. Returns what it must be told."""
        ...

    async def disconnected(self, agent_id: str) -> None:
        """Its control connection is gone."""
        ...

    async def status(self, agent_id: str, status: Status) -> None:
        """A heartbeat."""
        ...

    async def ack(self, agent_id: str, ack: Ack) -> None:
        """It accepted or refused a signed document."""
        ...

    async def records(self, agent_id: str, journal: str, records: Sequence[PlayRecord]) -> int:
        """Store what it played; returns the seq up to which everything is durable (what the gateway acknowledges)."""
        ...

    def progress(self, agent_id: str, progress: Progress) -> None:
        """What became of an order of class 70 and above, or of a silent test. At once, from memory; must not raise."""
        ...

    async def event(self, agent_id: str, event: Event) -> None:
        """Something it wants known (a refusal, a fault)."""
        ...
