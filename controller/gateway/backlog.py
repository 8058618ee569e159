"""Live bundles that wait for one slow agent.

1. At most :attr:`GatewayLimits.live_waiting_bytes` wait; :meth:`Backlog.put` says when that is passed, and the
   connection is closed (the agent opens a new one and starts at *now*).
2. A bundle that can no longer arrive before it must sound is dropped, never sent late.
3. Closing a stream forgets what still waits of it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from controller.gateway.limits import GatewayLimits


@dataclass(slots=True)
class Backlog:
    """A bounded queue of (stream, play_at on the media timeline in µs, frame)."""

    limits: GatewayLimits
    dropped: int = 0
    bytes_waiting: int = 0
    _waiting: deque[tuple[int, int, bytes]] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, stream_id: int, frame: bytes, play_at_us: int) -> bool:
        """Queue a frame. False: more waits than may, the connection must be closed."""
        self._waiting.append((stream_id, play_at_us, frame))
        self.bytes_waiting += len(frame)
        return self.bytes_waiting <= self.limits.live_waiting_bytes

    def pop(self, media_us: int) -> bytes | None:
        """The next frame that can still arrive in time, or None; what cannot is dropped and counted."""
        while self._waiting:
            _, play_at, frame = self._waiting.popleft()
            self.bytes_waiting -= len(frame)
            if play_at - media_us >= self.limits.live_margin_us:
                return frame
            self.dropped += 1
        return None

    def forget(self, stream_id: int) -> None:
        """Drop what waits of one stream."""
        kept = [entry for entry in self._waiting if entry[0] != stream_id]
        self.dropped += len(self._waiting) - len(kept)
        self._waiting = deque(kept)
        self.bytes_waiting = sum(len(entry[2]) for entry in kept)
