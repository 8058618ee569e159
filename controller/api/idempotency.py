"""Idempotency-Key: the same order sent twice acts once and gets the same answer.

Kept in memory: 2 048 keys, the oldest forgotten first. A double click, a retry after a time-out or two tabs are minutes
apart at most; across a restart the agents' duplicate rule (180 s) takes over. A failed attempt is not remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from controller.services.errors import ConflictError, InvalidError

_KEEP = 2_048
_KEY_MAX = 200
_WAIT_SECONDS = 30.0

Scope = tuple[str, str, str]  # user, operation, key
Answer = tuple[int, bytes]


@dataclass(slots=True)
class _Seen:
    digest: str
    answer: asyncio.Future[Answer]


class IdempotencyKeys:
    """Remembers the answers given under each key."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Scope, _Seen] = OrderedDict()

    async def run(self, scope: Scope, digest: str, act: Callable[[], Awaitable[Answer]]) -> Answer:
        """Act, unless this was done before (or is being done): then give the same answer.

        Raises:
            ConflictError: the key was used for something else.
            InvalidError: the key is empty or too long.
        """
        if not 0 < len(scope[2]) <= _KEY_MAX:
            raise InvalidError(f"Idempotency-Key must have 1 to {_KEY_MAX} characters", code="idempotency_key_invalid")
        seen = self._seen.get(scope)
        if seen is not None:
            if seen.digest != digest:
                raise ConflictError("this Idempotency-Key was used for another request", code="idempotency_key_reused")
            async with asyncio.timeout(_WAIT_SECONDS):
                return await asyncio.shield(seen.answer)
        mine = _Seen(digest, asyncio.get_running_loop().create_future())
        self._seen[scope] = mine
        while len(self._seen) > _KEEP:
            self._seen.popitem(last=False)
        try:
            answer = await act()
        except BaseException as error:
            self._seen.pop(scope, None)
            if isinstance(error, Exception):
                mine.answer.set_exception(error)
                mine.answer.exception()  # seen: nobody else may be waiting
            else:
                mine.answer.cancel()
            raise
        mine.answer.set_result(answer)
        return answer


def body_digest(path: str, body: bytes) -> str:
    """What makes two requests the same."""
    return hashlib.sha256(path.encode() + b"\0" + body).hexdigest()
