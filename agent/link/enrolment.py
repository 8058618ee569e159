"""How an agent nobody knows becomes one of a controller's: by a one-time token, or by eight digits and two people.

Rules kept here:

1. With a provisioning file the token is shown only to a controller that proved the root the file names.
2. Without one the digits are on the status page, and the person at the agent says that they are the same at the desk
   (``loa-agent confirm``). Nothing is pinned before both people said so.
3. What an enrolment leads to is written down before anything else is asked of the controller.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from agent.errors import EnrolmentError, LinkError
from agent.link.transport import Socket
from protocol.enrolment import AgentCode, AgentToken, Pinned
from protocol.keys import SigningKey
from protocol.link import NONCE_BYTES
from protocol.messages import Challenge, Enrolled, EnrolNonce, EnrolPending, Message, Refused, decode, encode
from protocol.version import __version__

SOFTWARE = f"loa-agent {__version__}"

ANSWER_S = 20.0

#: As long as a controller keeps a waiting agent on the line; then the agent asks again, with new digits.
PERSON_S = 900.0

M = TypeVar("M", bound=Message)


async def enrol_by_token(
    socket: Socket, identity: SigningKey, *, root: str, token: str, now: datetime | None
) -> Pinned:
    """The provisioning route over one open connection.

    Raises:
        ProtocolError: the controller is not the one that the file names.
        EnrolmentError: ``enrolment_refused``: it does not take the token.
        LinkError: the connection broke off.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    side = AgentToken(identity, root=root, token=token, certificate=socket.certificate, nonce=nonce, software=SOFTWARE)
    await socket.send(encode(side.hello()))
    challenge = await _expect(socket, Challenge, ANSWER_S)
    await socket.send(encode(side.on_challenge(challenge, now=now)))
    return side.on_enrolled(await _expect(socket, Enrolled, ANSWER_S))


class CodeEnrolment:
    """The eight digits over one open connection."""

    def __init__(self, socket: Socket, identity: SigningKey) -> None:
        self._socket = socket
        nonce = secrets.token_bytes(NONCE_BYTES)
        self._side = AgentCode(identity, certificate=socket.certificate, nonce=nonce, software=SOFTWARE)
        self._confirmed = asyncio.Event()

    @property
    def digits(self) -> str | None:
        """What to show, once the controller answered."""
        return self._side.digits

    def confirm(self, digits: str) -> bool:
        """The person at the agent typed what the desk shows; whether it is the same."""
        shown = self._side.digits
        if shown is None or shown.replace(" ", "") != digits.replace(" ", ""):
            return False
        self._side.confirm()
        self._confirmed.set()
        return True

    async def run(self, *, now: datetime | None, told: Callable[[str], None]) -> Pinned:
        """Go through with it; ``told`` gets the digits when there are any.

        Raises:
            ProtocolError: the controller broke the rules of the comparison.
            EnrolmentError: ``enrolment_refused``, or ``enrolment_pending`` when nobody came.
            LinkError: the connection broke off.
        """
        await self._socket.send(encode(self._side.commit()))
        reveal = self._side.on_nonce(await _expect(self._socket, EnrolNonce, ANSWER_S), now=now)
        await self._socket.send(encode(reveal))
        await _expect(self._socket, EnrolPending, ANSWER_S)
        told(self._side.digits or "")
        try:
            async with asyncio.timeout(PERSON_S):
                self._side.on_enrolled(await _expect(self._socket, Enrolled, None))
                await self._confirmed.wait()
        except TimeoutError as error:
            raise EnrolmentError("enrolment_pending", "nobody compared the digits; asking again") from error
        pinned = self._side.pinned
        if pinned is None:
            raise EnrolmentError("enrolment_pending", "the digits were not confirmed at this agent")
        return pinned


async def _expect(socket: Socket, kind: type[M], within_s: float | None) -> M:
    while True:
        frame = await socket.receive(within_s=within_s)
        if isinstance(frame, bytes):
            raise LinkError("bad_answer", "sound came where an enrolment was spoken of")
        message = decode(frame)
        if isinstance(message, kind):
            return message
        if isinstance(message, Refused):
            words = f"the controller refuses this agent: {message.detail or message.code}"
            raise EnrolmentError("enrolment_refused", words)
