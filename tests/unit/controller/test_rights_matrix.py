"""Who may do what, over every operation there is: made from the API's own document, so that nothing is left out.

A new operation that takes a body must be given one here that reaches for a thing of another commune.
"""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.services.context import PERMISSIONS, SYSTEM, Actor, Permission, Role
from controller.services.entries import AgentEntry
from controller.store import tables
from controller.store.live_tables import AirTape
from tests.unit.controller.air_kit import until
from tests.unit.controller.alerts.test_alert_api import processed
from tests.unit.controller.staff import Staff, open_staff
from tests.unit.controller.test_air_api import voice
from tests.unit.controller.warnings.test_warning_api import fresh, push, settled
from tests.unit.controller.warnings.warning_kit import xml

pytestmark = pytest.mark.slow

SAY = [{"language": "vi", "text": "Lũ về."}]


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the document."""

    method: str
    path: str
    id: str
    permission: str
    media: str | None  # of its body
    query: tuple[str, ...]


async def operations(staff: Staff) -> list[Operation]:
    _, document = await staff.call("GET", "/api/v1/openapi.json")
    return [
        Operation(
            method.upper(),
            path,
            said["operationId"],
            said["x-permission"],
            next(iter(said["requestBody"]["content"]), None) if "requestBody" in said else None,
            tuple(one["name"] for one in said["parameters"] if one["in"] == "query"),
        )
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    ]


def filled(path: str, ids: dict[str, str]) -> str:
    """A path with its parameters put in; what nobody has is called nothing_here."""
    return re.sub(r"\{(\w+)\}", lambda part: ids.get(part[1], "nothing_here"), path)


@pytest.mark.parametrize("role", [None, *Role])
async def test_no_role_does_what_it_does_not_hold(tmp_path: Path, role: Role | None) -> None:
    held = frozenset() if role is None else PERMISSIONS[role]
    async with open_staff(tmp_path / "data") as staff:
        someone = await staff.user("lan", *([] if role is None else [{"role": role}]))
        refused = 0
        for one in await operations(staff):
            if one.permission in {"public", "signed_in", "newcomer"}:
                continue
            if any(Permission(verb) in held for verb in one.permission.split(" or ")):
                continue
            status, answer = await someone.call(one.method, filled(one.path, {}), {} if one.media else None)
            assert (status, answer["code"]) == (403, "forbidden"), one
            refused += 1
        assert refused > 5 or role is Role.ADMIN


@dataclass(frozen=True, slots=True)
class World:
    """Two communes: Lan may do everything in the one, and everything there is belongs to the other."""

    staff: Staff
    lan: Staff
    minh: Actor  # who holds the other commune
    mine: str
    my_cluster: str
    ids: dict[str, str]  # of the other commune, by the name of the path's parameter
    warning_source: str
    live: str
    sound: str

    def of(self, path: str) -> dict[str, str]:
        """What stands for the parameters of this path: two names mean two things each."""
        if "/warning-sources/" in path:
            return self.ids | {"source_id": self.warning_source}
        more = {"session_id": self.live} if "/live/" in path else {}
        return self.ids | more | {"recurrence": "2030-01-04T22:00:00Z"}

    @property
    def marks(self) -> list[str]:
        """What must not stand in any answer to Lan."""
        return [*self.ids.values(), self.warning_source, self.live]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with built(tmp_path) as made:
        yield made


@asynccontextmanager
async def built(folder: Path) -> AsyncIterator[World]:
    async with open_staff(folder / "data", disk_reserve_mib=0, allow_private_sources=True) as staff:
        district = await staff.made("/api/v1/areas", {"name": "Đakrông", "kind": "huyện", "quiet_hours": "none"})
        mine, theirs = [
            await staff.made("/api/v1/areas", {"name": name, "kind": "xã", "parent_id": district})
            for name in ("A Vao", "Tà Rụt")
        ]
        cluster, my_cluster = [
            await staff.made(
                "/api/v1/clusters",
                {"name": f"Cụm {area}", "area_id": area, "latitude": 16.4, "longitude": 107.02},
            )
            for area in (theirs, mine)
        ]
        lan = await staff.user("lan", {"role": "admin", "area_id": mine})
        minh = await staff.user("minh", {"role": "admin", "area_id": theirs})
        ids = {"area_id": theirs, "cluster_id": cluster, "agent_id": await boxed(staff, cluster)}
        zone = {"name": "Ven sông", "area_id": theirs, "clusters": [cluster]}
        ids["zone_id"] = await staff.made("/api/v1/zones", zone)
        ids["user_id"] = (await minh.call("GET", "/api/v1/me"))[1]["user_id"]
        ids["session_id"] = (await minh.call("GET", "/api/v1/sessions"))[1]["items"][0]["id"]
        source = {"area_id": theirs, "title": "VOV1", "url": "http://127.0.0.1:1/vov1"}
        ids["source_id"] = await staff.made("/api/v1/sources", source)
        recording, sha256 = await recorded(staff, theirs, folder)
        ids["recording_id"] = recording
        programme = {
            "area_id": theirs,
            "title": "Sáng",
            "dtstart": "2030-01-05T05:00",
            "content": {"kind": "recorded", "recordings": [recording]},
            "targets": {"areas": [theirs]},
        }
        ids["programme_id"] = await staff.made("/api/v1/programmes", programme)
        template = {"area_id": district, "category": "flood", "title": "Của huyện", "words": SAY}
        await staff.made("/api/v1/templates", template)
        template = {"area_id": theirs, "category": "flood", "title": "Lũ", "words": SAY, "cancel_words": SAY}
        ids["template_id"] = await staff.made("/api/v1/templates", template)
        alert = {"kind": "text", "areas": [theirs], "words": SAY, "cancel_words": SAY, "title": "Lũ"}
        ids["alert_id"] = await minh_made(minh, "/api/v1/alerts", alert)
        ids["drill_id"] = await minh_made(minh, "/api/v1/drills", {"kind": "silent", "clusters": [cluster]})
        live = await minh_made(minh, "/api/v1/live", {"clusters": [cluster], "title": "Thông báo"})
        play = {"recordings": [recording], "clusters": [cluster], "title": "Ngay"}
        ids["name"] = (await minh.call("POST", "/api/v1/orders/play", play))[1]["orders"][0]["name"]
        warning_source = await staff.made("/api/v1/warning-sources", {"name": "KTTV", "area_id": theirs})
        tokens = f"/api/v1/warning-sources/{warning_source}/tokens"
        _, token = await staff.call("POST", tokens, {"label": "KTTV"})
        ids["token_id"] = token["id"]
        _, taken = await push(staff, xml(fresh()), token["token"])
        ids["warning_id"] = (await settled(staff, taken["results"][0]["id"]))["id"]
        ids["tape_id"] = await taped(staff, cluster, ids["source_id"])
        notices = staff.running.air.alarms.notices
        ids["notice_id"] = notices.post((ids["user_id"],), "alert_alone", ids["alert_id"], "Lũ: một mình")[0].id
        for each in staff.running.air.catalogue.recordings:  # the templates' words are being spoken
            await processed(staff, each)
        yield World(staff, lan, Actor(ids["user_id"], "minh", ()), mine, my_cluster, ids, warning_source, live, sha256)


async def minh_made(minh: Staff, path: str, body: object) -> str:
    return await minh.made(path, body)


async def recorded(staff: Staff, area: str, folder: Path) -> tuple[str, str]:
    """An approved recording of an area: its id and its sound."""
    headers = {"Authorization": f"Bearer {staff.token}"}
    query = {"area_id": area, "title": "Bản tin", "file_name": "v.wav"}
    url = f"{staff.running.staff_url}/api/v1/recordings"
    data = io.BytesIO(voice(folder / "v.wav").read_bytes())
    async with staff.http.post(url, params=query, data=data, headers=headers) as response:
        recording = str((await response.json())["id"])
    await processed(staff, recording)
    _, row = await staff.call("GET", f"/api/v1/recordings/{recording}")
    verdict = {"sha256": row["sha256"], "decision": "approved"}
    assert (await staff.call("POST", f"/api/v1/recordings/{recording}/decision", verdict))[0] == 200
    return recording, str(row["sha256"])


async def boxed(staff: Staff, cluster: str) -> str:
    """An approved box of a cluster, without one that runs."""
    base = staff.running.foundation
    row = tables.Agent(
        id="ag_theirs", public_key="00" * 32, cluster_id=cluster, state="approved", enrolled_at=datetime.now(UTC)
    )
    entry = AgentEntry.of(row)
    async with base.db.transaction(SYSTEM) as tx:
        tx.session.add(row)
        tx.audit("agent.approve", row.id, {})
        tx.on_commit(lambda: base.directory.put_agent(entry))
    await until(lambda: entry.id in base.directory.agents, within=5)
    return entry.id


async def taped(staff: Staff, cluster: str, source: str) -> str:
    """A recording of what a cluster's loudspeakers said live."""
    base, at = staff.running.foundation, datetime.now(UTC)
    row = AirTape(
        id="at_theirs", kind="live", title="Họp kín", priority=50, subject="lv_theirs", source_id=source, actor="minh",
        clusters=[cluster], file="at_theirs.opus", state="whole", started_at=at, ended_at=at, frames=48_000, bytes=4,
    )  # fmt: skip
    folder = base.config.air_folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / row.file).write_bytes(b"OggS")
    async with base.db.telemetry() as session:
        session.add(row)
    return row.id


