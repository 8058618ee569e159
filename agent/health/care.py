"""Care for the sound device: opened ahead of what is planned, watched while it sounds, its rate remembered.

Rules kept here:

1. A device is opened :data:`~audio.playout.WARM_US` before what is planned, and while a live stream is open: a sound
   server tells wild times at first.
2. It is looked at once a second (every ten for a player that decodes nothing, of which a process holds hundreds).
3. What was learnt of clock and device is written down once an hour while something sounds, beside every end of a
   session: a power cut costs an hour's learning, and a card a day's 24 small writes.

Not here: judging (:mod:`agent.health.sync`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from agent.clocks import Clock
from agent.health.sync import SyncWatch
from agent.watch import Watch
from audio.playout import WARM_US, Player
from schedules.instants import MonoUs

LOOK_S: Final = 1.0
LOOK_IDLY_S: Final = 10.0
#: What is planned may begin a moment late.
MARGIN_US: Final = 5_000_000
REMEMBER_US: Final = 3_600_000_000


class DeviceCare:
    """One agent's.

    Args:
        clock: for when to remember.
        player: what is cared for.
        sync: what is sampled.
        watch: where the fault is told.
        expected: until when something may sound, as far as is known now; None for nothing.
        remember: write down what was learnt.
    """

    def __init__(
        self,
        clock: Clock,
        player: Player,
        sync: SyncWatch,
        watch: Watch,
        *,
        expected: Callable[[], MonoUs | None],
        remember: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._player = player
        self._sync = sync
        self._watch = watch
        self._expected = expected
        self._remember = remember
        self._remembered = clock.mono_us()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            decoding = self.look()
            await asyncio.sleep(LOOK_S if decoding else LOOK_IDLY_S)

    def look(self) -> bool:
        """Once; whether the player really decodes."""
        now, until = self._clock.mono_us(), self._expected()
        if until is not None and until - now < WARM_US:
            self._player.warm(MonoUs(until + MARGIN_US))
        state = self._player.state()
        self._watch.set_fault("timing_degraded", self._sync.sample(state))
        if state.cues and now - self._remembered >= REMEMBER_US:
            self._remembered = now
            self._remember()
        return state.decoding
