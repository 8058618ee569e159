"""The media connection: ``GET /agent/v1/stream?ticket=…``, live bundles out, and tap frames in while somebody listens.

It belongs to a control session (the ticket says whose) and ends with it. An agent has one; a newer one takes the
older one's place and hears from the next bundle on.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import WSMsgType, web

from controller.gateway.admission import Throttle
from controller.gateway.counts import GatewayCounts
from controller.gateway.dialogue import open_socket
from controller.gateway.fanout import Fanout
from controller.gateway.front import Front
from controller.gateway.limits import GatewayLimits
from controller.gateway.links import CLOSE_NORMAL, CLOSE_REPLACED, StreamLink
from controller.gateway.roster import Roster, Session
from controller.gateway.sockets import narrow
from controller.gateway.taps import TapDesk
from protocol.limits import MAX_TAP

#: An agent nobody listens to has nothing to say here; a few frames are tolerated, more ends the connection.
_MAX_FRAMES = 100

#: Frames a second of an agent that is listened to: five, and what waited while the line was down.
_FRAMES_PER_S, _FRAMES_AT_ONCE = 10.0, 60.0


class StreamDesk:
    """Accepts media connections."""

    def __init__(
        self,
        *,
        limits: GatewayLimits,
        roster: Roster,
        fanout: Fanout,
        owner_of: Callable[[str], str | None],
        media_us: Callable[[], int],
        taps: TapDesk,
        counts: GatewayCounts,
    ) -> None:
        self._limits = limits
        self._roster = roster
        self._fanout = fanout
        self._owner_of = owner_of
        self._media_us = media_us
        self._taps = taps
        self._counts = counts

    async def serve(self, request: web.Request, front: Front) -> web.StreamResponse:
        """One media connection."""
        agent_id = self._owner_of(request.query.get("ticket", ""))
        session = None if agent_id is None else self._roster.sessions.get(agent_id)
        if session is None:
            raise web.HTTPUnauthorized(text="the ticket is not (or no longer) good; connect the control channel first")
        # No pings of ours, at 0.1 ms each: a peer that is gone ends the connection by what it does not acknowledge
        # (TCP_USER_TIMEOUT), or by the end of its session, whose own connection is pinged.
        ws = open_socket(ping_s=None, max_bytes=MAX_TAP)
        await ws.prepare(request)
        front.prove()
        transport = front.transport
        if transport is None:
            return ws
        narrow(transport, self._limits)
        link = StreamLink(front, self._limits, self._media_us)
        self._take_over(session, link)
        try:
            await self._listen(ws, session.agent_id)
        finally:
            self._counts.dropped += link.backlog.dropped
            self._fanout.detach(session.agent_id, link)
            if session.stream is link:
                session.stream = None
            link.release()
        return ws

    async def _listen(self, ws: web.WebSocketResponse, agent_id: str) -> None:
        """Hand on what is asked for, until the agent goes or says too much."""
        throttle, idle = Throttle(_FRAMES_PER_S, _FRAMES_AT_ONCE), 0
        while idle < _MAX_FRAMES:
            frame = await ws.receive()
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            wanted = frame.type is WSMsgType.BINARY and self._taps.heard(agent_id, frame.data)
            idle += not wanted
            if not throttle.take(self._media_us() / 1e6):
                self._counts.cut_off += 1
                return

    def _take_over(self, session: Session, link: StreamLink) -> None:
        if session.stream is not None:
            session.stream.close(CLOSE_REPLACED, "replaced: a newer media connection is here")
        session.stream = link
        self._fanout.attach(session.agent_id, link, control=False)

    def dismiss(self, session: Session) -> None:
        """Close a media connection that no open stream needs any more."""
        if self._taps.wanted(session.agent_id):
            return
        if session.stream is not None and not any(
            not stream.on_control for stream in self._fanout.targeting(session.agent_id)
        ):
            session.stream.close(CLOSE_NORMAL, "no stream is open")
