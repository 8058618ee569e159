"""Keeps one agent connected: finds the controller, speaks, and begins again when the line breaks.

Rules kept here:

1. Between two rounds of tries lies 1 s doubling to 60 s, with full jitter. After a session that stood there are many
   quick ones (:mod:`agent.link.backoff`), each begun by knocking: a lost packet of the three that open a connection
   would otherwise be repeated only after seconds, when the way is long free again.
2. A controller with another root, or one that refuses this agent, is reported and tried again like any other failure:
   a technician may set it right at any time, and nothing that is planned waits for it.
3. Whatever goes wrong here, the conductor plays on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from agent.errors import AgentError, DiscoveryError, LinkError, StorageError
from agent.link.address import Address
from agent.link.backoff import Backoff
from agent.link.fetch import Door
from agent.link.locate import Locator
from agent.link.session import ControlSession, Kit
from agent.link.transport import Transport
from protocol.errors import ProtocolError

log = structlog.get_logger("agent.link")

Sleep = Callable[[float], Awaitable[None]]

#: A session that stood at least this long was a success.
GOOD_S = 5.0

#: How long a knock waits for the door: longer than any path's round trip, shorter than the second repetition.
KNOCK_S = 2.5


class Link:
    """The control connection of an enrolled agent, over and over."""

    def __init__(
        self, kit: Kit, transport: Transport, locator: Locator, backoff: Backoff, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._kit = kit
        self._transport = transport
        self._locator = locator
        self._backoff = backoff
        self._sleep = sleep
        self._session: ControlSession | None = None
        #: Called with the address when a session stands, with None when it ended.
        self.on_session: Callable[[Address | None], None] = lambda _: None

    @property
    def connected(self) -> bool:
        """A session stands."""
        return self._session is not None

    def changed(self) -> None:
        """What sounds has changed: tell it soon."""
        if self._session is not None:
            self._session.changed()

    def doubt(self) -> None:
        """The controller's other connection fell silent: find out soon whether this one still stands."""
        if self._session is not None:
            self._session.doubt()

    async def run(self) -> None:
        """Connect and speak, for ever."""
        while True:
            await self._round()
            await self._sleep(self._backoff.next_delay_s())

    async def goodbye(self) -> None:
        """End the session on purpose."""
        if self._session is not None:
            await self._session.goodbye("the agent is ending")

    async def _round(self) -> None:
        """Try every address once."""
        watch = self._kit.watch
        try:
            addresses = await self._locator.addresses(self._kit.trust.root_fingerprint)
        except DiscoveryError as error:
            watch.raise_fault(error.code, str(error))
            return
        watch.clear_fault("no_controller")
        watch.clear_fault("several_controllers")
        for address in addresses:
            if await self._try(address):
                return

    async def _try(self, address: Address) -> bool:
        """One address; whether a session stood."""
        stood = False
        watch = self._kit.watch
        try:
            if self._backoff.soon:
                await self._transport.knock(address, within_s=KNOCK_S)
            socket = await self._transport.open(address, "control")
            session = ControlSession(self._kit, socket)
            try:
                welcome = await session.begin()
            except BaseException:
                await socket.close()
                raise
            stood = True
            self._stands(session, address)
            began = self._kit.clock.mono_us()
            log.info("connected", controller=address.base, session=welcome.session[:8])
            try:
                await session.run(lambda ticket: Door(address, socket.certificate, ticket))
            finally:
                if self._kit.clock.mono_us() - began > GOOD_S * 1e6:
                    self._backoff.lost()
                self._session = None
                self.on_session(None)
        except ProtocolError as error:
            watch.report(error.code, f"{address.base}: {error.detail}")
            watch.raise_fault("controller_refused", f"{address.base} is not believed: {error.detail}")
        except LinkError as error:
            log.debug("not connected", controller=address.base, why=str(error))
            if stood:
                log.info("the session ended", controller=address.base, why=str(error))
            else:
                watch.raise_fault("not_connected", str(error))
        except StorageError as error:
            watch.raise_fault("storage_failing", str(error))
        except AgentError as error:
            watch.report(error.code, str(error))
        return stood

    def _stands(self, session: ControlSession, address: Address) -> None:
        self._session = session
        self._locator.last_good = address.base
        for code in ("controller_refused", "not_connected"):
            self._kit.watch.clear_fault(code)
        self.on_session(address)
