"""Boxes over HTTP and from the shell, against a running listener."""

from __future__ import annotations

import asyncio
import json
import secrets
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from controller.api import sync_metrics
from controller.api.agent_routes import AgentRoutes
from controller.api.cluster_routes import ClusterRoutes
from controller.api.metrics import Metrics
from controller.api.openapi import openapi_document
from controller.api.server import StaffListener, staff_application
from controller.cli import agent as agent_cli
from controller.cli import cluster as cluster_cli
from controller.cli.output import CliError
from controller.cli.tree import build
from controller.gateway.metrics import register
from controller.services.clusters import ClusterService
from controller.services.fleet_views import FleetViews
from protocol.enrolment import AgentCode, Provisioning
from protocol.keys import SigningKey, agent_id_of
from protocol.messages import Enrolled, EnrolNonce, EnrolPending, Event, Records, RecordsAck, decode, encode
from protocol.telemetry import Fault, PlanState, PlayOutcome, SyncState, SyncTiming
from tests.unit.controller.gateway_kit import ADMIN, JOURNAL, VIEWER, World, eventually, record, world_in
from tests.unit.controller.test_enrolment import by_token

ACTORS = {"admin": ADMIN, "viewer": VIEWER}


class Office:
    """The staff API around one world."""

    def __init__(self, world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.url = url
        self._monkeypatch = monkeypatch

    async def call(self, method: str, path: str, body: object = None, *, who: str = "admin") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {who}"}
        async with self.world.http.request(method, f"{self.url}/api/v1/{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def shell(self, *words: str) -> Result:
        """A command, in a thread: it is a program of its own."""
        self._monkeypatch.setenv("LOA_URL", self.url)
        self._monkeypatch.setenv("LOA_TOKEN", "admin")
        return await asyncio.to_thread(CliRunner().invoke, build("agent"), ["agent", *words])

    async def lines(self, *words: str) -> list[dict[str, Any]]:
        result = await self.shell(*words, "--json")
        assert result.exit_code == 0, result.output
        # The server lives in this process and logs to the stdout that the runner holds meanwhile.
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


@asynccontextmanager
async def office_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    async with world_in(folder) as world:
        views = FleetViews(world.db, world.directory, world.fleet, world.fleet._records)
        clusters = ClusterRoutes(ClusterService(world.db, world.directory, world.clock), world.directory)
        routes = (*AgentRoutes(world.enrolment, views, "https://loa.example:8471").table(), *clusters.table())
        assert openapi_document(list(routes))["paths"]
        app = staff_application(routes, ACTORS.get, lambda *_: None, lambda *_: None)
        listener = StaffListener(app, None)
        await listener.open("127.0.0.1", 0)
        try:
            yield Office(world, f"http://127.0.0.1:{listener.port}", monkeypatch)
        finally:
            await listener.close()


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    async with office_in(tmp_path, monkeypatch) as one:
        yield one


async def test_a_provisioning_file_from_the_shell_lets_boxes_in(office: Office, tmp_path: Path) -> None:
    out = tmp_path / "card.json"
    (made,) = await office.lines("provision", "--cluster", "Cụm a", "--cluster", "cl_b", "--out", str(out))
    assert made["tokens"] == 2
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    card = Provisioning.from_bytes(out.read_bytes())
    assert card.root == office.world.vault.root_fingerprint
    assert card.controller == "https://loa.example:8471"
    key = SigningKey.generate()
    assert isinstance(await by_token(office.world, key, card.tokens[1]), Enrolled)
    (row,) = await office.lines("list")
    assert (row["id"], row["cluster"], row["state"], row["online"]) == (
        agent_id_of(key.public),
        "Cụm b",
        "approved",
        False,
    )
    again = await office.shell("provision", "--cluster", "cl_a", "--out", str(out))
    assert again.exit_code == 1
    assert isinstance(again.exception, CliError)
    assert again.exception.code == "file_exists"


async def test_digits_are_typed_in_a_shell(office: Office) -> None:
    world = office.world
    key = SigningKey.generate()
    code = AgentCode(key, certificate=world.certificate, nonce=secrets.token_bytes(32), confirmed=True)
    ws = await world.http.ws_connect(f"{world.url}/enrol")
    await ws.send_str(encode(code.commit()))
    nonce = decode(await ws.receive_str())
    assert isinstance(nonce, EnrolNonce)
    await ws.send_str(encode(code.on_nonce(nonce, now=world.clock.now())))
    assert isinstance(decode(await ws.receive_str()), EnrolPending)
    (waiting,) = await office.lines("list", "--pending")
    assert code.digits is not None
    assert code.digits not in json.dumps(waiting)  # they are to be read off the box
    short = waiting["agent_id"][:8]
    wrong = await office.shell("approve", short, "--cluster", "cl_a", "--code", "00000000")
    assert wrong.exit_code == 1
    (entry,) = await office.lines("approve", short, "--cluster", "cl_a", "--code", code.digits)
    assert entry["state"] == "approved"
    assert isinstance(decode(await ws.receive_str()), Enrolled)


async def test_how_the_fleet_is_and_what_it_played(office: Office) -> None:
    world = office.world
    (agent,) = await world.online()
    at = world.clock.now()
    for _ in range(3):
        await agent.say(agent.status(plan=PlanState(plan_seq=1), faults=(Fault(code="hot", detail="82 °C", since=at),)))
        await eventually(lambda: world.fleet.box(agent.id).status is not None)
        await asyncio.sleep(0.02)  # statuses that wait together count as one
    await agent.say(Records(journal=JOURNAL, records=(record(1), record(2, PlayOutcome.MISSED))))
    await agent.hear(RecordsAck)
    await agent.say(Event(code="bad_signature", at=at))
    await eventually(lambda: world.fleet.security_events.total() == 1)
    await world.fleet.write()
    status, fleet = await office.call("GET", "fleet")
    assert status == 200
    assert fleet["total"] == {
        "area_id": "", "name": "", "clusters": 2, "agents": 1, "online": 1, "cached": 1, "playing": 0, "played": 1,
        "missed": 1, "faults": 1,
    }  # fmt: skip
    assert (await office.call("GET", "fleet?area_id=ar_b"))[1]["total"]["agents"] == 0
    assert (await office.call("GET", "fleet?area_id=ar_zzz"))[0] == 404
    (fault,) = await office.lines("faults")
    assert (fault["code"], fault["cluster"]) == ("hot", "Cụm a")
    rows = await office.lines("records", "--cluster", "Cụm a", "--outcome", "played")
    assert [row["start_error_us"] for row in rows] == [120]
    (shown,) = await office.lines("show", agent.id[:6])
    assert shown["status"]["health"]["clock"] == "ready"
    assert shown["refusals"] == 1
    assert [line["name"] for line in await office.lines("fleet")] == ["Xã a", "Xã b", "total"]
    status, events = await office.call("GET", "security-events")
    assert [event["code"] for event in events["items"]] == ["bad_signature"]
    assert (await office.call("GET", "security-events", who="viewer"))[0] == 403


async def test_records_come_in_pages(office: Office) -> None:
    (agent,) = await office.world.online()
    await agent.say(Records(journal=JOURNAL, records=tuple(record(seq) for seq in range(1, 6))))
    await agent.hear(RecordsAck)
    seen: list[int] = []
    path = "play-records?limit=2"
    for _ in range(4):
        _, page = await office.call("GET", path)
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        path = f"play-records?limit=2&before={page['next']}"
    assert seen == [5, 4, 3, 2, 1]


async def test_a_box_is_moved_and_put_out_from_a_shell(office: Office) -> None:
    (agent,) = await office.world.online()
    (moved,) = await office.lines("move", agent.id, "--cluster", "Cụm b")
    assert moved["cluster_id"] == "cl_b"
    await agent.end()
    (out,) = await office.lines("revoke", agent.id)
    assert out["state"] == "revoked"
    assert await office.call("POST", f"agents/{agent.id}/move", {"cluster_id": "cl_a"}) is not None


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "agents/unknown", None, 404),
        ("POST", f"agents/{'0' * 32}/approve", {"cluster_id": "cl_a", "code": "12345678"}, 404),
        ("POST", f"agents/{'0' * 32}/approve", {"cluster_id": "cl_a", "code": "abcdefgh"}, 422),
        ("POST", f"agents/{'0' * 32}/approve", {"cluster_id": "cl_zzz", "code": "12345678"}, 404),
        ("POST", f"agents/{'0' * 32}/revoke", None, 404),
        ("POST", "provisioning", {"clusters": []}, 422),
        ("POST", "provisioning", {"clusters": ["cl_zzz"]}, 404),
        ("POST", "provisioning", {"clusters": ["cl_a"], "controller": "ftp://x"}, 422),
        ("POST", "provisioning", {"clusters": ["cl_a"], "life_s": 1}, 422),
        ("GET", "play-records?limit=100000", None, 422),
        ("GET", "play-records?since=2026-11-22T05:00:00", None, 422),
        ("GET", "play-records?cluster_id=cl_zzz", None, 404),
        ("GET", "security-events?limit=0", None, 422),
    ],
)
async def test_bad_requests_are_told_why(office: Office, method: str, path: str, body: object, status: int) -> None:
    answered, problem = await office.call(method, path, body)
    assert answered == status
    assert problem["code"]
    assert "Traceback" not in json.dumps(problem)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "pending-agents", None),
        ("POST", f"agents/{'0' * 32}/approve", {"cluster_id": "cl_a", "code": "12345678"}),
        ("POST", f"agents/{'0' * 32}/move", {"cluster_id": "cl_a"}),
        ("POST", f"agents/{'0' * 32}/revoke", None),
        ("POST", "provisioning", {"clusters": ["cl_a"]}),
    ],
)
async def test_a_viewer_only_looks(office: Office, method: str, path: str, body: object) -> None:
    assert (await office.call(method, path, body, who="viewer"))[0] == 403
    assert (await office.call(method, path, body, who="nobody"))[0] == 401


