"""From what the arbiter decided and the player did to one play record for each occurrence.

Rules kept here:

1. One record per occurrence, when it is over and its sound has really ended; what has begun is kept on disk until
   then, so a power cut in the middle still leaves a record.
2. The arbiter says why it ended, the player says what was heard. Where they differ the player wins: nothing is
   "played" that no loudspeaker was given.
3. ``started`` is the instant of the first sample; ``start_error_us`` is that instant minus the planned one, the
   wanted output delay taken out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from agent.cache.state import Batch
from agent.conductor.stage import Ending
from protocol.telemetry import PlayOutcome, PlayRecord
from schedules.arbiter import Event, Outcome
from schedules.instants import SAMPLE_RATE, MonoUs, from_unix_us, to_unix_us

#: How long after the arbiter's end the player may take to say that the sound has ended.
GRACE_US = 3_000_000

#: A programme of which less than this part was handed over (give or take half a second) was heard in part.
WHOLE = 0.98
_SLACK_FRAMES = SAMPLE_RATE // 2

_DIGEST_LENGTH = 64


def record_id(occurrence_id: str) -> str:
    """The occurrence as the wire names it. A stream's name is hashed to the same form: 64 hexadecimal digits."""
    if len(occurrence_id) == _DIGEST_LENGTH:
        return occurrence_id
    return hashlib.sha256(occurrence_id.encode()).hexdigest()


@dataclass(slots=True)
class OpenPlay:
    """One occurrence that has begun, or waits to end. Instants are UTC microseconds."""

    occurrence_id: str
    rule_id: str | None = None
    recurrence_us: int | None = None
    title: str = ""
    priority: int = 0
    planned_us: int | None = None
    started_us: int | None = None
    start_error_us: int | None = None
    ended_us: int | None = None
    frames: int = 0
    silence_frames: int = 0
    stream: int | None = None
    refused: str = ""  # why this agent did not let it start
    cue_outcome: str = ""
    outcome: str = ""  # the arbiter's last word, once it has spoken
    code: str = ""
    expected: int = 0
    cut_off: bool = False  # the agent was off in between

    def body(self) -> str:
        """For the disk."""
        values = ((name, getattr(self, name)) for name in _FIELDS)
        return json.dumps({name: value for name, value in values if value not in (None, "", 0, False)})

    @classmethod
    def from_body(cls, body: str) -> OpenPlay:
        """From the disk."""
        return cls(**{name: value for name, value in json.loads(body).items() if name in _FIELDS})


_FIELDS = tuple(spec.name for spec in fields(OpenPlay))


