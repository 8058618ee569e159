"""The small parts: back-off, supervision, wall time, guard, faults, probe, clock, amplifier, systemd, addresses."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from datetime import timedelta
from pathlib import Path

import pytest

from agent.conductor.amplifier import NoAmplifier, line_request, open_amplifier
from agent.conductor.guard import LIMIT, WINDOW_US, StartGuard
from agent.conductor.orders import LIMIT as MOST_ORDERS
from agent.conductor.orders import Orders
from agent.conductor.wall import SLEW_PPM, STEP_US, Reading, Source, SteadyWall
from agent.errors import AgentError, ConfigError, LinkError, SupervisionError
from agent.health.probe import Probe
from agent.health.timekeeping import Timekeeper
from agent.link.address import read_address
from agent.link.backoff import FLOOR_S, SOON_S, SOON_TRIES, Backoff
from agent.link.transport import Transport
from agent.notify import SystemdNotifier
from agent.supervise import Supervisor, together
from agent.watch import EVENTS_WAITING, REPEAT_US, Watch
from schedules.instants import MonoUs, to_unix_us
from schedules.ladder import Priority
from schedules.model import Amplifier
from tests.unit.agent.rehearsal import T0, SimClock, item, play

# -- back-off -------------------------------------------------------------------------------------------------


class Highest(random.Random):
    def uniform(self, a: float, b: float) -> float:
        del a
        return b


def test_back_off_doubles_to_a_minute_with_full_jitter() -> None:
    backoff = Backoff(Highest())
    assert [backoff.next_delay_s() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    backoff.reset()
    assert backoff.next_delay_s() == 1
    backoff.lost()
    assert [backoff.next_delay_s() for _ in range(SOON_TRIES)] == [SOON_S] * SOON_TRIES
    assert not backoff.soon
    assert [backoff.next_delay_s() for _ in range(3)] == [1, 2, 4]
    drawn = Backoff(random.Random(4))
    delays = [drawn.next_delay_s() for _ in range(200)]
    assert min(delays) >= FLOOR_S
    assert max(delays) <= 60
    assert 20 < sum(delays[10:]) / 190 < 40


# -- supervision ----------------------------------------------------------------------------------------------


async def test_a_crashed_loop_is_started_again_with_growing_pauses() -> None:
    clock, pauses, tries = SimClock(), list[float](), 0

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.move_to(clock.mono_us() + 20_000_000)

    async def child() -> None:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise ValueError("a bug")

    supervisor = Supervisor(clock, sleep=sleep)
    await supervisor.run({"child": child})
    assert tries == 4
    assert pauses == [0.1, 0.2, 0.4]
    assert supervisor.crashes == {"child": 3}
    assert supervisor.alive == set()


async def test_five_crashes_in_a_minute_end_the_process() -> None:
    clock, others = SimClock(), asyncio.Event()

    async def sleep(_: float) -> None:
        clock.move_to(clock.mono_us() + 1_000_000)

    async def crashing() -> None:
        raise ValueError("a bug")

    async def other() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            others.set()

    with pytest.raises(SupervisionError) as caught:
        await Supervisor(clock, sleep=sleep).run({"bad": crashing, "good": other})
    assert caught.value.code == "crash_loop"
    assert "bad" in str(caught.value)
    assert others.is_set()


async def test_together_leaves_nothing_behind_and_forgets_no_cancellation() -> None:
    ended = []

    async def waits(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    async def fails() -> None:
        raise AgentError("x", "y")

    with pytest.raises(AgentError):
        await together({"a": waits("a"), "b": fails()})
    assert ended == ["a"]
    failing = asyncio.Event()

    async def fails_later() -> None:
        await failing.wait()
        raise AgentError("x", "y")

    async def loop_for_ever() -> None:
        while True:
            try:
                await together({"c": waits("c"), "d": fails_later()})
            except AgentError:
                await asyncio.sleep(0)

    task = asyncio.create_task(loop_for_ever())
    await asyncio.sleep(0)
    failing.set()
    task.cancel()  # together with the failure
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await task


# -- wall time ------------------------------------------------------------------------------------------------


def wall(floor: int = 0) -> SteadyWall:
    return SteadyWall(at=MonoUs(1_000_000), floor_us=floor)


NOW = to_unix_us(T0)


def test_wall_time_is_not_trusted_before_somebody_vouches() -> None:
    steady = wall(NOW)
    assert steady.remember(MonoUs(2_000_000)) is None
    steady.offer(Reading(Source.NONE, NOW, MonoUs(1_000_000)), idle=True)
    assert steady.source is Source.NONE
    steady.offer(Reading(Source.HARDWARE_CLOCK, NOW + 5, MonoUs(1_000_000)), idle=True)
    assert steady.trusted
    assert steady.to_mono(steady.now(MonoUs(7_000_000))) == 7_000_000


def test_the_better_source_wins_and_the_worse_takes_over_when_it_falls_silent() -> None:
    steady = wall()
    steady.offer(Reading(Source.CONTROLLER, NOW, MonoUs(1_000_000)), idle=True)
    steady.offer(Reading(Source.TIME_SERVER, NOW + 9_000_000, MonoUs(1_000_000)), idle=True)
    assert steady.now(MonoUs(1_000_000)) == T0
    steady.withdraw(Source.CONTROLLER)
    assert steady.trusted
    steady.offer(Reading(Source.HARDWARE_CLOCK, NOW + 9_000_000, MonoUs(1_000_000)), idle=True)
    assert steady.now(MonoUs(1_000_000)) == T0  # what the controller told is better than a battery
    steady.offer(Reading(Source.TIME_SERVER, NOW + 9_000_000, MonoUs(1_000_000)), idle=True)
    assert steady.now(MonoUs(1_000_000)) == T0 + timedelta(seconds=9)


def test_slew_and_step() -> None:
    steady = wall()
    steady.offer(Reading(Source.CONTROLLER, NOW, MonoUs(1_000_000)), idle=True)
    before = steady.offset_us
    steady.offer(Reading(Source.CONTROLLER, NOW + 10_100_000, MonoUs(11_000_000)), idle=False)
    assert steady.offset_us - before == 10_000_000 * SLEW_PPM // 1_000_000
    steady.offer(Reading(Source.CONTROLLER, NOW + 10_000_000 + 2 * STEP_US, MonoUs(11_000_000)), idle=False)
    assert steady.pending_step_us > STEP_US
    steady.settle(MonoUs(12_000_000), idle=True)
    assert steady.offset_us - before == 2 * STEP_US


def test_a_time_before_the_last_persisted_one_is_not_believed() -> None:
    steady = wall(NOW)
    steady.offer(Reading(Source.TIME_SERVER, NOW - 60_000_000, MonoUs(1_000_000)), idle=True)
    assert not steady.trusted
    assert steady.implausible


# -- the system's clock ---------------------------------------------------------------------------------------


def test_a_clock_counts_only_when_somebody_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.health.timekeeping.kernel_synchronised", lambda: False)
    assert Timekeeper(SimClock(), root=tmp_path).read().source is Source.NONE
    rtc = tmp_path / "sys/class/rtc/rtc0"
    rtc.mkdir(parents=True)
    (rtc / "hctosys").write_text("1\n")
    assert Timekeeper(SimClock(), root=tmp_path).read().source is Source.HARDWARE_CLOCK
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert Timekeeper(SimClock(), root=tmp_path).read().source is Source.TIME_SERVER
    long_ago = SimClock(T0 - timedelta(days=20_000))
    assert Timekeeper(long_ago, root=tmp_path).read().source is Source.NONE


# -- the guard ------------------------------------------------------------------------------------------------


def test_the_fifth_distinct_start_is_refused_and_so_is_what_follows() -> None:
    guard, at = StartGuard(), MonoUs(0)
    assert [guard.allow(f"o{n}", at) for n in range(LIMIT + 2)] == [True] * 4 + [False] * 3
    assert guard.allow("o0", at)  # resuming is no start
    assert not guard.allow("o4", MonoUs(10 * WINDOW_US))  # refused for good
    assert guard.holding(at)
    assert not guard.holding(MonoUs(WINDOW_US))
    assert guard.allow("later", MonoUs(WINDOW_US + 1))


# -- faults and events ----------------------------------------------------------------------------------------


def test_events_do_not_flood_and_faults_stand_until_cleared() -> None:
    clock = SimClock()
    watch, told = Watch(clock, clock.wall), list[int]()
    watch.on_change(lambda: told.append(1))
    for _ in range(50):
        watch.report("replayed", "plan refused")
    first = watch.take()
    assert first is not None
    assert first.detail == "plan refused"
    assert watch.take() is None
    clock.move_to(clock.mono_us() + REPEAT_US)
    watch.report("replayed", "plan refused")
    second = watch.take()
    assert second is not None
    assert "49 times more" in second.detail
    watch.give_back(second)
    assert watch.take() == second
    watch.raise_fault("disk_full", "no room")
    watch.raise_fault("disk_full", "still no room")
    assert [(one.code, one.words) for one in watch.faults] == [("disk_full", "still no room")]
    watch.clear_fault("disk_full")
    assert watch.faults == ()
    assert len(told) == 4
    for number in range(EVENTS_WAITING + 10):
        watch.report("x", str(number))
    assert watch.dropped == 10


def test_the_probe_reads_what_there_is(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("54321\n")
    broken = tmp_path / "sys/class/thermal/thermal_zone1"
    broken.mkdir()
    (broken / "temp").write_text("9999999\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1 kB\nMemAvailable:  204800 kB\n")
    found = Probe(tmp_path, root=tmp_path).read()
    assert found.temperature_c == 54.321
    assert found.memory_available_mib == 200
    assert found.uptime_s is None
    here = Probe(tmp_path).read()
    assert here.memory_used_mib is not None
    assert here.uptime_s is not None


# -- hardware and host ----------------------------------------------------------------------------------------


def test_the_gpio_request_is_the_kernels_structure() -> None:
    request = line_request(17)
    assert struct.unpack_from("=I", request, 0) == (17,)
    assert request[256:269] == b"loa amplifier"
    flags, attributes = struct.unpack_from("=QI", request, 288)
    assert (flags, attributes) == (8, 1)
    assert struct.unpack_from("=IIQQ", request, 320) == (2, 0, 0, 1)  # output values 0 for line 0
    assert struct.unpack_from("=II", request, 560) == (1, 0)


def test_an_amplifier_that_is_not_there_is_told_in_words() -> None:
    assert isinstance(open_amplifier(Amplifier()), NoAmplifier)
    with pytest.raises(AgentError) as caught:
        open_amplifier(Amplifier("gpio", 17))
    assert caught.value.code == "amplifier_failed"


def test_systemd_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "10000000"})
        assert notifier.watchdog_period_s == 5
        notifier.ready("here")
        notifier.watchdog()
        notifier.stopping()
        assert [server.recv(100) for _ in range(3)] == [b"READY=1\nSTATUS=here", b"WATCHDOG=1", b"STOPPING=1"]
    notifier.watchdog()  # nobody listens: a warning, no crash
    assert SystemdNotifier({}).watchdog_period_s is None


# -- addresses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://loa.example", "https://loa.example:8471"),
        ("wss://10.0.0.1:9000/", "https://10.0.0.1:9000"),
        ("10.0.0.1:9000", "https://10.0.0.1:9000"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("ws://localhost", "http://localhost:8471"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_addresses_are_read(url: str, base: str) -> None:
    assert read_address(url).base == base


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "ftp://x",
        "",
        "https://",
        "https://u:p@x",
        "https://x:99999",
        "https://x?y",
        "x" * 400,
        "a\nb",
    ],
)
def test_bad_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_address(url)
    assert caught.value.code == "bad_url"


async def test_knocking_tells_whether_anybody_listens() -> None:
    async def nobody(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(nobody, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Transport() as transport:
        await transport.knock(read_address(f"http://127.0.0.1:{port}"), within_s=5)
        server.close()
        await server.wait_closed()
        with pytest.raises(LinkError) as refused:
            await transport.knock(read_address(f"http://127.0.0.1:{port}"), within_s=5)
    assert refused.value.code == "unreachable"


# -- orders ---------------------------------------------------------------------------------------------------


def test_a_crowd_of_orders_does_not_displace_an_emergency() -> None:
    orders = Orders()
    siren = item("siren", T0, 5, priority=Priority.EMERGENCY_STORED)
    orders.take(play(siren, T0), T0, trusted=True)
    for number in range(2 * MOST_ORDERS):
        crowd = item(f"b{number}", T0, 5, priority=Priority.COMMUNE_LIVE)
        orders.take(play(crowd, T0), T0, trusted=True)
    kept = [one.rule_id for one in orders.items]
    assert len(kept) == MOST_ORDERS
    assert siren.rule_id in kept
    assert kept[-1] == f"pr_b{2 * MOST_ORDERS - 1}"
