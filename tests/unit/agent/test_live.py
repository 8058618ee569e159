"""Live streams and relays on the simulated clock, with real signatures and bundles."""

from __future__ import annotations

from datetime import timedelta

import pytest

from protocol.bundle import Bundle, pack
from protocol.burst import Exchange
from protocol.documents import StreamOpen, Targets
from protocol.gate import BundleGate
from protocol.keys import OnlineKey, Role, SigningKey
from protocol.messages import UtcQuality
from protocol.telemetry import PlayOutcome
from schedules.instants import SAMPLE_RATE, MediaUs, MonoUs, to_unix_us
from schedules.ladder import Priority
from tests.unit.agent.rehearsal import SECOND, T0, Rehearsal, StopOrder, clip, command, item, relay

START = T0 + timedelta(seconds=30)
TIMELINE = 77
KEY = SigningKey.from_seed(b"k" * 32)
ONLINE = OnlineKey.of(KEY.public, frozenset(Role), T0 - timedelta(days=1), T0 + timedelta(days=400))


class Studio:
    """The controller's side of one stream: media time runs a thousand seconds behind the agent's clock."""

    behind_us = 1_000_000_000

    def __init__(self, agent: Rehearsal, stream: int = 5, *, priority: Priority = Priority.COMMUNE_LIVE) -> None:
        self.agent = agent
        self.stream = stream
        self.priority = priority
        self.seq = 0
        self.samples = 0
        self.play_at = 0

    def sync(self, timeline: int = TIMELINE) -> None:
        """Enough bursts to be ready."""
        for _ in range(3):
            now = self.agent.clock.mono_us()
            media = MediaUs(now - self.behind_us)
            burst = [
                Exchange(
                    MonoUs(now - 500 + n),
                    MediaUs(media - 1),
                    media,
                    MonoUs(now + 500 + n),
                    timeline,
                    0,
                    UtcQuality.UNKNOWN,
                )
                for n in range(2)
            ]
            self.agent.timebase.update(burst)
            self.agent.clock.move_to(now + 1_000_000)

    def open(self, rule_id: str | None = None, *, timeline: int = TIMELINE) -> None:
        now = self.agent.now
        document = StreamOpen(
            stream=self.stream,
            timeline=timeline,
            priority=self.priority,
            key_id=KEY.key_id,
            opened=now,
            not_after=now + timedelta(minutes=10),
            targets=Targets(everyone=True),
            title="the chair speaks",
            term=1,
            seq=1,
            rule_id=rule_id,
            recurrence=START if rule_id else None,
        )
        self.agent.streams.open(document, BundleGate(document, ONLINE), now=now, trusted=self.agent.wall.trusted)
        self.agent.conductor.step()

    def begin_in(self, seconds: float) -> None:
        self.play_at = self.agent.clock.mono_us() - self.behind_us + int(seconds * 1e6)

    def bundle(self, *, end: bool = False, seconds: float = 0.2, key: SigningKey = KEY) -> bytes:
        packets = tuple(b"\xf8\xff\xfe" for _ in range(int(seconds * 50)))
        made = Bundle(
            key_id=key.key_id,
            timeline=TIMELINE,
            stream=self.stream,
            seq=self.seq,
            lead_ms=500,
            frame_samples=960,
            play_at=MediaUs(self.play_at),
            sample_index=self.samples,
            packets=packets,
            end=end,
        )
        self.seq += 1
        self.samples += made.samples
        self.play_at += int(seconds * 1e6)
        return pack(made, key)

    def speak(self, seconds: float, *, end: bool = False) -> None:
        """Bundles of 200 ms, each half a second before it sounds, while the agent lives."""
        count = int(seconds / 0.2)
        for number in range(count):
            data = self.bundle(end=end and number == count - 1)
            if self.agent.streams.push(data, now=self.agent.now):
                self.agent.conductor.step()
            self.agent.run_for(0.2)


def studio(*items: object, **more: object) -> Studio:
    agent = Rehearsal(*items)  # type: ignore[arg-type]
    made = Studio(agent, **more)  # type: ignore[arg-type]
    made.sync()
    agent.run_for(0.1)
    return made


def test_a_live_voice_sounds_and_ends_with_its_last_bundle() -> None:
    live = studio()
    live.open()
    live.begin_in(0.5)
    live.speak(4.0, end=True)
    live.agent.run_for(3)
    (record,) = live.agent.records()
    assert record.title == "the chair speaks"
    assert record.stream == 5
    assert record.priority == Priority.COMMUNE_LIVE
    assert record.frames == 4 * SAMPLE_RATE
    assert len(record.occurrence_id) == 64
    assert live.agent.heard() is None


def test_an_open_without_sound_silences_nothing() -> None:
    live = studio(item("a", START, 20))
    live.agent.run_until(START + timedelta(seconds=5))
    live.open()
    live.agent.run_for(5)
    assert live.agent.heard() == "bulletin a"
    live.begin_in(0.5)
    live.speak(1.0)
    assert live.agent.heard() == "live"


def test_a_stream_that_falls_silent_gives_way() -> None:
    live = studio()
    live.open()
    live.begin_in(0.5)
    live.speak(2.0)
    assert live.agent.heard() == "live"
    live.agent.run_for(4)
    assert live.agent.heard() is None


