"""One run of the arbiter: a state taken forward, from one instant at which something can change to the next.

Rules kept here (numbered so that tests can name them):

1. At every instant the highest class that is due and able sounds. Among equals the one on air goes on and the others
   wait, first due first; only live emergency voice yields to a newer one. What a newcomer may speak over
   (:meth:`ClusterSettings.ducks`) goes on softly beneath it; nothing begins beneath a higher class.
2. An occurrence ends once, with one outcome, and is never begun again: not by a new plan, not after a reboot.
3. An item waiting behind its equal begins at its first sample; behind a higher class ``after_preempt`` decides; after
   absence (boot, late plan, late audio, untrusted time) ``late`` decides.
4. Below class 80 nothing sounds in quiet hours, and nothing that was due before them is heard after them.
5. STOP ends all that was due or open at its instant, also what is not on air; what starts later goes on normally.
6. With untrusted time nothing of the plan starts or is judged; what sounds goes on, orders and live sources act.
7. All changes happen at instants that :meth:`Run.next_change` names beforehand, so it does not matter in how many
   steps time is taken.

Not here: what a policy says (:mod:`schedules.arbiter.policy`), who of those waiting sounds
(:mod:`schedules.arbiter.air`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from schedules.airtime import next_quiet_begin
from schedules.arbiter import air, policy
from schedules.arbiter.decision import Event, EventKind, Sounding
from schedules.arbiter.ledger import Ledger
from schedules.arbiter.policy import Ending
from schedules.arbiter.situation import Entry, LiveSource, PlayNow, Situation
from schedules.arbiter.state import Phase, Progress, State

#: How far back a plan is searched for what was missed. Older absences are known to whoever knows the plan.
LOOK_BACK = timedelta(hours=48)


class Run:
    """Make one from a state, :meth:`begin` it, take it :meth:`to` an instant, and ask for the state."""

    def __init__(self, state: State, situation: Situation) -> None:
        self._book = Ledger(state, situation)
        self._s = situation
        #: The next change, in a tuple of one, while it is known.
        self._following = state.following(situation)

    @property
    def situation(self) -> Situation:
        """The inputs that hold."""
        return self._s

    @property
    def now(self) -> datetime:
        """The instant it has reached."""
        return self._s.ready_from if self._book.at is None else self._book.at

    @property
    def sounding(self) -> Sounding | None:
        """What is on air."""
        return air.sounding(self._book, self.now)

    @property
    def beneath(self) -> tuple[Sounding, ...]:
        """What runs on beneath it."""
        return air.beneath(self._book, self.now)

    @property
    def silent_since(self) -> datetime | None:
        """When the last sound ended; None while something sounds, or if nothing ever did."""
        return self._book.silent_since

    @property
    def events(self) -> tuple[Event, ...]:
        """What has happened since the beginning."""
        return tuple(self._book.events)

    def freeze(self) -> State:
        """The state reached."""
        state = self._book.freeze()
        return state if self._following is None else state.with_following(self._s, *self._following)

    # -- time -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the state to where this situation begins to hold, also over an absence."""
        self._following = None
        book, ready = self._book, self._s.ready_from
        came_from = book.at or ready
        if book.at is None:
            book.born = ready
        if book.at is None or book.at < ready:
            book.at = ready
            self._recover(came_from, ready)
        self._settle(book.at, look_back=book.at - came_from + LOOK_BACK)

    def to(self, now: datetime) -> None:
        """Go through everything that happens until ``now``."""
        while (change := self.next_change()) is not None and change <= now:
            self.step(change)
        self._book.at = now

    def step(self, change: datetime) -> None:
        """Go to the next change."""
        self._following = None
        self._book.at = change
        self._settle(change, look_back=timedelta(0))

    def _recover(self, off_since: datetime, ready: datetime) -> None:
        """The agent was off until ``ready``: late policies decide what goes on (rule 3)."""
        book = self._book
        book.on_air, book.silent_since = None, None
        for key in sorted(book.active):
            progress, subject = book.played[key], book.subject(key)
            if progress.phase is Phase.WAITING:
                book.drop(key)
            elif progress.phase.is_heard:
                heard = progress.heard_until(off_since)
                counted = replace(progress, phase=Phase.PAUSED, heard=heard, since=None, stream_id=None)
                if isinstance(subject, Entry):
                    book.apply(key, subject, counted, policy.recovered(subject, counted, ready))
                else:
                    book.put(key, replace(counted, moving=False))

    # -- one instant -----------------------------------------------------------------------------------------

    def _settle(self, now: datetime, look_back: timedelta) -> None:
        book = self._book
        book.take_orders(now)
        for key in sorted(book.active):
            self._end_if_over(key, now)
        fresh = [key for key in list(self._due(now, look_back)) if self._admit(key, now)]
        for key in fresh:
            self._end_if_over(key, now)
        air.choose(book, [key for key in fresh if key in book.active], now)

    def _due(self, now: datetime, look_back: timedelta) -> Iterator[str]:
        """Keys of what is due and undecided: the plan's in the order of starts, then orders, then live sources."""
        book = self._book
        recent = self._s.agenda.started_between(now - max(self._s.agenda.longest, look_back), now)
        undecided = [entry for entry in recent if book.is_open(entry.occurrence_id)]
        if self._s.time_trusted:
            book.told_untrusted = False
            yield from (entry.occurrence_id for entry in undecided)
        elif not book.told_untrusted and any(entry.item.expires > now for entry in undecided):
            book.told_untrusted = True
            book.events.append(Event(EventKind.WAITING, "", now, "time_untrusted"))
        for order in self._s.orders:
            if isinstance(order, PlayNow) and max(order.at, order.item.start) <= now:
                key = order.item.occurrence_for(self._s.settings.cluster_id)
                if book.is_open(key):
                    yield key
        for key, source in book.live.items():
            if source.opened_at <= now and book.is_open(key):
                yield key

    def _admit(self, key: str, now: datetime) -> bool:
        """Let a due subject in, by its policies. True if it now waits for the air."""
        book, subject = self._book, self._book.subject(key)
        if isinstance(subject, LiveSource):
            book.put(key, Progress(Phase.WAITING, subject.not_after, now))
            return True
        if subject is None or (book.born is not None and subject.item.expires <= book.born):
            return False
        held = book.played.get(key)
        result = self._admission(subject, now, held=held is not None)
        if isinstance(result, Progress) and result.phase is Phase.HELD:
            if held is None:
                book.put(key, result)
                book.tell(EventKind.WAITING, key, subject, result, code=result.code)
            return False
        book.apply(key, subject, held or Progress(Phase.HELD, subject.item.expires, now), result)
        return isinstance(result, Progress)

    def _admission(self, entry: Entry, now: datetime, *, held: bool) -> Progress | Ending:
        item, unheard = entry.item, Progress(Phase.HELD, entry.item.expires, now, content=entry.content)
        barred = self._barred(entry) or policy.refusal(self._s.settings, entry)
        if barred is not None:
            return barred
        if now >= item.expires:
            absent = "agent_was_off" if item.expires <= self._s.ready_from else "late"
            return policy.ending(unheard, "media_missing" if held else absent)
        if entry.total is not None and any(clip.sha256 in self._s.missing for clip in item.content.clips):
            if now >= policy.held_until(entry):
                return policy.ending(unheard, "media_missing")
            return replace(unheard, code="media_missing")
        return policy.admitted(entry, now)

    def _barred(self, entry: Entry) -> Ending | None:
        """Stopped or withdrawn (rule 5)."""
        if self._book.is_stopped(entry.item.start):
            return policy.STOPPED
        return policy.WITHDRAWN if self._book.is_withdrawn(entry) else None

    def _end_if_over(self, key: str, now: datetime) -> None:
        book = self._book
        progress, subject = book.played[key], book.subject(key)
        result: Ending | None
        if subject is None:
            result = policy.closed(progress) if key.startswith("stream-") else policy.NOT_IN_PLAN
        elif isinstance(subject, LiveSource):
            stopped = book.is_stopped(subject.opened_at)
            result = policy.STOPPED if stopped else policy.live_over(self._s.settings, subject, progress, now)
        elif progress.phase is Phase.HELD:
            result = None  # judged by its admission
        else:
            result = self._entry_over(subject, progress, now)
        if result is not None:
            book.end(key, subject, progress, result)

    def _entry_over(self, entry: Entry, progress: Progress, now: datetime) -> Ending | None:
        barred = self._barred(entry)
        if barred is not None:
            return barred
        if not self._is_judged(entry, progress):
            return None
        if progress.content != entry.content and progress.first is not None:
            return policy.CONTENT_CHANGED
        return policy.over(self._s.settings, entry, progress, now)

    def _is_judged(self, entry: Entry, progress: Progress) -> bool:
        """Whether the present clock may end it (rule 6)."""
        return self._s.time_trusted or entry.ordered or progress.phase.is_heard

    # -- what comes next ---------------------------------------------------------------------------------------

    def next_change(self) -> datetime | None:
        """The first instant after the present one at which anything may change; None if nothing will."""
        if self._following is None:
            now = self.now
            self._following = (min((instant for instant in self._instants(now) if instant > now), default=None),)
        return self._following[0]

    def _instants(self, now: datetime) -> Iterator[datetime]:
        start = self._s.agenda.next_start(now)
        if start is not None and (self._s.time_trusted or not self._book.told_untrusted):
            yield start
        for order in self._s.orders:
            yield order.at
            if isinstance(order, PlayNow):
                yield order.item.start
        for source in self._s.live:
            yield source.opened_at
            yield source.not_after
        yield from self._instants_of_active(now)

    def _instants_of_active(self, now: datetime) -> Iterator[datetime]:
        book, settings = self._book, self._s.settings
        heeds_quiet = False
        for key in book.active:
            subject, progress = book.subject(key), book.played[key]
            if subject is None:
                continue
            if progress.phase.is_heard:
                yield policy.end_on_air(settings, subject, progress, now)[0]
            elif isinstance(subject, LiveSource):
                yield subject.opened_at + settings.max_relay
                heeds_quiet |= not subject.priority.crosses_quiet_hours
            elif self._is_judged(subject, progress):
                yield from policy.changes_of_waiting(subject, progress)
                heeds_quiet |= not subject.item.priority.crosses_quiet_hours
        night = next_quiet_begin(settings, now) if heeds_quiet else None
        if night is not None:
            yield night
