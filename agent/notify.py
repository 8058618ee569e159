"""The few lines of sd_notify that a ``Type=notify`` unit needs, without a library.

A datagram goes to the socket named in ``NOTIFY_SOCKET``; without it nothing happens. The watchdog is fed only
while the event loop turns, so a hung agent is restarted by systemd.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger("agent.notify")


class SystemdNotifier:
    """Tells systemd what the agent is doing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        watchdog = environment.get("WATCHDOG_USEC", "")
        #: Seconds between two feedings (half of what systemd allows), or None without a watchdog.
        self.watchdog_period_s = int(watchdog) / 2_000_000 if watchdog.isdigit() and int(watchdog) else None

    def ready(self, status: str) -> None:
        """The agent has loaded its state and will sound what is due."""
        self._send(f"READY=1\nSTATUS={status}")

    def watchdog(self) -> None:
        """The event loop turns."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The agent is ending on request."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            ) as sender:
                sender.sendto(text.encode(), self._address)
        except OSError as error:
            log.warning("systemd could not be told", error=str(error))
