"""What can be wrong with a CAP alert or one of its shapes.

* CapError          -- the bytes, the alert or the shape cannot be used
    * ShapeError    -- a polygon or circle that describes no area

Every error has a stable ``code``; the message is for people. Faults that leave an alert readable are no errors but
flags (:mod:`controller.cap.reading`).
"""

from __future__ import annotations


class CapError(Exception):
    """A CAP document, alert or shape that cannot be used. ``code`` is stable, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ShapeError(CapError):
    """A polygon or circle that describes no area."""
