"""Bytes to readings without holding up the controller: in one thread, bounded in size and time.

Rules kept here:

1. At most :data:`MAX_BYTES` are read (:mod:`controller.cap` bounds depth, elements and alerts beside).
2. One document at a time, each within :data:`READ_S`. A thread cannot be ended; one that is late is left to itself and
   a new one takes over, at most :data:`STUCK` times: after that nothing is read any more, and health says so.
3. The last documents stay in memory, because what was just received is judged a moment later.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509

from controller.cap import CapError, Reading, read_alerts
from controller.cap.document import MAX_BYTES
from controller.services.errors import BusyError, InvalidError

#: A document that takes longer is refused. The worst real one takes a fraction of it.
READ_S: Final = 10.0
#: Threads that may hang before reading stops for good.
STUCK: Final = 3
#: Documents waiting for their turn; more are told to come again.
WAITING: Final = 32
_REMEMBERED: Final = 8
_BELIEVED_S: Final = 600

ResultT = TypeVar("ResultT")


class WarningReader:
    """Reads CAP documents, and does other long sums about them, in a thread of its own."""

    def __init__(self, seconds: float = READ_S) -> None:
        self._seconds = seconds
        self._pool = self._new_pool()
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self._stuck = 0
        self._closed = False
        self._last: OrderedDict[tuple[str, tuple[str, ...], int], tuple[Reading, ...]] = OrderedDict()

    @property
    def fault(self) -> str | None:
        """Why nothing can be read any more; None = all is well."""
        return None if self._stuck < STUCK else f"{self._stuck} warnings could not be read to their end; restart"

    async def read(self, data: bytes, trust: Sequence[str], *, now: datetime) -> tuple[Reading, ...]:
        """The alerts of a document. ``trust``: certificates (PEM) that signatures must lead to.

        Raises:
            InvalidError: the document as a whole is refused, with the reader's code (``not_xml``, ``no_alert`` …), or
                takes too long (``reading_too_slow``).
            BusyError: too many are waiting.
        """
        if len(data) > MAX_BYTES:
            raise InvalidError(f"a document has at most {MAX_BYTES} bytes", code="too_large")
        # Certificates end, so a verdict is believed for minutes only.
        key = (hashlib.sha256(data).hexdigest(), tuple(trust), int(now.timestamp() // _BELIEVED_S))
        if key in self._last:
            return self._last[key]
        try:
            found = await self.run(lambda: read_alerts(data, now=now, trust=_certificates(trust)))
        except CapError as error:
            raise InvalidError(str(error), code=error.code) from error
        self._last[key] = found
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return found

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Do ``work`` in the thread.

        Raises:
            BusyError: too much is waiting, the controller stops, or reading stopped for good.
            InvalidError: ``reading_too_slow``.
            Exception: whatever ``work`` raises.
        """
        if self._stuck >= STUCK:
            raise BusyError("warnings cannot be read until the controller is restarted", code="reader_stuck")
        if self._closed:
            raise BusyError("the controller is stopping", code="stopping")
        if self._waiting >= WAITING:
            raise BusyError("too many warnings are waiting to be read; try again in a moment", code="warnings_busy")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._in_time(work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let go of the thread; nothing is read any more."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_time(self, work: Callable[[], ResultT]) -> ResultT:
        job = asyncio.get_running_loop().run_in_executor(self._pool, work)
        done, _ = await asyncio.wait((job,), timeout=self._seconds)
        if done:
            return job.result()
        self._stuck += 1
        job.add_done_callback(_forget)
        self._pool.shutdown(wait=False)
        self._pool = self._new_pool()
        raise InvalidError(f"it was not read within {self._seconds:g} s", code="reading_too_slow")

    @staticmethod
    def _new_pool() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="warnings")


def _forget(job: asyncio.Future[ResultT]) -> None:
    """Take the result of work that nobody waits for any more."""
    if not job.cancelled():
        job.exception()


def _certificates(pems: Sequence[str]) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(pem.encode()) for pem in pems]
