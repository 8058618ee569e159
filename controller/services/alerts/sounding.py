"""What each cluster hears of a message: the tone, then the words in the languages of its village. Pure.

Rules kept here:

1. A cluster hears its own languages, in its own order, as far as the message has them; a cluster that speaks none of
   them hears the message's first language: a warning nobody translated is better than silence.
2. One round is tone, words, words …, with a breath between them; rounds follow each other with the gap asked for.
3. Clusters with the same languages share one order.

Used by alerts and by drills alike. Not here: which clusters (:mod:`controller.services.alerts.places`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from controller.services.alerts.model import Message, SpokenClip
from schedules.instants import SAMPLE_RATE, Frames, frames_of
from schedules.model import Approval, Clip, Pause, Piece, Recorded

#: Between tone and words, and between languages.
BREATH: Final = Frames(SAMPLE_RATE * 7 // 10)


@dataclass(frozen=True, slots=True)
class Group:
    """Clusters that hear the same."""

    spoken: tuple[SpokenClip, ...]
    sound: Recorded
    clusters: frozenset[str]


def words_for(message: Message, languages: tuple[str, ...]) -> tuple[SpokenClip, ...]:
    """What is said at a cluster with these languages, in order."""
    by_language = {each.language: each for each in message.spoken}
    found = tuple(by_language[language] for language in languages if language in by_language)
    return found or message.spoken[:1]


def groups(
    message: Message, languages: Mapping[str, tuple[str, ...]], *, times: int, gap: timedelta
) -> tuple[Group, ...]:
    """The clusters (with their languages) by what they hear."""
    alike: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for cluster_id, spoken in languages.items():
        alike[tuple(each.language for each in words_for(message, spoken))].add(cluster_id)
    made = []
    for key, clusters in sorted(alike.items()):
        words = words_for(message, key)
        made.append(Group(words, lay_out(message.tone, words, times=times, gap=gap), frozenset(clusters)))
    return tuple(made)


def lay_out(tone: Clip | None, words: Iterable[SpokenClip], *, times: int, gap: timedelta) -> Recorded:
    """Rounds of tone and words, laid end to end."""
    clips = [*(() if tone is None else (tone,)), *(each.clip for each in words)]
    one_round: list[Piece] = []
    for place, clip in enumerate(clips):
        one_round += [Pause(BREATH), clip] if place else [clip]
    pieces: list[Piece] = []
    for turn in range(times):
        pieces += [Pause(frames_of(gap)), *one_round] if turn and gap else one_round
    return Recorded(tuple(pieces))


def lacking(said: Collection[str], languages: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """By language the clusters that have it and will not hear it."""
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for cluster_id, wanted in sorted(languages.items()):
        for language in wanted:
            if language not in said:
                missing[language].append(cluster_id)
    return {language: tuple(clusters) for language, clusters in sorted(missing.items())}


def approved(message: Message, approval: Approval) -> Message:
    """The message with an approval on every spoken clip that has none yet."""
    return replace(
        message,
        spoken=tuple(
            each if each.clip.approval is not None else replace(each, clip=replace(each.clip, approval=approval))
            for each in message.spoken
        ),
    )
