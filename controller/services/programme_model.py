"""A programme as the desk writes it, and the plain JSON in which its row keeps it.

Rules kept here:

1. Times are local (naive) in the programme's zone, as people say them; a moved occurrence names its old local start.
2. What is stored reads back as the same value (a property test holds it).

Not here: whether it makes sense where it is to sound (:mod:`controller.services.rulebook`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from schedules.ladder import Priority
from schedules.model import AfterPreempt, LateKind, LatePolicy, Overrun
from schedules.recurrence import Recurrence, parse_time
from schedules.rules import DEFAULT_GAP

#: The chimes of the house (:mod:`audio.mixing` makes them; they are registered at first start).
ChimeKind = Literal["opening", "closing"]
CHIMES: tuple[ChimeKind, ...] = ("opening", "closing")

#: What a programme may be: the classes between the test tone and the drill that are planned ahead.
PLANNABLE = frozenset({Priority.PRIORITY_BULLETIN, Priority.PROGRAMME, Priority.RELAY, Priority.FILLER})

_JOIN: Final = LatePolicy(LateKind.JOIN)

Moves = tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True, slots=True)
class RecordedSpec:
    """Recordings by id, in the order of reading, with repetitions and chimes."""

    recordings: tuple[str, ...]
    repeat: int = 1
    gap: timedelta = DEFAULT_GAP
    chime_before: ChimeKind | None = None
    chime_after: ChimeKind | None = None


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """A source by id; ``fallback`` recordings sound while it is silent."""

    source: str
    fallback: tuple[str, ...] = ()


ContentSpec = RecordedSpec | RelaySpec
Replacements = tuple[tuple[datetime, RecordedSpec], ...]


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """Where: areas (with everything below them), single clusters, and zones (with what they hold when compiled)."""

    areas: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgrammeSpec:
    """Everything a person decides about a programme. ``slot`` is its length in the grid; a relay needs one."""

    area_id: str
    title: str
    priority: Priority
    recurrence: Recurrence
    content: ContentSpec
    targets: TargetSpec
    late: LatePolicy = _JOIN
    after_preempt: AfterPreempt = AfterPreempt.RESUME
    overrun: Overrun = Overrun.LET_FINISH
    slot: timedelta | None = None
    max_delay: timedelta = timedelta(minutes=10)
    moved: Moves = ()
    replaced: Replacements = ()  # sounds of single occurrences, by their own local times

    @property
    def recordings(self) -> tuple[str, ...]:
        """Ids of every recording it uses."""
        usual = self.content.recordings if isinstance(self.content, RecordedSpec) else self.content.fallback
        return (*usual, *(each for _, content in self.replaced for each in content.recordings))


def time_text(moment: date | datetime) -> str:
    """A date, a local time or an instant as rows keep it: ISO 8601, to the second."""
    return moment.isoformat(timespec="seconds") if isinstance(moment, datetime) else moment.isoformat()


def encode_content(content: ContentSpec) -> dict[str, Any]:
    """Content as plain JSON values."""
    if isinstance(content, RelaySpec):
        return {"kind": "relay", "source": content.source, "fallback": list(content.fallback)}
    return {
        "kind": "recorded",
        "recordings": list(content.recordings),
        "repeat": content.repeat,
        "gap_s": int(content.gap.total_seconds()),
        "chime_before": content.chime_before,
        "chime_after": content.chime_after,
    }


def decode_content(value: Mapping[str, Any]) -> ContentSpec:
    """Content from plain JSON values."""
    if value["kind"] == "relay":
        return RelaySpec(value["source"], tuple(value["fallback"]))
    return decode_recorded(value)


def decode_recorded(value: Mapping[str, Any]) -> RecordedSpec:
    """Recordings from plain JSON values."""
    return RecordedSpec(
        tuple(value["recordings"]),
        value["repeat"],
        timedelta(seconds=value["gap_s"]),
        value["chime_before"],
        value["chime_after"],
    )


def encode_late(late: LatePolicy) -> dict[str, Any]:
    """A late policy as plain JSON values."""
    return {"kind": late.kind.value, "within_s": None if late.within is None else int(late.within.total_seconds())}


def decode_late(value: Mapping[str, Any]) -> LatePolicy:
    """A late policy from plain JSON values."""
    within = value.get("within_s")
    return LatePolicy(LateKind(value["kind"]), None if within is None else timedelta(seconds=within))


def encode_targets(targets: TargetSpec) -> dict[str, list[str]]:
    """Targets as plain JSON values."""
    return {"areas": list(targets.areas), "clusters": list(targets.clusters), "zones": list(targets.zones)}


def decode_targets(value: Mapping[str, list[str]]) -> TargetSpec:
    """Targets from plain JSON values."""
    return TargetSpec(*(tuple(value.get(kind, ())) for kind in ("areas", "clusters", "zones")))


def columns_of(spec: ProgrammeSpec) -> dict[str, Any]:
    """The columns of a programme's row that a person decides about."""
    when = spec.recurrence
    return {
        "area_id": spec.area_id,
        "title": spec.title,
        "priority": int(spec.priority),
        "rrule": when.rrule,
        "dtstart": time_text(when.dtstart),
        "timezone": when.timezone,
        "exdates": [time_text(each) for each in when.exdates],
        "rdates": [time_text(each) for each in when.rdates],
        "moved": {time_text(old): time_text(new) for old, new in spec.moved},
        "replaced": {time_text(old): encode_content(content) for old, content in spec.replaced},
        "content": encode_content(spec.content),
        "targets": encode_targets(spec.targets),
        "late": encode_late(spec.late),
        "after_preempt": spec.after_preempt.value,
        "overrun": spec.overrun.value,
        "slot_s": None if spec.slot is None else int(spec.slot.total_seconds()),
        "max_delay_s": int(spec.max_delay.total_seconds()),
    }


def spec_of(row: Mapping[str, Any]) -> ProgrammeSpec:
    """The programme of a row's columns (as :func:`columns_of` names them)."""
    return ProgrammeSpec(
        area_id=row["area_id"],
        title=row["title"],
        priority=Priority(row["priority"]),
        recurrence=Recurrence(
            parse_time(row["dtstart"]),
            row["timezone"],
            row["rrule"],
            tuple(parse_time(each) for each in row["exdates"]),
            tuple(parse_time(each) for each in row["rdates"]),
        ),
        content=decode_content(row["content"]),
        targets=decode_targets(row["targets"]),
        late=decode_late(row["late"]),
        after_preempt=AfterPreempt(row["after_preempt"]),
        overrun=Overrun(row["overrun"]),
        slot=None if row["slot_s"] is None else timedelta(seconds=row["slot_s"]),
        max_delay=timedelta(seconds=row["max_delay_s"]),
        moved=tuple(
            (datetime.fromisoformat(old), datetime.fromisoformat(new)) for old, new in sorted(row["moved"].items())
        ),
        replaced=tuple(
            (datetime.fromisoformat(old), decode_recorded(content)) for old, content in sorted(row["replaced"].items())
        ),
    )
