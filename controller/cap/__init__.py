"""The Common Alerting Protocol, pure: bytes in, frozen values out. No network, no file, no clock, no database.

* :func:`read_alerts` – CAP 1.0, 1.1 and 1.2, alone or wrapped, with the verdict on signatures
* :func:`dispose` – sounds, shown or ignored
* :class:`Polygon`, :class:`Circle` – whom it reaches
* :func:`write_alert`, :func:`sign_alert` – our own alerts
"""

from __future__ import annotations

from controller.cap.alert import AlertKey, CapAlert, CapArea, CapInfo, CapResource, NameValue, at_least
from controller.cap.disposition import Disposition, Effect, Seen, dispose
from controller.cap.errors import CapError, ShapeError
from controller.cap.faults import Fault
from controller.cap.reading import Reading, read_alerts
from controller.cap.report import reading_json, refusal_json
from controller.cap.shapes import Circle, Polygon, Shape, inside
from controller.cap.signatures import Verdict
from controller.cap.writing import sign_alert, write_alert

__all__ = [
    "AlertKey",
    "CapAlert",
    "CapArea",
    "CapError",
    "CapInfo",
    "CapResource",
    "Circle",
    "Disposition",
    "Effect",
    "Fault",
    "NameValue",
    "Polygon",
    "Reading",
    "Seen",
    "Shape",
    "ShapeError",
    "Verdict",
    "at_least",
    "dispose",
    "inside",
    "read_alerts",
    "reading_json",
    "refusal_json",
    "sign_alert",
    "write_alert",
]
