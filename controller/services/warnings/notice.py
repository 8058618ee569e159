"""A warning as this house judges it: the parts of a CAP alert that decide what happens, as frozen values.

Made of what :mod:`controller.cap` read (:func:`notice_of`); everything pure in this package works on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from controller.cap.alert import CapAlert, CapArea, CapInfo

#: (sender, identifier, sent in UTC as ISO 8601): what CAP calls the identity of a message.
Identity = tuple[str, str, str]


class Figure(Protocol):
    """A polygon or circle of a warning."""

    def contains(self, lat: float, lon: float) -> bool:
        """Whether the point lies inside or on the edge."""
        ...


@dataclass(frozen=True, slots=True)
class NoticeArea:
    """A place the warning speaks of. Figures and geocodes describe the same place in different ways."""

    desc: str
    figures: tuple[Figure, ...] = ()
    geocodes: tuple[tuple[str, str], ...] = ()  # (valueName, value)


@dataclass(frozen=True, slots=True)
class NoticeInfo:
    """What the warning says in one language (or about one kind of place)."""

    language: str
    event: str
    codes: tuple[str, ...] = ()  # values of <eventCode>
    responses: tuple[str, ...] = ()
    severity: str = "Unknown"
    urgency: str = "Unknown"
    certainty: str = "Unknown"
    effective: datetime | None = None
    expires: datetime | None = None
    headline: str = ""
    description: str = ""
    instruction: str = ""
    areas: tuple[NoticeArea, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """One warning."""

    sender: str
    identifier: str
    sent: datetime
    status: str
    msg_type: str
    scope: str
    infos: tuple[NoticeInfo, ...] = ()
    references: tuple[Identity, ...] = ()
    signature: str = "none"  # none | valid | invalid | untrusted
    quarantine: bool = False
    flags: tuple[str, ...] = ()

    @property
    def identity(self) -> Identity:
        """What makes two messages the same message."""
        return self.sender, self.identifier, stamp(self.sent)

    @property
    def content(self) -> str:
        """SHA-256 of what it says to people: equal when two sources pass on the same words."""
        words = [
            [info.language, info.event, info.severity, info.urgency, info.certainty, info.headline, info.description,
             info.instruction, info.expires and stamp(info.expires)]
            for info in self.infos
        ]  # fmt: skip
        said = [*self.identity, self.status, self.msg_type, self.scope, words]
        return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()

    @property
    def lead(self) -> NoticeInfo | None:
        """The part that is shown in lists: the first."""
        return self.infos[0] if self.infos else None


def stamp(moment: datetime) -> str:
    """A moment as part of an identity: UTC, so that one instant written in two zones is one."""
    return moment.astimezone(UTC).isoformat()


def joined(infos: Sequence[NoticeInfo]) -> tuple[NoticeArea, ...]:
    """Every place of these parts, each once."""
    found: dict[NoticeArea, None] = {}
    for info in infos:
        for area in info.areas:
            found.setdefault(area)
    return tuple(found)


def notice_of(
    alert: CapAlert, *, signature: str = "none", quarantine: bool = False, flags: Sequence[str] = ()
) -> Notice:
    """The notice of an alert that was read."""
    return Notice(
        sender=alert.sender,
        identifier=alert.identifier,
        sent=alert.sent,
        status=alert.status,
        msg_type=alert.msg_type,
        scope=alert.scope or "Public",  # CAP 1.0 need not say
        infos=tuple(_info(info) for info in alert.infos),
        references=tuple((key.sender, key.identifier, stamp(key.sent)) for key in alert.references),
        signature=signature,
        quarantine=quarantine,
        flags=tuple(flags),
    )


def _info(info: CapInfo) -> NoticeInfo:
    return NoticeInfo(
        language=info.spoken_language,
        event=info.event or "",
        codes=tuple(code.value for code in info.event_codes),
        responses=info.response_types,
        severity=info.severity or "Unknown",
        urgency=info.urgency or "Unknown",
        certainty=info.certainty or "Unknown",
        effective=info.effective,
        expires=info.expires,
        headline=info.headline,
        description=info.description,
        instruction=info.instruction,
        areas=tuple(_area(area) for area in info.areas),
    )


def _area(area: CapArea) -> NoticeArea:
    return NoticeArea(area.desc, area.shapes, tuple((code.name, code.value) for code in area.geocodes))
