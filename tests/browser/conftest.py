"""One browser and one village for all journeys of a process; a fresh context for each person and test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.people import Person
from tests.browser.village import Village, settle

_PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--mute-audio",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these start real processes."""
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The program; its microphone is Chromium's own fake."""
    assert _PROGRAM is not None, "no Chromium here: run scripts/setup test"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=_PROGRAM, args=list(_FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    """A real controller with seven agents."""
    with ExitStack() as stack:
        yield settle(tmp_path_factory.mktemp("village"), stack)


@pytest.fixture
def quiet(village: Village) -> Iterator[None]:
    """Nothing stays on air, in force, or waiting for a second person, behind a test."""
    yield
    village.hush()


Come = Callable[..., Person]


@pytest.fixture
def come(browser: Browser, village: Village) -> Iterator[Come]:
    """``come("truc1")``: that person, signed in; without a name, somebody at the door."""
    with ExitStack() as stack:

        def arrive(name: str | None = None, **options: Any) -> Person:
            person = Person(browser, village.url, **options)
            stack.callback(person.close)
            if name is not None:
                person.sign_in(name, village.passwords[name])
            return person

        yield arrive
