"""Which network addresses a station may have: the guard against server-side request forgery.

Rules kept here:

1. Only http and https.
2. Link-local, multicast, unspecified and reserved addresses, and the metadata services of cloud hosts, are never
   fetched from, whatever the configuration says.
3. Loopback and private networks are fetched from only when the operator said so (``allow_private``): a receiver on
   the commune's own LAN is a legitimate source, the controller's own admin pages are not.
4. The address that was checked is the address that is connected to: the check sits inside the resolver of the
   connection, so a name that answers differently the second time (DNS rebinding) gains nothing.
5. An IPv4 address wrapped in IPv6 (mapped, 6to4, NAT64) is judged as the IPv4 address it reaches.

Not here: redirects (:mod:`controller.feeds.station` checks every hop with this policy).
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from controller.feeds.errors import FeedRefusedError

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_CARRIER_NAT: Final = ipaddress.IPv4Network("100.64.0.0/10")
#: Metadata services that live outside link-local space.
_METADATA: Final = frozenset({ipaddress.ip_address("100.100.100.200"), ipaddress.ip_address("fd00:ec2::254")})

#: The longest address of a station that is accepted, in characters.
MAX_URL: Final = 2048


def _reached(address: _Address) -> _Address:
    """The address a packet to ``address`` ends at, when IPv6 only wraps IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Says yes or no to one network address. ``allow_private``: loopback, RFC 1918, ULA and carrier NAT too."""

    allow_private: bool = False

    def allows(self, text: str) -> bool:
        """Whether a connection to the literal address ``text`` is allowed."""
        try:
            address = _reached(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            return False
        if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        if address.is_global:
            return True
        private = address.is_private or (isinstance(address, ipaddress.IPv4Address) and address in _CARRIER_NAT)
        return self.allow_private and (address.is_loopback or (private and not address.is_reserved))

    def check(self, url: str | URL) -> URL:
        """Return ``url`` parsed, if its scheme and (when it is a literal) its address are allowed.

        Raises:
            FeedRefusedError: ``bad_url`` or ``address_refused``.
        """
        if len(str(url)) > MAX_URL:
            raise FeedRefusedError("bad_url", f"the address is longer than {MAX_URL} characters")
        try:
            parsed = URL(url)
            host, port = parsed.host, parsed.port
        except ValueError as error:
            raise FeedRefusedError("bad_url", f"this is not an address: {error}") from error
        if parsed.scheme not in {"http", "https"} or not host or not port:
            raise FeedRefusedError("bad_url", "a source needs an address that begins with http:// or https://")
        if _is_literal(host) and not self.allows(host):
            raise FeedRefusedError("address_refused", _refusal(host, self))
        return parsed


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _refusal(host: str, policy: AddressPolicy) -> str:
    hint = "" if policy.allow_private else "; set allow_private_sources to relay from the local network"
    return f"the controller does not fetch from {host}{hint}"


class GuardedResolver(AbstractResolver):
    """Resolves names and lets only allowed addresses through to the connection."""

    def __init__(self, policy: AddressPolicy, inner: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Allowed addresses of ``host``.

        Raises:
            FeedRefusedError: the name has addresses, and none is allowed.
        """
        found = await self._inner.resolve(host, port, family)
        allowed = [entry for entry in found if self._policy.allows(entry["host"])]
        if found and not allowed:
            raise FeedRefusedError("address_refused", _refusal(host, self._policy))
        return allowed

    async def close(self) -> None:
        """Close the resolver underneath."""
        await self._inner.close()
