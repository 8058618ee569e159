"""Which agents are connected; the newest connection of an agent is the one that counts.

An agent whose key sits in two boxes replaces itself again and again: at five replacements in a minute it is *flapping*,
which is reported (a technician revokes it) and not punished: a bad line does the same for a while.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from controller.gateway.limits import GatewayLimits
from controller.gateway.links import CLOSE_REPLACED, ControlLink, StreamLink

#: Seconds over which replacements are counted, and a flapping agent has to be quiet.
_WINDOW = 60.0


@dataclass(slots=True, eq=False)
class Session:
    """One proven control connection, and the media connection that belongs to it."""

    agent_id: str
    cluster_id: str
    address: str
    link: ControlLink
    ticket: str
    since_us: int
    stream: StreamLink | None = None


@dataclass(slots=True)
class Roster:
    """The sessions by agent."""

    limits: GatewayLimits
    sessions: dict[str, Session] = field(default_factory=dict)
    _replaced: dict[str, deque[float]] = field(default_factory=dict)
    _online: frozenset[str] | None = None

    def online(self) -> frozenset[str]:
        """The connected agents."""
        if self._online is None:
            self._online = frozenset(self.sessions)
        return self._online

    def enter(self, session: Session, now: float) -> bool:
        """Make a session the agent's own; an older one is closed. True: the agent is flapping."""
        old = self.sessions.get(session.agent_id)
        self.sessions[session.agent_id] = session
        self._online = None
        if old is None:
            return False
        old.link.close(CLOSE_REPLACED, "replaced: a newer connection of this agent is here")
        if old.stream is not None:
            old.stream.close(CLOSE_REPLACED, "replaced: a newer connection of this agent is here")
        times = self._replaced.setdefault(session.agent_id, deque(maxlen=self.limits.replacements_per_minute))
        times.append(now)
        return self.flapping(session.agent_id, now)

    def leave(self, session: Session) -> bool:
        """A session ended. True: it was the agent's own, so the agent is offline now."""
        if self.sessions.get(session.agent_id) is not session:
            return False
        del self.sessions[session.agent_id]
        self._online = None
        return True

    def flapping(self, agent_id: str, now: float) -> bool:
        """Whether the agent replaced its own connection too often within the last minute."""
        times = self._replaced.get(agent_id)
        if times is None:
            return False
        while times and now - times[0] > _WINDOW:
            times.popleft()
        if not times:
            del self._replaced[agent_id]
            return False
        return len(times) >= self.limits.replacements_per_minute
