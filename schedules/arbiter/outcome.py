"""How an occurrence can end."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How an occurrence ended, for the play record. Exactly one per occurrence."""

    PLAYED = "played"
    PARTIAL = "partial"
    MISSED = "missed"
    SKIPPED = "skipped"
    REFUSED = "refused"
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"