def reaching(world: World) -> dict[str, list[Any]]:
    """Bodies with which Lan reaches for the other commune, by operation."""
    ids, mine = world.ids, world.mine
    area, cluster, recording = ids["area_id"], ids["cluster_id"], ids["recording_id"]
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    programme = {"area_id": area, "title": "Sáng", "dtstart": "2030-01-05T05:00", "targets": {"areas": [area]},
                 "content": {"kind": "recorded", "recordings": [recording]}}  # fmt: skip
    abroad = programme | {"area_id": mine}
    narrow = abroad | {"targets": {"clusters": [cluster]}}
    asked = [{"programme": each} for each in (programme, abroad, narrow)]
    span = {"begin": "2030-01-05T00:00:00Z", "end": "2030-01-06T00:00:00Z"}
    places: list[dict[str, Any]] = [
        {"areas": [area]},
        {"clusters": [cluster]},
        {"zones": [ids["zone_id"]]},
        {"everywhere": True},
    ]
    template = {"area_id": area, "category": "flood", "title": "Lũ", "words": SAY}
    alert = {"kind": "text", "words": SAY, "cancel_words": SAY, "title": "Lũ"}
    play = {"recordings": [recording]}
    return {
        "createUser": [
            {"name": "xx", "grants": [{"role": "viewer", "area_id": area}]},
            {"name": "xx", "grants": [{"role": "viewer"}]},
        ],
        "changeUser": [{"disabled": True}, {"grants": []}],
        "resetPassword": [{}],
        "createArea": [{"name": "x", "kind": "thôn", "parent_id": area}, {"name": "x", "kind": "xã"}],
        "changeArea": [{"name": "x"}, {"parent_id": mine}],
        "createCluster": [{"name": "x", "area_id": area}],
        "importClusters": [{"clusters": [{"name": "x", "area_id": mine}, {"name": "y", "area_id": area}]}],
        "changeCluster": [{"name": "x"}, {"area_id": mine}],
        "createZone": [{"name": "x", "area_id": area, "clusters": [cluster]}],
        "changeZone": [{"name": "x"}, {"area_id": mine, "clusters": [world.my_cluster]}],
        "setVolume": [{"gains": {"RELAY": -6}}],
        "speakRecording": [{"area_id": area, "title": "x", "text": "x"}],
        "changeRecording": [{"title": "x"}],
        "decideRecording": [{"sha256": world.sound, "decision": "rejected", "reason": "x"}],
        "createSource": [{"area_id": area, "title": "x", "url": "http://127.0.0.1:1/x"}],
        "changeSource": [{"title": "x"}],
        "createProgramme": [programme, abroad, narrow],
        "previewProgramme": [each | span for each in asked],
        "changeProgramme": [programme, programme | {"area_id": mine, "targets": {"areas": [mine]}}],
        "outlookProgramme": [each | span for each in asked],
        "makeBackup": [{}],
        "changeOccurrence": [{"cancelled": True, "version": 1}],
        "changeFollowing": [{"title": "x", "version": 1}],
        "previewEdit": [{"scope": "this", "cancelled": True}, {"scope": "following", "title": "x"}],
        "joinProgramme": [{"programme": programme, "following": ids["programme_id"], "version": 1}],
        "stop": places,
        "release": places,
        "playNow": [play | place for place in places],
        "reviewPlay": [play | place for place in places],
        "withdraw": [{"rule_id": ids["programme_id"]}],
        "startLive": [{"title": "x", **place} for place in places],
        "extendLive": [{"minutes": 5}],
        "createTemplate": [template],
        "seedTemplates": [{"area_id": area}],
        "changeTemplate": [template, template | {"area_id": mine}],
        "activateTemplate": [{"version": 1}],
        "reviewAlert": [alert | place for place in places],
        "composeAlert": [alert | place for place in places],
        "confirmAlert": [{"code": "000000"}],
        "overrideAlert": [{"reason": "nobody else is here"}],
        "extendAlert": [{"until": soon}],
        "cancelAlert": [{"reason": "x"}],
        "holdCluster": [{"hold_s": 600}],
        "startDrill": [{"kind": "silent", **place} for place in places],
        "provisionAgents": [{"clusters": [cluster]}],
        "approveAgent": [{"cluster_id": world.my_cluster, "code": "0000 0000"}],
        "moveAgent": [{"cluster_id": world.my_cluster}],
        "acceptWarning": [{}],
        "declineWarning": [{"reason": "x"}],
        "createWarningSource": [{"name": "x", "area_id": area}],
        "changeWarningSource": [{"name": "x"}, {"area_id": mine}],
        "createPushToken": [{"label": "x"}],
    }  # fmt: skip


