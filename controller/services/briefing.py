"""What an agent is told when it connects, and what its answers mean: planning and orders behind one door.

Rules kept here: orders come from memory and are told even when the database is locked; a plan that cannot be made right
now is left out (the agent has its last one) and offered as soon as it can be.

Not here: open live streams and the key set, which the gateway tells by itself.
"""

from __future__ import annotations

import structlog

from controller.services.dispatch import Courier
from controller.services.planning import Planner
from controller.services.ports import Briefing
from controller.store import StoreBusyError
from protocol.documents import DocumentKind
from protocol.messages import Ack, AckOutcome

_log = structlog.get_logger(__name__)


class DeskBriefer:
    """Implements :class:`controller.services.fleet.Briefer`."""

    def __init__(self, planner: Planner, courier: Courier) -> None:
        self._planner = planner
        self._courier = courier

    async def briefing(self, agent_id: str) -> Briefing:
        """Settings, plan and unanswered orders of an agent that has just connected."""
        commands = self._courier.pending_for(agent_id)
        try:
            documents = await self._planner.documents_for(agent_id)
        except StoreBusyError:
            _log.warning("briefing_without_plan", agent_id=agent_id)
            self._planner.poke()
            documents = None
        if documents is None:
            return Briefing(commands=commands)
        return Briefing(settings=documents[0], plan=documents[1], commands=commands)

    async def answered(self, agent_id: str, ack: Ack) -> None:
        """An agent accepted or refused a document."""
        accepted = ack.outcome is AckOutcome.ACCEPTED or ack.code == "already_have"
        code = "" if accepted else ack.code or "refused"
        if ack.document is DocumentKind.PLAN:
            self._planner.answered(agent_id, ack.term, ack.seq, accepted=accepted, code=code)
        elif ack.document is DocumentKind.COMMAND:
            self._courier.answered(
                agent_id, ack.term, ack.seq, accepted=accepted, code=code, detail=ack.detail if not accepted else ""
            )
