"""A relay of two hours in simulated time: one controller, a poor mobile link, two boxes with crystals of their own.

Real here: the clock exchanges and the filter, bundles (signed and verified), the agent's gate and streams, the measured
arrivals and the lead that the controller makes of them, feed, feeder, engine, servo, resampler. Not real: Opus. Packets
carry their sample number and the stand-in decoder draws a saw from it, so that every sample that is heard tells which
one it is; decoding in earnest would take a minute of the test and tell nothing about time.

True time is microseconds since the beginning. The controller's crystal is true; the boxes' run fast or slow, and their
converters run fast or slow against those.
"""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from agent.conductor.streams import LiveStreams
from audio.pcm import Samples
from audio.playout.engine import Engine
from audio.playout.live import LiveFeeder
from audio.playout.ring import SampleRing
from audio.playout.timeline import LiveTimeline
from audio.playout.voice import Source
from controller.services.chunks import Chunk, SourceKind
from controller.services.leads import Leads, StreamLead
from controller.services.streams import CarriedStream
from protocol.burst import BURST_LENGTH, Exchange
from protocol.clock import ClockFilter
from protocol.documents import StreamOpen, Targets
from protocol.gate import BundleGate
from protocol.keys import OnlineKey, Role, SigningKey
from protocol.messages import Status, UtcQuality
from protocol.telemetry import ClockState, Health, OutputState
from schedules.instants import MediaUs, MonoUs
from schedules.ladder import Priority
from tests.system.bad_path import POOR, SEGMENT, Profile, Way

SECOND = 1_000_000
TIMELINE = 99
STREAM = 7
WALL = datetime(2026, 5, 4, 22, 0, tzinfo=UTC)
KEY = SigningKey.from_seed(b"r" * 32)
ONLINE = OnlineKey.of(KEY.public, frozenset(Role), WALL - timedelta(days=1), WALL + timedelta(days=400))

#: Samples in a tooth of the saw: 200 ms, so that an error up to 100 ms is told from its neighbours.
TOOTH = 9_600
_PACKET = 960
#: Every so many samples it is asked whether there is silence.
_LOOK = 8
_SAW = (0.1 + 0.5 * (np.arange(TOOTH + _PACKET) % TOOTH) / TOOTH).astype(np.float32)

#: 32 kbit/s.
_PACKET_BYTES = 80
_STATUS_EVERY = 20 * SECOND
_BUFFERED = 5 * SECOND


class SawDecoder:
    """Stands in for Opus: a packet holds its first sample's number."""

    def reset(self) -> None:
        """It has no memory."""

    def decode(self, packet: bytes) -> Samples:
        first = struct.unpack_from(">Q", packet)[0] % TOOTH
        return _SAW[first : first + _PACKET]


def saw_packets(first: int, count: int) -> tuple[bytes, ...]:
    return tuple(struct.pack(">Q", first + number * _PACKET).ljust(_PACKET_BYTES, b"\0") for number in range(count))


@dataclass
class Crystal:
    """A box's monotonic clock: microseconds of it at a true instant."""

    ppm: float
    origin: int

    def mono(self, true: float) -> MonoUs:
        return MonoUs(self.origin + round(true * (1 + self.ppm * 1e-6)))


@dataclass
class Told:
    """What one loudspeaker was heard to do."""

    errors: list[tuple[float, float]] = field(default_factory=list)  # (true instant, µs late)
    silent: int = 0  # samples
    rendered: int = 0


