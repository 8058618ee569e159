"""``GET /agent/v1/enrol``: the conversation by which a new box is let in. Two routes, told apart by the first message.

1. Nothing is given away: a token is looked at only after the box proved its key, digits wait for a person.
2. Tries are bounded per address: five wrong tokens a minute, ten new digit comparisons a minute (loopback is exempt
   from the latter, swarms live there).
3. A box may wait a quarter of an hour for its person; then it asks again, with new digits.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import structlog
from aiohttp import web

from controller.gateway.admission import RateLimit, is_loopback
from controller.gateway.dialogue import LinkEndedError, open_socket, read, refuse, say
from controller.gateway.front import Front
from controller.gateway.limits import GatewayLimits
from controller.gateway.links import CLOSE_NORMAL
from controller.gateway.ports import IdentitySource
from controller.services.enrolment import EnrolmentService, Pending
from controller.services.errors import BusyError, ServiceError
from controller.store import StoreError
from protocol.enrolment import ControllerCode
from protocol.errors import EnrolmentError, ProtocolError
from protocol.handshake import ControllerHandshake
from protocol.messages import EnrolCommit, Enrolled, EnrolReveal, EnrolToken, Hello, Refused

_log = structlog.get_logger(__name__)

#: How long writing one enrolment may take, in seconds.
_COMMIT_S = 20.0


class EnrolDesk:
    """Lets boxes in."""

    def __init__(
        self,
        *,
        limits: GatewayLimits,
        enrolment: EnrolmentService,
        identity: IdentitySource,
        certificate: Callable[[], bytes],
    ) -> None:
        self._limits = limits
        self._enrolment = enrolment
        self._identity = identity
        self._certificate = certificate
        self._wrong_tokens = RateLimit(limits.token_tries_per_minute)
        self._comparisons = RateLimit(limits.code_tries_per_minute)

    async def serve(self, request: web.Request, front: Front) -> web.StreamResponse:
        """One enrolment."""
        ws = open_socket(ping_s=self._limits.ping_s, max_bytes=self._limits.enrol_message_bytes)
        await ws.prepare(request)
        try:
            await self._converse(ws, front.address)
        except ProtocolError as error:
            await self._turn_away(ws, front, error.code, error.detail)
        except ServiceError as error:
            await self._turn_away(ws, front, error.code, error.detail)
        except StoreError as error:
            await self._turn_away(ws, front, "busy", str(error))
        except TimeoutError:
            await self._turn_away(ws, front, "enrol_timeout", "this took too long; ask again")
        except LinkEndedError:
            pass
        return ws

    async def _turn_away(self, ws: web.WebSocketResponse, front: Front, code: str, detail: str) -> None:
        _log.info("enrolment_refused", address=front.address, code=code)
        await refuse(ws, Refused(code=code, detail=detail[:300]))

    async def _converse(self, ws: web.WebSocketResponse, address: str) -> None:
        async with asyncio.timeout(self._limits.handshake_s):
            first = await read(ws)
        if isinstance(first, Hello):
            enrolled = await self._by_token(ws, first, address)
        elif isinstance(first, EnrolCommit):
            enrolled = await self._by_code(ws, first, address)
        else:
            raise EnrolmentError("out_of_order", "an enrolment begins with hello or enrol_commit")
        await say(ws, enrolled)
        _log.info("agent_enrolled", agent_id=enrolled.agent_id, cluster_id=enrolled.cluster_id, address=address)
        with contextlib.suppress(ConnectionError):
            await ws.close(code=CLOSE_NORMAL)

    async def _by_token(self, ws: web.WebSocketResponse, hello: Hello, address: str) -> Enrolled:
        now = asyncio.get_running_loop().time()
        if not self._wrong_tokens.has(address, now):
            raise EnrolmentError("too_many_tries", "too many wrong tokens from this address; wait a minute")
        identity = self._identity.link_identity()
        handshake = ControllerHandshake(
            identity.key,
            root_public=identity.root_public,
            key_set=identity.key_set,
            certificate=self._certificate(),
            nonce=secrets.token_bytes(32),
            root_chain=identity.root_chain,
        )
        async with asyncio.timeout(self._limits.handshake_s):
            await say(ws, handshake.on_hello(hello))
            message = await read(ws)
        if not isinstance(message, EnrolToken):
            raise EnrolmentError("out_of_order", "enrol_token must follow the challenge")
        peer, token = handshake.on_token(message)
        try:
            async with asyncio.timeout(_COMMIT_S):
                cluster_id = await self._enrolment.redeem(peer, token)
        except BusyError:
            raise
        except ServiceError:
            self._wrong_tokens.take(address, now)
            raise
        return Enrolled(cluster_id=cluster_id, agent_id=peer.agent_id)

    async def _by_code(self, ws: web.WebSocketResponse, commit: EnrolCommit, address: str) -> Enrolled:
        if not is_loopback(address) and not self._comparisons.take(address, asyncio.get_running_loop().time()):
            raise EnrolmentError("too_many_tries", "too many enrolments from this address; wait a minute")
        identity = self._identity.link_identity()
        code = ControllerCode(
            identity.key,
            root_public=identity.root_public,
            key_set=identity.key_set,
            certificate=self._certificate(),
            nonce=secrets.token_bytes(32),
        )
        async with asyncio.timeout(self._limits.handshake_s):
            await say(ws, code.on_commit(commit))
            reveal = await read(ws)
            if not isinstance(reveal, EnrolReveal):
                raise EnrolmentError("out_of_order", "enrol_reveal must follow the nonce")
            shown = code.on_reveal(reveal)
        pending = self._enrolment.wait_for_person(code.peer, code.digits, address)
        try:
            await say(ws, shown)
            async with asyncio.timeout(self._limits.pending_wait_s):
                cluster_id = await self._person_or_gone(ws, pending)
        finally:
            self._enrolment.leave(pending)
        return code.approve(cluster_id)

    async def _person_or_gone(self, ws: web.WebSocketResponse, pending: Pending) -> str:
        """The cluster a person chose; ends early when the box leaves.

        Raises:
            ForbiddenError: it was turned away.
            LinkEndedError: it left.
        """
        listening = asyncio.ensure_future(_silence(ws))
        try:
            await asyncio.wait({listening, pending.answer}, return_when=asyncio.FIRST_COMPLETED)
            if pending.answer.done():
                return pending.answer.result()
            return listening.result()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            if not pending.answer.done():
                pending.answer.cancel()


async def _silence(ws: web.WebSocketResponse) -> str:
    """Wait for the box to leave; it has nothing to say while it waits.

    Raises:
        LinkEndedError: it left.
        ProtocolError: it spoke.
    """
    message = await read(ws)
    raise EnrolmentError("out_of_order", f"{message.type} while waiting for approval")
