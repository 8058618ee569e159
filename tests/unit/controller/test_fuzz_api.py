"""Schemathesis against a running controller: every operation of its document, with generated input and with good.

Rules kept here:

1. Half of the generated requests name things that are there, so that they get past "no such thing"; and every
   operation is asked once as somebody would who knows what to ask.
2. An operation that never answers 2xx (or 3xx) must be listed in :data:`_NEVER`, with the reason.
3. What takes things away comes last.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.unit.controller.alerts.test_alert_api import processed
from tests.unit.controller.staff import Staff
from tests.unit.controller.test_rights_matrix import SAY, World, built, reaching, required
from tests.unit.controller.warnings.test_warning_api import fresh, push, settled
from tests.unit.controller.warnings.warning_kit import xml

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Operations that would end the very session that asks, or that never end.
_LEFT_OUT = {"logout", "closeSession", "listenToEvents", "alertEvents"}
#: A few of each in every run; raise it by hand when the API changes shape.
_EXAMPLES = 8
_PASSPHRASE = "nuoc len thi bao loa"
#: What ends other things comes after what needs them.
_ENDING = {
    "stop",
    "stopLive",
    "cancelAlert",
    "cancelDrill",
    "resetPassword",
    "revokeAgent",
    "withdraw",
    "replaceRecording",
}
_LAST = ("removeWarningSource",)
#: What never answers 2xx here, and why.
_NEVER = {
    "openMicrophone": "asks for a WebSocket",
    "listenToCluster": "the box is not connected",
    "listenToSource": "the station does not answer",
    "listen": "needs one of these two",
    "approveAgent": "no box waits",
    "openDemoSession": "this is no demo",
    "getMapTiles": "no map was put in",
    "confirmSecondFactor": "needs an authenticator",
    "removeOwnSecondFactor": "has none",
    "removeSecondFactor": "nobody has one",
    "extendLive": "nobody speaks",
    "changePassword": "too many have guessed passwords by then",
    "changeFollowing": "the world's programme comes once",
    "joinProgramme": "takes back a split that was just made",
}


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What somebody knows who asks well."""

    world: World
    paths: dict[str, dict[str, str]]  # what an operation's path means, where it is not what the world has
    token: str  # a warning sender's
    code: str  # of the alert that waits
    passwords: dict[str, str]

    def of(self, operation: str, path: str) -> dict[str, str]:
        """What stands for the parameters of a path."""
        return self.world.of(path) | self.paths["alerts"] | self.paths.get(operation, {})

    def bodies(self) -> dict[str, list[Any]]:
        """What is asked, by operation."""
        world, later = self.world, datetime.now(UTC) + timedelta(hours=2)
        reach = reaching(world)
        programme = reach["createProgramme"][0]
        narrow = {"clusters": [world.ids["cluster_id"]]}
        hoa = {"name": "hoa", "password": self.passwords["hoa"]}
        alert = {"kind": "text", "words": SAY, "cancel_words": SAY, **narrow}
        return reach | {
            "login": [hoa],
            "openSession": [hoa],
            "createToken": [{"label": "máy in"}],
            "beginSecondFactor": [{"password": self.passwords["admin"]}],
            "createUser": [{"name": "nam", "grants": [{"role": "viewer", "area_id": world.mine}]}],
            "changeUser": [{"display_name": "Minh"}],
            "changeArea": [{"name": "Tà Rụt"}],
            "importClusters": [{"clusters": [{"name": "Thôn Một", "area_id": world.mine}]}],
            "changeCluster": [{"name": "Cụm A"}],
            "makeBackup": [{"passphrase": _PASSPHRASE}],
            "tryVoice": [{"text": "Xin chào", "language": "vi"}],
            "decideRecording": [{"sha256": world.sound, "decision": "approved"}],
            "changeProgramme": [programme | {"title": "Chiều"}],
            "createProgramme": [programme | {"dtstart": "2030-01-05T09:00"}],
            "startLive": [{"title": "x", "clusters": [world.my_cluster]}],
            "confirmAlert": [{"code": self.code}],
            "extendAlert": [{"until": later.isoformat()}],
            "reviewAlert": [alert | {"title": "Lũ"}],
            "composeAlert": [alert | {"title": "Bão"}],
            "makeListeningTicket": [{"cluster_id": world.ids["cluster_id"]}],
            "pushCap": [xml(fresh())],
            "uploadRecording": [b"x" * 64],
            "replaceRecording": [b"x" * 64],
        }

    def queries(self, operation: str) -> dict[str, Any]:
        """What stands behind the question mark."""
        own: dict[str, dict[str, Any]] = {"uploadRecording": {"area_id": self.world.mine, "title": "Bản tin"}}
        said = dict(part.split("=") for part in required(operation).split("&") if part)
        return own.get(operation, {}) | said

    @property
    def names(self) -> dict[str, str]:
        """What is there, by the names that bodies and queries have for it."""
        ids = self.world.ids
        area, cluster = ids["area_id"], ids["cluster_id"]
        return {
            "area_id": area, "parent_id": area, "areas": area, "cluster_id": cluster, "clusters": cluster,
            "recordings": ids["recording_id"], "recording": ids["recording_id"], "template": ids["template_id"],
            "source_id": ids["source_id"], "user_id": ids["user_id"], "rule_id": ids["programme_id"],
            "programme_id": ids["programme_id"], "following": ids["programme_id"], "agent_id": ids["agent_id"],
        }  # fmt: skip