#: What touches nothing but what belongs to whoever asks, or to nobody.
_OWN = {
    "changePassword", "createToken", "beginSecondFactor", "confirmSecondFactor", "removeOwnSecondFactor", "tryVoice",
    "makeListeningTicket",  # the ticket is judged when it is used: below
}  # fmt: skip


async def test_an_officer_of_one_commune_touches_nothing_of_another(world: World) -> None:
    bodies, table = reaching(world), await operations(world.staff)
    before = await everything(world)
    wrong: list[tuple[Any, ...]] = []
    changing = [one for one in table if one.method != "GET" and one.permission != "public"]
    for one in changing:
        if one.id in _OWN or (one.media is None and "{" not in one.path):
            continue
        if one.media == "application/json" and one.id not in bodies:
            wrong.append((one.id, "say how it reaches for another commune"))
        path = filled(one.path, world.of(one.path))
        for body in bodies.get(one.id, [None]):
            if one.media == "application/octet-stream":
                answers = [await sent(world, one.method, path, each) for each in uploads(world, one.method)]
            else:
                answers = [await world.lan.call(one.method, path, body)]
            wrong += [(one.id, body, *answer) for answer in answers if answer[0] not in {403, 404}]
    assert not wrong, "\n".join(map(str, wrong))
    assert await everything(world) == before
    [notice] = world.staff.running.air.alarms.notices.of(world.minh)
    assert notice.seen_at is None


