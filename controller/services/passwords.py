"""Passwords: argon2id, in two threads of their own, behind a queue that has an end.

Hashing is made to be slow, so it must not happen in the event loop, must not take every core, and must not pile up:
with :data:`QUEUE` sign-ins waiting, the next one is told to try again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from controller.services.errors import BusyError, FieldProblem, InvalidError

QUEUE = 32
THREADS = 2
#: Shortest password people may choose (NIST 800-63B asks for 8 where nothing else protects; we take more).
MIN_LENGTH = 10
MAX_LENGTH = 200
#: No letters that are mistaken for another one when read out.
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"

Result = TypeVar("Result")


class Passwords:
    """Makes and checks password hashes."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()  # argon2-cffi's defaults are RFC 9106's for 64 MiB
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobody: str | None = None  # made when first needed: it takes as long as a sign-in

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            BusyError: too many are waiting.
        """
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one. ``None`` (no such user) takes as long and says no.

        Raises:
            BusyError: too many are waiting.
        """
        right = await self._run(lambda: self._verify(stored or self._nobody_hash(), password))
        return right and stored is not None

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    def _nobody_hash(self) -> str:
        if self._nobody is None:
            self._nobody = self._hasher.hash(secrets.token_hex())
        return self._nobody

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= QUEUE:
            raise BusyError("too many people are signing in at this moment; try again in a few seconds")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def check_password(password: str, name: str) -> None:
    """Refuse a password that is too short, too long or the user's name.

    Raises:
        InvalidError: with the field ``password``.
    """
    said = ""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        said = f"must have {MIN_LENGTH} to {MAX_LENGTH} characters"
    elif name.casefold() in password.casefold() and len(password) < len(name) + MIN_LENGTH:
        said = "must not be made of the user's name"
    elif len(set(password)) < 4:  # noqa: PLR2004 - "aaaaaaaaaa"
        said = "must have more different characters"
    if said:
        raise InvalidError(f"the password {said}", code="weak_password", fields=[FieldProblem("password", said)])


def new_password() -> str:
    """A password to be read out or typed once: 16 letters in fours, about 79 bits."""
    letters = [secrets.choice(_READABLE) for _ in range(16)]
    return "-".join("".join(letters[at : at + 4]) for at in range(0, 16, 4))