class Served:
    """The matrix's two communes, in a loop of their own thread."""

    def __init__(self, folder: Path) -> None:
        self.url = self.token = ""
        self.known: Knowledge | None = None
        self._folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fuzzed controller")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        assert self.known is not None, "it did not start"
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._life())

    async def _life(self) -> None:
        try:
            async with built(self._folder) as world:
                self.known = await _learnt(world)
                self.url, self.token = world.staff.running.staff_url, world.staff.token or ""
                self._stop = asyncio.Event()
                self._ready.set()
                await self._stop.wait()
        finally:
            self._ready.set()


async def _learnt(world: World) -> Knowledge:
    """What an operation can be done to: alerts in every state, a backup, things that nothing else needs."""
    admin, mine = world.staff, world.mine
    name, password = world.staff.running.first_admin or ("", "")
    _, made = await admin.call("POST", "/api/v1/users", {"name": "hoa", "grants": [{"role": "admin"}]})
    hoa = await admin.login("hoa", made["password"])
    given, waiting = [await _composed(hoa, world, title) for title in ("Lũ ống", "Sạt lở")]
    own = await _composed(admin, world, "Cháy rừng")
    status, said = await admin.call("POST", f"/api/v1/alerts/{given['id']}/confirm", {"code": given["code"]})
    assert status == 200, said
    _, template = await admin.call("GET", f"/api/v1/templates/{world.ids['template_id']}")
    for words in (*template["words"], *template["cancel_words"]):
        await _approved(admin, words["recording"])
    spoken = {"area_id": mine, "title": "Thử", "text": "Thử"}
    spare, gone = [await admin.made("/api/v1/recordings/speech", spoken) for _ in range(2)]
    for each in (spare, gone):
        await processed(admin, each)
    assert (await admin.call("DELETE", f"/api/v1/recordings/{gone}"))[0] == 204
    tokens = f"/api/v1/warning-sources/{world.warning_source}/tokens"
    _, token = await admin.call("POST", tokens, {"label": "máy"})
    _, taken = await push(admin, xml(fresh()), token["token"])
    warning = await settled(admin, taken["results"][0]["id"])
    me = (await admin.call("GET", "/api/v1/me"))[1]["user_id"]
    notice = world.staff.running.air.alarms.notices.post((me,), "alert_alone", own["id"], "Một mình")[0].id
    area = await admin.made("/api/v1/areas", {"name": "Bỏ", "kind": "thôn", "parent_id": mine})
    cluster = await admin.made("/api/v1/clusters", {"name": "Bỏ", "area_id": mine})
    paths = {
        "alerts": {"alert_id": given["id"], "sha256": given["sound"]},
        "confirmAlert": {"alert_id": waiting["id"]},
        "overrideAlert": {"alert_id": own["id"]},
        "downloadBackup": {"name": await _backup(admin)},
        "getConsolePage": {"file": "index.html"},
        "listenToSource": {"source_id": "nothing_here"},  # the real one is waited for, a quarter of a minute
        "archiveRecording": {"recording_id": spare},
        "restoreRecording": {"recording_id": gone},
        "declineWarning": {"warning_id": warning["id"]},
        "seeNotice": {"notice_id": notice},
        "endSession": {"session_id": await _another_session(admin)},
        "deleteArea": {"area_id": area},
        "deleteCluster": {"cluster_id": cluster},
        "getCapAlert": {"identifier": await _published(admin)},
    }
    return Knowledge(world, paths, token["token"], waiting["code"], {"hoa": made["password"], name: password})


async def _approved(admin: Staff, recording: str) -> None:
    await processed(admin, recording)
    path = f"/api/v1/recordings/{recording}"
    verdict = {"sha256": (await admin.call("GET", path))[1]["sha256"], "decision": "approved"}
    assert (await admin.call("POST", f"{path}/decision", verdict))[0] == 200


async def _composed(who: Staff, world: World, title: str) -> dict[str, str]:
    words = [{"language": "vi", "text": title}]  # others than of the alert before: that would be a duplicate
    said = {"kind": "text", "clusters": [world.ids["cluster_id"]], "words": words, "cancel_words": SAY, "title": title}
    status, made = await who.call("POST", "/api/v1/alerts", said)
    assert status == 201, made
    alert: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while not alert.get("sha256"):
            await asyncio.sleep(0.1)
            _, alert = await who.call("GET", f"/api/v1/alerts/{made['id']}")
    return {"id": made["id"], "code": made["code"], "sound": alert["sha256"][0]}


