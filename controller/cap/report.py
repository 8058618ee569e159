"""A reading as the JSON values that scripts see (``loa-controller cap check --json``; see DESIGN, interfaces).

Texts, times, polygons and circles are exactly as the sender wrote them: nothing is lost, and no number is made up.
None = the element was absent.
"""

from __future__ import annotations

from typing import Any

from controller.cap.alert import CapAlert, CapArea, CapInfo
from controller.cap.errors import CapError
from controller.cap.moments import write_moment
from controller.cap.reading import Reading

_NOTHING: dict[str, Any] = {
    "ok": False,
    "code": "",
    "reason": "",
    "flags": [],
    "quarantine": False,
    "identifier": None,
    "sender": None,
    "sent": None,
    "status": None,
    "msg_type": None,
    "scope": None,
    "references": None,
    "infos": [],
    "signature": "none",
}


def reading_json(reading: Reading) -> dict[str, Any]:
    """One alert of a document."""
    return (
        _NOTHING
        | {
            "ok": reading.ok,
            "code": reading.code,
            "reason": reading.reason,
            "flags": list(reading.flags),
            "quarantine": reading.quarantine,
        }
        | (_alert(reading.alert) if reading.alert else reading.remains)
        | {"signature": reading.signature.value}
    )


def refusal_json(error: CapError) -> dict[str, Any]:
    """A document in which no alert could be read: the same fields."""
    return _NOTHING | {"code": error.code, "reason": str(error)}


def _alert(alert: CapAlert) -> dict[str, Any]:
    return {
        "identifier": alert.identifier,
        "sender": alert.sender,
        "sent": alert.sent_text or write_moment(alert.sent),
        "status": alert.status,
        "msg_type": alert.msg_type,
        "scope": alert.scope,
        "references": alert.references_text,
        "infos": [_info(info) for info in alert.infos],
    }


def _info(info: CapInfo) -> dict[str, Any]:
    return {
        "language": info.language,
        "event": info.event,
        "category": list(info.categories),
        "urgency": info.urgency,
        "severity": info.severity,
        "certainty": info.certainty,
        "onset": info.onset_text,
        "expires": info.expires_text,
        "headline": info.headline or None,
        "areas": [_area(area) for area in info.areas],
    }


def _area(area: CapArea) -> dict[str, Any]:
    return {
        "desc": area.desc,
        "polygons": list(area.polygon_texts),
        "circles": list(area.circle_texts),
        "geocodes": [{"name": name, "value": value} for name, value in area.geocodes],
    }
