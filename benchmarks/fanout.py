"""Live sound to thousands of agents: CPU per listener, bundles in time, delivery, and stalls, beside Icecast.

The controller's real agent side runs in a process of its own (:mod:`benchmarks.station`) and sends 32 kbit/s as it does
on air: live in bundles of 200 ms, a relay in bundles of 1 s, each signed once, sent ahead by the least lead of its kind
(:data:`controller.services.leads.TERMS`). Listeners are raw sockets in another process (:mod:`benchmarks.listeners`). A
bundle is late when it was read less than the reserve of a playing agent before its first sample. Beside it
listeners on Icecast (MP3, from Debian's packages), the same over TLS, and the bare price of ``socket.send``.

Icecast is measured at 40 kbit/s, which the goals are held against: with its lengths, headers and signatures our
32 kbit/s is 37 on the wire, and Icecast sends more blocks a second the more bytes it has to send. Its cost at 32 is
told beside it. CPU is user and system time of the server's process, by the kernel's account, for each listener and
second; fewer listen to Icecast, because it lets them in slowly.

Last: agents with both connections, clock bursts and status (:mod:`benchmarks.boxes`), on a live stream, and how long
the controller's event loop was away at worst.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.report import Case, against, at_most, note, parser, report
from controller.services.chunks import SourceKind
from tests.system.icecast import Icecast

_BENCH: Final = "fanout"
#: What a playing agent must have a bundle before (PortAudio's buffer of 120 ms, and decoding).
_MARGIN_MS: Final = 180
_WINDOWS_S: Final = {SourceKind.LIVE: 12, SourceKind.RELAY: 15}
_GOALS: Final = {SourceKind.LIVE: 1.8, SourceKind.RELAY: 0.5}
_STALL_GOAL_MS: Final = 50
_ICECAST_LISTENERS: Final = 3000
#: Icecast's bit rate that is nearest to what 32 kbit/s of ours are on the wire.
_WIRE_KBPS: Final = 40


class Worker:
    """A process that obeys JSON lines."""

    def __init__(self, module: str, *flags: str) -> None:
        self._name = module
        argv = [sys.executable, "-m", module, *flags]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, **order: object) -> dict[str, Any]:
        """Tell it to do something, and wait."""
        self.tell(**order)
        return self.hear()

    def tell(self, **order: object) -> None:
        """Tell it to do something."""
        if self._process.stdin is None:
            raise RuntimeError("no way to tell it")
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Its next answer."""
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with {self._process.wait(10)}")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)


def measure(listeners: int, secure: int, agents: int) -> Iterator[Case]:
    """Icecast, plain, TLS, agents."""
    count = min(listeners, _ICECAST_LISTENERS)
    note(f"Icecast with {count} listeners")
    peer = _icecast(count, _WIRE_KBPS)
    for rate, cost in ((_WIRE_KBPS, peer), (32, _icecast(count, 32))):
        yield Case(_BENCH, f"Icecast, {rate} kbit/s, {count} listeners", "CPU per listener-second", cost, "µs")
    note(f"our agent side with {listeners} listeners")
    yield from _ours(listeners, peer, tls=False)
    note(f"the same with TLS, {secure} listeners")
    yield from _ours(secure, peer, tls=True)
    note(f"{agents} agents on a live stream")
    yield from _agents(agents)


def _ours(count: int, peer: float, *, tls: bool) -> Iterator[Case]:
    line = "TLS" if tls else "plain"
    with Worker("benchmarks.station", *(["--tls"] if tls else [])) as station, _Crowd() as crowd:
        hello = station.hear()
        tickets = station.ask(do="seat", count=count)["tickets"]
        paths = [f"/agent/v1/stream?ticket={ticket}" for ticket in tickets]
        connected = crowd.connect("wss" if tls else "ws", hello["port"], paths)
        case = f"{count} media connections, {line}, {hello['loop']}"
        yield Case(_BENCH, case, "time to connect them all", connected["took_s"], "s")
        for kind, seconds in _WINDOWS_S.items():
            case = f"{kind.value}, {count} listeners, {line}, {hello['loop']}"
            crowd.report()
            sent = station.ask(do="stream", kind=kind.value, seconds=seconds)
            time.sleep(1.0)
            heard = crowd.report()
            cost = 1e6 * sent["cpu_s"] / (sent["wall_s"] * count)
            goal = None if tls else _GOALS[kind]
            name = f"Icecast {_WIRE_KBPS} kbit/s"
            yield against(_BENCH, case, "CPU per listener-second", cost, "µs", peer=name, peer_value=peer, bound=goal)
            missing = sent["carriers"] * seconds * 1_000_000 // (kind.packets * 20_000) - heard["bundles"]
            yield at_most(_BENCH, case, "late or missing bundles", heard["late"] + missing, "bundles", 0)
            for name, value in (("p50", heard["p50_us"]), ("p99", heard["p99_us"]), ("max", heard["max_us"])):
                yield Case(_BENCH, case, f"delivery {name}", value / 1000, "ms")
            yield Case(_BENCH, case, "CPU of the listeners' busiest process", 100 * heard["cpu"], "% of a core")
        if not tls:
            for kind in _WINDOWS_S:
                bare = station.ask(do="floor", packets=kind.packets, rounds=5)
                value = bare["us_per_send"] * 1_000_000 / (kind.packets * 20_000)
                yield Case(_BENCH, f"floor, {kind.value}: socket.send", "CPU per listener-second", value, "µs")


