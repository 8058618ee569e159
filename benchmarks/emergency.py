"""From the second person's yes to the first sample at every siren, and from STOP to silence, with a live relay running.

A real controller, a swarm of real agents (``--decode`` of them decode into null outputs; the others do everything but
decode; agents of one process check the signature of the very same bytes once), two people at the API. Per round: a live
relay sounds everywhere, an alert from a template is composed and confirmed, the board is watched until every cluster
sounds, then everything is stopped. Then the same with a live voice (class 90) instead of a stored message; and once
more while fifty uploads are in ingest, a plan for 2 000 clusters is compiled and another program holds the database
locked for thirty seconds.

Instants: the request's first byte is taken here; first and last samples are what each agent wrote down as handed over
to its output, on the clock of this same machine. Beside the figures stands the CPU that the swarm itself used while an
order was on its way: two cores carry both sides here, and a village's box carries one of them.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.burden import Burden
from benchmarks.district import District, Round
from benchmarks.report import Case, at_most, parser, report

_CONFIRM_S: Final = 0.5
_STOP_S: Final = 0.3
_BOARD_S: Final = 2.0
_LOAD_FACTOR: Final = 2.0
_COMPILED: Final = 2_000
_PROMISED: Final = 1_000
#: A live voice is ten signed bundles a second to each: for a thousand more than their two processes can verify.
_VOICED: Final = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """What was promised: times of a factor. None: nothing was."""

    factor: float | None

    def of(self, seconds: float) -> float | None:
        """The bound for a promised number."""
        return None if self.factor is None else self.factor * seconds


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]


def spread(case: str, metric: str, values: Sequence[float], bound: float | None) -> Iterator[Case]:
    """p50, p95, p99 and max; the bound is on p99."""
    for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        yield _one(case, f"{metric}, {name}", percentile(values, part), bound if name == "p99" else None)


def told(case: str, done: Sequence[Round], bounds: Bounds) -> Iterator[Case]:
    """The cases of some rounds."""
    first = [one for each in done for one in each.first_sample]
    silence = [one for each in done for one in each.silence]
    acknowledged = [one for each in done for one in each.acknowledged]
    yield from spread(case, "confirm → first sample", first, bounds.of(_CONFIRM_S))
    if silence:
        yield from spread(case, "STOP → silence", silence, bounds.of(_STOP_S))
    yield _one(case, "confirm → board complete, slowest", max(each.board for each in done), bounds.of(_BOARD_S))
    yield from spread(case, "confirm → acknowledged", acknowledged, None)
    yield _one(case, "STOP → acknowledged by all, slowest", max(each.obeyed for each in done), None)
    yield _one(case, "confirm → 2xx, slowest", max(each.answer for each in done), None)


def measure(agents: int, decode: int, rounds: int) -> Iterator[Case]:
    """All cases."""
    promised = agents <= _PROMISED
    name = f"{agents} agents, {decode} decode"
    with tempfile.TemporaryDirectory(prefix="loa-emergency-") as folder, ExitStack() as stack:
        district = District(Path(folder), agents, decode, max(0, _COMPILED - agents) if promised else 0, stack)
        before, began = district.cpu(), time.monotonic()
        done = [district.round() for _ in range(rounds)]
        wall, after = time.monotonic() - began, district.cpu()
        yield from told(name, done, Bounds(1.0 if promised else None))
        yield Case("emergency", name, "CPU of the controller meanwhile", (after[0] - before[0]) / wall, "cores")
        yield Case("emergency", name, "CPU of the simulated agents (floor)", (after[1] - before[1]) / wall, "cores")
        if promised:
            case = f"{name}; {_LOAD}"
            yield from told(case, [burdened(district)], Bounds(_LOAD_FACTOR))
        heard = min(agents, _VOICED)
        voice, case = district.spoken(heard), f"{name}, voice to {heard} of them"
        yield from spread(case, "confirm → first sample (chime)", voice.first_sample, None)
        yield from spread(case, "STOP → silence", voice.silence, None)
        yield _one(case, "confirm → microphone open", voice.on_air, None)


_LOAD: Final = "uploads, compile, lock"


def burdened(district: District) -> Round:
    """A round with everything else going on at once."""
    district.relay()
    alert = district.alert()
    with Burden(district) as burden:
        given = district.confirm(alert)
        time.sleep(1.0)
        stopped = district.stop()
        burden.wait()
        return district.heard(alert, given, stopped)


def _one(case: str, metric: str, value: float, bound: float | None) -> Case:
    if bound is None:
        return Case("emergency", case, metric, value, "s")
    return at_most("emergency", case, metric, value, "s", bound)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--agents", type=int, default=1_000, help="how many (default 1000)")
    options.add_argument("--decode", type=int, default=16, help="how many of them decode (default 16)")
    options.add_argument("--rounds", type=int, default=2, help="rounds of the plain case (default 2)")
    given = options.parse_args()
    raise SystemExit(report(measure(given.agents, given.decode, given.rounds), as_json=given.json))
