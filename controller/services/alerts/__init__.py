"""Alerts: templates, composing, the second person, delivery, the board, the cancel twin. The façade of the package.

Built for alerts and shared with drills (which have a type, paths and keys of their own): places, messages and their
layout by language, review, board, giving orders.
"""

from __future__ import annotations

from controller.services.alerts.board import Board, Row, Rung
from controller.services.alerts.desk import AlertDesk, AlertListener, Composed
from controller.services.alerts.giving import LEAD, Orders, Sounding, orders_of
from controller.services.alerts.model import (
    CADENCE,
    MAX_LIFE,
    TOKEN_LIFE,
    VOICE_LIFE,
    Alert,
    AlertDraft,
    AlertKind,
    AlertState,
    Category,
    Message,
    Origin,
    Person,
    Repetition,
    SpokenClip,
    Step,
    Tone,
    Where,
    Words,
)
from controller.services.alerts.places import Places
from controller.services.alerts.review import Asked, Facts, Review, make_review
from controller.services.alerts.watch import BoardRoom

__all__ = [
    "CADENCE",
    "LEAD",
    "MAX_LIFE",
    "TOKEN_LIFE",
    "VOICE_LIFE",
    "Alert",
    "AlertDesk",
    "AlertDraft",
    "AlertKind",
    "AlertListener",
    "AlertState",
    "Asked",
    "Board",
    "BoardRoom",
    "Category",
    "Composed",
    "Facts",
    "Message",
    "Orders",
    "Origin",
    "Person",
    "Places",
    "Repetition",
    "Review",
    "Row",
    "Rung",
    "Sounding",
    "SpokenClip",
    "Step",
    "Tone",
    "Where",
    "Words",
    "make_review",
    "orders_of",
]
