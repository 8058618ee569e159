"""The live streams that are open at this agent: from signed bundles to feeds a player can sound.

Rules kept here:

1. A stream exists by a verified stream-open, and lets through only what its gate accepts.
2. A source is healthy while sound of it is at hand, and for :data:`SILENCE_US` after it ran dry. A stream of its own
   (not bound to a plan item) is not healthy before its first bundle: it silences nothing for the sake of nothing.
   Below class 80 a source that begins, or comes back, is healthy from :data:`READY_US` before its first sample: what
   sounds meanwhile (a relay's fallback) sounds on. Only at its window's own start a relay's item waits for it.
3. Media time is needed to sound. Below class 80 the clock must be ready; an emergency takes what there is.
4. Streams end with their timeline, at ``not_after``, by a close, or after the bundle marked as the end.
5. Bundles that overtake their stream-open wait (:data:`EARLY_LIMIT`, oldest dropped first); those nobody opens a
   stream for within :data:`EARLY_US` are reported.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.clocks import Clock
from agent.conductor.arrivals import ArrivalMeter
from audio.playout import LiveChunk, LiveFeed
from protocol.bundle import Bundle, unpack
from protocol.clock import ClockFilter
from protocol.documents import StreamOpen
from protocol.errors import ClockError, ProtocolError
from protocol.gate import BundleGate
from protocol.telemetry import Arrivals
from schedules.arbiter import LiveSource
from schedules.instants import Frames, MediaUs, MonoUs, duration_of
from schedules.ladder import Priority

#: A relay that is silent for longer gives way to its fallback, which needs a moment to begin: 2 s of silence in all.
SILENCE_US = 1_800_000

#: What the player needs to let go of what sounds, to arm the stream, and to be late for that.
READY_US = 250_000

EARLY_LIMIT = 16
EARLY_US = 3_000_000

#: Streams open at once. A cluster sounds one; the rest are being replaced or wait.
OPEN_LIMIT = 16
_CLOSED_REMEMBERED = 64

Report = Callable[[str, str], None]


@dataclass(slots=True)
class OpenStream:
    """One stream. On the monotonic clock, ``sounds_from``: when its sound takes the air, ``dry_at``: when it ends."""

    source: LiveSource
    gate: BundleGate
    feed: LiveFeed
    title: str
    opened_us: MonoUs
    opened_under: int | None  # the timeline followed when it was opened
    by_own_clock: bool  # opened without trusted time: its end counts from when it came
    first_at: MediaUs | None = None
    sounds_from: MonoUs | None = None
    dry_at: MonoUs | None = None
    ended_at: MonoUs | None = None
    bundles: int = 0
    refused: int = 0


class LiveStreams:
    """All open streams of one agent."""

    def __init__(
        self, clock: Clock, timebase: ClockFilter, report: Report, *, output_us: Callable[[], int] = lambda: 0
    ) -> None:
        """``output_us``: what the sound output holds ahead of the loudspeaker now, in microseconds."""
        self._clock = clock
        self._output_us = output_us
        self._arrivals = ArrivalMeter(timebase)
        self._timebase = timebase
        self._report = report
        self._open: dict[int, OpenStream] = {}
        self._closed: OrderedDict[int, None] = OrderedDict()
        self._early: deque[tuple[MonoUs, int, bytes]] = deque(maxlen=EARLY_LIMIT)

    # -- orders -------------------------------------------------------------------------------------------

    def open(self, document: StreamOpen, gate: BundleGate, *, now: datetime, trusted: bool) -> None:
        """Open or extend a stream. ``now``: the agent's wall time; not ``trusted``, the stream lives by it alone.

        Raises:
            TrustError: an extension that changes more than the end and the targets.
        """
        known = self._open.get(document.stream)
        if known is not None:
            known.gate.extend(document)
            _, not_after = _times(document, now, trusted=not known.by_own_clock)
            known.source = replace(known.source, not_after=not_after)
            return
        opened_at, not_after = _times(document, now, trusted=trusted)
        source = LiveSource(
            stream_id=document.stream,
            priority=document.priority,
            opened_at=opened_at,
            not_after=not_after,
            rule_id=document.rule_id,
            recurrence=document.recurrence,
            healthy=False,
        )
        if len(self._open) >= OPEN_LIMIT:
            self.close(min(self._open, key=lambda name: (self._open[name].source.priority, self._open[name].opened_us)))
        self._open[document.stream] = OpenStream(
            source=source,
            gate=gate,
            feed=LiveFeed(self._timebase.to_mono),
            title=document.title,
            opened_us=self._clock.mono_us(),
            opened_under=self._timebase.timeline,
            by_own_clock=not trusted,
        )
        self._closed.pop(document.stream, None)
        self._take_early(document.stream)

    def close(self, stream: int) -> None:
        """Nothing more of it sounds."""
        if self._open.pop(stream, None) is not None:
            self._closed[stream] = None
            while len(self._closed) > _CLOSED_REMEMBERED:
                self._closed.popitem(last=False)

    def stepped(self, now: datetime) -> None:
        """The wall clock was set, and is trusted now: what lived by the agent's own reading gets its true times."""
        for stream in self._open.values():
            opened_at, not_after = _times(stream.gate.opened, now, trusted=True)
            stream.by_own_clock = False
            stream.source = replace(stream.source, opened_at=opened_at, not_after=not_after)

    # -- sound --------------------------------------------------------------------------------------------

    def push(self, data: bytes, *, now: datetime | None, arrived: MonoUs | None = None) -> bool:
        """Take one binary frame; whether it made a silent stream audible.

        ``now``: trusted wall time, or None. ``arrived``: when it came, if that was not just now.
        """
        try:
            name = unpack(data).stream
        except ProtocolError as error:
            self._report(f"bundle_{error.code}", "a frame that is no bundle came over the wire; not played")
            return False
        stream = self._open.get(name)
        if stream is None:
            if name not in self._closed:
                self._early.append((self._clock.mono_us(), name, data))
            return False
        try:
            bundle = stream.gate.accept(data, now=now)
        except ProtocolError as error:
            stream.refused += 1
            if error.code != "expired":  # the tail of a stream whose time is over is no attack
                self._report(f"bundle_{error.code}", f"a bundle of stream {name:016x} was refused and not played")
            return False
        self._arrivals.note(bundle, arrived or self._clock.mono_us(), output_us=self._output_us())
        return self._hand_on(stream, bundle)

    def _hand_on(self, stream: OpenStream, bundle: Bundle) -> bool:
        stream.bundles += 1
        stream.feed.push(
            LiveChunk(
                play_at=bundle.play_at,
                sample_index=bundle.sample_index,
                packets=bundle.packets,
                discontinuity=bundle.discontinuity,
                end=bundle.end,
                packet_frames=Frames(bundle.frame_samples),
            )
        )
        if stream.first_at is None:
            stream.first_at = bundle.play_at
        begin = self._mono(bundle.play_at)
        end = self._mono(MediaUs(bundle.play_at + duration_of(bundle.samples) // timedelta(microseconds=1)))
        if begin is None or end is None:
            return False
        now = self._clock.mono_us()
        was_dry = stream.dry_at is None or stream.dry_at + SILENCE_US < now
        if was_dry and stream.source.priority < Priority.EMERGENCY_STORED and not self._awaited(stream, now):
            stream.sounds_from = MonoUs(begin - READY_US)
        stream.dry_at = end if stream.dry_at is None else max(end, stream.dry_at)
        if bundle.end:
            stream.ended_at = end
        return was_dry or bundle.end

    # -- asking -------------------------------------------------------------------------------------------

    def get(self, stream: int) -> OpenStream | None:
        """One open stream."""
        return self._open.get(stream)

    def arrivals(self) -> Arrivals | None:
        """How late bundles came lately; None before the first."""
        return self._arrivals.told(self._clock.mono_us(), output_us=self._output_us())

    @property
    def any(self) -> bool:
        """Something is open: the stream connection is wanted and the clock is asked more often."""
        return bool(self._open)

    def sources(self, now: MonoUs, wall: datetime) -> tuple[LiveSource, ...]:
        """What the arbiter is to know; streams whose time is over are forgotten."""
        self._forget_early(now)
        for name in [name for name, stream in self._open.items() if self._over(stream, now, wall)]:
            self.close(name)
        for stream in self._open.values():
            healthy = self._healthy(stream, now)
            if healthy is not stream.source.healthy:
                stream.source = replace(stream.source, healthy=healthy)
        return tuple(stream.source for stream in self._open.values())

    def next_change(self, now: MonoUs) -> MonoUs | None:
        """When a source may change its health or end, if nothing arrives."""
        instants = []
        for stream in self._open.values():
            if stream.ended_at is not None:
                instants.append(stream.ended_at)
            if stream.dry_at is not None:
                instants.append(MonoUs(stream.dry_at + SILENCE_US + 1))
                if stream.sounds_from is not None:
                    instants.append(stream.sounds_from)
            elif stream.source.rule_id is not None:
                instants.append(MonoUs(stream.opened_us + SILENCE_US + 1))
        return min((at for at in instants if at > now), default=None)

    def _healthy(self, stream: OpenStream, now: MonoUs) -> bool:
        if self._timebase.timeline != stream.gate.opened.timeline:
            return False
        if stream.source.priority < Priority.EMERGENCY_STORED and not self._timebase.ready(now):
            return False
        if stream.dry_at is not None:
            due = stream.sounds_from is None or now >= stream.sounds_from
            return due and now <= stream.dry_at + SILENCE_US
        return self._awaited(stream, now)

    @staticmethod
    def _awaited(stream: OpenStream, now: MonoUs) -> bool:
        """At its window's start a relay's item waits a moment for its first bundle before it takes the fallback."""
        source = stream.source
        if stream.dry_at is not None or source.recurrence is None or now > stream.opened_us + SILENCE_US:
            return False
        return source.opened_at <= source.recurrence + timedelta(microseconds=SILENCE_US)

    def _over(self, stream: OpenStream, now: MonoUs, wall: datetime) -> bool:
        # A stream may be opened a moment before the first time reply of its own timeline.
        other_run = self._timebase.timeline not in (None, stream.gate.opened.timeline, stream.opened_under)
        moved_on = stream.opened_under == stream.gate.opened.timeline != self._timebase.timeline
        ended = stream.ended_at is not None and now >= stream.ended_at
        return other_run or moved_on or ended or wall >= stream.source.not_after

    def _mono(self, media: MediaUs) -> MonoUs | None:
        try:
            return self._timebase.to_mono(media)
        except ClockError:
            return None

    def _take_early(self, stream: int) -> None:
        waiting = [entry for entry in self._early if entry[1] == stream]
        for entry in waiting:
            self._early.remove(entry)
            self.push(entry[2], now=None, arrived=entry[0])

    def _forget_early(self, now: MonoUs) -> None:
        while self._early and now - self._early[0][0] > EARLY_US:
            _, name, _ = self._early.popleft()
            self._report("bundle_no_open", f"bundles of stream {name:016x}, which no signed document opened")


def _times(document: StreamOpen, now: datetime, *, trusted: bool) -> tuple[datetime, datetime]:
    """When a stream was opened and ends, on the agent's clock. It is never opened in the future."""
    if trusted:
        return min(document.opened, now), document.not_after
    return now, now + (document.not_after - document.opened)
