"""Where a controller listens for agents, as a checked value.

TLS is the rule. Its certificate is bound into the signatures of the handshake (:mod:`protocol.handshake`), not to a
certificate authority. A plain address is taken only when it cannot leave this machine.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent.errors import ConfigError

_SCHEMES = {"https": True, "wss": True, "http": False, "ws": False}
_LONGEST = 300
DEFAULT_PORT = 8471


@dataclass(frozen=True, slots=True)
class Address:
    """``https://host:port`` (or ``http`` on loopback), without a path."""

    base: str
    secure: bool

    def at(self, path: str) -> str:
        """The URL of an endpoint under ``/agent/v1``."""
        return f"{self.base}/agent/v1/{path}"


def read_address(url: str) -> Address:
    """Check and normalise what a person, a provisioning file or mDNS named.

    Raises:
        ConfigError: ``bad_url``: no URL of an agents' listener, or a plain one that leaves this machine.
    """
    if not 0 < len(url) <= _LONGEST or not url.isascii() or not url.isprintable():
        raise ConfigError("bad_url", "the controller's address is not a URL; write https://HOST:8471")
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise ConfigError("bad_url", f"{url!r} is not a URL ({error}); write https://HOST:8471") from error
    if parts.scheme not in _SCHEMES or not host or parts.username is not None or parts.query or parts.fragment:
        raise ConfigError("bad_url", f"{url!r} is not the address of a controller; write https://HOST:8471")
    secure = _SCHEMES[parts.scheme]
    if not secure and not is_loopback(host):
        raise ConfigError("bad_url", f"{url!r} is plain and leaves this machine; write https://{host}:{port}")
    shown = f"[{host}]" if ":" in host else host
    return Address(f"{'https' if secure else 'http'}://{shown}:{port}", secure)


def is_loopback(host: str) -> bool:
    """The name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
