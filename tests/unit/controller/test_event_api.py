"""Live data over HTTP: the stream of events and the states of clusters, on a real controller."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.api.state_routes import ClusterStatesView
from controller.services.entries import AgentEntry
from controller.services.news.hub import PER_USER
from controller.store import tables
from protocol.messages import Hello, Status
from protocol.telemetry import ClockState, Fault, Health, OutputState, SoundingState
from tests.unit.controller.staff import Staff, open_staff


@pytest.fixture
async def staff(tmp_path: Path) -> AsyncIterator[Staff]:
    async with open_staff(tmp_path / "data") as opened:
        yield opened


class Page:
    """A browser's page that listens."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.id = ""

    async def event(self) -> dict[str, Any]:
        """The next event."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while True:
                line = (await self._response.content.readline()).decode()
                if not line:
                    return {"event": "end"}
                if line == "\n":
                    self.id = fields.get("id", self.id)
                    if "data" in fields:
                        return {"event": fields["event"], **json.loads(fields["data"])}
                    fields = {}
                elif not line.startswith(":"):
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value

    async def change(self, topic: str) -> dict[str, Any]:
        """The next change of a topic."""
        while True:
            event = await self.event()
            assert event["event"] == "change", event
            if event["topic"] == topic:
                return event


@asynccontextmanager
async def listening(staff: Staff, last: str = "") -> AsyncIterator[Page]:
    headers = {"Authorization": f"Bearer {staff.token}", **({"Last-Event-ID": last} if last else {})}
    async with staff.http.get(f"{staff.running.staff_url}/api/v1/events", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Page(response)


async def box_of(staff: Staff, cluster_id: str, letter: str = "a") -> str:
    """An approved box that has just connected."""
    agent_id = letter * 32
    base = staff.running.foundation
    async with base.db.telemetry() as session:
        row = tables.Agent(
            id=agent_id, public_key="00" * 32, cluster_id=cluster_id, state="approved", enrolled_at=base.clock.now()
        )
        session.add(row)
    base.directory.put_agent(AgentEntry.of(row))
    await staff.running.boxes.fleet.connected(agent_id, Hello(agent_id=agent_id, public_key="00" * 32, nonce="00" * 32))
    return agent_id


async def says(
    staff: Staff, agent_id: str, *, sounding: SoundingState | None = None, faults: tuple[str, ...] = ()
) -> None:
    now = staff.running.foundation.clock.now()
    health = Health(uptime_s=1, clock=ClockState.READY, output=OutputState.OK, disk_free_mb=900)
    said = tuple(Fault(code=code, since=now) for code in faults)
    await staff.running.boxes.fleet.status(agent_id, Status(at=now, health=health, sounding=sounding, faults=said))


async def test_a_page_is_greeted_told_and_goes_on_where_it_was(staff: Staff) -> None:
    async with listening(staff) as page:
        hello = await page.event()
        assert hello["event"] == "hello"
        assert page.id == f"{hello['run']}.{hello['seq']}"
        area = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
        assert (await page.change("area"))["ids"] == [area]
        last = page.id
    cluster = await staff.made("/api/v1/clusters", {"name": "1", "area_id": area})
    async with listening(staff, last) as page:
        assert (await page.change("cluster"))["ids"] == [cluster]
    async with listening(staff, "0123.7") as page:
        assert (await page.event())["event"] == "resync"


async def test_a_box_that_begins_to_sound_is_told_with_its_state(staff: Staff) -> None:
    area = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    cluster = await staff.made("/api/v1/clusters", {"name": "1", "area_id": area})
    silent = await staff.made("/api/v1/clusters", {"name": "2", "area_id": area})
    agent_id = await box_of(staff, cluster)
    async with listening(staff) as page:
        await page.event()
        now = staff.running.foundation.clock.now()
        await says(
            staff, agent_id, sounding=SoundingState(title="Bản tin", priority=40, since=now, occurrence_id="0" * 64)
        )
        event = await page.change("box")
        assert event["ids"] == [cluster]
        (state,) = event["states"]
        assert (state["state"], state["sounding"]["title"], state["sounding"]["class"]) == (
            "playing",
            "Bản tin",
            "PROGRAMME",
        )
        assert (state["sounding"]["kind"], state["sounding"]["id"]) == ("programme", None)  # not of any plan of ours
        await staff.running.boxes.fleet.disconnected(agent_id)
        event = await page.change("box")
        assert event["states"][0]["state"] == "offline"
        assert event["states"][0]["sounding"] is None
    status, answer = await staff.call("GET", f"/api/v1/clusters/states?area_id={area}")
    assert status == 200
    ClusterStatesView.model_validate_json(json.dumps(answer))
    assert {each["cluster_id"]: each["state"] for each in answer["states"]} == {cluster: "offline", silent: "no_box"}
    assert (await staff.call("GET", "/api/v1/clusters/states?area_id=ar_none"))[0] == 404


async def test_another_commune_is_neither_told_nor_shown(staff: Staff) -> None:
    mine = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    theirs = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
    own = await staff.made("/api/v1/clusters", {"name": "1", "area_id": mine})
    viewer = await staff.user("viewer", {"role": "viewer", "area_id": mine})
    async with listening(viewer) as page:
        await page.event()
        await staff.made("/api/v1/clusters", {"name": "1", "area_id": theirs})
        second = await staff.made("/api/v1/clusters", {"name": "2", "area_id": mine})
        assert (await page.change("cluster"))["ids"] == [second]
    status, answer = await viewer.call("GET", "/api/v1/clusters/states")
    assert (status, {each["cluster_id"] for each in answer["states"]}) == (200, {own, second})
    assert (await viewer.call("GET", f"/api/v1/clusters/states?area_id={theirs}"))[0] == 403


async def test_who_signs_out_is_cut_off_and_whose_rights_change_loads_afresh(staff: Staff) -> None:
    area = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    viewer = await staff.user("viewer", {"role": "viewer", "area_id": area})
    user_id = (await viewer.call("GET", "/api/v1/me"))[1]["user_id"]
    async with listening(viewer) as page:
        await page.event()
        used = dict(staff.running.foundation.directory.tokens)
        status, _ = await staff.call(
            "PATCH", f"/api/v1/users/{user_id}", {"grants": [{"role": "viewer", "area_id": None}]}
        )
        assert status == 200
        assert (await page.event())["event"] == "resync"
        mine = next(entry for entry in used.values() if entry.user_id == user_id)
        assert staff.running.foundation.directory.tokens[mine.hash].last_used == mine.last_used  # looking is no use
        assert (await viewer.call("POST", "/api/v1/logout"))[0] == 204
        assert await page.event() == {"event": "bye", "code": "unauthenticated"}
        assert await page.event() == {"event": "end"}


async def test_pages_of_one_person_are_bounded(staff: Staff) -> None:
    url, headers = f"{staff.running.staff_url}/api/v1/events", {"Authorization": f"Bearer {staff.token}"}
    pages = [await staff.http.get(url, headers=headers) for _ in range(PER_USER)]
    async with staff.http.get(url, headers=headers) as refused:
        assert (refused.status, (await refused.json())["code"]) == (429, "too_many_streams")
    for page in pages:
        page.close()
