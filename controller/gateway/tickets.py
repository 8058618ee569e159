"""Short secrets that carry the trust of the control connection to the other connections of the same agent.

1. A ticket lets its agent fetch content by hash and open the media connection. It lives as long as its session, plus
   a grace so that a download survives a reconnect.
2. Revoking an agent kills its tickets at once. The table is bounded by the number of sessions.

Pure; ``now`` is monotonic seconds.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from controller.gateway.limits import GatewayLimits

#: Bytes of randomness in a ticket: unguessable for as long as it lives, and beyond.
_BYTES = 24

#: Media tickets of one agent that may be alive together: its session's, and the one before.
_PER_AGENT = 3


#: Expired tickets are swept out at most this often, in seconds: issuing one must not cost a walk over all.
_SWEEP_EVERY = 30.0


@dataclass(slots=True)
class TicketOffice:
    """Hands out and checks tickets."""

    limits: GatewayLimits
    _media: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    _media_of: dict[str, list[str]] = field(default_factory=dict)
    _swept_at: float = 0.0

    def __len__(self) -> int:
        return len(self._media)

    def issue(self, agent_id: str) -> str:
        """A bearer token for content, good until :meth:`session_ended` plus the grace."""
        mine = self._media_of.setdefault(agent_id, [])
        while len(mine) >= _PER_AGENT:
            self._media.pop(mine.pop(0), None)
        ticket = secrets.token_urlsafe(_BYTES)
        mine.append(ticket)
        self._media[ticket] = (agent_id, None)
        return ticket

    def session_ended(self, ticket: str, now: float) -> None:
        """Start the grace of a media ticket."""
        entry = self._media.get(ticket)
        if entry is not None:
            self._media[ticket] = (entry[0], now + self.limits.media_ticket_grace_s)
        self.sweep(now)

    def owner(self, ticket: str, now: float) -> str | None:
        """The agent a media ticket belongs to, or None when it is not (or no longer) good."""
        entry = self._media.get(ticket)
        if entry is None or (entry[1] is not None and now >= entry[1]):
            return None
        return entry[0]

    def revoke(self, agent_id: str) -> None:
        """Kill every ticket of an agent."""
        for ticket in self._media_of.pop(agent_id, ()):
            self._media.pop(ticket, None)

    def sweep(self, now: float) -> None:
        """Forget what has expired; looks at most every half minute."""
        if now - self._swept_at < _SWEEP_EVERY:
            return
        self._swept_at = now
        for ticket, (agent_id, expires) in list(self._media.items()):
            if expires is not None and now >= expires:
                del self._media[ticket]
                mine = self._media_of.get(agent_id, [])
                if ticket in mine:
                    mine.remove(ticket)
                if not mine:
                    self._media_of.pop(agent_id, None)
