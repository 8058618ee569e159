"""Carries out decisions: cues in time, ends to the sample, one record of what was heard.

Rules kept here:

1. What starts next is armed :data:`ARM_US` ahead: its wall time is converted once, then it is frozen. Its sounds
   are hashed again within :data:`PROVE_US` before; what is altered does not sound.
2. The fifth distinct start within a minute is refused (:mod:`agent.conductor.guard`).
3. What ends by the plan's clock is left to finish its last samples; everything else that must end is faded.
4. What runs on beneath a higher class keeps its cue: only its fader moves (:mod:`agent.conductor.faders`), so that it
   is back to the sample without being armed anew.

Not here: what sounds (:mod:`schedules.arbiter`), when to ask (:mod:`agent.conductor.conductor`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from agent.cache.keeper import Ledger
from agent.clocks import Clock
from agent.conductor.amplifier import AmplifierPort, open_amplifier
from agent.conductor.cues import Placement, clips_of, gain_of, joins, key_of, stored_cue
from agent.conductor.faders import faders, level_of
from agent.conductor.guard import StartGuard
from agent.conductor.orders import Orders
from agent.conductor.plays import PlayBook
from agent.conductor.stage import YIELD_FADE_MS, Act, Callbacks, Ending, Stage
from agent.conductor.streams import LiveStreams
from agent.conductor.wall import SteadyWall
from agent.watch import Watch
from audio.errors import AudioError
from audio.playout import MUTED_DB, ON_AIR_DB, Cue, LiveCue, Outcome, Player
from protocol.errors import ClockError
from schedules.arbiter import Decision, Sounding
from schedules.instants import MonoUs
from schedules.model import Amplifier, ClusterSettings, Relay

#: What starts next is given to the player this far ahead, and is frozen from then on.
ARM_US = 2_000_000

#: Its sounds are hashed again from this far ahead.
PROVE_US = 8_000_000

#: A sound that must end at a known instant is told so this far ahead, to the sample.
END_NOTICE_US = 300_000
CUT_FADE_MS = 250

#: A sound whose end has come may take this long to hand over its last samples.
LAST_SAMPLES_US = 2_000_000

#: A stream whose first sample lies before its window by no more than this is taken to begin with it.
_WINDOW_SLACK_US = 20_000


class Media(Protocol):
    """What the conductor asks of the stored sounds (:class:`agent.cache.shelf.Shelf`)."""

    def missing(self, needed: frozenset[str]) -> frozenset[str]:
        """Those that are not here."""
        ...

    def check(self, needed: tuple[str, ...]) -> bool:
        """All were hashed a moment ago; if not, see to it."""
        ...

    def path(self, sha256: str) -> Path:
        """Where it lies."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a conductor is made of."""

    clock: Clock
    wall: SteadyWall
    player: Player
    media: Media
    ledger: Ledger
    watch: Watch
    streams: LiveStreams
    amplifier: Callable[[Amplifier], AmplifierPort] = open_amplifier


