"""Schemathesis against a running controller: every operation with generated input, good and bad."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.unit.controller.staff import open_staff

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Operations that would end the very session that asks, that never end, or that answer 503 by design.
_LEFT_OUT = {"logout", "closeSession", "listenToEvents", "getHealth", "getReady"}
#: A few of each in every run; raise it by hand when the API changes shape.
_EXAMPLES = 6


class Served:
    """A controller in a loop of its own thread."""

    def __init__(self, folder: Path) -> None:
        self.url = self.token = ""
        self._folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fuzzed controller")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._life())

    async def _life(self) -> None:
        self._stop = asyncio.Event()
        async with open_staff(self._folder) as staff:
            self.url, self.token = staff.running.staff_url, staff.token or ""
            self._ready.set()
            await self._stop.wait()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("fuzz") / "data") as running:
        yield running


@pytest.mark.slow
def test_no_input_makes_a_server_error_or_leaves_the_document(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.token}"}
    document = requests.get(f"{served.url}/api/v1/openapi.json", timeout=30).json()
    tried = 0
    with requests.Session() as session:
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            if isinstance(found, Err):
                raise found.err()
            operation: Any = found.ok()
            if operation.definition.raw["operationId"] in _LEFT_OUT:
                continue

            @settings(
                max_examples=_EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def attack(case: Any) -> None:
                response = case.call(base_url=served.url, headers=headers, session=session, timeout=30)
                case.validate_response(response, checks=CHECKS)

            attack()
            tried += 1
    assert tried > 30
