"""Alerts: templates, composing, the second person, delivery, the board, the cancel twin. The façade of the package.

Built for alerts and shared with drills (which have a type, paths and keys of their own): places, messages and their
layout by language, review, board, giving orders.
"""

from __future__ import annotations

from controller.services.alerts.desk import AlertDesk, AlertListener, Composed
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

__all__ = [
    "CADENCE",
    "MAX_LIFE",
    "TOKEN_LIFE",
    "VOICE_LIFE",
    "Alert",
    "AlertDesk",
    "AlertDraft",
    "AlertKind",
    "AlertListener",
    "AlertState",
    "Category",
    "Composed",
    "Message",
    "Origin",
    "Person",
    "Repetition",
    "SpokenClip",
    "Step",
    "Tone",
    "Where",
    "Words",
]
