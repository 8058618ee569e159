"""Tickets that let a browser's audio element listen: it cannot send a token.

Rules kept here: a ticket is good once and for :data:`LIFE_S`; it stands for one person's wish, whose right is checked
when it is used; at most :data:`LIMIT` wait, the oldest goes first.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.services.context import Actor, Clock

LIFE_S: Final = 60
LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants to hear what."""

    actor: Actor
    cluster_id: str | None
    source_id: str | None
    anyway: bool
    #: Who they are as of now; raises when they are signed out, disabled, or without the right since.
    again: Callable[[], Actor | None] = lambda: None


class ListeningTickets:
    """In memory: a restart ends what was being listened to anyway."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, tuple[int, Wish]] = OrderedDict()

    def issue(self, wish: Wish) -> str:
        """A ticket for a wish."""
        ticket = secrets.token_urlsafe(24)
        self._waiting[ticket] = (self._clock.mono_us() + LIFE_S * 1_000_000, wish)
        while len(self._waiting) > LIMIT:
            self._waiting.popitem(last=False)
        return ticket

    def redeem(self, ticket: str) -> Wish | None:
        """The wish; None when the ticket is unknown, used or too old."""
        until, wish = self._waiting.pop(ticket, (0, None))
        return wish if self._clock.mono_us() < until else None
