"""Where to knock, in which order.

1. A configured address (``--controller``, or the one in the provisioning file) is the only one: on 4G it is the rule.
2. Otherwise the address that worked last, then whatever mDNS names with the right root, in random order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from agent.errors import ConfigError, DiscoveryError
from agent.link.address import Address, read_address
from agent.link.discovery import Finder, choose

#: How long one look-out for an answer lasts before it is reported that none came.
LOOK_OUT_S = 15.0


class Locator:
    """Knows the addresses of one agent's controller."""

    def __init__(self, configured: str | None, finder: Finder | None, *, draw: random.Random) -> None:
        """``finder`` None: mDNS is not used."""
        self._configured = None if configured is None else read_address(configured)
        self._finder = finder
        self._random = draw
        self.last_good: str | None = None

    async def addresses(self, root: str | None) -> Sequence[Address]:
        """The addresses worth a try now, given the pinned or provisioned root; waits a while for the first one.

        Raises:
            DiscoveryError: ``several_controllers`` or ``no_controller``.
        """
        if self._configured is not None:
            return (self._configured,)
        known = _readable((self.last_good,) if self.last_good is not None and root is not None else ())
        found = self._found(root)
        if not known and not found and self._finder is not None:
            try:
                async with asyncio.timeout(LOOK_OUT_S):
                    while not (found := self._found(root)):
                        await self._finder.changed()
            except TimeoutError:
                found = ()
        addresses = tuple(dict.fromkeys((*known, *found)))
        if not addresses:
            message = "no controller answers on this network; name it with --controller URL"
            raise DiscoveryError("no_controller", message)
        return addresses

    def _found(self, root: str | None) -> tuple[Address, ...]:
        if self._finder is None:
            return ()
        found = list(_readable(choose(self._finder.candidates(), root)))
        self._random.shuffle(found)
        return tuple(found)


def _readable(urls: Sequence[str]) -> tuple[Address, ...]:
    addresses = []
    for url in urls:
        try:
            addresses.append(read_address(url))
        except ConfigError:
            continue  # a hint that is no address is no hint
    return tuple(addresses)
