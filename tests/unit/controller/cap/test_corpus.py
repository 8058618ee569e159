"""Every real alert of the corpus gets the reading and the disposition its facts ask for."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from controller.cap import Disposition, Effect, Reading, dispose, reading_json
from tests.unit.controller.cap.cap_kit import CORPUS, NOW, read_one

FACTS: list[dict[str, Any]] = json.loads((CORPUS / "facts.json").read_text()) if CORPUS.is_dir() else []
pytestmark = pytest.mark.skipif(not FACTS, reason="the corpus is not here")

#: Departures from the schema that the facts tell of.
FLAGS = {
    "sahana_Fiji_Water_Shortage_Suva.xml": {"unexpected_element"},
    "google_canada_errors.xml": {"references_missing"},
    "google_noaa_errors.xml": {"missing_urgency", "missing_severity", "missing_certainty", "polygon_unreadable"},
    "defra_nws-alert.xml": {"polygon_unreadable"},
}


def in_its_time(reading: Reading) -> Disposition:
    """Expiry is not counted in the facts: judge five minutes after it was sent."""
    now = reading.alert.sent + timedelta(minutes=5) if reading.alert else NOW
    return dispose(reading, now=now)


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts["file"])
def test_reading(facts: dict[str, Any]) -> None:
    name = facts["file"].rpartition("/")[2]
    begun = time.process_time()
    reading = read_one((CORPUS.parent / facts["file"]).read_bytes())
    assert time.process_time() - begun < 2
    row = reading_json(reading)
    for key in ("identifier", "sender", "sent", "status", "scope", "references"):
        assert row[key] == facts[key], key
    assert row["msg_type"] == facts["msgType"]
    assert row["signature"] == ("untrusted" if facts["sig_check"] == "intact" else "none")
    assert set(row["flags"]) >= FLAGS.get(name, set())
    if facts["scope"] is None:
        assert (row["ok"], row["code"], row["infos"]) == (False, "missing_scope", [])
        return
    assert row["ok"]
    infos, areas = row["infos"], [area for info in row["infos"] for area in info["areas"]]
    assert len(infos) == facts["infos"]
    for key, many in (("language", "languages"), ("event", "events"), ("expires", "expires"), ("urgency", "urgency")):
        assert [info[key] for info in infos] == facts[many]
    assert [info["severity"] for info in infos] == facts["severity"]
    assert [info["certainty"] for info in infos] == facts["certainty"]
    assert len(areas) == facts["areas"]
    for key in ("polygons", "circles", "geocodes"):
        assert sum(len(area[key]) for area in areas) == facts[key]
    points = [len(text.split()) for area in areas for text in area["polygons"]]
    assert max(points, default=0) == facts["max_polygon_points"]
    assert {code["name"] for area in areas for code in area["geocodes"]} == set(facts["geocode_schemes"])
    if facts["xsd_valid"] and name not in FLAGS:
        assert set(row["flags"]) <= {"expired", "stale", "signer_unknown", "signature_weak", "references_empty"}


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts["file"])
def test_disposition(facts: dict[str, Any]) -> None:
    reading = read_one((CORPUS.parent / facts["file"]).read_bytes())
    verdict = in_its_time(reading)
    asked = facts["disposition_by_cap_rules"]
    if asked == "actual-alert":
        assert (verdict.effect, verdict.code) == (Effect.SOUNDS, "alert")
    elif asked == "replace-referenced":
        assert (verdict.effect, verdict.code, len(verdict.ends)) == (Effect.SOUNDS, "update", 1)
    elif asked.startswith("no-live-broadcast"):
        assert verdict == Disposition(Effect.SHOWN, facts["status"].lower())
    else:
        assert asked.startswith("reject-or-quarantine")
        assert verdict.effect is not Effect.SOUNDS
        assert reading.quarantine or not reading.ok
    assert dispose(reading, now=NOW).effect is not Effect.SOUNDS, "all of them are over"
