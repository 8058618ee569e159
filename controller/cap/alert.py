"""An alert as values: what CAP 1.0, 1.1 and 1.2 have in common, in one frozen form.

Rules kept here:

1. Times are aware UTC. How the sender wrote them is kept beside (``…_text``) and not compared.
2. Enumerations stay text as given: a value that no version knows is shown to people, and matches no policy.
3. An alert is named by sender, identifier and sent together (CAP 1.2, 3.2.1): :class:`AlertKey`. The same instant
   written with another offset names the same alert.

Not here: how they are read (:mod:`controller.cap.reading`), written (:mod:`controller.cap.writing`), obeyed
(:mod:`controller.cap.disposition`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple

from controller.cap.shapes import Circle, Polygon, Shape

Version = Literal["1.0", "1.1", "1.2"]

STATUSES: Final = ("Actual", "Exercise", "System", "Test", "Draft")
MESSAGE_TYPES: Final = ("Alert", "Update", "Cancel", "Ack", "Error")
SCOPES: Final = ("Public", "Restricted", "Private")
CATEGORIES: Final = (
    "Geo",
    "Met",
    "Safety",
    "Security",
    "Rescue",
    "Fire",
    "Health",
    "Env",
    "Transport",
    "Infra",
    "CBRNE",
    "Other",
)
RESPONSES: Final = ("Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None")

#: The scales of an info block, from most to least; ``Unknown`` is below all.
URGENCIES: Final = ("Immediate", "Expected", "Future", "Past", "Unknown")
SEVERITIES: Final = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
CERTAINTIES: Final = ("Observed", "Likely", "Possible", "Unlikely", "Unknown")

_SCALES: Final = (URGENCIES, SEVERITIES, CERTAINTIES)
#: CAP 1.0 said "Very Likely" where 1.1 says "Observed".
_OLD_NAMES: Final = {"Very Likely": "Observed"}


class AlertKey(NamedTuple):
    """What names an alert in the whole world. ``sent`` is in UTC."""

    sender: str
    identifier: str
    sent: datetime

    def resembles(self, other: AlertKey) -> bool:
        """Same identifier and instant, another sender: some services sign their references with a short name.

        Good enough to show people, never to stop or start a sound.
        """
        return self[1:] == other[1:]


class NameValue(NamedTuple):
    """A geocode, parameter or event code: ``valueName`` and ``value``."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class CapResource:
    """A file that goes with an alert. It is only told about: nothing here opens ``uri`` or decodes ``deref_bytes``."""

    desc: str = ""
    mime_type: str = ""
    uri: str = ""
    size: int | None = None
    digest: str = ""
    #: How long the embedded copy is, in characters of Base64; the copy itself is not kept.
    embedded_chars: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CapArea:
    """One area. It reaches the union of its shapes and the places its geocodes name."""

    desc: str
    polygons: tuple[Polygon, ...] = ()
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[NameValue, ...] = ()
    altitude: str = ""
    ceiling: str = ""
    #: All polygons and circles as the sender wrote them, also those that describe no area.
    polygon_texts: tuple[str, ...] = field(default=(), compare=False, repr=False)
    circle_texts: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All shapes that describe an area."""
        return (*self.polygons, *self.circles)

    @property
    def unusable_shapes(self) -> int:
        """How many shapes the sender wrote that describe no area."""
        written = len(self.polygon_texts) + len(self.circle_texts)
        return max(0, written - len(self.polygons) - len(self.circles))

    def contains(self, lat: float, lon: float) -> bool:
        """Whether the point is in one of the shapes."""
        return any(shape.contains(lat, lon) for shape in self.shapes)


@dataclass(frozen=True, slots=True)
class CapInfo:
    """What is said about the event in one language. None = the sender left the element out, "" = left it empty."""

    language: str | None = None
    categories: tuple[str, ...] = ()
    event: str | None = None
    response_types: tuple[str, ...] = ()
    urgency: str | None = None
    severity: str | None = None
    certainty: str | None = None
    audience: str = ""
    event_codes: tuple[NameValue, ...] = ()
    effective: datetime | None = None
    onset: datetime | None = None
    expires: datetime | None = None
    sender_name: str = ""
    headline: str = ""
    description: str = ""
    instruction: str = ""
    web: str = ""
    contact: str = ""
    parameters: tuple[NameValue, ...] = ()
    resources: tuple[CapResource, ...] = ()
    areas: tuple[CapArea, ...] = ()
    effective_text: str | None = field(default=None, compare=False, repr=False)
    onset_text: str | None = field(default=None, compare=False, repr=False)
    expires_text: str | None = field(default=None, compare=False, repr=False)

    @property
    def spoken_language(self) -> str:
        """The language of the texts; CAP says en-US when the sender does not say."""
        return self.language or "en-US"


@dataclass(frozen=True, slots=True)
class CapAlert:
    """One alert message."""

    identifier: str
    sender: str
    sent: datetime
    status: str
    msg_type: str
    scope: str | None = "Public"
    source: str = ""
    restriction: str = ""
    addresses: str = ""
    codes: tuple[str, ...] = ()
    note: str = ""
    references: tuple[AlertKey, ...] = ()
    incidents: str = ""
    infos: tuple[CapInfo, ...] = ()
    version: Version = field(default="1.2", compare=False)
    sent_text: str = field(default="", compare=False, repr=False)
    #: The element as written; None = there was none.
    references_text: str | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> AlertKey:
        """What names this alert."""
        return AlertKey(self.sender, self.identifier, self.sent)


def at_least(value: str | None, floor: str) -> bool:
    """Whether ``value`` is as high as ``floor`` on the scale that has ``floor`` (urgency, severity or certainty).

    An absent, empty or unknown word is below every floor but ``Unknown``: it never satisfies a policy by
    accident.

    Raises:
        ValueError: ``floor`` is on no scale.
    """
    for scale in _SCALES:
        if floor in scale[:-1]:
            word = _OLD_NAMES.get(value or "", value)
            return word in scale and scale.index(word) <= scale.index(floor)
    if floor == "Unknown":
        return True
    raise ValueError(f"{floor!r} is no urgency, severity or certainty")