async def _published(admin: Staff) -> str:
    """What the world knows our alert by."""
    async with asyncio.timeout(20):
        while True:
            async with admin.http.get(f"{admin.running.staff_url}/api/v1/cap/alerts") as feed:
                if found := re.search(r"/api/v1/cap/alerts/([^\"<]+)\.xml", await feed.text()):
                    return found[1]
            await asyncio.sleep(0.1)


async def _another_session(admin: Staff) -> str:
    await admin.call("POST", "/api/v1/sessions", {"label": "cũ"})
    _, sessions = await admin.call("GET", "/api/v1/sessions")
    return next(str(one["id"]) for one in sessions["items"] if one["label"] == "cũ")


async def _backup(admin: Staff) -> str:
    """A backup's name."""
    assert (await admin.call("POST", "/api/v1/backups", {"passphrase": _PASSPHRASE}))[0] == 202
    files: list[dict[str, str]] = []
    async with asyncio.timeout(20):
        while not files:
            await asyncio.sleep(0.1)
            _, backups = await admin.call("GET", "/api/v1/backups")
            files = backups["files"]
    return files[0]["name"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


def _operations(served: Served) -> list[Any]:
    """All of them: first who looks, then who does, last who takes away."""
    document = requests.get(f"{served.url}/api/v1/openapi.json", timeout=30).json()
    found = []
    for each in schemathesis.openapi.from_dict(document).get_all_operations():
        if isinstance(each, Err):
            raise each.err()
        operation: Any = each.ok()
        if operation.definition.raw["operationId"] not in _LEFT_OUT:
            found.append(operation)
    return sorted(found, key=_turn)


def _turn(operation: Any) -> int:
    name, order = operation.definition.raw["operationId"], ("get", "post", "put", "patch", "ending", "delete")
    return (
        len(order) + _LAST.index(name)
        if name in _LAST
        else order.index("ending" if name in _ENDING else operation.method)
    )


def at_home(value: Any, names: dict[str, str], name: str = "") -> Any:
    """The same, with what is there wherever something is named."""
    if isinstance(value, dict):
        return {key: at_home(each, names, key) for key, each in value.items()}
    if isinstance(value, list):
        return [at_home(each, names, name) for each in value]
    return names[name] if isinstance(value, str) and name in names else value


@pytest.mark.slow
def test_no_input_makes_a_server_error_or_leaves_the_document(served: Served) -> None:
    known = served.known
    assert known is not None
    reached: dict[str, set[int]] = defaultdict(set)
    refused: dict[str, str] = {}
    with requests.Session() as session:

        def ask(name: str, case: Any) -> None:
            headers = {"Authorization": f"Bearer {known.token if name == 'pushCap' else served.token}"}
            response = case.call(base_url=served.url, headers=headers, session=session, timeout=30)
            reached[name].add(response.status_code)
            if response.status_code >= 400:
                refused.setdefault(name, response.text[:300])
            case.validate_response(response, checks=CHECKS)

        for operation in _operations(served):
            name = operation.definition.raw["operationId"]
            for case in _asked_well(operation, name, known):
                ask(name, case)
            _generated(operation, name, known, ask)
    _judge(reached, refused)


def _asked_well(operation: Any, name: str, known: Knowledge) -> Iterator[Any]:
    media = next(iter(operation.definition.raw.get("requestBody", {}).get("content", ())), None)
    bodies = known.bodies().get(name, [{}]) if media else [None]
    for body in bodies:
        said = {} if media is None else {"body": body, "media_type": media}
        values = known.of(name, operation.path)
        path = {one.name: values.get(one.name, "nothing_here") for one in operation.path_parameters}
        yield operation.Case(path_parameters=path, query=known.queries(name), **said)


def _generated(operation: Any, name: str, known: Knowledge, ask: Callable[[str, Any], None]) -> None:
    values, names = known.of(name, operation.path), known.names

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), real=st.booleans())
    def attack(case: Any, *, real: bool) -> None:
        if real:
            case.path_parameters = {key: values.get(key, each) for key, each in (case.path_parameters or {}).items()}
            case.query = at_home(case.query, names)
            case.body = at_home(case.body, names)
        ask(name, case)

    attack()


def _judge(reached: dict[str, set[int]], refused: dict[str, str]) -> None:
    """How far each came: that is said, and those that came nowhere must be known."""
    good = {name for name, statuses in reached.items() if any(200 <= each < 400 for each in statuses)}
    inside = {name for name, statuses in reached.items() if statuses - {401, 403, 404}} - good
    outside = set(reached) - good - inside
    said = {"2xx or 3xx": good, "as far as what is not possible there": inside, "never past the door": outside}
    for words, names in said.items():
        sys.stdout.write(f"{len(names)} of {len(reached)} operations: {words} {sorted(names - good)}\n")
    lacking = {name: (sorted(reached[name]), refused[name]) for name in set(reached) - good - set(_NEVER)}
    assert not lacking, "\n".join(map(str, lacking.items()))
    assert not good & set(_NEVER), "these do answer: take them from the list"
    assert len(reached) > 100
