"""Garbage is collected when nobody hears it, and nothing is kept for ever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from controller.garbage import EVERY_S, ON_AIR_S, THRESHOLDS, GarbageCare
from controller.supervisor import Supervisor


class Loop:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.me = self


def litter() -> weakref.ref[Loop]:
    return weakref.ref(Loop())


class Care:
    def __init__(self) -> None:
        self.now, self.on_air = 0, False
        self.care = GarbageCare(lambda: self.on_air, lambda: self.now)

    async def after(self, seconds: float) -> None:
        self.now += int(seconds * 1e6)
        await self.care.look()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


async def test_all_of_it_when_nothing_is_on_air_every_ten_minutes() -> None:
    care = Care()
    first = litter()
    await care.after(1)
    assert first() is None
    assert gc.get_freeze_count() > 0
    second = litter()
    gc.freeze()  # as if it had been in use at the last look
    await care.after(EVERY_S - 1)
    assert second() is not None
    await care.after(1)
    assert second() is None


async def test_what_is_on_air_all_the_time_puts_it_off_for_half_a_day() -> None:
    care = Care()
    care.on_air = True
    litters = [litter()]
    await care.after(ON_AIR_S - 1)
    assert litters[0]() is not None
    await care.after(1)
    assert litters[0]() is None
    second = litter()
    await care.after(EVERY_S)
    assert second() is not None
    care.on_air = False
    await care.after(0)
    assert second() is None


async def test_the_collector_by_itself_looks_only_at_what_is_young() -> None:
    keeper = Supervisor()
    Care().care.open(keeper)
    assert gc.get_threshold() == THRESHOLDS
    await keeper.close()
