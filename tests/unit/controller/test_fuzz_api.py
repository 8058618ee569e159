"""Schemathesis against a running controller: every operation of its document, with generated input and with good.

Rules kept here:

1. Half of the generated requests name things that are there, so that they get past "no such thing"; and every
   operation is asked once as somebody would who knows what to ask.
2. An operation that never answers 2xx (or 3xx) must be listed in :data:`_NEVER`, with the reason.
3. What takes things away comes last.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
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

from tests.unit.controller.knowledge import Knowledge, learn
from tests.unit.controller.test_rights_matrix import built

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Operations that would end the very session that asks, or that never end.
_LEFT_OUT = {"logout", "closeSession", "listenToEvents", "alertEvents"}
#: A few of each in every run; raise it by hand when the API changes shape. Beyond ten, the throttle at the door and the
#: bound of sessions come in between and are told as lacking.
_EXAMPLES = 8
#: What ends other things comes after what needs them.
_ENDING = {
    "stop",
    "holdCluster",
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
    "cancelRecording": "the world's recording is processed already",
}


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
        assert self._ready.wait(150)
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
                self.known = await learn(world)
                self.url, self.token = world.staff.running.staff_url, world.staff.token or ""
                self._stop = asyncio.Event()
                self._ready.set()
                await self._stop.wait()
        finally:
            self._ready.set()


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
