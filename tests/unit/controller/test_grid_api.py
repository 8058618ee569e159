"""The grid and today, over HTTP on a real controller: what sounded, what sounds, what will, what went wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.services.catalogue import Decision, RecordingEntry
from controller.services.context import SYSTEM
from controller.store import tables
from protocol.telemetry import SoundingState
from schedules.instants import Frames
from schedules.model import occurrence_id
from tests.unit.controller.staff import Staff, open_staff
from tests.unit.controller.test_event_api import box_of, says


@pytest.fixture
async def staff(tmp_path: Path) -> AsyncIterator[Staff]:
    async with open_staff(tmp_path / "data") as opened:
        yield opened


async def recording(staff: Staff, area_id: str, name: str, *, language: str = "vi") -> str:
    """An approved minute of sound, without the sound."""
    base, air = staff.running.foundation, staff.running.air
    now = base.clock.now()
    row = tables.Recording(
        id=name, area_id=area_id, title=name, language=language, original_name=f"{name}.mp3", sha256=name[-1] * 64,
        frames=60 * 48_000, bytes=1, state="ready", created_by="us_x", created_at=now,
    )  # fmt: skip
    async with base.db.transaction(SYSTEM) as tx:
        tx.session.add(row)
        tx.audit("area.create", row.id)
    decision = Decision(row.sha256 or "", approved=True, by="x", at=now)
    air.catalogue.put_recording(RecordingEntry.of(row, decision))
    assert air.catalogue.recordings[name].frames == Frames(60 * 48_000)
    return name


def local(at: datetime) -> str:
    """As programmes say it, in Vietnam."""
    return (at + timedelta(hours=7)).strftime("%Y-%m-%dT%H:%M:%S")


def noon() -> datetime:
    """A noon in Vietnam that is yet to come: far from quiet hours."""
    now = datetime.now(UTC)
    today = now.replace(hour=5, minute=0, second=0, microsecond=0)
    return today if today > now + timedelta(minutes=1) else today + timedelta(days=1)


async def programme(staff: Staff, area_id: str, recording_id: str, **more: Any) -> str:
    body = {
        "area_id": area_id, "title": "Bản tin trưa", "dtstart": local(noon()), "rrule": "FREQ=DAILY",
        "content": {"kind": "recorded", "recordings": [recording_id]}, "targets": {"areas": [area_id]}, **more,
    }  # fmt: skip
    return await staff.made("/api/v1/programmes", body)


def span(days: int = 7) -> str:
    begin = datetime.now(UTC)
    end = begin + timedelta(days=days)
    return f"since={begin:%Y-%m-%dT%H:%M:%SZ}&until={end:%Y-%m-%dT%H:%M:%SZ}"


async def test_a_week_of_the_grid(staff: Staff) -> None:
    area = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    other = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
    await staff.made("/api/v1/clusters", {"name": "1", "area_id": area})
    bru = await staff.made("/api/v1/clusters", {"name": "2", "area_id": area, "languages": ["bru"]})
    rec = await recording(staff, area, "rc_a")
    made = await programme(staff, area, rec)
    status, answer = await staff.call("GET", f"/api/v1/schedule?{span()}")
    assert (status, answer["cut"]) == (200, False)
    assert len(answer["items"]) == 7
    first = answer["items"][0]
    assert first | {"start": "", "end": "", "recurrence": ""} == {
        "programme_id": made, "recurrence": "", "start": "", "end": "", "title": "Bản tin trưa", "priority": 40,
        "area_id": area, "kind": "recorded", "repeats": True, "moved": False, "own": None, "version": 1,
        "editable": True,
        "clusters": 2, "content": "partial", "gaps": [], "lacking": [bru], "lacking_count": 1, "quiet": 0, "on_air": 0,
    }  # fmt: skip
    assert datetime.fromisoformat(first["start"]) == noon()
    assert datetime.fromisoformat(first["end"]) - noon() == timedelta(minutes=1)
    status, answer = await staff.call("GET", f"/api/v1/schedule?{span()}&area_id={other}")
    assert (status, answer["items"]) == (200, [])
    status, answer = await staff.call("GET", f"/api/v1/schedule?{span(43)}")
    assert (status, answer["code"]) == (422, "bad_span")
    viewer = await staff.user("viewer", {"role": "viewer", "area_id": area})
    _, seen = await viewer.call("GET", f"/api/v1/schedule?{span()}")
    assert not any(item["editable"] for item in seen["items"])
    air = staff.running.air
    air.catalogue.decide(rec, Decision("a" * 64, approved=False, by="x", at=datetime.now(UTC), reason="nhầm bản"))
    _, answer = await staff.call("GET", f"/api/v1/schedule?{span()}")
    assert {(item["content"], item["gaps"][0]["code"]) for item in answer["items"]} == {("missing", "not_approved")}
    assert datetime.fromisoformat(answer["items"][0]["end"]) - noon() == timedelta(minutes=1)


async def test_today(staff: Staff) -> None:
    area = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    cluster = await staff.made("/api/v1/clusters", {"name": "1", "area_id": area})
    quiet = await staff.made("/api/v1/clusters", {"name": "2", "area_id": area})
    made = await programme(staff, area, await recording(staff, area, "rc_a"))
    agent_id = await box_of(staff, cluster)
    now = datetime.now(UTC).replace(microsecond=0)
    hour_ago = now - timedelta(hours=1)
    async with staff.running.foundation.db.telemetry() as session:
        for seq, (rule, outcome) in enumerate(((made, "played"), ("now_1", "missed"))):
            session.add(
                tables.PlayRecordRow(
                    agent_id=agent_id, journal="ab" * 16, seq=seq, cluster_id=cluster, rule_id=rule, outcome=outcome,
                    occurrence_id=occurrence_id(rule, hour_ago, cluster), recurrence=hour_ago, title=rule, priority=40,
                    planned_start=hour_ago, received_at=now,
                )
            )  # fmt: skip
    name = occurrence_id(made, noon(), cluster)
    await says(
        staff, agent_id, sounding=SoundingState(occurrence_id=name, title="Bản tin trưa", priority=40, since=now)
    )
    for _ in range(3):
        await says(staff, agent_id, faults=("output_failed",))
    await says(
        staff, agent_id, faults=("output_failed",),
        sounding=SoundingState(occurrence_id="0" * 64, title="Bản tin trưa", priority=40, since=now),
    )  # fmt: skip
    _, states = await staff.call("GET", f"/api/v1/clusters/states?area_id={area}")
    assert [state["sounding"]["class"] for state in states["states"] if state["sounding"]] == ["PROGRAMME"]
    status, today = await staff.call("GET", f"/api/v1/today?area_id={area}")
    assert status == 200, today
    assert today["states"] == {"playing": 1, "no_box": 1}
    assert {(one["reason"]["kind"], one["played"]) for one in today["sounded"]} == {("programme", 1), ("order", 0)}
    (sounds,) = today["now"]
    assert (sounds["title"], sounds["clusters"], sounds["cluster_count"]) == ("Bản tin trưa", [cluster], 1)
    assert [item["programme_id"] for item in today["next"]] == [made]
    assert [one["reason"]["id"] for one in today["wrong"]["failed"]] == ["now_1"]
    assert today["wrong"]["unheard"] == []
    assert [(fault["code"], fault["cluster_id"]) for fault in today["wrong"]["faults"]] == [("output_failed", cluster)]
    assert today["names"] == {cluster: "1"}
    assert today["wrong"]["red_lists"] == []
    viewer = await staff.user("viewer", {"role": "viewer", "area_id": area})
    assert (await viewer.call("GET", "/api/v1/today?hours=48"))[0] == 200
    assert (await viewer.call("GET", "/api/v1/today?hours=99"))[0] == 422
    assert quiet not in sounds["clusters"]


async def test_what_nobody_reported_is_told(staff: Staff) -> None:
    area = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    await staff.made("/api/v1/clusters", {"name": "1", "area_id": area})
    made = await programme(staff, area, await recording(staff, area, "rc_a"))
    catalogue = staff.running.air.catalogue
    entry = catalogue.programmes[made]
    before = noon() - timedelta(days=9)
    spec = entry.spec.__class__(**{
        **{name: getattr(entry.spec, name) for name in entry.spec.__dataclass_fields__},
        "recurrence": entry.spec.recurrence.__class__(
            (before + timedelta(hours=7)).replace(tzinfo=None), "Asia/Ho_Chi_Minh", "FREQ=DAILY"
        ),
    })  # fmt: skip
    catalogue.put_programme(entry.__class__(made, spec, "active", 1, "us_x", before))
    _, today = await staff.call("GET", "/api/v1/today?hours=72")
    unheard = [datetime.fromisoformat(item["start"]) for item in today["wrong"]["unheard"]]
    assert unheard
    assert all(start <= datetime.now(UTC) - timedelta(minutes=30) for start in unheard)


async def test_edits_of_the_grid_and_their_undoing(staff: Staff) -> None:
    area = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    await staff.made("/api/v1/clusters", {"name": "1", "area_id": area})
    made = await programme(staff, area, await recording(staff, area, "rc_a"))

    async def items() -> list[dict[str, Any]]:
        return list((await staff.call("GET", f"/api/v1/schedule?{span()}"))[1]["items"])

    third = (await items())[2]
    at = f"/api/v1/programmes/{made}/occurrences/{third['recurrence']}"
    later = datetime.fromisoformat(third["start"]) + timedelta(minutes=30)
    night = datetime.fromisoformat(third["start"]) + timedelta(hours=10)
    status, seen = await staff.call("POST", f"{at}/preview", {"start": local(night)})
    assert (status, seen["ok"], [each["code"] for each in seen["problems"]]) == (200, False, ["quiet_hours"])
    status, seen = await staff.call("POST", f"{at}/preview", {"start": local(later), "scope": "following"})
    assert (status, seen) == (200, {"ok": True, "problems": []})
    status, moved = await staff.call("POST", f"{at}/move", {"version": 1, "start": local(later)})
    assert (status, moved["programme"]["version"], moved["before"]["start"]) == (200, 2, None)
    shown = (await items())[2]
    assert (shown["recurrence"], shown["moved"], shown["version"]) == (third["recurrence"], True, 2)
    assert datetime.fromisoformat(shown["start"]) == later
    status, late = await staff.call("POST", f"{at}/move", {"version": 1, **moved["before"]})
    assert (status, late["code"]) == (409, "changed_since")
    assert (await staff.call("POST", f"{at}/move", {"version": 2, **moved["before"]}))[0] == 200
    assert (await items())[2] == {**third, "version": 3}

    status, cut = await staff.call(
        "POST", f"{at}/split", {"version": 3, "start": local(later), "title": "Bản tin muộn"}
    )
    assert (status, cut["following"]["title"]) == (201, "Bản tin muộn")
    assert {item["programme_id"] for item in (await items())[2:]} == {cut["following"]["id"]}
    body = {"version": cut["programme"]["version"], "programme": cut["before"], "following": cut["following"]["id"]}
    status, whole = await staff.call("POST", f"/api/v1/programmes/{made}/join", body)
    assert (status, whole["rrule"]) == (200, "FREQ=DAILY")
    assert [item["start"] for item in await items()][2] == third["start"]
    for name in ("yesterday", "2026-11-21"):
        path = f"/api/v1/programmes/{made}/occurrences/{name}/move"
        status, refused = await staff.call("POST", path, {"version": 5, "cancelled": True})
        assert (status, refused["code"]) == (404, "occurrence_not_found")
