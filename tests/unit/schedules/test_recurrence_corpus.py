"""Every rule of the corpus gives the expected occurrences. Runs where the corpus is."""

import json
from pathlib import Path
from typing import Any

import pytest

from schedules.recurrence import Recurrence, expand, parse_time

CORPUS = Path(__file__).parents[3] / "../shared/corpus/rrule/cases.json"
CASES: list[dict[str, Any]] = json.loads(CORPUS.read_text()) if CORPUS.exists() else []

pytestmark = pytest.mark.skipif(not CASES, reason="the corpus is not here")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    exdates, rdates = (tuple(map(parse_time, case.get(key, ()))) for key in ("exdate", "rdate"))
    recurrence = Recurrence(parse_time(case["dtstart"]), case.get("tz", "UTC"), case["rule"], exdates, rdates)
    expected = case["expected"]
    wanted = len(expected) + 1 if case["complete"] else len(expected)
    found = [occurrence.isoformat() for occurrence in expand(recurrence, limit=wanted)]
    # The corpus writes dates, local times, or local times with an offset; ours always have all of it.
    assert [text[: len(expected[0])] for text in found] == expected
