"""Warning sources and warnings as memory and readers know them: frozen entries made of rows.

Rules kept here: the words of a warning's life. ``received`` (kept, not judged yet), ``shown``, ``proposed`` (filled in,
waits for people), ``accepted`` (an alert was composed and waits for its second person), ``declined``, ``issued`` (it
sounded), ``cancelled`` (its sender took it back, or replaced it, before anybody acted) and ``expired``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from controller.services.warnings.matching import GeocodeMap
from controller.services.warnings.policy import Mode, WarningPolicy
from controller.store.warning_tables import WarningRow, WarningSource


class State(StrEnum):
    """Where a warning stands."""

    RECEIVED = "received"
    SHOWN = "shown"
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    ISSUED = "issued"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


#: From here on nothing happens to a warning any more.
ENDS: Final = frozenset({State.DECLINED, State.ISSUED, State.CANCELLED, State.EXPIRED})
#: A person may still decide about these.
OPEN: Final = frozenset({State.SHOWN, State.PROPOSED})


class SourceKind(StrEnum):
    """How a source's warnings arrive."""

    PUSH = "push"
    POLL = "poll"


@dataclass(frozen=True, slots=True)
class GeocodeRow:
    """A line of a source's table: a code of theirs, and the areas of ours that it means."""

    name: str  # valueName; "*" = whatever the scheme is called
    value: str
    areas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A warning source in use."""

    id: str
    area_id: str
    name: str
    kind: SourceKind
    url: str | None
    interval_s: int
    certificates: tuple[str, ...]  # PEM
    client_certificates: tuple[str, ...]  # PEM
    policy: WarningPolicy
    geocodes: tuple[GeocodeRow, ...]
    templates: Mapping[str, str]
    enabled: bool
    demoted_at: datetime | None
    demoted_why: str
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, row: WarningSource) -> SourceEntry:
        """The entry of a row."""
        return cls(
            id=row.id,
            area_id=row.area_id,
            name=row.name,
            kind=SourceKind(row.kind),
            url=row.url,
            interval_s=row.interval_s,
            certificates=tuple(row.certificates),
            client_certificates=tuple(row.client_certificates),
            policy=WarningPolicy.model_validate(row.policy),
            geocodes=tuple(GeocodeRow(one["name"], one["value"], tuple(one["areas"])) for one in row.geocodes),
            templates=dict(row.templates),
            enabled=row.enabled,
            demoted_at=row.demoted_at,
            demoted_why=row.demoted_why,
            created_by=row.created_by,
            created_at=row.created_at,
        )

    @property
    def demoted(self) -> bool:
        """Whether it lost its automatic way."""
        return self.demoted_at is not None

    @property
    def automatic(self) -> bool:
        """Whether anything of it may sound without a person."""
        return self.policy.mode is Mode.AUTOMATIC and not self.demoted

    def geocode_map(self) -> GeocodeMap:
        """The table as matching needs it."""
        return GeocodeMap.of((row.name, row.value, row.areas) for row in self.geocodes)

    def template_for(self, names: tuple[str, ...]) -> str | None:
        """The emergency template for an event, by one of its names or codes (upper and lower case are the same)."""
        table = {name.casefold(): template for name, template in self.templates.items()}
        return next((table[name.casefold()] for name in names if name.casefold() in table), None)


@dataclass(frozen=True, slots=True)
class WarningEntry:
    """One warning as a reader sees it."""

    seq: int
    id: str
    source_id: str
    document: str
    part: int
    via: str
    sender: str
    identifier: str
    sent_at: datetime
    status: str
    msg_type: str
    scope: str
    event: str
    headline: str
    severity: str
    urgency: str
    certainty: str
    languages: tuple[str, ...]
    expires: datetime | None
    signature: str
    quarantine: bool
    flags: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]
    reading: Mapping[str, Any]
    clusters: tuple[str, ...]
    state: State
    reasons: tuple[str, ...]
    proposal: Mapping[str, Any]
    rule: str
    alert_id: str | None
    superseded_by: str | None
    reason: str
    decided_by: str | None
    decided_at: datetime | None
    received_at: datetime

    @classmethod
    def of(cls, row: WarningRow) -> WarningEntry:
        """The entry of a row."""
        plain = {name: getattr(row, name) for name in cls.__dataclass_fields__}
        return cls(
            **{
                **plain,
                "languages": tuple(row.languages),
                "flags": tuple(row.flags),
                "references": tuple(tuple(one) for one in row.references),
                "clusters": tuple(row.clusters),
                "state": State(row.state),
                "reasons": tuple(row.reasons),
            }
        )