def _agents(count: int) -> Iterator[Case]:
    with (
        Worker("benchmarks.station", "--tls") as station,
        Worker("benchmarks.boxes") as boxes,
        _Crowd() as crowd,
    ):
        hello = station.hear()
        case = f"{count} agents, TLS, {hello['loop']}"
        card = station.ask(do="enrol", count=count)
        before = _cpu_s(station.pid)
        came = boxes.ask(count=count, port=hello["port"], tls=True, **card)
        yield Case(_BENCH, case, "time until all had a session", came["took_s"], "s")
        yield Case(_BENCH, case, "CPU per session begun", 1000 * (_cpu_s(station.pid) - before) / count, "ms")
        crowd.connect("wss", hello["port"], [f"/agent/v1/stream?ticket={ticket}" for ticket in came["tickets"]])
        boxes.ask(do="report")
        crowd.report()
        sent = station.ask(do="stream", kind=SourceKind.LIVE.value, seconds=20, watch=True)
        heard, asked = crowd.report(), boxes.ask(do="report")
        case = f"live, {case}"
        yield at_most(_BENCH, case, "longest event-loop stall", sent["stall_ms"], "ms", _STALL_GOAL_MS)
        yield Case(_BENCH, case, "longest garbage collection", sent["gc_ms"], "ms")
        yield Case(_BENCH, case, "CPU of the controller", 100 * sent["cpu_s"] / sent["wall_s"], "% of a core")
        yield Case(_BENCH, case, "late bundles", heard["late"], "bundles")
        yield Case(_BENCH, case, "delivery p99", heard["p99_us"] / 1000, "ms")
        yield Case(_BENCH, case, "clock round trip p50", asked["p50_us"] / 1000, "ms")
        yield Case(_BENCH, case, "clock round trip p99", asked["p99_us"] / 1000, "ms")


def _icecast(count: int, kbps: int) -> float:
    """CPU per listener-second of Icecast, in microseconds."""
    seconds = 15.0
    with (
        tempfile.TemporaryDirectory(prefix="loa-bench-") as name,
        Icecast(Path(name), "mp3", bitrate=f"{kbps}k", clients=count + 10, burst=0) as station,
        _Crowd() as crowd,
    ):
        crowd.connect("icecast", station.port, ["/radio.mp3"] * count)
        time.sleep(3.0)
        crowd.report()
        before, began = _cpu_s(station.pid), time.monotonic()
        time.sleep(seconds)
        cost = 1e6 * (_cpu_s(station.pid) - before) / ((time.monotonic() - began) * count)
        heard = crowd.report()
        note(f"  {heard['bytes'] * 8 / seconds / count / 1000:.1f} kbit/s a listener, {heard['lost']} lost")
        return cost


class _Crowd:
    """Listeners in as many processes as there are cores, two at most."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._workers: list[Worker] = []

    def connect(self, kind: str, port: int, paths: list[str]) -> dict[str, float]:
        began = time.monotonic()
        for part in (paths[0::2], paths[1::2]):
            worker = self._stack.enter_context(Worker("benchmarks.listeners"))
            self._workers.append(worker)
            worker.tell(do="connect", kind=kind, port=port, paths=part, margin_ms=_MARGIN_MS)
        for worker in self._workers:
            worker.hear()
        return {"took_s": time.monotonic() - began}

    def report(self) -> dict[str, Any]:
        """Both together; quantiles are the worse one's."""
        told = [worker.ask(do="report") for worker in self._workers]
        summed = {name: sum(one[name] for one in told) for name in ("bundles", "late", "lost", "bytes")}
        worst = {name: max(one[name] or 0 for one in told) for name in ("p50_us", "p99_us", "max_us", "cpu")}
        return {**summed, **worst}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--listeners", type=int, default=10_000, help="plain listeners of ours")
    options.add_argument("--secure", type=int, default=5_000, help="listeners over TLS")
    options.add_argument("--agents", type=int, default=5_000, help="agents with both connections")
    chosen = options.parse_args()
    sys.exit(report(measure(chosen.listeners, chosen.secure, chosen.agents), as_json=chosen.json))
