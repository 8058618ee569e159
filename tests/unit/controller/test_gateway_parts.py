"""The listener's small parts, without sockets; and mDNS on loopback."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from controller.gateway import Advertisement, Advertiser, GatewayLimits, UnknownStreamError
from controller.gateway.admission import RateLimit, Throttle, is_loopback
from controller.gateway.advert import SERVICE_TYPE, real_addresses
from controller.gateway.backlog import Backlog
from controller.gateway.fanout import Fanout, OpenStream
from controller.gateway.frames import binary_frame, close_frame, text_frame
from controller.gateway.inbox import Inbox
from controller.gateway.offers import kind_of_envelope, offer
from controller.gateway.outbox import Outbox
from controller.gateway.tickets import TicketOffice
from controller.gateway.wall_quality import kernel_synchronised, utc_quality
from controller.supervisor import Supervisor
from protocol.errors import ProtocolError
from protocol.messages import Event, Status, UtcQuality
from protocol.telemetry import ClockState, Health, OutputState

SECOND = 1_000_000
AT = datetime(2026, 11, 22, tzinfo=UTC)


@given(st.binary(max_size=400) | st.integers(0, 3).map(lambda n: b"x" * (65_535 + n)))
def test_frames_have_the_shortest_length_field(payload: bytes) -> None:
    header = binary_frame(payload)[: -len(payload)] if payload else binary_frame(payload)
    assert binary_frame(payload) == header + payload
    size = len(payload)
    assert header[0] == 0x82
    if size < 126:
        assert header[1:] == bytes([size])
    elif size < 65_536:
        assert header[1:] == bytes([126]) + size.to_bytes(2, "big")
    else:
        assert header[1:] == bytes([127]) + size.to_bytes(8, "big")


def test_a_close_reason_is_cut_between_letters() -> None:
    frame = close_frame(1013, "chậm " * 60)
    assert frame[0] == 0x88
    assert len(frame) == 2 + frame[1]
    assert frame[1] <= 125
    frame[4:].decode()
    assert text_frame("ổn")[2:].decode() == "ổn"


def test_orders_pass_sound_and_sound_passes_documents() -> None:
    box = Outbox(GatewayLimits())
    box.put_document("plan", b"plan 1")
    box.put_live(b"voice", 10 * SECOND)
    assert box.put_order(b"stop")
    box.put_clock(lambda: b"time")
    box.put_document("plan", b"plan 2")
    assert len(box) == 4
    assert [box.pop(0) for _ in range(5)] == [b"time", b"stop", b"voice", b"plan 2", None]
    assert box.dropped == 1


def test_what_waits_for_one_agent_is_bounded() -> None:
    limits = GatewayLimits(orders_waiting=2, clock_waiting=2, live_waiting_bytes=10)
    box = Outbox(limits)
    assert [box.put_order(b"x") for _ in range(3)] == [True, True, False]
    for number in range(3):
        box.put_clock(lambda n=number: bytes([n]))  # type: ignore[misc]
        box.put_live(b"sound" * 1, SECOND)
    assert [box.pop(0), box.pop(0)] == [b"\x01", b"\x02"]
    assert box.dropped == 2
    box.drop_live()
    assert [box.pop(0) for _ in range(3)] == [b"x", b"x", None]


def test_late_sound_is_dropped_from_the_outbox() -> None:
    box = Outbox(GatewayLimits(live_margin_us=1000))
    box.put_live(b"late", 5000)
    box.put_live(b"in time", 6000)
    assert box.pop(4500) == b"in time"
    assert box.dropped == 1


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2000), st.integers(0, 10)), max_size=60), st.integers(0, 12)
)
def test_a_backlog_is_honest_about_its_bytes(puts: list[tuple[int, int, int]], now: int) -> None:
    backlog = Backlog(GatewayLimits(live_margin_us=0))
    for stream, size, at in puts:
        backlog.put(stream, b"x" * size, at)
    backlog.forget(2)
    assert backlog.bytes_waiting == sum(size for stream, size, _ in puts if stream != 2)
    sent = []
    while (frame := backlog.pop(now)) is not None:
        sent.append(len(frame))
    assert sent == [size for stream, size, at in puts if stream != 2 and at >= now]
    assert backlog.bytes_waiting == 0
    assert backlog.dropped + len(sent) == len(puts)


class Ear:
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.forgotten: list[int] = []

    def carry(self, stream_id: int, frame: bytes, play_at_us: int) -> None:
        self.heard.append(frame)

    def forget(self, stream_id: int) -> None:
        self.forgotten.append(stream_id)


async def test_a_large_fan_out_is_sliced_and_drops_what_is_too_late() -> None:
    now = [0]
    fanout = Fanout(lambda: now[0], slice_us=0, look=2)
    ears = {name: Ear() for name in "abcde"}
    stream = OpenStream(1, frozenset(ears), on_control=False, announcement=b"")
    fanout.open(stream)
    for name, ear in ears.items():
        fanout.attach(name, ear, control=False)
        fanout.attach(name, Ear(), control=True)  # another kind of connection does not carry it
    fanout.publish(1, b"one", SECOND)
    fanout.publish(1, b"two", SECOND)
    assert fanout.sends == 2
    for _ in range(6):
        await asyncio.sleep(0)
    assert [len(ear.heard) for ear in ears.values()] == [2] * 5
    fanout.publish(1, b"three", SECOND)
    now[0] = SECOND
    for _ in range(6):
        await asyncio.sleep(0)
    assert fanout.too_late == 3
    newer = Ear()
    fanout.attach("a", newer, control=False)
    fanout.detach("a", ears["a"])  # the older connection goes after the newer one came
    fanout.publish(1, b"four", 2 * SECOND)
    assert newer.heard
    fanout.close(1)
    assert newer.forgotten == [1]
    with pytest.raises(UnknownStreamError):
        fanout.close(1)
    fanout.stop()


def test_tickets_live_as_long_as_they_should() -> None:
    office = TicketOffice(GatewayLimits(media_ticket_grace_s=10))
    first, second = office.issue("a"), office.issue("a")
    assert office.owner(first, 0) == office.owner(second, 0) == "a"
    office.session_ended(first, 100)
    assert office.owner(first, 109) == "a"
    assert office.owner(first, 110) is None
    for _ in range(10):
        office.issue("a")
    assert len(office) <= 3
    assert office.owner(second, 0) is None  # one agent has a bounded number of them
    third = office.issue("b")
    office.revoke("b")
    assert office.owner(third, 0) is None
    last = office.issue("c")
    office.session_ended(last, 200)
    office.sweep(500)
    assert office.owner(last, 205) is None
    assert office.owner("", 0) is None


def test_tries_run_out_and_come_back() -> None:
    limit = RateLimit(5)
    assert [limit.take("ip", 0) for _ in range(6)] == [True] * 5 + [False]
    assert limit.take("another", 0)
    assert not limit.has("ip", 10)
    assert limit.has("ip", 12)
    assert limit.take("ip", 12.1)
    for number in range(5000):
        limit.take(str(number), 20)
    assert len(limit._buckets) <= 4096
    throttle = Throttle(10, 3)
    assert [throttle.take(0) for _ in range(4)] == [True, True, True, False]
    assert throttle.take(0.2)


@pytest.mark.parametrize(
    ("address", "loop"), [("127.0.0.1", True), ("::1", True), ("127.8.8.8", True), ("10.0.0.1", False), ("", False)]
)
def test_what_is_loopback(address: str, loop: bool) -> None:
    assert is_loopback(address) is loop


async def test_an_inbox_keeps_the_newest_status_and_its_bound() -> None:
    inbox = Inbox(3)
    health = Health(uptime_s=1, clock=ClockState.READY, output=OutputState.OK)
    old, new = Status(at=AT, health=health), Status(at=AT, health=health.model_copy(update={"uptime_s": 2}))
    assert inbox.put(old)
    assert inbox.put(Event(code="a", at=AT))
    assert inbox.put(new)
    assert inbox.put(Event(code="b", at=AT))
    assert not inbox.put(Event(code="c", at=AT))
    assert inbox.dropped == 1
    assert await inbox.get() is new
    assert [(await inbox.get()).type for _ in range(2)] == ["event", "event"]
    waiting = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    inbox.put(old)
    assert await waiting is old


def test_only_envelopes_are_offered() -> None:
    for junk in (b"", b"{}", b'{"payloadType":"x","payload":"","signatures":[]}'):
        with pytest.raises(ProtocolError):
            kind_of_envelope(junk)
        with pytest.raises(ProtocolError):
            offer(junk)


def test_a_clock_without_a_battery_is_not_believed() -> None:
    assert utc_quality(datetime(1970, 1, 2, tzinfo=UTC), lambda: True) is UtcQuality.UNKNOWN
    assert utc_quality(AT, lambda: True) is UtcQuality.SYNCHRONISED
    assert utc_quality(AT, lambda: False) is UtcQuality.FREE_RUNNING
    assert kernel_synchronised() in (True, False)


async def test_the_listener_is_found_on_loopback_and_says_goodbye() -> None:
    keeper = Supervisor()
    advertiser = Advertiser(["127.0.0.1"])
    advertisement = Advertisement("127.0.0.1", 8471, "5e" * 32, tls=True)
    advertiser.open(advertisement, keeper)
    seeker = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    name = advertisement.info(["127.0.0.1"]).name
    info = AsyncServiceInfo(SERVICE_TYPE, name)
    try:
        async with asyncio.timeout(10):
            while not await info.async_request(seeker.zeroconf, 500):
                assert advertiser.fault is None
        assert info.parsed_addresses() == ["127.0.0.1"]
        assert info.port == 8471
        assert info.decoded_properties == {"v": "1", "path": "/agent/v1", "root": "5e" * 8, "tls": "1"}
    finally:
        await advertiser.close()
        await keeper.close()
        await seeker.async_close()


async def test_a_network_that_is_not_there_is_a_fault_not_a_crash() -> None:
    keeper = Supervisor()
    advertiser = Advertiser(["203.0.113.77"])  # not this machine's
    advertiser.open(Advertisement("0.0.0.0", 8471, "5e" * 32, tls=True), keeper)  # noqa: S104 - told, not bound
    async with asyncio.timeout(10):
        while advertiser.fault is None:  # noqa: ASYNC110 - a fault is looked at, not waited for
            await asyncio.sleep(0.005)
    assert keeper.states() == {"mdns-advertiser": "running"}
    await advertiser.close()
    await keeper.close()
    silent = Advertiser(())
    silent.open(Advertisement("127.0.0.1", 1, "5e" * 32, tls=False), keeper)
    await silent.close()
    assert not any(address.startswith("127.") for address in real_addresses())
