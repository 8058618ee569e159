"""The writing side of an agent's connections: frames go out now if nothing waits, else in their lane's order.

1. A frame is written only while nothing waits in user space (:attr:`Front.paused`), so what is queued can still be
   reordered (control) or dropped (sound), and a clock reply's stamp is the instant of its writing.
2. No task and no wait: writing is a plain call; the front calls back when the connection can take more.
3. A link that is too slow is closed with 1013 (try again later) and a reason; the agent reconnects and is told
   again. 1008 = refused, 1012 = the controller restarts, 4001 = replaced by a newer connection.

Not here: who listens to which stream (:mod:`controller.gateway.fanout`).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from controller.gateway.backlog import Backlog
from controller.gateway.frames import close_frame
from controller.gateway.front import Front
from controller.gateway.limits import GatewayLimits
from controller.gateway.outbox import Outbox

#: WebSocket close codes (RFC 6455 section 7.4 and the IANA registry; 4000 to 4999 are ours).
CLOSE_NORMAL = 1000
CLOSE_REFUSED = 1008
CLOSE_RESTART = 1012
CLOSE_TOO_SLOW = 1013
CLOSE_REPLACED = 4001

#: A closed link gets this long to take the close frame, in seconds.
_GOODBYE_S = 2.0


class Link(ABC):
    """One connection's writing side."""

    def __init__(self, front: Front, limits: GatewayLimits, media_us: Callable[[], int]) -> None:
        self.limits = limits
        self.closed_for: str | None = None
        self._front = front
        self._media_us = media_us
        front.on_drained = self._flush

    @property
    def received_us(self) -> int:
        """When the last bytes of the agent arrived, on the media timeline."""
        return self._front.received_us

    def stalled_for_us(self, now_us: int) -> int:
        """How long something has been waiting in user space; 0 when nothing does."""
        return now_us - self._front.paused_at_us if self._front.paused else 0

    def close(self, code: int, reason: str) -> None:
        """Say why, then let go; whatever the agent does, the connection is gone in two seconds."""
        transport = self._front.transport
        if self.closed_for is not None:
            return
        self.closed_for = reason
        self._front.on_drained = None
        if transport is None:
            return
        transport.write(close_frame(code, reason))
        transport.close()
        asyncio.get_running_loop().call_later(_GOODBYE_S, transport.abort)

    def release(self) -> None:
        """The other side has ended it; nothing more is written."""
        if self.closed_for is None:
            self.closed_for = "over"
            self._front.on_drained = None

    def _write(self, frame: bytes) -> None:
        self._front.send(frame)

    @abstractmethod
    def _flush(self) -> None:
        """Write what waits, now that there is room."""


class ControlLink(Link):
    """The control connection: lanes by importance (:mod:`controller.gateway.outbox`)."""

    def __init__(self, front: Front, limits: GatewayLimits, media_us: Callable[[], int]) -> None:
        super().__init__(front, limits, media_us)
        self.outbox = Outbox(limits)

    def order(self, frame: bytes) -> None:
        """Send a command, a stream open or close, or a receipt: ahead of sound and documents."""
        if self._clear:
            self._write(frame)
        elif not self.outbox.put_order(frame):
            self.close(CLOSE_TOO_SLOW, "slow: orders were waiting too long; connect again")

    def clock(self, make: Callable[[], bytes]) -> None:
        """Send a clock reply, made at the instant it is written."""
        if self._clear:
            self._write(make())
        else:
            self.outbox.put_clock(make)

    def carry(self, stream_id: int, frame: bytes, play_at_us: int) -> None:  # noqa: ARG002 - same shape as StreamLink
        """Send a bundle of emergency voice."""
        if self._clear:
            self._write(frame)
        else:
            self.outbox.put_live(frame, play_at_us)

    def document(self, kind: str, frame: bytes) -> None:
        """Send a plan, settings, a key set: after everything else, the newest of each kind."""
        self.outbox.put_document(kind, frame)
        self._flush()

    def forget(self, stream_id: int) -> None:  # noqa: ARG002 - one emergency voice at a time on this connection
        """Drop what waits of a closed stream."""
        self.outbox.drop_live()

    @property
    def _clear(self) -> bool:
        return not self._front.paused and not self.outbox and self.closed_for is None

    def _flush(self) -> None:
        outbox, front = self.outbox, self._front
        while outbox and not front.paused and self.closed_for is None:
            frame = outbox.pop(self._media_us())
            if frame is None:
                return
            self._write(frame)


class StreamLink(Link):
    """The media connection of one agent: live bundles only."""

    def __init__(self, front: Front, limits: GatewayLimits, media_us: Callable[[], int]) -> None:
        super().__init__(front, limits, media_us)
        self.backlog = Backlog(limits)

    def carry(self, stream_id: int, frame: bytes, play_at_us: int) -> None:
        """Send a bundle now, or queue it until it is too late."""
        front = self._front
        if front.paused or self.backlog.bytes_waiting or self.closed_for is not None:
            if self.closed_for is None and not self.backlog.put(stream_id, frame, play_at_us):
                self.close(CLOSE_TOO_SLOW, "slow: too much sound was waiting; open a new connection")
            return
        front.send(frame)

    def forget(self, stream_id: int) -> None:
        """Drop what waits of a closed stream."""
        self.backlog.forget(stream_id)

    def _flush(self) -> None:
        front, backlog = self._front, self.backlog
        while backlog and not front.paused and self.closed_for is None:
            frame = backlog.pop(self._media_us())
            if frame is None:
                return
            self._write(frame)