def uploads(world: World, method: str) -> list[dict[str, Any]]:
    """Ways to bring a file to the other commune: raw, and as a form; what the address says counts before the form."""
    if method == "PUT":
        return [{"data": b"x" * 64}, {"data": form({})}]
    theirs, mine = ({"area_id": one, "title": "x"} for one in (world.ids["area_id"], world.mine))
    ways: list[dict[str, Any]] = [{"params": theirs, "data": b"x" * 64}, {"data": form(theirs)}]
    return [*ways, {"params": theirs, "data": form(mine)}]


def form(fields: dict[str, str]) -> aiohttp.FormData:
    made = aiohttp.FormData(fields)
    made.add_field("file", b"x" * 64, filename="v.wav", content_type="application/octet-stream")
    return made


async def sent(world: World, method: str, path: str, said: dict[str, Any]) -> tuple[int, Any]:
    """One upload by Lan; nothing of what is refused stays on the disk."""
    store = world.staff.running.air.store
    headers = {"Authorization": f"Bearer {world.lan.token}"}
    if isinstance(said["data"], bytes):
        headers["Content-Type"] = "application/octet-stream"
    url = world.staff.running.staff_url + path
    before = {*store.uploads.iterdir(), *store.originals.iterdir(), *store.media.iterdir()}
    async with world.staff.http.request(method, url, headers=headers, **said) as response:
        answer = response.status, await response.json()
    assert {*store.uploads.iterdir(), *store.originals.iterdir(), *store.media.iterdir()} == before
    return answer