class PlayBook:
    """The open plays of one agent. Collects changes; :meth:`take_batch` hands them to the disk."""

    def __init__(self) -> None:
        self._open: dict[str, OpenPlay] = {}
        self._closing: dict[str, MonoUs] = {}
        self._changed: set[str] = set()
        self._records: list[str] = []
        #: Told at once: a first sample was heard (occurrence, instant, start error); an occurrence is over.
        self.on_started: Callable[[str, datetime, int | None], None] = lambda *_: None
        self.on_record: Callable[[PlayRecord], None] = lambda _: None

    def restore(self, bodies: Iterable[str]) -> None:
        """Take up what was open when the agent ended. What the arbiter had closed becomes a record now."""
        for body in bodies:
            play = OpenPlay.from_body(body)
            play.cut_off = True
            self._open[play.occurrence_id] = play
            if play.outcome:
                self._finish(play)

    def event(self, event: Event, now: MonoUs, *, sounding: bool) -> None:
        """Take an event of the arbiter. ``sounding``: the player still holds a cue of it."""
        if not event.occurrence_id:
            return
        # The player may have spoken of it before the arbiter did.
        play = self._open.setdefault(event.occurrence_id, OpenPlay(event.occurrence_id))
        _describe(play, event)
        self._changed.add(event.occurrence_id)
        if event.outcome is None:
            return
        play.outcome, play.code, play.expected = event.outcome.value, event.code, event.frames
        if play.ended_us is None and play.started_us is not None:
            play.ended_us = to_unix_us(event.at)
        if sounding:
            self._closing[event.occurrence_id] = MonoUs(now + GRACE_US)
        else:
            self._finish(play)

    def refuse(self, occurrence_id: str, code: str) -> None:
        """This agent does not let it start."""
        self._open.setdefault(occurrence_id, OpenPlay(occurrence_id)).refused = code
        self._changed.add(occurrence_id)

    def name(self, occurrence_id: str, title: str) -> None:
        """A stream says what it is; the arbiter does not know."""
        play = self._open.setdefault(occurrence_id, OpenPlay(occurrence_id))
        play.title = play.title or title

    def started(self, occurrence_id: str, at: datetime, error_us: int | None) -> None:
        """The first sample of a cue was heard."""
        play = self._open.setdefault(occurrence_id, OpenPlay(occurrence_id))
        if play.started_us is None:
            play.started_us, play.start_error_us = to_unix_us(at), error_us
            self.on_started(occurrence_id, at, error_us)
        self._changed.add(occurrence_id)

    def finished(self, occurrence_id: str, at: datetime, ending: Ending) -> None:
        """A cue ended."""
        play = self._open.get(occurrence_id)
        if play is None:
            return
        play.frames += ending.frames
        play.silence_frames += ending.silence_frames
        play.cue_outcome = ending.outcome.value
        if play.started_us is not None:
            play.ended_us = to_unix_us(at)
        self._changed.add(occurrence_id)
        if ending.last and play.outcome:
            self._finish(play)

    def overdue(self, now: MonoUs) -> MonoUs | None:
        """Close what the player never ended; answers when to look again."""
        for occurrence in [name for name, until in self._closing.items() if now >= until]:
            self._finish(self._open[occurrence])
        return min(self._closing.values(), default=None)

    def take_batch(self) -> Batch | None:
        """What changed since the last call, or None."""
        if not self._changed and not self._records:
            return None
        plays = {name: self._open[name].body() if name in self._open else None for name in self._changed}
        batch = Batch(plays=plays, records=tuple(self._records))
        self._changed.clear()
        self._records.clear()
        return batch

    def _finish(self, play: OpenPlay) -> None:
        self._open.pop(play.occurrence_id, None)
        self._closing.pop(play.occurrence_id, None)
        self._changed.add(play.occurrence_id)
        record = record_of(play)
        self._records.append(record.model_dump_json(exclude_none=True))
        self.on_record(record)


def _describe(play: OpenPlay, event: Event) -> None:
    """What the arbiter says of an occurrence. Of a stream that is gone its last event says less than its first."""
    play.rule_id = event.rule_id or play.rule_id
    play.title = event.title or play.title
    if event.recurrence is not None:
        play.recurrence_us = to_unix_us(event.recurrence)
    if event.priority is not None:
        play.priority = int(event.priority)
    if event.planned_start is not None:
        play.planned_us = to_unix_us(event.planned_start)
    if event.stream_id is not None:
        play.stream = event.stream_id


def record_of(play: OpenPlay) -> PlayRecord:
    """The record of a finished play. Its number is given by the journal."""
    outcome, code = _verdict(play)
    return PlayRecord(
        seq=1,
        occurrence_id=record_id(play.occurrence_id),
        rule_id=play.rule_id,
        recurrence=_wall(play.recurrence_us),
        title=play.title,
        priority=play.priority,
        outcome=outcome,
        planned_start=_wall(play.planned_us),
        started=_wall(play.started_us),
        ended=_wall(play.ended_us),
        start_error_us=play.start_error_us,
        frames=play.frames,
        silence_frames=play.silence_frames,
        code=code or None,
        stream=play.stream,
    )


def _verdict(play: OpenPlay) -> tuple[PlayOutcome, str]:
    said = PlayOutcome(play.outcome)
    if play.refused and play.started_us is None:
        return PlayOutcome.REFUSED, play.refused
    if said is not PlayOutcome(Outcome.PLAYED):
        return said, play.code
    if play.started_us is None:
        return PlayOutcome.MISSED, play.code or (f"sound_{play.cue_outcome}" if play.cue_outcome else "not_heard")
    if play.cut_off:
        return PlayOutcome.PARTIAL, play.code or "agent_was_off"
    if play.frames < play.expected * WHOLE - _SLACK_FRAMES:
        return PlayOutcome.PARTIAL, play.code or play.refused or "gaps"
    return said, play.code


def _wall(value: int | None) -> datetime | None:
    return None if value is None else from_unix_us(value)
