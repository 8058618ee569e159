"""The shelf: what every box keeps, merged from those who want something there, and told through signed settings."""

from __future__ import annotations

from pathlib import Path

from controller.services.stock import StockShelf
from protocol.documents import StockClip, StockKind
from protocol.limits import MAX_STOCK
from schedules.instants import Frames
from tests.unit.controller.air_kit import open_stage, settings, until


def clip(number: int, kind: StockKind = StockKind.TEMPLATE) -> StockClip:
    return StockClip(f"{number:064x}", Frames(48_000), 9_000, kind)


def test_sources_are_merged_in_their_order_each_sound_once() -> None:
    shelf = StockShelf()
    shelf.sources += [lambda _: [clip(2), clip(1)], lambda _: [clip(1, StockKind.CHIME), clip(3)]]
    assert shelf.of("cl_a") == (clip(2), clip(1), clip(3))


def test_what_does_not_fit_is_left_out_and_said() -> None:
    shelf = StockShelf()
    wanted = [clip(number) for number in range(MAX_STOCK + 5)]
    shelf.sources.append(lambda cluster: wanted if cluster == "cl_a" else [])
    assert len(shelf.of("cl_a")) == MAX_STOCK
    assert shelf.of("cl_b") == ()
    assert shelf.left_out == {"cl_a": 5}
    del wanted[10:]
    assert shelf.of("cl_a") == tuple(wanted)
    assert shelf.left_out == {}


async def test_a_change_is_signed_and_offered_soon(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        cluster = await stage.cluster(await stage.area(), "A")
        agent = stage.agent_of(cluster)
        stage.gateway.present.add(agent)
        stage.air.planner.poke()
        await until(lambda: stage.gateway.plans)
        stage.air.shelf.sources.append(lambda _: [clip(7)])
        stage.air.shelf.changed()
        await until(lambda: any(clip(7) in settings(sent[0]).stock for _, sent in stage.gateway.plans if len(sent) > 1))
