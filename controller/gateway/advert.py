"""Tells the local network where the agents' listener is: mDNS, ``_loa._tcp.local.``.

1. It is a hint and nothing more: agents trust the key they pinned. TXT: ``v=1``, ``path=/agent/v1``,
   ``root=<first 16 hex digits of the root's fingerprint>``, ``tls=0|1``.
2. Only the interfaces named are used (addresses of this machine); without a list, every real one: up, not loopback,
   not a bridge or tunnel of a container or VPN engine.
3. A network that is not there must not stop the controller: :attr:`Advertiser.fault` says what is wrong, and it is
   tried again every half minute, which also follows addresses that change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import ifaddr
import structlog
from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, NonUniqueNameException, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from controller.services.keeping import Keeper

_log = structlog.get_logger(__name__)

SERVICE_TYPE = "_loa._tcp.local."
PATH = "/agent/v1"
#: Hex digits of the root's fingerprint in the TXT record.
ROOT_DIGITS = 16

_RETRY_S = 30.0
#: Registering asks the network three times whether the name is free; leaving says goodbye three times.
_REGISTER_S = 10.0
_LEAVE_S = 3.0
#: Names of interfaces that container, virtual machine and tunnel engines make.
_UNREAL = ("docker", "br-", "veth", "virbr", "vnet", "cni", "flannel", "cali", "tun", "tap", "wg", "zt", "tailscale")


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What is told. ``host`` is what the listener is bound to (a wildcard means: each interface's own address)."""

    host: str
    port: int
    root_fingerprint: str
    tls: bool

    def txt(self) -> dict[str, str]:
        """The TXT record."""
        return {
            "v": "1",
            "path": PATH,
            "root": self.root_fingerprint[:ROOT_DIGITS],
            "tls": "1" if self.tls else "0",
        }

    def info(self, addresses: Sequence[str]) -> ServiceInfo:
        """The service record for these IPv4 addresses."""
        name = f"loa-{self.root_fingerprint[:8]}"
        return ServiceInfo(
            SERVICE_TYPE,
            f"{name}.{SERVICE_TYPE}",
            port=self.port,
            properties=self.txt(),
            server=f"{name}.local.",
            parsed_addresses=list(addresses),
        )


def own_addresses() -> frozenset[str]:
    """Every IPv4 address of this machine, loopback included."""
    return frozenset(str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4)


def real_addresses() -> tuple[str, ...]:
    """IPv4 addresses of this machine's real interfaces, in order."""
    found = []
    for adapter in ifaddr.get_adapters():
        if adapter.name.startswith(_UNREAL):
            continue
        found += [str(ip.ip) for ip in adapter.ips if ip.is_IPv4 and not ip_address(str(ip.ip)).is_loopback]
    return tuple(sorted(set(found), key=lambda text: int(ip_address(text))))


class Advertiser:
    """Keeps one advertisement on the network for as long as it is open."""

    def __init__(self, interfaces: Sequence[str] | None = None) -> None:
        self._chosen = None if interfaces is None else tuple(interfaces)
        self._zeroconf: AsyncZeroconf | None = None
        self._info: ServiceInfo | None = None
        self._on: tuple[str, ...] = ()
        self._busy = asyncio.Lock()
        self._closed = False
        self.fault: str | None = None

    def open(self, advertisement: Advertisement, keeper: Keeper) -> None:
        """Begin, in the background. Never raises for a network that refuses; see :attr:`fault`."""
        if self._chosen == ():
            return  # switched off

        async def keep() -> None:
            while not self._closed:
                async with self._busy:
                    await self._refresh(advertisement)
                await asyncio.sleep(_RETRY_S)

        keeper.start("mdns-advertiser", keep)

    async def close(self) -> None:
        """Say goodbye, within a bound."""
        self._closed = True
        async with self._busy:
            await self._leave()

    async def _refresh(self, advertisement: Advertisement) -> None:
        interfaces = real_addresses() if self._chosen is None else self._chosen
        if self._closed:
            return
        if self._zeroconf is not None and interfaces == self._on:
            return
        await self._leave()
        here = own_addresses()
        if not interfaces or not here.issuperset(interfaces):
            missing = [address for address in interfaces if address not in here]
            why = f"{', '.join(missing)} is not an address of this machine" if missing else "no network address yet"
            self._say(f"mdns_no_interface: {why}")
            return
        try:
            async with asyncio.timeout(_REGISTER_S):
                await self._register(advertisement, interfaces)
        except (OSError, TimeoutError, ZeroconfError) as error:
            self._say(f"mdns_failed: {str(error) or type(error).__name__}")
            await self._leave()
        else:
            self._on = interfaces
            self._say(None)

    async def _register(self, advertisement: Advertisement, interfaces: tuple[str, ...]) -> None:
        wildcard = advertisement.host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
        info = advertisement.info(interfaces if wildcard else (advertisement.host,))
        self._zeroconf = AsyncZeroconf(interfaces=list(interfaces), ip_version=IPVersion.V4Only)
        try:
            done = await self._zeroconf.async_register_service(info, allow_name_change=True)
        except NonUniqueNameException as error:
            raise OSError("the name is taken on this network") from error
        self._info = info
        await done

    async def _leave(self) -> None:
        zeroconf, info = self._zeroconf, self._info
        self._zeroconf = self._info = None
        self._on = ()
        if zeroconf is None:
            return
        try:
            async with asyncio.timeout(_LEAVE_S):
                if info is not None:
                    await (await zeroconf.async_unregister_service(info))
        except (OSError, TimeoutError, ZeroconfError) as error:
            _log.info("mdns_goodbye_failed", reason=str(error) or type(error).__name__)
        finally:
            await zeroconf.async_close()

    def _say(self, fault: str | None) -> None:
        if fault != self.fault:
            self.fault = fault
            if fault is not None:
                _log.warning("mdns_fault", reason=fault)