class Performance:
    """What is on stage, and how it gets on and off it."""

    def __init__(self, parts: Parts, orders: Orders, settings: Callable[[], ClusterSettings]) -> None:
        self._p = parts
        self._orders = orders
        self._settings = settings
        self._guard = StartGuard()
        self.book = PlayBook()
        self.stage = Stage(parts.player, Callbacks(self._on_started, self._on_finished, self._on_trouble))
        #: Told when the player has said something that the conductor should look at.
        self.poke: Callable[[], None] = lambda: None

    def carry_out(self, decision: Decision, now_us: MonoUs) -> Sounding | None:
        """Act on a decision. Answers what was armed just now for later, so that it can be written down."""
        sounding, upcoming = decision.sounding, decision.upcoming
        wanted = {key_of(one): one for one in (upcoming, *decision.beneath, sounding) if one is not None}
        for act in self.stage.acts:
            now = wanted.get(act.key)
            if now is not None:
                if (act.sounding.ends, act.sounding.fade) != (now.ends, now.fade):
                    act.sounding = replace(act.sounding, ends=now.ends, fade=now.fade)
            elif not act.stopping and not self._ends_by_itself(act, now_us):
                self.stage.stop(act)
        if sounding is not None and self.stage.of(key_of(sounding)) is None:
            self._start(sounding, now_us, ON_AIR_DB)
        for one in decision.beneath:
            if self.stage.of(key_of(one)) is None:
                self._start(one, now_us, level_of(self._settings(), one))
        armed = upcoming if upcoming is not None and self._prepare(upcoming, now_us) else None
        if sounding is not None:
            self._announce_end(decision, now_us)
        self._move_faders(decision, now_us)
        return armed

    def _move_faders(self, decision: Decision, now_us: MonoUs) -> None:
        on_air = None if decision.sounding is None else self.stage.of(key_of(decision.sounding))
        begins = None if on_air is None else on_air.begins
        next_at = None if decision.upcoming is None else self._mono(decision.upcoming.since)
        wanted = faders(
            decision,
            self._settings(),
            begins=begins if begins is not None and begins > now_us else None,
            next_at=next_at if next_at is not None and next_at - now_us <= END_NOTICE_US else None,
        )
        for act in self.stage.acts:
            if act.key in wanted and not act.stopping:
                self.stage.fade(act, wanted[act.key])

    def _ends_by_itself(self, act: Act, now_us: MonoUs) -> bool:
        """Its end has come by the plan's clock; the player finishes the last samples without being cut."""
        ends = act.sounding.ends
        if ends is None or act.sounding.fade or act.sounding.stream_id is not None:
            return False
        late = now_us - self._mono(ends)
        return 0 <= late < LAST_SAMPLES_US

    def _prepare(self, upcoming: Sounding, now_us: MonoUs) -> bool:
        ahead = self._mono(upcoming.since) - now_us
        if ahead > PROVE_US:
            return False
        proven = self._p.media.check(clips_of(upcoming))
        if ahead > ARM_US or not proven or self.stage.of(key_of(upcoming)) is not None:
            return False
        # What is there already when its time comes is armed unheard, and its fader opens at that sample.
        early = joins(upcoming) if upcoming.stream_id is None else not self._begins_then(upcoming)
        return self._arm(upcoming, now_us, MUTED_DB if early else ON_AIR_DB)

    def _begins_then(self, upcoming: Sounding) -> bool:
        """The stream has no sound that belongs before its window."""
        stream = self._p.streams.get(upcoming.stream_id or 0)
        if stream is None or stream.first_at is None:
            return stream is not None
        try:
            first = stream.feed.to_mono(stream.first_at)
        except ClockError:
            return False
        return first >= self._mono(upcoming.since) - _WINDOW_SLACK_US

    def _start(self, sounding: Sounding, now_us: MonoUs, level_db: float) -> bool:
        if not self.stage.may_try(key_of(sounding)) or not self._p.media.check(clips_of(sounding)):
            return False
        return self._arm(sounding, now_us, level_db)

    def _arm(self, sounding: Sounding, now_us: MonoUs, level_db: float) -> bool:
        """Give it to the player; its sounds are proven."""
        key = key_of(sounding)
        if not self.stage.may_try(key):
            return False
        if not self._guard.allow(self._identity(sounding), now_us):
            self._hold(sounding)
            return False
        placement = Placement(self._mono(sounding.since), self._mono(sounding.line.at), now_us)
        try:
            cue = self._cue(sounding, placement, level_db)
        except AudioError as error:
            self.stage.give_up(key)
            self._on_trouble(error.code, str(error))
            return False
        return cue is not None and self.stage.arm(key, sounding, cue, placement.since)

    def _cue(self, sounding: Sounding, placement: Placement, level_db: float) -> Cue | LiveCue | None:
        cue_id, gain = self.stage.next_id(), gain_of(self._settings(), sounding)
        if sounding.stream_id is None:
            path = self._p.media.path
            return stored_cue(cue_id, sounding, placement, gain_db=gain, level_db=level_db, path=path)
        stream = self._p.streams.get(sounding.stream_id)
        if stream is None:
            return None
        self.book.name(sounding.occurrence_id, stream.title)
        return LiveCue(cue_id, stream.feed, gain_db=gain, level_db=level_db)

    def _identity(self, sounding: Sounding) -> str:
        """What counts as one start: the rounds of one order do, two orders of the same content do not."""
        item = sounding.item
        if item is not None and self._orders.reference(item.rule_id, item.recurrence) is not None:
            return f"order:{item.rule_id}"
        return sounding.occurrence_id

    def _hold(self, sounding: Sounding) -> None:
        self.stage.give_up(key_of(sounding))
        self.book.refuse(sounding.occurrence_id, "start_flood")
        self._p.watch.report("start_flood", "five distinct starts within a minute: holding what is new")
        self._p.watch.raise_fault("start_flood", "five distinct starts within a minute: holding what is new")

    def _announce_end(self, decision: Decision, now_us: MonoUs) -> None:
        """Tell the player the exact instant of an end that is near: a cut, or what comes next taking over."""
        sounding, upcoming = decision.sounding, decision.upcoming
        act = None if sounding is None else self.stage.of(key_of(sounding))
        if act is None or sounding is None:
            return
        ends = sounding.ends if sounding.fade else None
        fade_ms = CUT_FADE_MS
        runs_on = any(key_of(one) == act.key for one in decision.upcoming_beneath)
        interrupted = upcoming is not None and (sounding.ends is None or upcoming.since < sounding.ends) and not runs_on
        if upcoming is not None and interrupted and (ends is None or upcoming.since < ends):
            ends, fade_ms = upcoming.since, 0
        if ends is None:
            return
        end_us = MonoUs(self._mono(ends) - fade_ms * 1000)
        if end_us - now_us <= END_NOTICE_US:
            self._p.player.stop(act.cue_id, max(end_us, now_us), max(fade_ms, YIELD_FADE_MS))

    def _on_started(self, act: Act, at: MonoUs) -> None:
        delay = self._settings().output_delay // timedelta(microseconds=1)
        item = act.sounding.item
        error = None
        if item is not None:
            ahead = (act.sounding.since - item.start) // timedelta(microseconds=1)
            error = at - delay - (act.planned - ahead)
        self.book.started(act.key[0], self._p.wall.now(at), error)

    def _on_finished(self, act: Act, ending: Ending) -> None:
        item = act.sounding.item
        circles = item is not None and isinstance(item.content, Relay) and act.sounding.stream_id is None
        if ending.outcome is Outcome.COMPLETE and circles:
            self.stage.try_again(act.key)
        elif ending.outcome is Outcome.STOPPED:
            self.stage.try_again(act.key)  # we ended it: it may come again
        elif ending.outcome is Outcome.COMPLETE:
            self.stage.give_up(act.key)  # it is whole; a clock that is a little behind does not start it again
        self.book.finished(act.key[0], self._p.wall.now(ending.at), ending)
        self.poke()

    def _on_trouble(self, code: str, detail: str) -> None:
        self._p.watch.report(code, detail)

    # -- asking -------------------------------------------------------------------------------------------

    def heard(self, sounding: Sounding | None) -> Act | None:
        """The act of ``sounding``, once its first sample was heard."""
        act = None if sounding is None else self.stage.of(key_of(sounding))
        return act if act is not None and act.started_at is not None else None

    def armed(self, sounding: Sounding) -> bool:
        """The player has it already."""
        return self.stage.of(key_of(sounding)) is not None

    def look_again(self, decision: Decision, now_us: MonoUs) -> list[MonoUs]:
        """The instants at which there is something to arm, to prove or to announce."""
        if not self._guard.holding(now_us):
            self._p.watch.clear_fault("start_flood")
        instants = []
        if decision.upcoming is not None:
            since = self._mono(decision.upcoming.since)
            instants += [MonoUs(since - ahead) for ahead in (PROVE_US, ARM_US, END_NOTICE_US)]
        if decision.sounding is not None and decision.sounding.ends is not None:
            instants.append(MonoUs(self._mono(decision.sounding.ends) - END_NOTICE_US - CUT_FADE_MS * 1000))
        overdue = self.book.overdue(now_us)
        return instants if overdue is None else [*instants, overdue]

    def turn(self, settings: ClusterSettings) -> None:
        """New settings: gains move while it sounds."""
        for act in self.stage.acts:
            self.stage.set_gain(act, gain_of(settings, act.sounding))

    def _mono(self, instant: datetime) -> MonoUs:
        return self._p.wall.to_mono(instant)
