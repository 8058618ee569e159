"""How far ahead live sound must be sent, from what the agents measured; and who is too far behind to wait for.

Rules kept here:

1. An agent needs the delay that one bundle in 200 exceeded in its last ten minutes (one in 20, while fewer than
   :data:`ENOUGH` came), and what it must have in hand before the first sample; never less than the floor of the kind
   of source (:data:`TERMS`).
2. A zone's lead is the largest need of its members, in steps of :data:`STEP_US`. An agent one bundle in 20 of which
   (one in two, while fewer than :data:`ENOUGH` came) needs more than the kind's cap is a *straggler*: it is left out
   of the live stream, plays its fallback or what it has in stock, and is reported (fault ``link_slow`` on its box).
   One stall is heard as one gap; it leaves nobody out of a long session.
3. A straggler is taken back at :data:`BACK` of the cap, and tried again :data:`TRY_AGAIN_US` after it was left out.
   On trial its usual delay counts, and it is left out again only for what comes late then, each time twice as long,
   up to :data:`LONGEST_OUT_US`.
4. An agent that was never measured, or not for :data:`FORGOTTEN_US`, is judged by its clock's round trip: near ones
   get the floor, far ones :data:`FAR_US`.
5. A running stream keeps its lead while that is enough (:class:`StreamLead`): it takes a larger one where nobody
   hears it (a new anchor, or sound that is buffered anyway), a smaller one only at a new anchor.

Pure and in memory: ``now`` is an argument. Not here: who measures (:mod:`agent.conductor.arrivals`), when chunks are
sent (:mod:`controller.services.relay_pacing`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controller.services.chunks import SourceKind
from protocol.messages import Status

STEP_US: Final = 20_000
BACK: Final = 0.8
TRY_AGAIN_US: Final = 60_000_000
LONGEST_OUT_US: Final = 600_000_000
FORGOTTEN_US: Final = 24 * 3_600_000_000

#: Of so many bundles one in 200 means something: 20 s of a microphone, 40 s of a file, three minutes of a relay.
ENOUGH: Final = 200
#: Of fewer, nothing does.
_FEW: Final = 20
#: One late bundle in so many puts an agent that is on trial out again.
_LATE_IN: Final = 20
#: What an agent's quantiles are of (:mod:`agent.conductor.arrivals`), and how often its counter is remembered.
_WINDOW_US: Final = 600_000_000
_MARK_US: Final = 30_000_000

#: A clock's least round trip up to this means a LAN or a fibre in the same town.
NEAR_RTT_US: Final = 20_000
#: What an unmeasured agent farther away gets: a lost packet's retransmission and the path itself (research: 1.5 s).
FAR_US: Final = 1_500_000

#: The least that a need must exceed the lead by, and for how long, before a running stream grows.
GROW_OVER: Final = 1.1
GROW_AFTER_US: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What one kind of source offers: the least and the largest lead, in microseconds."""

    floor_us: int
    cap_us: int


#: A microphone's floor leaves 160 ms of the 400 ms from mouth to loudspeaker for its bundle (100 ms), the way to the
#: controller and encoding. Caps: a speaker does not wait for lines slower than 4 s; a relay harms nobody by 8 s.
TERMS: Final[Mapping[SourceKind, Terms]] = {
    SourceKind.MICROPHONE: Terms(240_000, 4_000_000),
    SourceKind.LIVE: Terms(600_000, 6_000_000),
    SourceKind.RELAY: Terms(3_000_000, 8_000_000),
}

#: What is added to an agent's own reserve where waiting costs nothing (research), and for a microphone.
RESERVE_US: Final = 200_000
TIGHT_SLACK_US: Final = 20_000


@dataclass(slots=True)
class _Out:
    """An agent that is left out of a kind of source, or on trial after that. ``bundles``, ``late``: as it began."""

    since_us: int
    wait_us: int
    bundles: int
    late: int

    def waits(self, now: int) -> bool:
        """Whether its trial is still to come."""
        return now - self.since_us < self.wait_us


@dataclass(slots=True)
class _Line:
    """What is known of one agent's line."""

    delays: tuple[int, int, int] | None = None  # 50 %, 95 %, 99.5 %, in microseconds
    reserve_us: int = 200_000
    measured_us: int = 0
    bundles: int = 0  # since the agent began
    rtt_us: int | None = None
    marks: deque[tuple[int, int]] = field(default_factory=deque)  # when, and ``bundles`` then
    out: dict[SourceKind, _Out] = field(default_factory=dict)

    def count(self, bundles: int, now: int) -> None:
        """Its counter stands there now."""
        if bundles < self.bundles:  # the agent began anew
            self.marks.clear()
        if not self.marks:
            self.marks.append((now, 0))
        self.bundles = bundles
        if now - self.marks[-1][0] >= _MARK_US:
            self.marks.append((now, bundles))
        while len(self.marks) > 1 and now - self.marks[1][0] >= _WINDOW_US:
            self.marks.popleft()

    @property
    def lately(self) -> int:
        """How many bundles its quantiles are of."""
        return self.bundles - (self.marks[0][1] if self.marks else 0)


