"""The conductor: asks the arbiter what this cluster should be sounding, and sees to it that it does.

Rules kept here:

1. It is synchronous and does no I/O: :meth:`Conductor.step` looks at the inputs and the clock, acts on the player and
   the amplifier, posts what must be remembered, and says when it wants to look again. A loop
   (:mod:`agent.conductor.loop`) drives it; a test drives it with a clock of its own.
2. An order acts first and is written down after: a STOP is silence before :meth:`Conductor.hush` returns, a sound is
   armed before :meth:`Conductor.take` does; :meth:`Conductor.write_down`, or the next step, writes.
3. Mute is kept here and not by the arbiter: what is due goes on being due, is reported as ``muted``, and is heard again
   from where the clock has it when the mute ends.
4. What makes the arbiter raise is set aside and reported (:mod:`agent.conductor.quarantine`); the rest is heard.
5. A sleep that lasted longer than asked (a suspended or stopped process, a step of the wall clock) counts as
   absence: what lay in between is judged by each item's own late policy, and nothing late bursts out.

Not here: what sounds (:mod:`schedules.arbiter`), how it gets on stage (:mod:`agent.conductor.performance`), records
(:mod:`agent.conductor.plays`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce

import structlog

from agent.cache.state import Batch, Key
from agent.conductor.amplifier import AmplifierPort, NoAmplifier
from agent.conductor.cues import key_of
from agent.conductor.herald import Herald
from agent.conductor.herald import Key as HeraldKey
from agent.conductor.intake import Intake
from agent.conductor.memory import ArbiterMemory, Armed, begun
from agent.conductor.mute import Mute, Muted
from agent.conductor.orders import Barred, Orders, Reference
from agent.conductor.performance import Parts, Performance
from agent.conductor.quarantine import Findings, renewed, search
from agent.conductor.stage import Act
from agent.errors import AgentError
from protocol.documents import CloseStreamOrder, Command, PlayOrder, ReleaseOrder, SilentTestOrder, StopOrder
from protocol.telemetry import MuteBy
from schedules.arbiter import (
    Decision,
    Event,
    EventKind,
    Situation,
    Sounding,
    State,
    advance,
)
from schedules.instants import MonoUs
from schedules.ladder import Priority
from schedules.model import ClusterSettings, Item, Relay

log = structlog.get_logger("agent.conductor")

#: A wake-up later than asked by this much was a sleep of the whole process.
OVERSLEPT_US = 2_000_000

#: The longest sleep: wall time is slewed and health looked at in between.
LONGEST_SLEEP_US = 20_000_000

#: The look after an armed start comes this much later, spread by cluster: hundreds of agents of one process then
#: hand over their first samples before any of them thinks about it.
START_SLACK_US = 40_000
START_SPREAD_US = 100_000

#: Trusted time is written down at least this often, as the floor for the next boot.
REMEMBER_US = 600_000_000

#: Digits of the microseconds until the year 9999.
_LONGEST_FLOOR = 18
_AFTER_US = 1_000


class Conductor:
    """One cluster's loudspeaker. Not thread-safe: lives on the event loop."""

    def __init__(self, parts: Parts, settings: ClusterSettings) -> None:
        self._p = parts
        self._memory = ArbiterMemory()
        self.orders = Orders()
        self.mute = Mute()
        self.herald = Herald(self._reference)
        self._intake = Intake(self.orders, parts.streams, parts.watch)
        self._muted_told: set[str] = set()
        #: A silent test was ordered.
        self.on_test: Callable[[Reference], None] = lambda _: None
        self._show = Performance(parts, self.orders, lambda: self._situation.settings)
        now = parts.clock.mono_us()
        self._state = State.initial()
        self._unsettled: Armed | None = None
        self._situation = Situation(settings, ready_from=parts.wall.now(now), time_trusted=False)
        self._told: Situation | None = None
        self._amplifier: AmplifierPort = NoAmplifier()
        self._amplified = False
        self._due: MonoUs | None = None
        self._slack_us = START_SLACK_US + zlib.crc32(settings.cluster_id.encode()) % START_SPREAD_US
        self._offset_us: int | None = None
        self._remembered_at: MonoUs | None = None
        self._decision = Decision(None, None, amplifier=False, until=None)
        self._poke: Callable[[], None] = lambda: None
        self._needed: frozenset[str] = frozenset()
        self._acted = False  # since anything changed that a decision depends on
        self._armed: Sounding | None = None  # armed for later, and not written down yet
        self._show.poke = self.poke
        self._show.book.on_started = self._heard_first
        self._show.book.on_record = lambda record: self.herald.over(record, self._stamp())
        self._install(settings)

    # -- life ---------------------------------------------------------------------------------------------

    def restore(self, values: dict[Key, bytes], progress: dict[str, str], plays: dict[str, str]) -> None:
        """Take up what the disk remembers. What cannot be read is reported and begun anew."""
        try:
            self._state, self._unsettled = self._memory.restore(values, progress)
            self._show.book.restore(plays.values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._state, self._unsettled = State.initial(), None
            self._p.watch.report("state_lost", f"what had sounded could not be read and is begun anew: {error}")
        try:
            if Key.MUTE in values:
                self.mute.restore(values[Key.MUTE])
            guilty = self._intake.quarantine.restore(values[Key.QUARANTINE]) if Key.QUARANTINE in values else ()
        except ValueError as error:
            self._p.watch.report("state_lost", f"mute and quarantine could not be read: {error}")
            return
        for name in guilty:
            self._p.watch.report("quarantined", f"{name[:12]} ended this program more than once; it is set aside")

    def on_poke(self, poke: Callable[[], None]) -> None:
        """Call ``poke`` when :meth:`step` should run soon."""
        self._poke = poke

    def poke(self) -> None:
        """Something that the conductor looks at has changed."""
        self._acted = False
        self._poke()

    def urge(self) -> None:
        """Something that an emergency depends on has changed: act at once; what follows is written down after."""
        self._act()
        self._poke()

    def close(self) -> None:
        """Leave the amplifier off. The player is closed by its owner, and what it then says is recorded."""
        self._switch(on=False)
        self._amplifier.close()
        self._save()

    # -- inputs -------------------------------------------------------------------------------------------

    @property
    def settings(self) -> ClusterSettings:
        """The settings in force."""
        return self._situation.settings

    def set_settings(self, settings: ClusterSettings) -> None:
        """New settings: gains move while it sounds, the rest from the next decision on."""
        before = self._situation.settings
        self._situation = self._situation.updated(settings=settings)
        self._install(settings, before)
        self._refresh_needs()
        self._show.turn(settings)
        self.poke()

    def set_plan(self, items: tuple[Item, ...]) -> None:
        """A new plan. A sounding occurrence that is still in it goes on untouched."""
        self._situation = self._situation.updated(items=self._intake.items(items, self.settings.cluster_id))
        self._refresh_needs()
        self.poke()

    def hush(self, command: Command) -> None:
        """The silence of a verified STOP, before anything is decided; :meth:`write_down` does the rest."""
        self._show.stage.silence()
        self._intake.stop_given = command.issued
        if isinstance(command.order, StopOrder) and command.order.hold is not None:
            self._mute_by_order(command, command.order.hold, self._stamp())
        self._keep_order(command)
        self.poke()

    def take(self, command: Command) -> None:
        """Act on a verified order, before this returns. What only silences is written down, too; a sound is not yet."""
        match command.order:
            case StopOrder():
                self.hush(command)
            case ReleaseOrder():
                self.unmute(MuteBy.ORDER)
            case CloseStreamOrder(stream):
                self._p.streams.close(stream)
            case SilentTestOrder():
                self.on_test(Reference(command.term, command.seq))
        if not isinstance(command.order, StopOrder):
            self._keep_order(command)
        self._act()
        if not isinstance(command.order, PlayOrder):
            self.write_down()

    def _keep_order(self, command: Command) -> None:
        gone = frozenset(rule for rule, recurrence in self._state.withdrawn if recurrence is None)
        barred = Barred(self._state.stopped_at, gone)
        self.orders.take(command, self._stamp(), trusted=self._p.wall.trusted, barred=barred)
        self._refresh_needs()

    def mute_here(self, length: timedelta) -> None:
        """Somebody at the box wants silence, for at most :data:`~agent.conductor.mute.LONGEST`."""
        now = self._stamp()
        self._show.stage.silence()
        self.mute.set(MuteBy.TECHNICIAN, now, now + length, trusted=self._p.wall.trusted)
        self._mute_changed()

    def unmute(self, by: MuteBy = MuteBy.TECHNICIAN) -> bool:
        """The hand that made it mute lets it sound again; whether it was mute by that hand."""
        had = self.mute.lift(by)
        self._mute_changed()
        return had

    @property
    def muted(self) -> Muted | None:
        """Why and how long nothing sounds, whatever is due."""
        return self.mute.at(self._stamp())

    def media_changed(self) -> None:
        """A sound arrived, was proven, or turned out to be altered."""
        self._refresh_missing()
        waiting = (one for one in (self._decision.sounding, self._decision.upcoming) if one is not None)
        if any(one.priority >= Priority.EMERGENCY_STORED and not self._show.armed(one) for one in waiting):
            self.urge()
        else:
            self.poke()

    @property
    def needed(self) -> frozenset[str]:
        """Every sound that the plan and the orders need."""
        return self._needed

    def needs_in_order(self) -> tuple[str, ...]:
        """The same, the soonest first: the order to fetch them in."""
        ordered = (*self.orders.items, *(entry.item for entry in self._situation.agenda.entries))
        return tuple(dict.fromkeys(clip.sha256 for item in ordered for clip in item.content.clips))

    # -- asking -------------------------------------------------------------------------------------------

    @property
    def decision(self) -> Decision:
        """The last decision."""
        return self._decision

    @property
    def missing(self) -> frozenset[str]:
        """Sounds that are needed and not here."""
        return self._situation.missing

    def heard(self) -> Act | None:
        """What really sounds now: the act of the present decision, once its first sample was heard."""
        return self._show.heard(self._decision.sounding)

    def expected(self, now: datetime) -> datetime | None:
        """When something may sound next: what was decided, or a planned relay, whose stream opens only just ahead."""
        relays = (item for item in self._situation.items if isinstance(item.content, Relay) and item.nominal_end > now)
        starts = [max(item.start, now) for item in relays]
        if self._decision.upcoming is not None:
            starts.append(self._decision.upcoming.since)
        return min(starts, default=None)

    @property
    def idle(self) -> bool:
        """Nothing sounds and nothing is armed, for the player and for the arbiter alike."""
        return self._decision.sounding is None and not self._show.stage.acts

    # -- the step -----------------------------------------------------------------------------------------

    def step(self) -> MonoUs:
        """Look, decide, act, write down. Answers the monotonic instant to look again at the latest."""
        self._write()
        self._acted = False
        assert self._due is not None  # noqa: S101 - it has acted
        return self._due

    def write_down(self) -> None:
        """Decide what is to be decided, and post it, ahead of whatever is given to the ledger after this."""
        self._write()
        self._poke()

    def _write(self) -> None:
        if not self._acted:
            self._act()
        self._save()

    def _act(self) -> None:
        """Look, decide, act."""
        now_us = self._p.clock.mono_us()
        now = self._keep_time(now_us)
        self.orders.forget(now)
        self._gather(now_us, now)
        self._state, self._decision = self._decide(now, self._told)
        self._told = self._situation
        for event in self._decision.events:
            self._note(event, now_us)
        muted = self.mute.at(now)
        self._tell_mute(muted, now)
        armed = self._show.carry_out(self._decision if muted is None else _nothing(self._decision), now_us)
        self._armed = armed or self._armed
        self._intake.quarantine.watch(self._show.stage.acts, now_us)
        self._switch(on=self._decision.amplifier and muted is None)
        self._due = self._next(now_us)
        self._acted = True

    def _decide(self, now: datetime, before: Situation | None) -> tuple[State, Decision]:
        """Ask the arbiter. What makes it raise is set aside, and it is asked again (rule 4)."""
        try:
            return advance(self._state, self._situation, now, before=before)
        except Exception as error:
            log.exception("the arbiter raised; looking for what it cannot bear")
            found = search(self._state, self._situation, now)
            if found is None:
                raise
            self._set_aside(found, now, error)
            return advance(self._state, self._situation, now)

    def _set_aside(self, found: Findings, now: datetime, error: Exception) -> None:
        cluster = self.settings.cluster_id
        self._intake.set_aside(found, cluster, error)
        if found.state_lost:
            self._state = renewed(now)
            self._p.watch.report("state_lost", f"what had sounded cannot be decided on and is begun anew: {error}")
        self._situation = self._situation.updated(items=self._intake.items(self._situation.items, cluster))
        self._gather(self._p.clock.mono_us(), now)

    # -- mute and tidings ---------------------------------------------------------------------------------

    def _mute_by_order(self, command: Command, hold: timedelta, now: datetime) -> None:
        # With trusted time it ends when the desk said; an agent that gets it late is not mute for longer than others.
        trusted = self._p.wall.trusted
        since = min(command.issued, now) if trusted else now
        self.mute.set(MuteBy.ORDER, since, since + hold, trusted=trusted)
        self._mute_changed()

    def _mute_changed(self) -> None:
        self._muted_told.clear()
        self._p.ledger.post(Batch(memory={Key.MUTE: self.mute.to_bytes()}))
        self.poke()

    def _tell_mute(self, muted: Muted | None, now: datetime) -> None:
        words = None
        if muted is not None:
            who = "somebody at the box" if muted.by is MuteBy.TECHNICIAN else "a signed stop"
            words = f"{who} made it mute until {muted.until:%H:%M} UTC: nothing sounds, emergencies included"
        self._p.watch.set_fault("muted", words)
        sounding = self._decision.sounding
        if muted is None or sounding is None or sounding.occurrence_id in self._muted_told:
            return
        self._muted_told.add(sounding.occurrence_id)
        self._show.book.refuse(sounding.occurrence_id, "muted")
        self.herald.muted(sounding, now)

    def _heard_first(self, occurrence_id: str, at: datetime, error_us: int | None) -> None:
        act = next((act for act in self._show.stage.acts if act.key[0] == occurrence_id), None)
        if act is not None:
            self.herald.started(act.sounding, at, error_us)

    def _reference(self, key: HeraldKey) -> Reference | None:
        rule_id, recurrence, stream_id = key
        if rule_id is not None and recurrence is not None:
            return self.orders.reference(rule_id, recurrence)
        stream = self._p.streams.get(stream_id or 0)
        return None if stream is None else Reference(stream.gate.opened.term, stream.gate.opened.seq)

    def _stamp(self) -> datetime:
        return self._p.wall.now(self._p.clock.mono_us())

    def _keep_time(self, now_us: MonoUs) -> datetime:
        wall = self._p.wall
        wall.settle(now_us, idle=self.idle)
        overslept = self._due is not None and now_us - self._due > OVERSLEPT_US
        offset = wall.offset_us
        stepped = self._offset_us is not None and abs(offset - self._offset_us) > OVERSLEPT_US
        now = wall.now(now_us)
        if stepped and self._offset_us is not None:
            self._move_clock(timedelta(microseconds=offset - self._offset_us), now)
        self._offset_us = offset
        if overslept or stepped or (wall.trusted and not self._situation.time_trusted):
            self._situation = self._situation.updated(ready_from=now, time_trusted=wall.trusted)
        self._settle_armed(now)
        self._remember_time(now_us)
        return now

    def _move_clock(self, by: timedelta, now: datetime) -> None:
        """Wall time was stepped while nothing sounded: orders move with it; the arbiter sees to its own past."""
        self.orders.stepped(by, now)
        self._p.streams.stepped(now)
        self.mute.stepped(by)
        self._told = None

    def _settle_armed(self, now: datetime) -> None:
        """After a boot: what had been armed counts as begun once the clock has passed its instant."""
        armed = self._unsettled
        if armed is None or not (self._p.wall.trusted or now >= armed.at):
            return
        self._unsettled = None
        if now >= armed.at:
            self._state, self._told = begun(self._state, armed), None

    def _remember_time(self, now_us: MonoUs) -> None:
        if self._remembered_at is not None and now_us - self._remembered_at < REMEMBER_US:
            return
        floor = self._p.wall.remember(now_us)
        if floor is not None:
            self._remembered_at = now_us
            self._p.ledger.post(Batch(memory={Key.WALL: str(floor).encode()}))

    def _gather(self, now_us: MonoUs, now: datetime) -> None:
        """Bring the situation up to date; it stays the same object when nothing changed."""
        live = self._intake.live(now_us, now, self._state.stopped_at)
        orders = self._intake.orders(self.settings.cluster_id)
        if live != self._situation.live or orders != self._situation.orders:
            self._situation = self._situation.updated(live=live, orders=orders)
        self._p.watch.set_fault(
            "time_untrusted",
            None if self._p.wall.trusted else "nobody vouches for the clock: scheduled items stay silent",
        )

    # -- acting -------------------------------------------------------------------------------------------

    def _switch(self, *, on: bool) -> None:
        if on is self._amplified:
            return
        self._amplified = on
        try:
            self._amplifier.switch(on=on)
            self._p.watch.clear_fault("amplifier_failed")
        except OSError as error:
            self._p.watch.raise_fault("amplifier_failed", f"the amplifier's relay does not answer: {error}")

    def _install(self, settings: ClusterSettings, before: ClusterSettings | None = None) -> None:
        self._p.player.set_output_delay(settings.output_delay // timedelta(microseconds=1))
        if before is not None and settings.amplifier == before.amplifier:
            return
        try:
            self._amplifier.close()
            self._amplifier, self._amplified = self._p.amplifier(settings.amplifier), False
            self._p.watch.clear_fault("amplifier_failed")
        except (AgentError, OSError) as error:
            self._amplifier = NoAmplifier()
            self._p.watch.raise_fault("amplifier_failed", str(error))

    # -- remembering --------------------------------------------------------------------------------------

    def _note(self, event: Event, now_us: MonoUs) -> None:
        self._show.book.event(event, now_us, sounding=self._show.stage.holds(event.occurrence_id))
        held = event.kind is EventKind.WAITING and event.code and event.occurrence_id
        if event.kind is EventKind.REFUSED or held:
            title = event.title or event.occurrence_id[:12]
            self._p.watch.report(event.code or "refused", f"{event.kind.value}: {title}")

    def _save(self) -> None:
        armed, self._armed = self._armed, None
        lead, upcoming, then = None, self._decision.upcoming, self._decision.then
        if armed is not None and upcoming is not None and then is not None and key_of(armed) == key_of(upcoming):
            # Its start is written down in its lead, so that a power cut after it does not start it again.
            lead = self._memory.arm(upcoming.since, then)
        suspicion = self._intake.quarantine.changes()
        parts = [
            lead,
            self._memory.changes(self._state),
            self._show.book.take_batch(),
            None if suspicion is None else Batch(memory={Key.QUARANTINE: suspicion}),
        ]
        known = [part for part in parts if part is not None]
        if known:
            self._p.ledger.post(reduce(Batch.then, known))

    def _refresh_needs(self) -> None:
        items = (*self._situation.items, *self.orders.items)
        self._needed = frozenset(clip.sha256 for item in items for clip in item.content.clips)
        self._refresh_missing()

    def _refresh_missing(self) -> None:
        missing = self._p.media.missing(self._needed)
        if missing != self._situation.missing:
            self._situation = self._situation.updated(missing=missing)

    def _next(self, now_us: MonoUs) -> MonoUs:
        instants = [MonoUs(now_us + LONGEST_SLEEP_US), *self._show.look_again(self._decision, now_us)]
        until, upcoming = self._decision.until, self._decision.upcoming
        if until is not None:
            # The conversion rounds, so an instant that seems to be now is looked at again in a millisecond.
            due = max(self._p.wall.to_mono(until), now_us + 1_000)
            if upcoming is not None and until == upcoming.since and self._show.armed(upcoming):
                due += self._slack_us  # the player starts it to the sample; nothing here is in a hurry
            instants.append(MonoUs(due))
        muted = self.mute.at(self._p.wall.now(now_us))
        if muted is not None:
            instants.append(self._p.wall.to_mono(muted.until))
        safe = self._intake.quarantine.next_look(self._show.stage.acts, now_us)
        if safe is not None:
            instants.append(safe)
        change = self._p.streams.next_change(now_us)
        if change is not None:
            instants.append(change)
        return min(at for at in instants if at > now_us)


def _nothing(decision: Decision) -> Decision:
    """The decision as a mute box carries it out."""
    return replace(decision, sounding=None, upcoming=None, beneath=(), upcoming_beneath=())


def time_floor(values: dict[Key, bytes]) -> int:
    """The latest wall time the disk knows of, in microseconds since 1970; 0 when there is none.

    Never before the arbiter's own last instant: a box that boots without a clock must not live through the same
    minutes twice and take its absence for none.
    """
    text = values.get(Key.WALL, b"0")
    floor = int(text) if text.isdigit() and len(text) <= _LONGEST_FLOOR else 0
    try:
        decided = json.loads(values.get(Key.ARBITER, b"{}")).get("at")
    except (ValueError, AttributeError):
        decided = None
    return max(floor, decided + _AFTER_US) if isinstance(decided, int) else floor
