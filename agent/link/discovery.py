"""Where a controller might be: mDNS answers on the local network. A hint, never a reason to trust.

Rules kept here:

1. One ``AsyncZeroconf`` and one browser per process, however many agents live in it.
2. An answer only says where to knock. What is said there is judged by the pinned root
   (:mod:`protocol`): a liar costs one connection try.
3. At most :data:`LIMIT` answers are remembered. Once a root is known, answers of other roots are not remembered
   at all; when the list is full a random one makes way, so a thousand liars cannot keep the true one out.
4. Without a root (an agent nobody has enrolled) several different controllers are refused
   (``several_controllers``): a technician names the right one by ``--controller``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from agent.errors import DiscoveryError

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

log = structlog.get_logger("agent.discovery")

SERVICE = "_loa._tcp.local."

#: Answers remembered at once.
LIMIT = 32

#: Hex digits of the root fingerprint in the TXT record.
ROOT_PREFIX = 16

_RESOLVE_MS = 3_000
_RESOLVING_LIMIT = 16
_PATH_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer: where it says it is, and whose it says it is."""

    name: str
    url: str
    root_prefix: str


class Finder(Protocol):
    """Something that knows where controllers might be."""

    def candidates(self) -> tuple[Candidate, ...]:
        """What is known now."""
        ...

    async def changed(self) -> None:
        """Wait until more is known."""
        ...


def choose(candidates: Iterable[Candidate], root: str | None) -> tuple[str, ...]:
    """The addresses worth a try, given the pinned or provisioned ``root`` fingerprint (None: not enrolled).

    Raises:
        DiscoveryError: ``several_controllers``: nothing tells which of them is ours.
    """
    found = tuple(candidates)
    if root is not None:
        return tuple(one.url for one in found if root.startswith(one.root_prefix))
    if len({one.root_prefix for one in found}) > 1:
        names = ", ".join(f"{one.name} at {one.url}" for one in found[:8])
        message = f"several controllers answer on this network ({names}); name yours with --controller URL"
        raise DiscoveryError("several_controllers", message)
    return tuple(one.url for one in found)


class MdnsFinder:
    """Listens for ``_loa._tcp`` on the given interfaces (their addresses; empty: all)."""

    def __init__(self, interfaces: Sequence[str] = (), *, draw: random.Random | None = None) -> None:
        self._interfaces = tuple(interfaces)
        self._random = draw or random.SystemRandom()
        self._wanted: set[str] = set()
        self._found: dict[str, Candidate] = {}
        self._resolving: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None

    def want(self, root: str) -> None:
        """Only answers of this root (and others wanted so) matter from now on."""
        self._wanted.add(root[:ROOT_PREFIX])
        self._found = {name: one for name, one in self._found.items() if one.root_prefix in self._wanted}

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            DiscoveryError: ``mdns_unavailable``: no such interface, or the port is closed to us.
        """
        from zeroconf import InterfaceChoice, IPVersion  # noqa: PLC0415 - not loaded when a URL is configured
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf  # noqa: PLC0415

        try:
            for address in self._interfaces:  # zeroconf would leave a socket behind when there is no such address
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind((address, 0))
            self._zeroconf = AsyncZeroconf(
                interfaces=list(self._interfaces) or InterfaceChoice.All, ip_version=IPVersion.V4Only
            )
            await asyncio.wait_for(self._zeroconf.zeroconf.async_wait_for_start(), timeout=10)
            self._browser = AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE, handlers=[self._on_change])
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            message = f"mDNS does not work here ({error}); name the controller with --controller URL"
            raise DiscoveryError("mdns_unavailable", message) from error

    async def close(self) -> None:
        """Stop listening."""
        for task in tuple(self._resolving.values()):
            task.cancel()
        await asyncio.gather(*self._resolving.values(), return_exceptions=True)
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._zeroconf is not None:
            await self._zeroconf.async_close()

    def candidates(self) -> tuple[Candidate, ...]:
        """See :class:`Finder`."""
        return tuple(self._found.values())

    async def changed(self) -> None:
        """See :class:`Finder`."""
        self._news.clear()
        await self._news.wait()

    # The parameter names are zeroconf's: it calls by keyword.
    def _on_change(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        from zeroconf import ServiceStateChange  # noqa: PLC0415

        if state_change is ServiceStateChange.Removed:
            self._found.pop(name, None)
            return
        if name in self._resolving or len(self._resolving) >= _RESOLVING_LIMIT:
            return  # asked already, or flooded: the browser asks again by itself
        task = asyncio.get_running_loop().create_task(self._resolve(zeroconf, service_type, name), name="mdns-resolve")
        self._resolving[name] = task
        task.add_done_callback(lambda _: self._resolving.pop(name, None))

    async def _resolve(self, zeroconf: Zeroconf, service_type: str, name: str) -> None:
        from zeroconf import BadTypeInNameException  # noqa: PLC0415
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        try:
            info = AsyncServiceInfo(service_type, name)
            if await info.async_request(zeroconf, _RESOLVE_MS):
                self.learn(name, read_answer(name, info))
        except (BadTypeInNameException, OSError, ValueError) as error:
            log.debug("an mDNS answer could not be read", name=name[:80], error=str(error))

    def learn(self, name: str, candidate: Candidate | None) -> None:
        """Remember one answer, within the bounds of the rules above."""
        if candidate is None or (self._wanted and candidate.root_prefix not in self._wanted):
            return
        if name not in self._found and len(self._found) >= LIMIT:
            self._found.pop(self._random.choice(sorted(self._found)))
        self._found[name] = candidate
        self._news.set()


def read_answer(name: str, info: AsyncServiceInfo) -> Candidate | None:
    """An answer as a candidate, or None when it is not one that this version can use."""
    text = {key: value or "" for key, value in info.decoded_properties.items()}
    path, root = text.get("path", ""), text.get("root", "").lower()
    well_formed = (
        text.get("v") == "1"
        and text.get("tls") in {"0", "1"}
        and path.startswith("/")
        and len(path) <= _PATH_LIMIT
        and path.isascii()
        and len(root) == ROOT_PREFIX
        and all(digit in "0123456789abcdef" for digit in root)
        and info.port
    )
    if not well_formed:
        return None
    secure = text["tls"] == "1"
    for address in info.parsed_addresses():
        parsed = ipaddress.ip_address(address)
        if not secure and not parsed.is_loopback:
            continue  # plain connections stay on this machine
        host = f"[{address}]" if parsed.version == 6 else address  # noqa: PLR2004 - IPv6
        return Candidate(name, f"{'https' if secure else 'http'}://{host}:{info.port}", root)
    return None