async def test_the_figures_are_there(office: Office) -> None:
    metrics = Metrics()
    register(metrics.registry, office.world.gateway, office.world.fleet)
    agents = await office.world.online(2)
    await agents[0].ask_time()
    await eventually(lambda: office.world.gateway.counts.clock_replies == 1)
    text = metrics.text().decode()
    assert "loa_gateway_sessions 2.0" in text
    assert "loa_gateway_clock_replies_total 1.0" in text


async def test_how_well_boxes_keep_time_is_shown(office: Office) -> None:
    metrics = Metrics()
    sync_metrics.register(metrics.registry, office.world.fleet)
    assert "loa_fleet_clock_sigma_seconds{" not in metrics.text().decode()
    agents = await office.world.online(2)
    for number, agent in enumerate(agents):
        timing = (SyncTiming.OK, SyncTiming.DEGRADED)[number]
        sync = SyncState(sigma_us=40, error_p95_us=90 + number, excess_us=200, standing_us=number, timing=timing)
        await agent.say(agent.status(sync=sync))
    await eventually(lambda: len(office.world.fleet.fresh_statuses()) == 2)
    await office.world.fleet.write()
    rows = {row["id"]: row for row in await office.lines("list")}
    assert rows[agents[1].id]["sound_error_ms"] == 0.091
    assert rows[agents[1].id]["timing"] == "degraded"
    assert rows[agents[0].id]["clock_sigma_ms"] == 0.04
    (shown,) = await office.lines("show", agents[0].id)
    assert shown["status"]["sync"]["excess_us"] == 200
    text = metrics.text().decode()
    assert 'loa_fleet_clock_sigma_seconds{quantile="0.95"} 4e-05' in text
    assert 'loa_fleet_sound_error_seconds{quantile="1"} 9.1e-05' in text
    assert "loa_fleet_timing_degraded 1.0" in text
    assert "loa_fleet_queues_standing 1.0" in text


@pytest.mark.parametrize("life", ["30", "x", "1w", "-5d"])
def test_a_life_is_a_time(life: str) -> None:
    with pytest.raises(Exception, match="90m"):
        agent_cli._seconds(life)
    assert agent_cli._seconds("12h") == 43_200


def test_every_command_has_a_help_text() -> None:
    helped: Callable[..., Result] = CliRunner().invoke
    for words in ([], ["list"], ["show"], ["approve"], ["move"], ["revoke"], ["provision"], ["faults"], ["records"]):
        assert helped(agent_cli.app, [*words, "--help"]).exit_code == 0
    assert cluster_cli.app is not agent_cli.app
