"""Puts together what an agent says of itself: on the wire every 20 s, and to ``loa-agent status``."""

from __future__ import annotations

from dataclasses import dataclass

from agent.cache.media import MediaStore
from agent.cache.stock import Stock
from agent.clocks import Clock
from agent.conductor.conductor import Conductor
from agent.conductor.plays import record_id
from agent.conductor.streams import LiveStreams
from agent.conductor.wall import SteadyWall
from agent.health.probe import Condition, Probe
from agent.health.sync import SyncWatch
from agent.link.office import InForce
from agent.watch import Watch
from audio.playout import OutputStatus, Player, Timing
from protocol.clock import ClockFilter
from protocol.limits import MAX_FAULTS
from protocol.messages import Status
from protocol.telemetry import ClockState, Fault, Health, OutputState, PlanState, SoundingState
from schedules.instants import SAMPLE_RATE

#: Reading ``/proc`` for each of a thousand agents of a process would be a waste: one reading serves for this long.
CONDITION_LIFE_US = 5_000_000


class SharedProbe:
    """One :class:`~agent.health.probe.Probe` for all agents of a process."""

    def __init__(self, probe: Probe, clock: Clock) -> None:
        self._probe = probe
        self._clock = clock
        self._read: tuple[int, Condition] | None = None

    def read(self) -> Condition:
        """The box's condition, a few seconds old at most."""
        now = self._clock.mono_us()
        if self._read is None or now - self._read[0] > CONDITION_LIFE_US:
            self._read = now, self._probe.read()
        return self._read[1]


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is reported on."""

    clock: Clock
    wall: SteadyWall
    timebase: ClockFilter
    player: Player
    conductor: Conductor
    media: MediaStore
    watch: Watch
    probe: SharedProbe
    stock: Stock
    streams: LiveStreams
    sync: SyncWatch


class Reporter:
    """Makes status messages."""

    def __init__(self, subjects: Subjects) -> None:
        self._s = subjects

    def status(self, in_force: InForce, *, days_missing: int) -> Status:
        """All of it, now."""
        now = self._s.clock.mono_us()
        faults = tuple(
            Fault(code=one.code, detail=one.words, since=one.since) for one in self._s.watch.faults[:MAX_FAULTS]
        )
        muted = self._s.conductor.muted
        return Status(
            at=self._s.wall.now(now),
            health=self._health(),
            plan=self._plan(in_force, days_missing),
            sounding=self._sounding(),
            stock=self._s.stock.state(),
            muted=None if muted is None else muted.state(),
            arrivals=self._s.streams.arrivals(),
            sync=self._s.sync.state(self._s.player.state(), self._s.timebase.report(now)),
            faults=faults,
        )

    def _health(self) -> Health:
        box = self._s.probe.read()
        clock = self._s.timebase.report(self._s.clock.mono_us())
        output = self._s.player.state().output
        return Health(
            uptime_s=box.uptime_s or 0,
            temperature_c=box.temperature_c,
            disk_free_mb=box.disk_free_mib,
            memory_used_mb=None if box.memory_used_mib is None else round(box.memory_used_mib),
            memory_free_mb=box.memory_available_mib,
            load_1m=box.load_1m,
            clock=self._clock_state(ready=clock.ready),
            clock_sigma_us=clock.sigma_us,
            clock_rtt_us=clock.rtt_min_us,
            drift_ppm=round(clock.drift_ppm, 3),
            output=_output(output.status, output.timing),
            output_name=output.name[:100],
            underruns=output.underruns,
        )

    def _clock_state(self, *, ready: bool) -> ClockState:
        if ready and self._s.wall.trusted:
            return ClockState.READY
        return ClockState.TRUSTED if self._s.wall.trusted else ClockState.UNTRUSTED

    def _plan(self, in_force: InForce, days_missing: int) -> PlanState:
        plan, settings = in_force.plan, in_force.settings
        needed = len(self._s.conductor.needed)
        return PlanState(
            plan_term=0 if plan is None else plan.term,
            plan_seq=0 if plan is None else plan.seq,
            settings_seq=0 if settings is None else settings.seq,
            expires=None if plan is None else plan.expires,
            days_missing=days_missing,
            clips_needed=needed,
            clips_cached=needed - len(self._s.conductor.missing),
            cache_bytes=self._s.media.used_bytes,
        )

    def _sounding(self) -> SoundingState | None:
        act = self._s.conductor.heard()
        if act is None or act.started_at is None:
            return None
        what = act.sounding
        stream = what.stream_id is not None and what.item is None
        carried = None if what.stream_id is None else self._s.streams.get(what.stream_id)
        title = what.item.title if what.item is not None else (carried.title if carried is not None else "")
        return SoundingState(
            occurrence_id=record_id(what.occurrence_id),
            stream=what.stream_id,
            title=title[:300],
            priority=int(what.priority),
            since=self._s.wall.now(act.started_at),
            frames=0 if stream else max(0, (self._s.clock.mono_us() - act.started_at) * SAMPLE_RATE // 1_000_000),
        )


def _output(status: OutputStatus, timing: Timing) -> OutputState:
    if status is OutputStatus.FAILED:
        return OutputState.FAILED
    return OutputState.DEGRADED if timing is Timing.DEGRADED else OutputState.OK
