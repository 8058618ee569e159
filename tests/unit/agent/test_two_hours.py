"""Two hours of a relay over a poor mobile link, on converters that run fast and slow, in simulated time."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.unit.agent.relay_world import SECOND, Crystal, RelayBox, RelayWorld, poor

#: It computes for half a minute on a quiet machine, and waits for nothing: on a busy one it may take its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOURS = 2
WARM_UP_S = 120


def _boxes(seed: int) -> tuple[RelayBox, RelayBox]:
    return (
        RelayBox("fast", seed, crystal=Crystal(18.0, 7 * 10**12), dac_ppm=80.0, profile=poor()),
        RelayBox("slow", seed, crystal=Crystal(-11.0, 3 * 10**9), dac_ppm=-60.0, profile=poor()),
    )


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def _p95(values: list[float]) -> float:
    return float(np.percentile(np.abs(values), 95))


def _apart(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> list[float]:
    """How far two loudspeakers are apart, each second, from their errors at instants of their own."""
    seconds = np.arange(WARM_UP_S, HOURS * 3600) * float(SECOND)
    first, second = (np.interp(seconds, *np.array(told).T) for told in (one, other))
    return list(first - second)


def test_a_relay_of_two_hours_stays_in_step_and_whole() -> None:
    boxes = _boxes(5)
    world = RelayWorld(boxes, HOURS * 3600)
    memory: list[tuple[int, float]] = []
    for minute in range(10, HOURS * 60 + 1, 10):
        world.run(minute * 60.0 * SECOND)
        gc.collect()
        memory.append((len(gc.get_objects()), _resident_mb()))

    gaps = {box.name: box.told.silent / (HOURS * 3600 * 48_000) for box in boxes}
    errors = {box.name: [error for at, error in box.told.errors if at > WARM_UP_S * SECOND] for box in boxes}
    apart = _apart(boxes[0].told.errors, boxes[1].told.errors)
    sys.stdout.write(
        f"gaps {gaps}, p95 µs { ({name: round(_p95(each)) for name, each in errors.items()}) }, "
        f"apart p50 {np.percentile(np.abs(apart), 50):.0f} p95 {_p95(apart):.0f} µs, lead {world.lead_us} µs, "
        f"stalls {[box.media_way.stalls for box in boxes]}, objects and MB {memory[0]} … {memory[-1]}\n"
    )
    for box in boxes:
        begun = 30.2 / (HOURS * 3600)  # before the window nothing is due
        assert gaps[box.name] - begun <= 0.01
        assert len(errors[box.name]) > HOURS * 3600 * 4, "most blocks told their place"
        assert _p95(errors[box.name]) <= 10_000
        assert box.reports == []
        assert box.engine.broken == 0
    assert _p95(apart) <= 10_000
    for (objects, _), (later, _) in itertools.pairwise(memory[1:]):
        assert later - objects < 5_000, "objects that are kept: only the errors of this test itself"
    assert memory[-1][1] - memory[2][1] < 30
