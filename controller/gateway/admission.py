"""Who may hold how many connections, and how often something may be tried. Pure; ``now`` is monotonic seconds.

1. All connections together, those of one address, and those of one address that have not yet proven to be an
   enrolled agent are counted apart and bounded (:mod:`controller.gateway.limits`).
2. Loopback is exempt from the bounds per address: swarms of thousands of agents and reverse proxies live there.
3. A :class:`RateLimit` remembers a bounded number of keys; the one that was quiet longest is forgotten first, which
   can only ever be too kind to an address nobody has heard of lately.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from ipaddress import ip_address

from controller.gateway.limits import GatewayLimits

#: Addresses a rate limit remembers.
_KEYS = 4096


def is_loopback(address: str) -> bool:
    """Whether an address (as the socket names its peer) is this machine's own."""
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


@dataclass(slots=True)
class Census:
    """Counts of open connections."""

    limits: GatewayLimits
    total: int = 0
    refused: int = 0
    _by_ip: Counter[str] = field(default_factory=Counter)
    _unproven: Counter[str] = field(default_factory=Counter)

    def admit(self, address: str) -> bool:
        """Count a new connection in, or refuse it."""
        if self.total >= self.limits.connections or not self._room_for(address):
            self.refused += 1
            return False
        self.total += 1
        self._by_ip[address] += 1
        self._unproven[address] += 1
        return True

    def prove(self, address: str) -> None:
        """One connection of ``address`` turned out to be an enrolled agent's."""
        _take(self._unproven, address)

    def leave(self, address: str, *, proven: bool) -> None:
        """A connection is gone."""
        self.total -= 1
        _take(self._by_ip, address)
        if not proven:
            _take(self._unproven, address)

    def _room_for(self, address: str) -> bool:
        if is_loopback(address):
            return True
        return (
            self._by_ip[address] < self.limits.connections_per_ip
            and self._unproven[address] < self.limits.unproven_per_ip
        )


@dataclass(slots=True)
class RateLimit:
    """A token bucket for each key: ``per_minute`` on the long run, and as many at once."""

    per_minute: float
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def has(self, key: str, now: float) -> bool:
        """Whether ``key`` has a try left."""
        return self._level(key, now) >= 1

    def take(self, key: str, now: float) -> bool:
        """Spend one try of ``key``. False: none is left."""
        level = self._level(key, now)
        self._buckets.pop(key, None)
        allowed = level >= 1
        self._buckets[key] = (level - 1 if allowed else level, now)
        if len(self._buckets) > _KEYS:
            self._buckets.popitem(last=False)
        return allowed

    def _level(self, key: str, now: float) -> float:
        level, at = self._buckets.get(key, (self.per_minute, now))
        return min(self.per_minute, level + (now - at) * self.per_minute / 60)


@dataclass(slots=True)
class Throttle:
    """One token bucket: ``per_s`` on the long run, ``burst`` at once."""

    per_s: float
    burst: float
    _level: float = -1.0
    _at: float = 0.0

    def take(self, now: float) -> bool:
        """Spend one. False: too many."""
        level = self.burst if self._level < 0 else min(self.burst, self._level + (now - self._at) * self.per_s)
        self._at = now
        allowed = level >= 1
        self._level = level - 1 if allowed else level
        return allowed


def _take(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
