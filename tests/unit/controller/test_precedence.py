"""An order goes first, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from controller.services.precedence import HOLD_S, LONGEST_S, Precedence


@dataclass
class Hands:
    """A clock that moves when somebody sleeps."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def _precedence() -> tuple[Precedence, Hands]:
    hands = Hands()
    return Precedence(lambda: hands.now, hands.sleep), hands


def test_without_an_order_nothing_holds_still() -> None:
    precedence, hands = _precedence()
    precedence.wait()
    assert hands.slept == []
    assert precedence.left_s == 0


def test_work_holds_still_until_the_order_is_heard() -> None:
    precedence, hands = _precedence()
    precedence.order()
    precedence.wait()
    assert sum(hands.slept) == HOLD_S
    precedence.wait()
    assert sum(hands.slept) == HOLD_S


def test_a_stream_of_orders_does_not_hold_work_up_for_ever() -> None:
    precedence, hands = _precedence()
    began = hands.now
    while hands.now < began + 10 * LONGEST_S:
        precedence.order()
        hands.now += HOLD_S / 4
    assert precedence.left_s == 0, "work goes on while they come"
    hands.now += 2 * HOLD_S
    precedence.order()
    assert precedence.left_s == HOLD_S, "and holds still again for the next after a calm"


async def test_a_task_lets_the_others_go_on_and_holds_still() -> None:
    precedence = Precedence()
    precedence.order()
    loop = asyncio.get_running_loop()
    began = loop.time()
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0.05)

    task = asyncio.create_task(other())
    await precedence.turn()
    task.cancel()
    assert loop.time() - began >= HOLD_S - 0.05
    assert others > 1
