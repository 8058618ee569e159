"""The demo as a person starts it: the whole district, and at hours when loudspeakers must usually be silent."""

from __future__ import annotations

import json
import os
import signal
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system.desk import ZONE
from tests.system.processes import BIN, Process

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(280)]

_ONCE = ("--once", "--json")
_KEYS = {"ok", "clusters", "online", "played", "missed", "duplicate", "start_error_ms_max", "wall_s"}


def district_time(hour: int, minute: int) -> dict[str, str]:
    """An environment in which it is now this time in the district, for every process that inherits it.

    libfaketime moves wall time only; the offset is relative, so that all processes agree.
    """
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    assert library is not None, "libfaketime is missing: run scripts/setup test"
    now = datetime.now(UTC)
    wanted = now.astimezone(ZONE).replace(hour=hour, minute=minute, second=0, microsecond=0)
    if wanted < now:
        wanted += timedelta(days=1)
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"+{round((wanted - now).total_seconds())}s",
        "DONT_FAKE_MONOTONIC": "1",
    }


def start(folder: Path, name: str, clusters: int, *options: str, env: dict[str, str] | None = None) -> Process:
    argv: list[str | Path] = [
        BIN / "loa-controller",
        "demo",
        "--clusters",
        str(clusters),
        "--data",
        folder / name,
        *options,
    ]
    return Process(name, argv, folder, env)


def summary_of(process: Process) -> dict[str, Any]:
    code = process.wait(240)
    lines = process.out.read_text().splitlines()
    assert lines, process.said()[-4000:]
    summary: dict[str, Any] = json.loads(lines[-1])
    assert set(summary) == _KEYS
    assert "Traceback" not in process.said(), process.said()[-4000:]
    assert code == (0 if summary["ok"] else 1)
    return summary


def check(summary: dict[str, Any], clusters: int) -> None:
    assert summary["ok"] is True, summary
    assert (summary["clusters"], summary["online"], summary["played"]) == (clusters, clusters, clusters)
    assert (summary["missed"], summary["duplicate"]) == (0, 0)
    assert 0 <= summary["start_error_ms_max"] <= 50


@dataclass
class Small:
    """Three demos of five clusters at a time: they mostly wait."""

    folder: Path
    evening: Process
    night: Process
    endless: Process


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    folder = tmp_path_factory.mktemp("small")
    with (
        start(folder, "evening", 5, *_ONCE, env=district_time(22, 0)) as evening,
        start(folder, "night", 5, *_ONCE, env=district_time(3, 15)) as night,
        start(folder, "endless", 5) as endless,
    ):
        yield Small(folder, evening, night, endless)


@pytest.mark.timing
def test_ctrl_c_ends_all_of_it(small: Small) -> None:
    process = small.endless
    process.wait_for(r"clusters 5  online 5", 90)
    process.signal(signal.SIGINT)
    assert process.wait(15) == 0
    assert "Traceback" not in process.said()
    assert not _children_of(str(small.folder / "endless"))


@pytest.mark.timing
def test_it_runs_at_ten_in_the_evening_and_in_the_middle_of_the_night(small: Small) -> None:
    # Quiet hours are usually from 21:30 to 04:45; the demo moves them and says so.
    check(summary_of(small.evening), 5)
    check(summary_of(small.night), 5)
    assert "at 10:0" in small.evening.said()
    assert "at 15:1" in small.night.said()


@pytest.mark.alone
def test_the_whole_district_plays_together(tmp_path: Path) -> None:
    with start(tmp_path, "whole", 141, *_ONCE) as process:
        check(summary_of(process), 141)
    with wave.open(str(tmp_path / "whole" / "agent-0001.wav")) as heard:
        assert heard.getnframes() / heard.getframerate() > 10
    assert "quiet hours begin in 12 hours" in process.said()


def _children_of(marker: str) -> list[str]:
    """Command lines of living processes that name ``marker``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue  # it ended while we looked
            if marker in words:
                found.append(words)
    return found
