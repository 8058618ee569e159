"""What a cue handed over is counted right however late a busy loop tells it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from audio.playout import MUTED_DB, ON_AIR_DB, LiveChunk, LiveCue, LiveFeed, Outcome, TimedPlayer
from audio.playout.tally import Tally
from schedules.instants import Frames, MediaUs, MonoUs

_LAST = 60


def _same(media: MediaUs) -> MonoUs:
    """A stream whose clock is ours."""
    return MonoUs(media)


@given(
    spans=st.lists(st.tuples(st.integers(0, 8), st.integers(1, 10)), max_size=6),
    edges=st.lists(st.tuples(st.integers(0, _LAST), st.booleans()), max_size=6).map(sorted),
    settled=st.integers(0, _LAST),
)
def test_settling_changes_no_number(spans: list[tuple[int, int]], edges: list[tuple[int, bool]], settled: int) -> None:
    """And what was there never exceeds what was due."""
    plain, folded = Tally(0), Tally(0)
    at = 0
    for gap, length in spans:
        for tally in (plain, folded):
            tally.bring(at + gap, at + gap + length)
        at += gap + length
    for edge_at, muted in [each for each in edges if each[0] <= settled]:
        for tally in (plain, folded):
            tally.fade(edge_at, muted=muted)
    folded.settle(settled)
    for edge_at, muted in [each for each in edges if each[0] > settled]:
        for tally in (plain, folded):
            tally.fade(edge_at, muted=muted)
    assert all(plain.count(until) == folded.count(until) for until in range(settled, _LAST))
    assert all(0 <= there <= due for due, there in map(folded.count, range(_LAST)))
    assert folded.muted is plain.muted


class LateClock:
    """A loop that is busy elsewhere: time passes, and the timers run when it comes back."""

    def __init__(self) -> None:
        self._now = 1_000_000
        self._timers: list[tuple[int, int, LateTimer]] = []

    def now(self) -> MonoUs:
        return MonoUs(self._now)

    def call_at(self, at: MonoUs, callback: Callable[[], None]) -> LateTimer:
        timer = LateTimer(callback)
        self._timers.append((at, len(self._timers), timer))
        return timer

    def busy(self, milliseconds: int) -> None:
        self._now += milliseconds * 1000

    def back(self) -> None:
        while due := sorted(one for one in self._timers if one[0] <= self._now):
            self._timers.remove(due[0])
            if due[0][2].callback is not None:
                due[0][2].callback()


class LateTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Ending:
    """Keeps what a player says of the end."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, Outcome]] = []

    def started(self, cue_id: str, at: MonoUs) -> None: ...

    def finished(self, cue_id: str, at: MonoUs, frames: Frames, silence_frames: Frames, outcome: Outcome) -> None:
        self.frames.append((frames, silence_frames, outcome))

    def trouble(self, code: str, detail: str, cue_id: str | None = None) -> None: ...


def test_a_fader_that_moves_late_moves_at_its_instant() -> None:
    clock, told = LateClock(), Ending()
    player = TimedPlayer(clock)
    player.attach(told)
    feed = LiveFeed(_same)
    player.arm(LiveCue("relay", feed, level_db=ON_AIR_DB))

    def chunk(at_ms: int) -> None:
        play_at = MediaUs(1_000_000 + at_ms * 1000)
        feed.push(LiveChunk(play_at, at_ms * 48, (b"",) * 50, packet_frames=Frames(960)))  # a second

    chunk(100)
    clock.busy(100)
    clock.back()
    player.set_level("relay", MUTED_DB, MonoUs(clock.now() + 200_000))  # an alert takes over at 300 ms
    clock.busy(800)
    chunk(1100)  # the loop reads its sockets before its timers
    clock.busy(400)
    chunk(2100)
    clock.back()
    player.stop("relay")
    clock.busy(1000)
    clock.back()
    assert told.frames == [(200 * 48, 0, Outcome.STOPPED)]
