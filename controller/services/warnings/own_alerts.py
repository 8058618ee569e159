"""Our own alerts in the words of CAP 1.2: what others read about what sounds here. Pure.

Rules kept here:

1. One message for every step that the public hears of: *Alert* when it was given, *Update* when it goes on longer or
   takes the place of an earlier alert everywhere, *Cancel* when it was taken back. What was composed and never
   confirmed is nobody's business.
2. Identifiers are ``<alert>.<number of the message>`` under one sender, so they stay the same for ever; each Update and
   Cancel refers to every message before it, also to those of alerts whose place it took.
3. One info block a language, with the words that sound. One area an area of our tree, with a circle around each
   cluster: :data:`HEARD_KM` is how far a cluster is taken to be heard.
4. An alert is ``Actual``, a drill ``Exercise``: nothing that sounded as one is published as the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from controller.cap import CapAlert, CapArea, CapInfo, Circle, NameValue
from controller.cap.alert import AlertKey
from controller.services.alerts import Alert, AlertState, Category, Message
from controller.services.directory import Directory
from controller.services.drills.model import Drill, DrillKind
from controller.services.warnings.drafts import speakable
from controller.services.warnings.languages import primary

#: Kilometres around a cluster: a warning element serves at most 4 km² (research/domain, 2.1), a circle of this radius.
HEARD_KM: Final = 1.13
#: A message that does not say how long it holds is over after this.
_LIFE: Final = timedelta(hours=24)
_HEADLINE: Final = 160
#: The language of an alert that was spoken live and has no words.
_UNSAID: Final = "vi"

Kind = Literal["Alert", "Update", "Cancel"]

_CAP_CATEGORY: Final[Mapping[Category, str]] = {
    Category.FLOOD: "Met", Category.FLASH_FLOOD: "Met", Category.STORM: "Met", Category.LANDSLIDE: "Geo",
    Category.FIRE: "Fire", Category.DAM_RELEASE: "Infra", Category.EVACUATION: "Safety", Category.ALL_CLEAR: "Safety",
    Category.CUSTOM: "Other",
}  # fmt: skip
#: What happens, in the languages whose readers we know; any other language gets the English word.
_EVENT: Final[Mapping[Category, tuple[str, str]]] = {
    Category.FLOOD: ("Lũ", "Flood"), Category.FLASH_FLOOD: ("Lũ quét", "Flash flood"), Category.STORM: ("Bão", "Storm"),
    Category.LANDSLIDE: ("Sạt lở đất", "Landslide"), Category.FIRE: ("Cháy", "Fire"),
    Category.DAM_RELEASE: ("Xả lũ", "Dam release"), Category.EVACUATION: ("Sơ tán", "Evacuation"),
    Category.ALL_CLEAR: ("Báo yên", "All clear"), Category.CUSTOM: ("Cảnh báo", "Warning"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnAlert:
    """What is published of an alert or a drill."""

    id: str
    title: str
    category: Category
    status: Literal["Actual", "Exercise"]
    words: tuple[tuple[str, str], ...]  # (language, text)
    cancel_words: tuple[tuple[str, str], ...]
    clusters: tuple[str, ...]
    begins: datetime
    expires: datetime
    cancelled: bool
    replaces: tuple[str, ...] = ()

    @classmethod
    def of(cls, alert: Alert) -> OwnAlert | None:
        """What is published of an alert of the desk; None = it was never given."""
        if alert.given is None:
            return None
        begins = alert.start or alert.given.at
        return cls(
            alert.id,
            alert.title,
            alert.category,
            "Actual",
            _spoken(alert.message),
            _spoken(alert.twin),
            tuple(sorted(alert.clusters)),
            begins,
            alert.expires or begins + _LIFE,
            alert.state in {AlertState.CANCELLED, AlertState.CLEARED},
            alert.draft.replaces,
        )

    @classmethod
    def of_drill(cls, drill: Drill) -> OwnAlert | None:
        """What is published of a drill; None = it makes no sound, so nobody has to be told that it is none."""
        if drill.kind is DrillKind.SILENT:
            return None
        words = tuple(drill.words.items())
        return cls(
            drill.id,
            drill.title,
            Category.CUSTOM,
            "Exercise",
            words,
            (),
            tuple(sorted(drill.clusters)),
            drill.start,
            drill.expires,
            drill.cancelled_at is not None,
        )


@dataclass(frozen=True, slots=True)
class Published:
    """A message that was published before."""

    identifier: str
    version: int
    msg_type: str
    sent: datetime
    expires: datetime | None


def next_step(alert: OwnAlert, before: Sequence[Published], earlier: Sequence[Published] = ()) -> Kind | None:
    """What is to be published next; None = nothing. ``earlier``: messages of the alerts whose place it took."""
    if not before:
        return "Update" if earlier else "Alert"
    last = before[-1]
    if last.msg_type == "Cancel":
        return None
    if alert.cancelled:
        return "Cancel"
    return "Update" if last.expires is not None and alert.expires > last.expires else None


def message(
    alert: OwnAlert,
    kind: Kind,
    before: Sequence[Published],
    directory: Directory,
    *,
    sender: str,
    now: datetime,
    earlier: Sequence[Published] = (),
) -> CapAlert:
    """The CAP message for a step. ``now`` is cut to the second, as CAP writes it, and is after every message before."""
    told = (*earlier, *before)
    sent = max([now.replace(microsecond=0), *(one.sent + timedelta(seconds=1) for one in told)])
    areas = _areas(alert.clusters, directory)
    words = (alert.cancel_words or alert.words) if kind == "Cancel" else alert.words
    return CapAlert(
        identifier=f"{alert.id}.{len(before) + 1}",
        sender=sender,
        sent=sent,
        status=alert.status,
        msg_type=kind,
        scope="Public",
        references=tuple(AlertKey(sender, one.identifier, one.sent) for one in told),
        infos=tuple(_info(alert, kind, said, areas, sent) for said in words or ((_UNSAID, alert.title),)),
    )


def _info(alert: OwnAlert, kind: Kind, said: tuple[str, str], areas: tuple[CapArea, ...], sent: datetime) -> CapInfo:
    language, text = said
    over = kind == "Cancel" or alert.category is Category.ALL_CLEAR
    vietnamese, english = _EVENT[alert.category]
    responses = {Category.EVACUATION: ("Evacuate",), Category.ALL_CLEAR: ("AllClear",)}.get(alert.category, ())
    return CapInfo(
        language=language,
        categories=(_CAP_CATEGORY[alert.category],),
        event=vietnamese if primary(language) == "vi" else english,
        response_types=("AllClear",) if kind == "Cancel" else responses,
        urgency="Past" if over else "Immediate",
        severity="Minor" if over else "Severe",
        certainty="Observed" if over else "Likely",
        effective=max(sent, alert.begins.replace(microsecond=0)) if kind == "Alert" else sent,
        expires=max(alert.expires.replace(microsecond=0), sent + timedelta(minutes=1)),
        headline=speakable(alert.title)[:_HEADLINE],
        description=speakable(text),
        areas=areas,
    )


def _areas(clusters: Sequence[str], directory: Directory) -> tuple[CapArea, ...]:
    """The areas the clusters stand in, by name, with what is heard of each cluster."""
    by_area: dict[str, list[Circle]] = {}
    for one in clusters:
        cluster = directory.clusters.get(one)
        if cluster is None or cluster.area_id not in directory.areas:
            continue
        circles = by_area.setdefault(cluster.area_id, [])
        if cluster.latitude is not None and cluster.longitude is not None:
            circles.append(Circle(cluster.latitude, cluster.longitude, HEARD_KM))
    names = {area_id: _path(area_id, directory) for area_id in by_area}
    return tuple(
        CapArea(names[area_id], circles=tuple(by_area[area_id]), geocodes=(NameValue("loa:area", area_id),))
        for area_id in sorted(by_area, key=lambda one: (names[one], one))
    )


def _path(area_id: str, directory: Directory) -> str:
    """A place as people write it: the village first, then what it is in."""
    return ", ".join(speakable(area.name) for area in directory.lineage(area_id))


def _spoken(words: Message | None) -> tuple[tuple[str, str], ...]:
    return () if words is None else tuple((one.language, one.text) for one in words.spoken)
