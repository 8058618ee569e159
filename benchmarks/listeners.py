"""A crowd of listeners in a process of its own: raw sockets and epoll, as little work per bundle as Python allows.

Speaks the agents' media connection (WebSocket, plain or TLS) or Icecast's HTTP. Commands come as JSON lines on stdin,
answers go to stdout: ``{"do": "connect", …}``, ``{"do": "report"}`` (what came since the last one), ``{"do": "end"}``.

A delay is the instant a bundle was read less the instant its sender stamped (``play_at`` less ``lead_ms``); both
processes read the same monotonic clock. A bundle is late when it was read less than ``margin_ms`` before ``play_at``.
"""

from __future__ import annotations

import base64
import json
import resource
import select
import socket
import ssl
import struct
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any, Final

_HEAD: Final = struct.Struct(">2xH16xQ4xH2xq")  # within a medium binary frame: length, stream, lead_ms, play_at
_BINARY, _MEDIUM, _PING = 0x82, 126, 0x89

#: Between two listeners that come to Icecast.
_ICECAST_PAUSE_S: Final = 0.006

#: What asks a server for a WebSocket.
UPGRADE: Final = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(b'loa benchmark 00').decode()}\r\n"
)


class Ear:
    """One listener."""

    __slots__ = ("buffer", "read", "sock", "upgraded")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.read: Callable[[int], bytes] = sock.recv
        self.buffer = b""
        self.upgraded = False


class Crowd:
    """All listeners of this process."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._ears: dict[int, Ear] = {}
        self._poll.register(0, select.EPOLLIN)
        self._margin_us = 0
        self._frames = True
        self._anew()

    def _anew(self) -> None:
        self.delays = array("I")
        self.late = self.bytes = self.reads = self.lost = 0
        self._cpu = time.process_time()
        self._began = time.monotonic()

    def run(self) -> None:
        """Until told to end."""
        poll, ears = self._poll, self._ears
        while True:
            for number, _ in poll.poll():
                if number == 0:
                    if not self._obey(json.loads(sys.stdin.readline() or '{"do": "end"}')):
                        return
                else:
                    self._hear(ears[number])

    def _obey(self, order: dict[str, Any]) -> bool:
        match order["do"]:
            case "connect":
                self._margin_us = order["margin_ms"] * 1000
                self._frames = order["kind"] != "icecast"
                _say(self._connect(order))
            case "report":
                _say(self._report())
            case _:
                return False
        return True

    # -- connecting ---------------------------------------------------------------------------------------

    def _connect(self, order: dict[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        context = None
        if order["kind"] == "wss":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        slowest = 0.0
        for path in order["paths"]:
            at = time.monotonic()
            self._one(order["port"], path, context)
            if not self._frames:  # Icecast lets five wait at its door; the next one's SYN is lost, and costs a second
                time.sleep(_ICECAST_PAUSE_S)
            slowest = max(slowest, time.monotonic() - at)
        self._hear_until(lambda: all(ear.upgraded for ear in self._ears.values()))
        took = time.monotonic() - began
        self._anew()
        return {"connected": len(self._ears), "took_s": took, "slowest_s": slowest}

    def _hear_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            ready = self._poll.poll(20.0)
            if not ready:
                raise SystemExit("the server does not answer")
            for number, _ in ready:
                if number:
                    self._hear(self._ears[number])

    def _one(self, port: int, path: str, context: ssl.SSLContext | None) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=30.0)
        sock = raw if context is None else context.wrap_socket(raw)
        upgrade = UPGRADE if self._frames else ""
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n".encode())
        sock.settimeout(0)
        self._ears[sock.fileno()] = Ear(sock)
        self._poll.register(sock.fileno(), select.EPOLLIN)

    # -- hearing ------------------------------------------------------------------------------------------

    def _hear(self, ear: Ear) -> None:
        try:
            data = ear.read(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        except OSError:
            data = b""
        now = time.monotonic_ns() // 1000
        if not data:
            self._drop(ear)
            return
        self.reads += 1
        self.bytes += len(data)
        if not ear.upgraded:
            self._upgraded(ear, data, now)
        elif self._frames:
            self._parse(ear, data, now)

    def _upgraded(self, ear: Ear, data: bytes, now: int) -> None:
        head, found, rest = (ear.buffer + data).partition(b"\r\n\r\n")
        if not found:
            ear.buffer = head
            return
        if head.split(b" ", 2)[1] not in {b"101", b"200"}:
            raise SystemExit(f"refused: {head[:200]!r}")
        ear.buffer, ear.upgraded = b"", True
        if rest and self._frames:
            self._parse(ear, rest, now)

    def _parse(self, ear: Ear, data: bytes, now: int) -> None:
        if ear.buffer:
            data = ear.buffer + data
        at, size = 0, len(data)
        while size - at >= 2:
            length = data[at + 1]
            whole = 2 + length
            if length == _MEDIUM:
                if size - at < 4:
                    break
                whole = 4 + int.from_bytes(data[at + 2 : at + 4])
            if size - at < whole:
                break
            if data[at] == _BINARY:
                _, stream, lead, play_at = _HEAD.unpack_from(data, at)
                if stream:  # 0: the floor's
                    self.delays.append(max(0, now - play_at + lead * 1000))
                    self.late += now + self._margin_us > play_at
            elif data[at] == _PING:
                ear.sock.send(bytes((0x8A, 0x80 | length, 0, 0, 0, 0)) + data[at + 2 : at + whole])
            else:
                self._drop(ear)
                return
            at += whole
        ear.buffer = data[at:]

    def _drop(self, ear: Ear) -> None:
        self.lost += 1
        del self._ears[ear.sock.fileno()]
        self._poll.unregister(ear.sock)
        ear.sock.close()

    def _report(self) -> dict[str, Any]:
        delays = sorted(self.delays)
        told = {
            "bundles": len(delays),
            "late": self.late,
            "lost": self.lost,
            "reads": self.reads,
            "bytes": self.bytes,
            "cpu": (time.process_time() - self._cpu) / (time.monotonic() - self._began),
            "p50_us": _quantile(delays, 0.5),
            "p99_us": _quantile(delays, 0.99),
            "max_us": delays[-1] if delays else None,
        }
        self._anew()
        return told


def _quantile(ordered: list[int], share: float) -> int | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def raise_limit() -> int:
    """As many open files as this machine allows; returns how many those are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


if __name__ == "__main__":
    raise_limit()
    Crowd().run()