class Leads:
    """Implements :class:`controller.services.streams.Leads` from the agents' status."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        """``now_us``: the controller's monotonic clock."""
        self._now_us = now_us
        self._lines: dict[str, _Line] = {}
        self._out: set[str] = set()  # whose lines are out for some kind

    def heard(self, agent_id: str, status: Status) -> None:
        """An agent told how it is."""
        line = self._lines.setdefault(agent_id, _Line())
        if status.health.clock_rtt_us is not None:
            line.rtt_us = status.health.clock_rtt_us
        arrivals = status.arrivals
        if arrivals is None:
            return
        line.reserve_us = arrivals.reserve_ms * 1000
        now = self._now_us()
        line.count(arrivals.bundles, now)
        if arrivals.p50_ms is not None and arrivals.p95_ms is not None and arrivals.p995_ms is not None:
            line.delays = arrivals.p50_ms * 1000, arrivals.p95_ms * 1000, arrivals.p995_ms * 1000
            line.measured_us = now
        self._judge(line, arrivals.late, now)
        if line.out:
            self._out.add(agent_id)
        else:
            self._out.discard(agent_id)

    def forget(self, agent_id: str) -> None:
        """It is no longer approved."""
        self._lines.pop(agent_id, None)
        self._out.discard(agent_id)

    # --- the port -------------------------------------------------------------------------------------------------

    def lead_us(self, agents: Iterable[str], kind: SourceKind) -> int:
        """Microseconds from sending a bundle to its first sample that all of ``agents`` (but stragglers) need."""
        terms, now = TERMS[kind], self._now_us()
        longest = terms.floor_us
        for agent_id in agents:
            line = self._lines.get(agent_id)
            if line is not None and not self._straggles(line, kind, now):
                longest = max(longest, self._need(line, kind, now))
        return min(-(-longest // STEP_US) * STEP_US, terms.cap_us)

    def left_out(self, agents: Iterable[str], kind: SourceKind) -> frozenset[str]:
        """Stragglers beyond the cap of the kind: the others do not wait for them."""
        now, lines = self._now_us(), self._lines
        return frozenset(one for one in self._out.intersection(agents) if self._straggles(lines[one], kind, now))

    # --- for people -----------------------------------------------------------------------------------------------

    def complaint(self, agent_id: str) -> str | None:
        """Why an agent is left out of live sound, in words for a technician; None while it is not."""
        if agent_id not in self._out:
            return None
        line, now = self._lines[agent_id], self._now_us()
        kinds = [kind.value for kind in SourceKind if self._straggles(line, kind, now)]
        if not kinds or line.delays is None:
            return None
        return f"live sound arrives up to {line.delays[1] / 1e6:.1f} s late; left out of: {', '.join(kinds)}"

    # --- inside ---------------------------------------------------------------------------------------------------

    def _judge(self, line: _Line, late: int, now: int) -> None:
        if line.delays is None or line.lately < _FEW:
            return
        usual, most, _ = line.delays
        delay = most if line.lately >= ENOUGH else usual
        for kind, terms in TERMS.items():
            need, out = self._with_reserve(line, kind, delay), line.out.get(kind)
            if need <= BACK * terms.cap_us:
                line.out.pop(kind, None)
            elif out is None:
                if need > terms.cap_us:
                    line.out[kind] = _Out(now, TRY_AGAIN_US, line.bundles, late)
            elif out.waits(now) or line.bundles < out.bundles:
                out.bundles, out.late = line.bundles, late  # what comes from now on is what its trial is about
            elif line.bundles - out.bundles >= ENOUGH and need > terms.cap_us:
                if (late - out.late) * _LATE_IN > line.bundles - out.bundles:
                    line.out[kind] = _Out(now, min(out.wait_us * 2, LONGEST_OUT_US), line.bundles, late)
                else:
                    out.bundles, out.late = line.bundles, late

    def _straggles(self, line: _Line, kind: SourceKind, now: int) -> bool:
        out = line.out.get(kind)
        return out is not None and out.waits(now)

    def _need(self, line: _Line, kind: SourceKind, now: int) -> int:
        if line.delays is not None and now - line.measured_us < FORGOTTEN_US:
            usual, most, longest = line.delays
            if kind in line.out:  # on trial
                return self._with_reserve(line, kind, usual)
            return self._with_reserve(line, kind, longest if line.lately >= ENOUGH else most)
        floor = TERMS[kind].floor_us
        far = line.rtt_us is not None and line.rtt_us > NEAR_RTT_US
        return max(floor, FAR_US) if far else floor

    @staticmethod
    def _with_reserve(line: _Line, kind: SourceKind, delay_us: int) -> int:
        tight = kind is SourceKind.MICROPHONE
        reserve = line.reserve_us + TIGHT_SLACK_US if tight else max(line.reserve_us, RESERVE_US)
        return max(TERMS[kind].floor_us, delay_us + reserve)


class StreamLead:
    """The lead of one running stream, changed only where it cannot be heard."""

    def __init__(self, lead_us: int) -> None:
        self.lead_us = lead_us
        self._short_since: int | None = None

    def anchor(self, need_us: int) -> int:
        """A new anchor: any lead will do. Returns the lead from now on."""
        self.lead_us, self._short_since = need_us, None
        return self.lead_us

    def grow(self, need_us: int, *, buffered_us: int) -> bool:
        """Sound that waits anyway can go out earlier: nobody hears it. True: the lead has grown."""
        if need_us <= self.lead_us or buffered_us < need_us - self.lead_us:
            return False
        self.anchor(need_us)
        return True

    def wants_anchor(self, need_us: int, now_us: int) -> bool:
        """Whether the need has been so much larger for so long that the next silent moment should be an anchor."""
        if need_us <= self.lead_us * GROW_OVER:
            self._short_since = None
            return False
        if self._short_since is None:
            self._short_since = now_us
        return now_us - self._short_since >= GROW_AFTER_US
