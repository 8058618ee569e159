"""The Common Alerting Protocol, pure: bytes in, frozen values out. No network, no file, no clock, no database."""

from __future__ import annotations

from controller.cap.errors import CapError, ShapeError
from controller.cap.shapes import Circle, Polygon, Shape, inside

__all__ = ["CapError", "Circle", "Polygon", "Shape", "ShapeError", "inside"]
