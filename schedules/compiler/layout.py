"""From a rule and a cluster's languages to one item's sound and times.

Rules kept here:

1. A recording with a language goes only to clusters that list it; neighbouring recordings with languages follow in the
   cluster's order. One without a language goes to all, at the place where the rule has it.
2. Repetitions repeat the recordings, with the gap between them; the chimes stand before and after the whole.
3. An occurrence expires ``max_delay`` after the instant at which it would end undisturbed.

Not here: which occurrences there are (:mod:`schedules.compiler.occurrences`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby

from schedules.instants import frames_of
from schedules.model import Clip, Item, Overrun, Pause, Piece, Recorded, Relay
from schedules.rules import RecordedContent, RecordingRef, RelayContent, Rule


def lay_out(content: RecordedContent, languages: tuple[str, ...]) -> Recorded | None:
    """The sound for a cluster with these languages, in order; None when no recording is for it."""
    clips = [Clip(ref.sha256, ref.frames, ref.approval) for ref in _for_languages(content.recordings, languages)]
    if not clips:
        return None
    pieces: list[Piece] = [] if content.chime_before is None else [content.chime_before]
    for turn in range(content.repeat):
        if turn:
            pieces.append(Pause(frames_of(content.gap)))
        pieces += clips
    if content.chime_after is not None:
        pieces.append(content.chime_after)
    return Recorded(tuple(pieces))


def _for_languages(recordings: tuple[RecordingRef, ...], languages: tuple[str, ...]) -> Iterator[RecordingRef]:
    order = {language: place for place, language in enumerate(languages)}
    for spoken, run in groupby(recordings, key=lambda ref: ref.language is not None):
        if not spoken:
            yield from run
            continue
        known = [(order[ref.language], ref) for ref in run if ref.language in order]
        yield from (ref for _, ref in sorted(known, key=lambda pair: pair[0]))


class Sounds:
    """What a rule's occurrences sound at clusters with these languages. None stands for a relay, or for nothing."""

    def __init__(self, rule: Rule, languages: tuple[str, ...]) -> None:
        self._recorded = isinstance(rule.content, RecordedContent)
        self.usual = lay_out(rule.content, languages) if isinstance(rule.content, RecordedContent) else None
        self._special = {name: lay_out(content, languages) for name, content in rule.replaced}

    def of(self, recurrence: datetime) -> Recorded | None:
        """The sound of the occurrence with this RECURRENCE-ID."""
        return self._special.get(recurrence, self.usual)

    def is_lacking(self, recurrence: datetime) -> bool:
        """Whether that occurrence has no recording for these languages."""
        return self._is_silent(self.of(recurrence))

    @property
    def usual_is_lacking(self) -> bool:
        """Whether the rule has no recording for these languages, but maybe for single occurrences."""
        return self._is_silent(self.usual)

    @property
    def all(self) -> tuple[Recorded | None, ...]:
        """Every sound of it."""
        return (self.usual, *self._special.values())

    def _is_silent(self, sound: Recorded | None) -> bool:
        return self._recorded and (sound is None or sound.frames == 0)


def uncovered(content: RecordedContent, languages: tuple[str, ...]) -> tuple[str, ...]:
    """The cluster's languages that the rule speaks not, if it speaks any language at all."""
    spoken = {ref.language for ref in content.recordings} - {None}
    return tuple(language for language in languages if spoken and language not in spoken)


def length_of(rule: Rule, sound: Recorded | None) -> timedelta:
    """How long an occurrence lasts when nothing disturbs it."""
    if sound is None:
        return rule.slot or timedelta(0)
    if rule.slot is not None and rule.overrun is Overrun.CUT_WITH_FADE:
        return min(sound.duration, rule.slot)
    return sound.duration


def item_of(rule: Rule, sound: Recorded | None, recurrence: datetime, start: datetime) -> Item:
    """One occurrence as an item. ``sound`` is None for a relay."""
    content = sound if sound is not None else _relay(rule)
    return Item(
        rule_id=rule.id,
        recurrence=recurrence,
        title=rule.title,
        priority=rule.priority,
        start=start,
        expires=start + length_of(rule, sound) + rule.max_delay,
        content=content,
        slot_end=None if rule.slot is None else start + rule.slot,
        late=rule.late,
        after_preempt=rule.after_preempt,
        overrun=rule.overrun,
    )


def _relay(rule: Rule) -> Relay:
    if not isinstance(rule.content, RelayContent):
        raise TypeError("a rule with recordings needs its sound laid out")
    return Relay(rule.content.source_id, rule.content.fallback)
