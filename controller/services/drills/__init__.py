"""Drills and tests: never alerts.

``model`` (values), ``notices`` (what makes it a drill), ``desk`` (who may), ``books`` (facts and rows), ``scorecard``
(how each box did), ``calendar`` (the regular ones).
"""

from __future__ import annotations

from controller.services.drills.books import DrillBook
from controller.services.drills.calendar import DrillCalendar, DrillTimes
from controller.services.drills.desk import DrillDesk
from controller.services.drills.model import MISSING_AFTER, Drill, DrillDraft, DrillKind, Result
from controller.services.drills.notices import NOTICE_WORDS, TEST_WORDS, DrillNotices
from controller.services.drills.scorecard import LAST, Card, scorecard

__all__ = [
    "LAST",
    "MISSING_AFTER",
    "NOTICE_WORDS",
    "TEST_WORDS",
    "Card",
    "Drill",
    "DrillBook",
    "DrillCalendar",
    "DrillDesk",
    "DrillDraft",
    "DrillKind",
    "DrillNotices",
    "DrillTimes",
    "Result",
    "scorecard",
]
