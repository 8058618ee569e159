"""From a message and clusters to signed orders' contents: items, repetitions, expiry. Pure; drills use it too.

Rules kept here:

1. Everybody starts together, :data:`LEAD` after the decision; who hears of it later begins at the first word, until the
   item expires.
2. An item lives at least half an hour and twice its own length, so that a box that was rebooting still sounds it.
3. What a box would cut off (its cap for one emergency) or could not repeat in time is refused before anybody confirms.

Not here: who decides, the journal and the wires (:mod:`controller.services.dispatch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from controller.services.alerts.model import CADENCE, MAX_LIFE, Message, Repetition
from controller.services.alerts.sounding import Group, groups
from controller.services.dispatch import Sheet
from controller.services.errors import InvalidError
from protocol.documents import PlayOrder
from schedules.ladder import Priority
from schedules.model import AfterPreempt, Item, LateKind, LatePolicy, Overrun

#: From the decision to the first sample: who has the order by then begins on the same sample as everybody else. A
#: thousand boxes on two busy cores need as long as that, and so does a mobile line.
LEAD: Final = timedelta(milliseconds=400)
MIN_LIFE: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Sounding:
    """What is to sound, as one decision."""

    rule_id: str
    title: str
    priority: Priority
    message: Message
    languages: Mapping[str, tuple[str, ...]]  # of every cluster it is for
    repetition: Repetition
    start: datetime
    valid: timedelta
    recurrence: datetime | None = None  # None: the start


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of one decision."""

    sheets: tuple[Sheet, ...]
    groups: tuple[Group, ...]
    length: timedelta  # of the longest sound
    expires: datetime  # of the last of it


def orders_of(sounding: Sounding, *, longest: timedelta | None = None) -> Orders:
    """The orders for every group of languages.

    Args:
        sounding: what, where, when.
        longest: how long the boxes let one emergency sound; None: do not check.

    Raises:
        InvalidError: ``too_long``, ``contradiction``.
    """
    repetition = sounding.repetition
    made = groups(sounding.message, sounding.languages, times=repetition.times, gap=repetition.gap)
    length = max(group.sound.duration for group in made)
    if longest is not None and length > longest:
        raise InvalidError(
            f"one sounding takes {length.total_seconds():.0f} s and the boxes stop after "
            f"{longest.total_seconds():.0f} s: repeat it less often in a row, or shorten the words",
            code="too_long",
        )
    until = None
    if repetition.every is not None:
        until = min(repetition.until or sounding.start + MAX_LIFE, sounding.start + MAX_LIFE)
    life = max(MIN_LIFE, 2 * length, sounding.valid)
    try:
        sheets = tuple(
            Sheet(PlayOrder(_item(sounding, group, life), repetition.every, until), group.clusters) for group in made
        )
    except ValueError as error:
        raise InvalidError(str(error), code="contradiction") from error
    last = sounding.start + life if until is None else until + min(life, repetition.every or CADENCE)
    return Orders(sheets, made, length, min(last, sounding.start + MAX_LIFE))


def content_of(message: Message, times: int) -> tuple[str, ...]:
    """What makes two alerts the same sound."""
    return tuple(clip.sha256 for clip in message.clips) * times


def _item(sounding: Sounding, group: Group, life: timedelta) -> Item:
    return Item(
        rule_id=sounding.rule_id,
        recurrence=sounding.recurrence or sounding.start,
        title=sounding.title,
        priority=sounding.priority,
        start=sounding.start,
        expires=sounding.start + life,
        content=group.sound,
        late=LatePolicy(LateKind.PLAY_FULL, life),
        after_preempt=AfterPreempt.RESTART,
        overrun=Overrun.LET_FINISH,
    )
