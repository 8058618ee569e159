"""How far two loudspeakers are apart: two real agents beside Snapcast's two clients, each pair in a hall of its own.

A hall is a private PulseAudio without a sound card whose stereo sink holds both loudspeakers on one sample clock (see
CONTRIBUTING.md). Both halls are recorded at the same time, so both pairs meet the same machine. The programme is pink
noise; the offset of a second is the middle of its tenths', each of them the peak of the phase correlation, between
samples by a parabola. Ours: a real controller relays a station to two ``loa-agent run`` processes. The peer: Debian's
snapserver and two snapclients.

Cases: ``lan`` is loopback; ``4g`` sends each listener through a proxy of its own (60 ± 20 ms one way, stalls; one path
4 ms longer up than down, the other 2 ms longer down than up, which no protocol can see: 3 ms of the offset are that).
Both pairs are started :data:`AHEAD_S` before the sound that counts, because an agent opens its device ahead of what is
planned and a sound server tells wild times at first; ours is silent until then, Snapcast plays. The same seconds of
both recordings count, from :data:`SETTLE_S` after our sound began. The very first half second of each is told apart.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.loudspeakers import Loudspeakers
from benchmarks.offsets import Spread, both_from, each_second, gaps_ms, offset_at, spread_of
from benchmarks.report import Case, note, parser, report
from benchmarks.snapcast import Snapcast, installed
from schedules.instants import SAMPLE_RATE
from tests.system.bad_path import MOBILE, BadPath
from tests.system.pulse_hall import Hall, pink_noise

AHEAD_S = 35

#: Sound that is left out of the figures.
SETTLE_S = 5
_SECONDS = 45
_MORE_S = 12
#: The peer plays from its own start to the end of the measurement, and a little longer on a slow machine.
_PEER_MORE_S = 60
_SEED = 20_261

Through = Callable[[int, int], int]


@dataclass(frozen=True, slots=True)
class Heard:
    """What one hall recorded."""

    first_ms: float
    spread: Spread
    gaps_ms: float
    untold: int


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be held, in milliseconds."""

    p95: float | None
    p99: float | None


def measure(seconds: int, cases: tuple[str, ...]) -> Iterator[Case]:
    """Each case with its peer in the same minute."""
    peer = installed()
    for name in cases:
        load = os.getloadavg()[0]
        note(f"{name}: {seconds} s; load before {load:.2f}")
        with tempfile.TemporaryDirectory(prefix="loa-sync-") as folder, ExitStack() as stack:
            ours, theirs = _listen(Path(folder), stack, name, seconds, with_peer=peer)
        goal = Goal(0.10, 1.0) if name == "lan" else Goal(10.0, None)
        yield from _cases(name, goal, ours, theirs)
    if not peer:
        raise SystemExit(1)


def _listen(folder: Path, stack: ExitStack, name: str, seconds: int, *, with_peer: bool) -> tuple[Heard, Heard | None]:
    sound = pink_noise(seconds + SETTLE_S + _MORE_S)
    through = (lambda port, _: port) if name == "lan" else _proxies(stack)
    ours = _Recording(_hall(folder / "ours", stack))
    speakers = Loudspeakers(folder, ours.hall.environment, sound, through=through, ahead_s=AHEAD_S)
    stack.enter_context(speakers)
    theirs: _Recording | None = None
    if with_peer:
        theirs = _Recording(_hall(folder / "theirs", stack))
        longer = pink_noise(AHEAD_S + seconds + SETTLE_S + _PEER_MORE_S)
        stack.enter_context(Snapcast(folder / "snapcast", theirs.hall, longer, through=through))
        theirs.begin()
    ours.begin()
    speakers.wait_for_sound()
    steady = speakers.starts_at + SETTLE_S
    time.sleep(max(0.0, steady + seconds + 1 - time.time()))
    mine = heard(ours, steady, seconds)
    try:
        return mine, None if theirs is None else heard(theirs, steady, seconds)
    except ValueError as error:
        note(f"  the peer cannot be compared with: {error}")
        return mine, None


class _Recording:
    """A hall and when its recording began."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.began = 0.0

    def begin(self) -> None:
        self.hall.record()
        self.began = time.time()


def _hall(folder: Path, stack: ExitStack) -> Hall:
    folder.mkdir()
    hall = Hall(folder)
    hall.open()
    stack.callback(hall.close)
    return hall


def _proxies(stack: ExitStack) -> Through:
    shifts = ((2.0, -2.0), (-1.0, 1.0))

    def through(port: int, number: int) -> int:
        up, down = shifts[number]
        path = BadPath(port, up=MOBILE.shifted(up), down=MOBILE.shifted(down), seed=_SEED + number)
        return stack.enter_context(path).port

    return through


def heard(recording: _Recording, steady: float, seconds: int) -> Heard:
    """Read a hall's recording: ``seconds`` of it from the instant ``steady`` (UTC) on.

    Raises:
        ValueError: one loudspeaker was never heard.
    """
    left, right = recording.hall.recorded()
    begin = both_from(left, right)
    if begin is None:
        raise ValueError("one of the loudspeakers was never heard")
    first = offset_at(left, right, begin, SAMPLE_RATE // 2)
    since = max(begin, round((steady - recording.began) * SAMPLE_RATE))
    until = since + seconds * SAMPLE_RATE
    offsets = each_second(left[:until], right[:until], since)
    gaps = gaps_ms(left[since:until]) + gaps_ms(right[since:until])
    note(f"  each second, µs: {['-' if offset is None else round(offset) for offset in offsets]}")
    first_ms = float("nan") if first is None else abs(first) / 1000
    told = [offset for offset in offsets if offset is not None]
    return Heard(first_ms, spread_of(told), gaps, len(offsets) - len(told))


def _cases(name: str, goal: Goal, ours: Heard, theirs: Heard | None) -> Iterator[Case]:
    rows: list[tuple[str, Callable[[Heard], float], float | None, str]] = [
        ("offset, median", lambda heard: heard.spread.median, None, "ms"),
        ("offset, p95", lambda heard: heard.spread.p95, goal.p95, "ms"),
        ("offset, p99", lambda heard: heard.spread.p99, goal.p99, "ms"),
        ("offset, largest", lambda heard: heard.spread.largest, None, "ms"),
        ("offset of the first half second", lambda heard: heard.first_ms, None, "ms"),
        ("silence, both channels together", lambda heard: heard.gaps_ms, None, "ms"),
        ("seconds that told no offset", lambda heard: heard.untold, None, "s"),
    ]
    for metric, of, bound, unit in rows:
        value = of(ours)
        words, ok = (None, None) if bound is None else (f"≤ {bound:g} {unit}", value <= bound)
        peer, beside = (None, None) if theirs is None else ("snapcast", of(theirs))
        yield Case("sync", name, metric, value, unit, words, ok, peer, beside)


def main() -> int:
    """The command line."""
    words = parser(__doc__)
    words.add_argument("--seconds", type=int, default=_SECONDS, help="seconds that are measured, each case")
    words.add_argument("--case", choices=("lan", "4g"), help="only this one")
    asked = words.parse_args()
    cases = ("lan", "4g") if asked.case is None else (asked.case,)
    return report(measure(asked.seconds, cases), as_json=asked.json)


if __name__ == "__main__":
    sys.exit(main())
