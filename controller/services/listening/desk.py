"""The use-case of listening in: who may, how many, and why not.

Rules kept here:

1. The right LISTEN over the cluster's (or the source's) area; every one who listens is in the audit log.
2. At most :data:`MAX_PER_AGENT` at one agent or source, :data:`MAX_LISTENERS` in all, ten minutes each.
3. What cannot be heard is said before anything is sent: offline, nothing to hear, a metered link (with its price).
4. A source that nobody carries is opened for who listens, and let go after them.

It needs no signature: it makes no sound anywhere, and brings back what everybody in the village hears.

Not here: HTTP (:mod:`controller.api.listening_routes`), frames (:mod:`controller.gateway.taps`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.services.catalogue import Catalogue
from controller.services.context import Actor, Permission
from controller.services.directory import Directory
from controller.services.errors import BusyError, ConflictError, TooManyError
from controller.services.listening.listener import Listener
from controller.services.listening.ports import Stations, Taps
from controller.services.listening.room import AgentRoom, Room, SourceRoom
from controller.store import Database
from controller.store.actions import AuditAction
from protocol.limits import MAX_LISTEN_S
from protocol.messages import Listening

MAX_PER_AGENT: Final = 8
MAX_LISTENERS: Final = 32

#: Speech is clear at 20 kbit/s; where the data costs, at 16.
BIT_RATE: Final = 20_000
METERED_BIT_RATE: Final = 16_000

#: An agent answers at once; a station may need a few seconds to connect.
ANSWER_S: Final = 5.0
STATION_S: Final = 15.0

#: What one minute costs on the wire at :data:`METERED_BIT_RATE`: packets, five frames a second with their headers, TLS.
METERED_MB_A_MINUTE: Final = 0.15

_WHY: Final = {
    "nothing_to_hear": "this agent keeps time and decodes nothing (a swarm's agent): there is nothing to hear",
    "metered_link": (
        f"this cluster's link is metered: listening costs about {METERED_MB_A_MINUTE:.2f} MB a minute of its SIM card; "
        "say so if it is worth it (--anyway, or anyway=true)"
    ),
    "agent_offline": "the cluster's agent is not connected: nothing can be heard from it now",
    "replaced": "another controller listens to this agent",
}


class ListeningDesk:
    """Everybody who listens, by agent and by source."""

    def __init__(
        self,
        *,
        directory: Directory,
        catalogue: Catalogue,
        carriers: Stations,
        taps: Taps,
        online: Callable[[], frozenset[str]],
        db: Database,
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._carriers = carriers
        self._taps = taps
        self._online = online
        self._db = db
        self._agents: dict[str, AgentRoom] = {}
        self._sources: dict[str, SourceRoom] = {}

    @property
    def count(self) -> int:
        """How many listen."""
        return sum(len(room.listeners) for room in (*self._agents.values(), *self._sources.values()))

    def close(self) -> None:
        """The controller ends: so does everything that is listened to."""
        for room in (*self._agents.values(), *self._sources.values()):
            room.end("restarting")

    async def cluster(self, actor: Actor, cluster_id: str, *, anyway: bool = False) -> Listener:
        """Hear what a cluster's loudspeaker sounds.

        Raises:
            NotFoundError, ForbiddenError: no such cluster, or no right to listen there.
            ConflictError: ``agent_offline``, ``nothing_to_hear``, ``metered_link``, ``no_answer``.
            TooManyError: ``too_many_listeners``.
        """
        cluster = self._directory.require_cluster(actor, Permission.LISTEN, cluster_id)
        online = sorted(self._directory.agents_of([cluster.id]) & self._online())
        if not online:
            raise ConflictError(_WHY["agent_offline"], code="agent_offline")
        agent_id = online[0]
        self._forget_closed()
        room = self._agents.get(agent_id)
        self._check_places(room)
        if room is None:
            room = self._agents[agent_id] = AgentRoom(agent_id, self._taps)
        listener = room.enter(MAX_LISTEN_S)
        try:
            await self._ask(room, anyway=anyway)
            await self._note(actor, "listen.cluster", cluster.id, {"agent": agent_id, "anyway": anyway})
        except BaseException:
            listener.close()
            raise
        return listener

    def still(self, actor: Actor, *, cluster_id: str | None = None, source_id: str | None = None) -> None:
        """Make sure that somebody who listens may go on.

        Raises:
            NotFoundError, ForbiddenError: it is gone, or their right to listen there is.
        """
        if cluster_id is not None:
            self._directory.require_cluster(actor, Permission.LISTEN, cluster_id)
        if source_id is not None:
            self._directory.require(actor, Permission.LISTEN, self._catalogue.source(source_id).area_id)

    async def source(self, actor: Actor, source_id: str) -> Listener:
        """Hear what a source sends; it is opened if nobody carries it.

        Raises:
            NotFoundError, ForbiddenError: no such source, or no right to listen there.
            ConflictError: ``source_silent``, or why the station cannot be had.
            TooManyError: ``too_many_listeners``.
            BusyError: the controller is starting or ending.
        """
        entry = self._catalogue.source(source_id)
        self._directory.require(actor, Permission.LISTEN, entry.area_id)
        if not self._carriers.open:
            raise BusyError("the controller is starting or ending; try again")
        self._forget_closed()
        room = self._sources.get(source_id)
        self._check_places(room)
        if room is None:
            room = self._sources[source_id] = SourceRoom(source_id, self._carriers)
        listener = room.enter(MAX_LISTEN_S)
        try:
            if not await room.sounds(STATION_S):
                state = self._carriers.state_of(source_id)
                code = state.code if state is not None and state.code else "source_silent"
                raise ConflictError(f"the station sends nothing that can be heard ({code}); try again later", code=code)
            await self._note(actor, "listen.source", source_id, {"title": entry.title})
        except BaseException:
            listener.close()
            raise
        return listener

    # --- inside -----------------------------------------------------------------------------------------------

    async def _ask(self, room: AgentRoom, *, anyway: bool) -> None:
        rate = METERED_BIT_RATE if anyway else BIT_RATE
        if not room.ask(bit_rate=rate, seconds=MAX_LISTEN_S, anyway=anyway):
            raise ConflictError(_WHY["agent_offline"], code="agent_offline")
        answer = await room.answered(ANSWER_S)
        if answer is None:
            raise ConflictError("the agent does not answer; its software may be too old to be heard", code="no_answer")
        if not answer.on:
            raise _refused(answer)

    def _forget_closed(self) -> None:
        self._agents = {name: room for name, room in self._agents.items() if not room.over}
        self._sources = {name: room for name, room in self._sources.items() if not room.over}

    def _check_places(self, room: Room | None) -> None:
        if room is not None and len(room.listeners) >= MAX_PER_AGENT:
            raise TooManyError(
                f"{MAX_PER_AGENT} people listen to this already", retry_after=60, code="too_many_listeners"
            )
        if self.count >= MAX_LISTENERS:
            raise TooManyError(f"{MAX_LISTENERS} people listen in already", retry_after=60, code="too_many_listeners")

    async def _note(self, actor: Actor, action: AuditAction, subject: str, detail: dict[str, object]) -> None:
        async with self._db.transaction(actor) as tx:
            tx.audit(action, subject, detail)


def _refused(answer: Listening) -> ConflictError:
    code = answer.code or "refused"
    return ConflictError(_WHY.get(code, answer.detail or "the agent refuses to be heard"), code=code)
