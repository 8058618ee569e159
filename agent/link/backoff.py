"""How long to wait before the next try: 1 s doubling to 60 s, with full jitter; less after a line that stood.

A line that stood and broke will most likely be back soon, and until then live sound is missing: the first
:data:`SOON_TRIES` tries after it come within :data:`SOON_S` of each other. One that is refused, or finds nobody, costs
the controller next to nothing.

Full jitter (a uniform draw between nothing and the ceiling) spreads 1 500 agents that lost one controller at the
same instant over the whole minute. Randomness comes in, so a test can foresee it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

#: First and last ceiling, in seconds (DESIGN: reconnect 1 → 60 s).
FIRST_S = 1.0
LAST_S = 60.0

#: Ceiling and number of the tries after a line that stood: about a minute.
SOON_S = 1.0
SOON_TRIES = 60

#: No try follows the last one sooner than this, whatever the draw, so that a refusal is no busy loop.
FLOOR_S = 0.1


@dataclass(slots=True)
class Backoff:
    """The state of one sequence of tries. :meth:`reset` after something worked."""

    random: random.Random = field(default_factory=random.SystemRandom)
    first_s: float = FIRST_S
    last_s: float = LAST_S
    failures: int = 0

    def next_delay_s(self) -> float:
        """Seconds to wait now; each call counts one failure more."""
        ceiling = SOON_S if self.soon else min(self.last_s, self.first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return max(FLOOR_S, self.random.uniform(0.0, ceiling))

    @property
    def soon(self) -> bool:
        """A line that stood was lost a moment ago."""
        return self.failures < 0

    def lost(self) -> None:
        """A line that stood is lost: it is tried again soon, for a while."""
        self.failures = -SOON_TRIES

    def reset(self) -> None:
        """The last try worked; the next failure begins at the first ceiling again."""
        self.failures = 0