async def everything(world: World) -> dict[str, Any]:
    """What an administrator sees of the other commune."""
    seen: dict[str, Any] = {}
    for one in await operations(world.staff):
        if one.method == "GET" and one.path in _WATCHED:
            path = filled(one.path, world.of(one.path))
            seen[path] = (await world.staff.call("GET", path))[1]
    assert len(seen) == len(_WATCHED)
    return seen


_WATCHED = frozenset(
    f"/api/v1/{one}"
    for one in (
        "areas", "clusters", "zones", "recordings", "sources", "programmes", "templates", "warning-sources", "users",
        "orders",        "agents/{agent_id}", "warnings/{warning_id}", "alerts/{alert_id}/review", "drills", "tapes",
    )
)  # fmt: skip


#: What even the administrator is not shown here, and why.
_NOT_THERE = {
    "listen": "needs a ticket",
    "listenToCluster": "the box is not connected",
    "listenToSource": "the station does not answer",
    "openMicrophone": "asks for a WebSocket",
    "alertSound": "needs the name of a sound",
    "downloadBackup": "none was made",
    "getCapAlert": "public",
    "getConsolePage": "public",
}


async def test_what_belongs_to_the_other_commune_is_there(world: World) -> None:
    """Otherwise a 404 to Lan would say nothing."""
    wrong = []
    for one in await operations(world.staff):
        if one.method == "GET" and "{" in one.path and one.id not in _NOT_THERE:
            said = required(one.id)
            status, answer = await world.staff.call("GET", filled(one.path, world.of(one.path)) + (said and f"?{said}"))
            if status != 200 and answer["code"] != "no_board":  # of an alert that nobody confirmed yet
                wrong.append((one.id, status, answer))
    assert not wrong, "\n".join(map(str, wrong))


async def test_an_officer_of_one_commune_sees_nothing_of_another(world: World) -> None:
    ids, wrong = world.ids, []
    for one in await operations(world.staff):
        if one.method != "GET" or one.permission == "public" or one.id == "listenToEvents":
            continue
        path = filled(one.path, world.of(one.path))
        queries = ["?" + required(one.id)]
        queries += [f"?{required(one.id)}&{name}={ids[name]}" for name in one.query if name in ids]
        for query in queries:
            status, answer = await world.lan.call("GET", path + query.replace("?&", "?"))
            told = [mark for mark in world.marks if mark in str(answer)]
            if status not in {403, 404} and ("{" in one.path or status != 200 or told):
                wrong.append((one.id, query, status, told or answer))
    assert not wrong, "\n".join(map(str, wrong))


def required(operation: str) -> str:
    """The queries without which an operation says nothing."""
    today = datetime.now(UTC).date()
    said = {
        "getSchedule": f"since={today}T00:00:00Z&until={today + timedelta(days=2)}T00:00:00Z",
        "alertRecorded": "key=k1",
    }
    return said.get(operation, "")


async def test_the_districts_templates_are_for_every_commune(world: World) -> None:
    _, seen = await world.lan.call("GET", "/api/v1/templates")
    assert [one["title"] for one in seen["items"]] == ["Của huyện"]


async def test_a_ticket_opens_nothing_that_its_owner_may_not_hear(world: World) -> None:
    for body in ({"cluster_id": world.ids["cluster_id"]}, {"source_id": world.ids["source_id"]}):
        status, ticket = await world.lan.call("POST", "/api/v1/listening", body)
        assert status == 201
        assert (await world.lan.call("GET", ticket["url"]))[0] == 403