class RelayBox:
    """One agent, from its socket to its converter."""

    block = 9_600
    latency = 150_000

    def __init__(self, name: str, seed: int, *, crystal: Crystal, dac_ppm: float, profile: Profile) -> None:
        self.name = name
        self.chance = random.Random(f"{name}-{seed}")
        self.crystal = crystal
        self.dac_ppm = dac_ppm
        self.true = 0.0
        self.timebase = ClockFilter()
        self.streams = LiveStreams(self, self.timebase, self._report, output_us=lambda: self.latency)
        self.media_way = Way(profile, random.Random(f"{name}-media-{seed}"))
        self.up = Way(profile, random.Random(f"{name}-up-{seed}"))
        self.down = Way(profile, random.Random(f"{name}-down-{seed}"))
        self.coming: deque[tuple[float, bytes]] = deque()
        self.bursts: deque[tuple[float, list[Exchange]]] = deque()
        self.asks_at = float(SECOND)
        self.asked = 0
        self.engine = Engine()
        self.told = Told()
        self.reports: list[str] = []
        self._feeder: LiveFeeder | None = None
        self._dac_at = float(self.latency)  # true instant of the next block's first sample

    # -- agent.clocks.Clock -------------------------------------------------------------------------------

    def mono_us(self) -> MonoUs:
        return self.crystal.mono(self.true)

    def wall(self) -> datetime:
        return WALL + timedelta(microseconds=round(self.true))

    # -- living -------------------------------------------------------------------------------------------

    def open(self, document: StreamOpen) -> None:
        self.streams.open(document, BundleGate(document, ONLINE), now=self.wall(), trusted=True)
        stream = self.streams.get(STREAM)
        assert stream is not None
        ring, timeline = SampleRing(), LiveTimeline(stream.feed)
        self._feeder = LiveFeeder(
            stream.feed, ring, timeline, lambda code, _: self.reports.append(code), now=self.mono_us, bell=lambda: None
        )
        self._feeder._decoder = SawDecoder()  # type: ignore[assignment]
        self.engine.add("relay", Source(timeline, ring), gain_db=0.0, fade_in_ms=5)

    def send(self, data: bytes, at: float) -> None:
        """The controller writes a bundle at a true instant."""
        arrives = at
        for begin in range(0, len(data), SEGMENT):
            arrives = self.media_way.arrival(at / 1e6, len(data[begin : begin + SEGMENT])) * 1e6
        self.coming.append((arrives, data))

    def live_until(self, true: float, media: Callable[[float], MediaUs]) -> None:
        self.true = true
        while self.asks_at <= true:
            self._ask(media)
        while self.bursts and self.bursts[0][0] <= true:
            self.timebase.update(self.bursts.popleft()[1])
        while self.coming and self.coming[0][0] <= true:
            arrived, data = self.coming.popleft()
            self.streams.push(data, now=self.wall(), arrived=self.crystal.mono(arrived))
        while self._feeder is not None and self._feeder.step():
            pass
        while self._dac_at - self.latency <= true:
            self._render(media)

    def _ask(self, media: Callable[[float], MediaUs]) -> None:
        at, exchanges = self.asks_at, []
        for _ in range(BURST_LENGTH):
            there = self.up.arrival(at / 1e6, 120) * 1e6
            back = self.down.arrival((there + 50) / 1e6, 200) * 1e6
            if back - at < 2 * SECOND:
                sent, answered = self.crystal.mono(at), self.crystal.mono(back)
                quality = UtcQuality.SYNCHRONISED
                exchanges.append(Exchange(sent, media(there), media(there + 50), answered, TIMELINE, 0, quality))
            at = max(back, at) + 300
        if exchanges:
            self.bursts.append((at, exchanges))
        self.asked += 1
        self.asks_at = at + (SECOND if self.asked < 3 else 10 * SECOND)

    def _render(self, media: Callable[[float], MediaUs]) -> None:
        begin = self._dac_at
        rate = (1 + self.crystal.ppm * 1e-6) * (1 + self.dac_ppm * 1e-6)  # converter samples in a true 1/48000 s
        noise = self.chance.gauss(0, 100)
        block = self.engine.render(self.block, MonoUs(round(self.crystal.mono(begin) + noise)))
        self.engine.take_events()
        self._dac_at = begin + self.block * SECOND / 48_000 / rate
        self._judge(block, begin, rate, media)

    def _judge(self, block: Samples, begin: float, rate: float, media: Callable[[float], MediaUs]) -> None:
        """Which sample of the programme stands in the middle, and when it should have."""
        self.told.rendered += len(block)
        self.told.silent += int(np.count_nonzero(block[::_LOOK] < 0.05)) * _LOOK  # the saw is never below 0.1
        middle = len(block) // 2
        piece = block[middle - 4 : middle + 5] * (TOOTH / 0.5)
        steps = np.diff(piece)
        if piece[0] < 0.1 * TOOTH / 0.5 or not ((steps > 0.9) & (steps < 1.1)).all():
            return  # silence, a fade, or a tooth's edge
        heard = (float(block[middle]) - 0.1) / 0.5 * TOOTH
        true = begin + middle * SECOND / 48_000 / rate
        due = (media(true) - FIRST) * 0.048  # the programme's sample at that instant
        behind = (due - heard + TOOTH / 2) % TOOTH - TOOTH / 2
        self.told.errors.append((true, behind / 0.048))

    def _report(self, code: str, detail: str) -> None:
        self.reports.append(f"{code}: {detail}")

    def status(self) -> Status:
        """What the controller needs for its lead."""
        clock = self.timebase.report(self.mono_us())
        health = Health(uptime_s=1, clock=ClockState.READY, clock_rtt_us=clock.rtt_min_us, output=OutputState.OK)
        return Status(at=self.wall(), health=health, arrivals=self.streams.arrivals())


#: Media time of the programme's first sample.
FIRST = 30 * SECOND


class RelayWorld:
    """The controller and its boxes; :meth:`run` through simulated time."""

    def __init__(self, boxes: tuple[RelayBox, ...], seconds: int) -> None:
        self.boxes = boxes
        self.true = 0.0
        self._leads = Leads(lambda: round(self.true))
        self._lead = StreamLead(self._leads.lead_us((), SourceKind.RELAY))
        self._play_at = MediaUs(FIRST)
        self._told_at = 0.0
        document = StreamOpen(
            stream=STREAM,
            timeline=TIMELINE,
            priority=Priority.RELAY,
            key_id=KEY.key_id,
            opened=WALL,
            not_after=WALL + timedelta(seconds=seconds + 60),
            targets=Targets(everyone=True),
            title="national radio",
            term=1,
            seq=1,
            rule_id="rl_relay",
            recurrence=WALL,
        )
        self._stream = CarriedStream(document, b"", KEY)
        for box in boxes:
            box.open(document)

    @property
    def lead_us(self) -> int:
        return self._lead.lead_us

    @staticmethod
    def media(true: float) -> MediaUs:
        return MediaUs(round(true))

    def run(self, until: float) -> None:
        while self.true < until:
            self.true += 100_000
            self._publish()
            for box in self.boxes:
                box.live_until(self.true, self.media)
            if self.true - self._told_at >= _STATUS_EVERY:
                self._told_at = self.true
                self._learn()

    def _publish(self) -> None:
        while self._play_at - self._lead.lead_us <= self.true:
            first = (self._play_at - FIRST) * 48 // 1000
            chunk = Chunk(self._play_at, saw_packets(first, 50), discontinuity=False)
            data = self._stream.bundle(chunk, self.media(self.true))
            for box in self.boxes:
                box.send(data, self.true)
            self._play_at = chunk.ends

    def _learn(self) -> None:
        names = [box.name for box in self.boxes]
        for box in self.boxes:
            self._leads.heard(box.name, box.status())
        self._lead.grow(self._leads.lead_us(names, SourceKind.RELAY), buffered_us=_BUFFERED)


def poor() -> Profile:
    """The link of the study."""
    return POOR
