"""How often one may try: a bounded memory of failures.

A try counts before its outcome is known, so that many at once gain nothing; a success takes its own count back.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, timedelta

from controller.services.errors import TooManyError

#: Failed sign-ins for one name, and from one address, within :data:`WINDOW`.
PER_ACCOUNT = 10
PER_ADDRESS = 30
WINDOW = timedelta(minutes=15)
#: Names and addresses remembered; beyond it the longest silent one is forgotten.
REMEMBERED = 10_000


class Throttle:
    """Counts tries by key."""

    def __init__(self, window: timedelta = WINDOW, remembered: int = REMEMBERED) -> None:
        self._window = window
        self._remembered = remembered
        self._tries: OrderedDict[str, deque[datetime]] = OrderedDict()

    def attempt(self, limits: dict[str, int], now: datetime) -> None:
        """Count one try under every key, unless one of them has reached its limit.

        Raises:
            TooManyError: with the seconds to wait.
        """
        for key, limit in limits.items():
            tries = self._recent(key, now)
            if len(tries) >= limit:
                wait = int((tries[0] + self._window - now).total_seconds()) + 1
                raise TooManyError(
                    f"too many failed tries; wait {-(-wait // 60)} minutes or ask an administrator", retry_after=wait
                )
        for key in limits:
            self._tries.setdefault(key, deque()).append(now)
            self._tries.move_to_end(key)
        while len(self._tries) > self._remembered:
            self._tries.popitem(last=False)

    def succeeded(self, keys: dict[str, int], forget: str) -> None:
        """Take the last try back under every key; ``forget`` starts afresh."""
        self.take_back(keys)
        self._tries.pop(forget, None)

    def take_back(self, keys: dict[str, int]) -> None:
        """Take the last try back under every key: it was none, and it was no success either."""
        for key in keys:
            tries = self._tries.get(key)
            if tries:
                tries.pop()

    def _recent(self, key: str, now: datetime) -> deque[datetime]:
        tries = self._tries.get(key)
        if tries is None:
            return deque()
        while tries and tries[0] + self._window <= now:
            tries.popleft()
        return tries
