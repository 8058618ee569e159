"""Words to systemd (sd_notify): READY, WATCHDOG, STOPPING, STATUS. Silence when nobody listens."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Speaks to the service manager named by ``NOTIFY_SOCKET``."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, *words: str) -> None:
        """Send words such as ``READY=1``. A manager that is gone is no reason to stop."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)  # noqa: FBT003 - the standard library's signature
            try:
                channel.sendto("\n".join(words).encode(), self._address)
            except OSError:
                return

    @property
    def watchdog_seconds(self) -> float | None:
        """How often to say ``WATCHDOG=1``: a third of what the manager allows; None when it does not watch."""
        limit = os.environ.get("WATCHDOG_USEC", "")
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return int(limit) / 3_000_000 if limit.isdigit() and watched else None
