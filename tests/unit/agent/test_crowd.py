"""Among hundreds of agents in a process orders go first, the rest in turn, and nobody waits for long."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from agent.crowd import AT_ONCE, HOLD_S, LONGEST_S, ONE_MORE_S, Crowd, Rank


async def test_alone_nobody_waits() -> None:
    crowd, done = Crowd(), list[str]()
    crowd.hurry(1.0)
    crowd.later(Rank.REST, lambda: done.append("at once"))
    assert done == ["at once"]
    await crowd.turn()


async def test_a_few_go_on_in_each_round_and_the_oldest_first() -> None:
    crowd, went = Crowd(HOLD_S), list[int]()
    for number in range(2 * AT_ONCE + 1):
        crowd.later(Rank.REST, partial(went.append, number))
    rounds = []
    while len(went) < 2 * AT_ONCE + 1:
        await asyncio.sleep(0)
        rounds.append(len(went))
    assert went == sorted(went)
    assert {AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1} <= set(rounds)


async def test_a_busy_loop_starves_nobody() -> None:
    crowd, went, rounds = Crowd(HOLD_S), list[int](), 0
    for number in range(200):
        crowd.later(Rank.REST, partial(went.append, number))
    while len(went) < 200:
        time.sleep(20 * ONE_MORE_S)  # noqa: ASYNC251 - a loop that is never idle
        await asyncio.sleep(0)
        rounds += 1
    assert rounds <= 200 // 20 + 2


async def test_nothing_is_begun_while_orders_come_but_nobody_waits_for_ever() -> None:
    loop = asyncio.get_running_loop()
    crowd = Crowd(HOLD_S)
    began = loop.time()
    crowd.hurry()
    await crowd.turn()
    assert loop.time() - began >= HOLD_S

    began, stop = loop.time(), asyncio.Event()

    async def orders() -> None:
        while not stop.is_set():
            crowd.hurry(LONGEST_S)
            await asyncio.sleep(HOLD_S / 3)

    storm = asyncio.create_task(orders())
    await crowd.turn()
    waited = loop.time() - began
    stop.set()
    await storm
    assert waited >= LONGEST_S


async def test_paper_goes_before_words_and_words_before_the_rest() -> None:
    crowd = Crowd(HOLD_S)
    went: list[Rank] = []

    async def go(rank: Rank) -> None:
        await crowd.turn(rank)
        went.append(rank)

    ranks = [rank for rank in reversed(Rank) for _ in range(AT_ONCE)]
    crowd.hurry()
    await asyncio.gather(*map(go, ranks))
    assert went == sorted(ranks)


async def test_paper_is_done_in_the_lead_and_the_rest_once_it_has_started() -> None:
    loop = asyncio.get_running_loop()
    crowd, went = Crowd(HOLD_S), list[str]()
    began = loop.time()
    crowd.hurry(LONGEST_S)
    crowd.later(Rank.REST, lambda: went.append("rest"))
    await crowd.turn(Rank.PAPER)
    assert went == []
    await crowd.turn(Rank.REST)
    assert went == ["rest"]
    assert loop.time() - began >= LONGEST_S


async def test_who_gives_up_waiting_keeps_nobody_else() -> None:
    crowd = Crowd(HOLD_S)
    hasty = asyncio.create_task(crowd.turn())
    patient = asyncio.create_task(crowd.turn())
    await asyncio.sleep(0)
    hasty.cancel()
    await patient
    assert hasty.cancelled()