def test_a_relay_takes_its_fallback_and_comes_back() -> None:
    fallback = clip("fallback", 4)
    one = relay("vov", START, 60, (fallback,))
    live = studio(one, priority=Priority.RELAY)
    live.open(rule_id=one.rule_id)
    live.agent.run_until(START - timedelta(seconds=0.5))
    live.begin_in(0.5)
    live.speak(10)
    assert live.agent.conductor.decision.sounding is not None
    assert live.agent.conductor.decision.sounding.stream_id == 5
    live.agent.run_for(6)  # the station is gone
    sounding = live.agent.conductor.decision.sounding
    assert sounding is not None
    assert sounding.stream_id is None
    assert live.agent.conductor.heard() is not None
    live.agent.run_for(6)  # longer than the fallback: it goes round
    assert live.agent.conductor.heard() is not None
    live.begin_in(0.5)
    live.speak(5)
    sounding = live.agent.conductor.decision.sounding
    assert sounding is not None
    assert sounding.stream_id == 5
    live.agent.run_until(START + timedelta(seconds=70))
    (record,) = live.agent.records()
    assert record.outcome in (PlayOutcome.PLAYED, PlayOutcome.PARTIAL)
    assert record.start_error_us is not None
    assert abs(record.start_error_us) < 1000


@pytest.mark.parametrize("how", ["back", "anew"])
def test_a_fallback_sounds_until_the_relays_first_sample_is_due(how: str) -> None:
    one = relay("vov", START, 90, (clip("fallback", 4),))
    live = studio(one, priority=Priority.RELAY)
    live.open(rule_id=one.rule_id)
    live.agent.run_until(START - timedelta(seconds=0.5))
    live.begin_in(0.5)
    live.speak(5)
    live.agent.run_for(6)
    assert _stream(live) is None
    if how == "anew":  # the controller began anew: another stream, in the middle of the window
        live.agent.streams.close(live.stream)
        live = Studio(live.agent, stream=6, priority=Priority.RELAY)
        live.open(rule_id=one.rule_id)
        live.agent.run_for(0.5)
    live.begin_in(3.0)
    live.speak(2.6)
    assert _stream(live) is None  # sound is at hand, and not due
    assert live.agent.conductor.heard() is not None
    live.speak(0.4)
    assert _stream(live) == live.stream


def _stream(live: Studio) -> int | None:
    sounding = live.agent.conductor.decision.sounding
    assert sounding is not None
    return sounding.stream_id


def test_stop_silences_a_live_voice_for_good() -> None:
    live = studio()
    live.open()
    live.begin_in(0.5)
    live.speak(1.0)
    live.agent.conductor.take(command(StopOrder(), live.agent.now))
    live.speak(2.0)
    assert live.agent.heard() is None
    (record,) = live.agent.records()
    assert record.outcome is PlayOutcome.STOPPED


def test_a_new_timeline_ends_the_stream() -> None:
    live = studio()
    live.open()
    live.begin_in(0.5)
    live.speak(1.0)
    live.sync(timeline=TIMELINE + 1)
    live.agent.run_for(1)
    assert live.agent.heard() is None
    assert not live.agent.streams.any


def test_a_stream_opened_just_before_its_timeline_is_known_waits_for_it() -> None:
    live = studio()
    live.open(timeline=TIMELINE + 1)
    live.agent.run_for(1)
    assert live.agent.streams.any
    live.sync(timeline=TIMELINE + 1)
    live.agent.run_for(0.1)
    assert live.agent.streams.any
    live.sync(timeline=TIMELINE + 2)
    live.agent.run_for(0.1)
    assert not live.agent.streams.any


@pytest.mark.parametrize("how", ["forged", "altered", "repeated", "nonsense", "nobody"])
def test_what_the_gate_refuses_never_sounds_and_is_told(how: str) -> None:
    live = studio()
    live.open()
    live.begin_in(0.5)
    good = live.bundle()
    bad = {
        "forged": pack_forged(live),
        "altered": good[:-70] + bytes([good[-70] ^ 1]) + good[-69:],
        "repeated": good,
        "nonsense": b"\x01" * 80,
        "nobody": Studio(live.agent, stream=99).bundle(),
    }[how]
    if how == "repeated":
        live.agent.streams.push(good, now=live.agent.now)
    heard = live.agent.streams.push(bad, now=live.agent.now)
    assert not heard
    live.agent.run_for(4)
    codes = {
        "forged": "bundle_bad_signature",
        "altered": "bundle_bad_signature",
        "repeated": "bundle_replayed",
        "nonsense": "bundle_bad_bundle",
        "nobody": "bundle_no_open",
    }
    assert codes[how] in live.agent.events()


def pack_forged(live: Studio) -> bytes:
    """Made with another key, under the name of the right one."""
    thief = SigningKey.from_seed(b"t" * 32)
    data = bytearray(live.bundle(key=thief))
    data[4:8] = KEY.key_id.to_bytes(4, "big")
    return bytes(data)


def test_a_class_below_eighty_needs_a_ready_clock_and_an_emergency_does_not() -> None:
    agent = Rehearsal()
    for priority, heard in ((Priority.COMMUNE_LIVE, None), (Priority.EMERGENCY_LIVE, "live")):
        live = Studio(agent, stream=int(priority), priority=priority)
        now = agent.clock.mono_us()
        media = MediaUs(now - live.behind_us)
        agent.timebase.update(
            [Exchange(MonoUs(now - 5), media, media, MonoUs(now + 5), TIMELINE, to_unix_us(T0), UtcQuality.UNKNOWN)]
        ) if priority is Priority.COMMUNE_LIVE else None
        live.open()
        live.begin_in(0.5)
        live.speak(2)
        assert agent.heard() == heard
    assert agent.now > T0 + SECOND
