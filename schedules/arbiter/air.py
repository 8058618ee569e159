"""The air: who of those that wait gets the loudspeaker, and how one makes way for another.

Rules kept here: the highest class that is able sounds; among equals the one on air goes on, then the first due; of live
emergency voices the newest. A relay follows its stream, and falls back when the stream is lost. What is silenced may
run on unheard: then its line on the clock does not move by a sample.

Not here: who may wait for it, and until when (:mod:`schedules.arbiter.run`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from schedules.arbiter import policy
from schedules.arbiter.decision import EventKind, Line, Presence, Sounding
from schedules.arbiter.ledger import Ledger, Subject
from schedules.arbiter.situation import Entry, LiveSource
from schedules.arbiter.state import Phase, Progress
from schedules.instants import NO_FRAMES, to_unix_us
from schedules.ladder import AmongEquals, Priority, among_equals
from schedules.model import Relay

#: So many sounds are kept ready beneath the one on air; there is seldom more than one.
BENEATH_LIMIT = 4


def choose(book: Ledger, fresh: list[str], now: datetime) -> None:
    """Give the air to whom it belongs. ``fresh`` are those that began to wait at this instant."""
    winner = _winner(book, now)
    if winner != book.on_air:
        if book.on_air is not None:
            _make_way(book, book.on_air, winner, now)
        _settle_ducked(book, winner, now)
        if winner is not None:
            _sound(book, winner, now)
    else:
        _settle_ducked(book, winner, now)
        if winner is not None:
            _follow_stream(book, winner, now)
    _block(book, fresh)
    _note_sources(book, now)


def sounding(book: Ledger, now: datetime) -> Sounding | None:
    """What is on air, as a decision says it."""
    key = book.on_air
    if key is None:
        return None
    subject, progress = book.subject(key), book.played[key]
    if subject is None or progress.since is None:
        raise RuntimeError(f"{key} is on air without a beginning")
    return _described(book, key, subject, Presence.ON_AIR, now)


def beneath(book: Ledger, now: datetime) -> tuple[Sounding, ...]:
    """What runs on beneath the one on air, highest class first."""
    if book.on_air is None:
        return ()
    found = []
    for key in book.active:
        subject = book.subject(key)
        if key != book.on_air and subject is not None and _runs_on(book, key, subject, now):
            ducked = book.played[key].phase is Phase.DUCKED
            found.append(_described(book, key, subject, Presence.DUCKED if ducked else Presence.MUTED, now))
    found.sort(key=lambda one: (-one.priority, one.occurrence_id))
    return tuple(found[:BENEATH_LIMIT])


def _runs_on(book: Ledger, key: str, subject: Subject, now: datetime) -> bool:
    """Whether it would be heard now, at the place the clock says, if nothing lay above it."""
    if not _is_able(book, key, subject, now):
        return False
    progress = book.played[key]
    if progress.phase is Phase.DUCKED or isinstance(subject, LiveSource):
        return True
    if isinstance(subject.item.content, Relay):
        return stream_of(book, subject, now) is not None
    return progress.moving


def _described(book: Ledger, key: str, subject: Subject, presence: Presence, now: datetime) -> Sounding:
    progress = book.played[key]
    ends, fade = policy.end_on_air(book.situation.settings, subject, progress, now)
    since = progress.since or progress.anchor_at
    return Sounding(
        occurrence_id=key,
        item=subject.item if isinstance(subject, Entry) else None,
        stream_id=_stream_now(book, subject, now) if presence is Presence.MUTED else progress.stream_id,
        priority=_priority(subject),
        since=since,
        offset=progress.position(since),
        ends=ends,
        fade=fade,
        line=Line(progress.anchor_at, progress.anchor_frames),
        presence=presence,
    )


def _priority(subject: Subject) -> Priority:
    return subject.priority if isinstance(subject, LiveSource) else subject.item.priority


def _winner(book: Ledger, now: datetime) -> str | None:
    able: list[tuple[int, int, int, str]] = []
    for key in book.active:
        subject = book.subject(key)
        if subject is None or not _is_able(book, key, subject, now):
            continue
        began = to_unix_us(subject.opened_at if isinstance(subject, LiveSource) else subject.item.start)
        priority = _priority(subject)
        if among_equals(priority) is AmongEquals.NEWEST_WINS:
            able.append((-priority, 0, -began, key))
        else:
            able.append((-priority, 0 if book.played[key].phase.is_heard else 1, began, key))
    return min(able)[3] if able else None


def _is_able(book: Ledger, key: str, subject: Subject, now: datetime) -> bool:
    """Whether it could sound now if nobody else wanted to."""
    if isinstance(subject, LiveSource):
        return subject.healthy
    if book.played[key].phase is Phase.HELD:
        return False
    if isinstance(subject.item.content, Relay) and not _has_source(book, subject, subject.item.content, now):
        return False
    if book.played[key].phase.is_heard:
        return True
    if not (book.situation.time_trusted or subject.ordered):
        return False
    return isinstance(subject.item.content, Relay) or not any(
        clip.sha256 in book.situation.missing for clip in subject.item.content.clips
    )


def _has_source(book: Ledger, entry: Entry, relay: Relay, now: datetime) -> bool:
    if stream_of(book, entry, now) is not None:
        return True
    return bool(relay.fallback) and not any(clip.sha256 in book.situation.missing for clip in relay.fallback)


def stream_of(book: Ledger, entry: Entry, now: datetime) -> int | None:
    """The newest healthy stream that is bound to the relay."""
    bound = [
        (source.opened_at, source.stream_id)
        for source in book.situation.live
        if (source.rule_id, source.recurrence) == (entry.item.rule_id, entry.item.recurrence)
        and source.healthy
        and source.opened_at <= now < source.not_after
        and not book.is_stopped(source.opened_at)
    ]
    return max(bound)[1] if bound else None


def _stream_now(book: Ledger, subject: Subject, now: datetime) -> int | None:
    if isinstance(subject, LiveSource):
        return subject.stream_id
    return stream_of(book, subject, now) if isinstance(subject.item.content, Relay) else None


def _sound(book: Ledger, key: str, now: datetime) -> None:
    progress, subject = book.played[key], book.subject(key)
    if subject is None:
        raise RuntimeError(f"{key} was chosen for the air but is not in the situation")
    if progress.phase is Phase.DUCKED:
        _come_forward(book, key, subject, progress, now)
        return
    joins = progress.moving and _has_length(subject)
    begun = replace(
        progress,
        phase=Phase.SOUNDING,
        anchor_at=progress.anchor_at if joins else now,
        anchor_frames=progress.anchor_frames if _has_length(subject) else NO_FRAMES,
        moving=True,
        since=now,
        first=progress.first or now,
        stream_id=_stream_now(book, subject, now),
        interrupted=False,
        code="",
    )
    book.put(key, begun)
    book.on_air, book.silent_since = key, None
    kind = EventKind.STARTED if progress.first is None else EventKind.RESUMED
    code = "after_restart" if progress.interrupted else ("late" if progress.first is None and progress.moving else "")
    book.tell(kind, key, subject, begun, code=code, stream_id=begun.stream_id)


def _come_forward(book: Ledger, key: str, subject: Subject, progress: Progress, now: datetime) -> None:
    """Nobody speaks over it any longer."""
    loud = replace(progress, phase=Phase.SOUNDING)
    book.put(key, loud)
    book.on_air, book.silent_since = key, None
    book.tell(EventKind.RESUMED, key, subject, loud, code="ducked", stream_id=loud.stream_id)
    _follow_stream(book, key, now)


def _has_length(subject: Subject) -> bool:
    return isinstance(subject, Entry) and subject.total is not None


def _make_way(book: Ledger, key: str, winner: str | None, now: datetime) -> None:
    """Take what is on air off it: silent, or softly beneath who may speak over it."""
    subject, progress = book.subject(key), book.played[key]
    if not _stays_soft(book, key, winner, now):
        _silence(book, key, now)
        return
    soft = replace(progress, phase=Phase.DUCKED)
    book.put(key, soft)
    book.on_air, book.silent_since = None, now
    book.tell(EventKind.DUCKED, key, subject, soft, stream_id=soft.stream_id)


def _stays_soft(book: Ledger, key: str, winner: str | None, now: datetime) -> bool:
    lower, upper = book.subject(key), None if winner is None else book.subject(winner)
    if lower is None or upper is None or not book.situation.settings.ducks(_priority(upper), _priority(lower)):
        return False
    return _is_able(book, key, lower, now)


def _settle_ducked(book: Ledger, winner: str | None, now: datetime) -> None:
    """What goes on softly may do so only as long as it is able, and those above it let it."""
    for key in sorted(book.active):
        if book.played[key].phase is not Phase.DUCKED or key == winner:
            continue
        if _stays_soft(book, key, winner, now):
            _follow_stream(book, key, now)
        else:
            _silence(book, key, now)


def _silence(book: Ledger, key: str, now: datetime) -> None:
    """Take what is heard off the air: a higher class came, or its own source was lost."""
    progress, subject = book.played[key], book.subject(key)
    if subject is None:
        raise RuntimeError(f"{key} is on air but not in the situation")
    lost = not _is_able(book, key, subject, now)
    result = policy.paused(progress, now) if lost else policy.preempted(subject, progress, now)
    if key == book.on_air:
        book.on_air, book.silent_since = None, now
    if isinstance(result, policy.Ending):
        book.end(key, subject, progress, result)
        return
    book.put(key, result)
    code = "source_lost" if lost else ""
    book.tell(EventKind.PREEMPTED, key, subject, result, code=code, stream_id=progress.stream_id)


def _follow_stream(book: Ledger, key: str, now: datetime) -> None:
    """A relay that is heard changes between its streams and its fallback without leaving the air."""
    progress, subject = book.played[key], book.subject(key)
    if subject is None or isinstance(subject, LiveSource):
        return
    stream = _stream_now(book, subject, now)
    if stream == progress.stream_id:
        return
    moved = replace(
        progress,
        anchor_at=now,
        anchor_frames=NO_FRAMES,
        since=now,
        heard=progress.heard_until(now),
        stream_id=stream,
    )
    book.put(key, moved)
    code = "fallback" if stream is None else "source_back"
    kind = EventKind.DUCKED if moved.phase is Phase.DUCKED else EventKind.RESUMED
    book.tell(kind, key, subject, moved, code=code, stream_id=stream)


def _note_sources(book: Ledger, now: datetime) -> None:
    """A relay that waits knows whether it waits for its source, so that its end can say why it was never heard."""
    for key in book.active:
        subject, progress = book.subject(key), book.played[key]
        if progress.phase is Phase.WAITING and isinstance(subject, Entry) and isinstance(subject.item.content, Relay):
            code = "" if _has_source(book, subject, subject.item.content, now) else "no_source"
            if code != progress.code:
                book.put(key, replace(progress, code=code))


def _block(book: Ledger, fresh: list[str]) -> None:
    """Those that came while a higher class sounds: their after_preempt decides."""
    on_air = None if book.on_air is None else book.subject(book.on_air)
    if on_air is None:
        return
    for key in fresh:
        subject, progress = book.subject(key), book.played[key]
        waits = progress.phase is Phase.WAITING and isinstance(subject, Entry)
        if waits and isinstance(subject, Entry) and _priority(on_air) > subject.item.priority:
            book.apply(key, subject, progress, policy.blocked(subject, progress))
