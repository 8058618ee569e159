from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.services.areas import AreaPolicy
from controller.services.clusters import ClusterSpec
from controller.services.context import SYSTEM, Permission, Role
from controller.services.directory import DEFAULT_QUIET, DEFAULT_ZONE, Change, Directory
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, ServiceError
from schedules.ladder import Priority
from schedules.model import Amplifier, QuietHours
from tests.unit.controller.desk import Desk, open_desk

SIESTA = QuietHours(time(12), time(14))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path) as opened:
        yield opened


async def tree(desk: Desk) -> tuple[str, str, str]:
    """District, commune, village."""
    district = await desk.areas.create(SYSTEM, name="Đakrông", kind="huyện", policy=AreaPolicy(quiet=SIESTA))
    commune = await desk.areas.create(SYSTEM, name="Tà Rụt", kind="xã", parent_id=district.id)
    village = await desk.areas.create(SYSTEM, name="A Vao", kind="thôn", parent_id=commune.id)
    return district.id, commune.id, village.id


async def test_policy_is_inherited_from_the_nearest_that_says_something(desk: Desk) -> None:
    district, commune, village = await tree(desk)
    cluster = await desk.clusters.create(SYSTEM, ClusterSpec("A Vao 1", village, gains={Priority.RELAY: -6.0}))
    settings = desk.directory.effective_settings(cluster.id)
    assert (settings.timezone, settings.quiet_hours) == (DEFAULT_ZONE, SIESTA)
    assert settings.gain_db(Priority.RELAY) == -6.0
    await desk.areas.change(
        SYSTEM, commune, {"quiet": "none", "timezone": "Asia/Bangkok", "max_item": timedelta(minutes=5)}
    )
    settings = desk.directory.effective_settings(cluster.id)
    assert (settings.quiet_hours, settings.timezone, settings.max_item) == (None, "Asia/Bangkok", timedelta(minutes=5))
    await desk.areas.change(SYSTEM, commune, {"quiet": None})
    await desk.areas.change(SYSTEM, district, {"quiet": None})
    assert desk.directory.effective_settings(cluster.id).quiet_hours == DEFAULT_QUIET


async def test_the_directory_is_the_same_after_a_restart(desk: Desk) -> None:
    _, _, village = await tree(desk)
    spec = ClusterSpec(
        "A Vao 1",
        village,
        16.1,
        106.8,
        ("vi", "pac"),
        gains={Priority.DRILL: 3.0},
        amplifier=Amplifier("gpio", 17, timedelta(milliseconds=500)),
    )
    await desk.clusters.create(SYSTEM, spec)
    await desk.user("lan", (Role.OPERATOR, village))
    fresh = Directory()
    async with desk.db.read() as session:
        await fresh.load(session)
    assert (fresh.areas, fresh.clusters, fresh.users) == (
        desk.directory.areas,
        desk.directory.clusters,
        desk.directory.users,
    )
    assert set(fresh.tokens) == set(desk.directory.tokens)


async def test_a_tree_has_no_circles(desk: Desk) -> None:
    district, commune, village = await tree(desk)
    for parent in (district, commune, village):
        with pytest.raises(InvalidError, match="inside itself"):
            await desk.areas.change(SYSTEM, district, {"parent_id": parent})
    await desk.areas.change(SYSTEM, village, {"parent_id": district})
    assert [area.name for area in desk.directory.lineage(village)] == ["A Vao", "Đakrông"]


async def test_a_tree_is_not_endlessly_deep(desk: Desk) -> None:
    parent: str | None = None
    for number in range(16):
        parent = (await desk.areas.create(SYSTEM, name=str(number), kind="x", parent_id=parent)).id
    with pytest.raises(InvalidError, match="deep"):
        await desk.areas.create(SYSTEM, name="too deep", kind="x", parent_id=parent)


async def test_what_is_not_empty_stays(desk: Desk) -> None:
    district, commune, village = await tree(desk)
    cluster = await desk.clusters.create(SYSTEM, ClusterSpec("A Vao 1", village))
    for area in (district, village):
        with pytest.raises(ConflictError) as refused:
            await desk.areas.delete(SYSTEM, area)
        assert refused.value.code == "not_empty"
    await desk.clusters.delete(SYSTEM, cluster.id)
    for area in (village, commune, district):
        await desk.areas.delete(SYSTEM, area)
    assert (desk.directory.areas, desk.directory.clusters) == ({}, {})


async def test_names_are_unique_where_they_would_be_confused(desk: Desk) -> None:
    district, commune, village = await tree(desk)
    with pytest.raises(ConflictError):
        await desk.areas.create(SYSTEM, name="tà rụt", kind="xã", parent_id=district)
    await desk.clusters.create(SYSTEM, ClusterSpec("1", village))
    with pytest.raises(ConflictError):
        await desk.clusters.create(SYSTEM, ClusterSpec("1", village))
    await desk.clusters.create(SYSTEM, ClusterSpec("1", commune))
    with pytest.raises(ConflictError, match="use the id"):
        desk.directory.find_cluster("1")
    assert desk.directory.find_area("Tà Rụt").id == commune


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"latitude": 91.0, "longitude": 0.0}, "latitude"),
        ({"latitude": 1.0}, "longitude"),
        ({"languages": ()}, "languages"),
        ({"languages": ("vi", "vi")}, "languages"),
        ({"languages": ("tiếng Việt",)}, "languages.0"),
        ({"gains": {Priority.RELAY: 12.5}}, "gains.RELAY"),
        ({"output_delay_ms": -1}, "output_delay_ms"),
        ({"duck_db": -3.0}, "duck_db"),
        ({"duck_db": -41.0}, "duck_db"),
        ({"amplifier": Amplifier("gpio", 1, timedelta(minutes=1))}, "amplifier.lead_ms"),
        ({"state": "gone"}, "state"),
    ],
)
async def test_a_cluster_that_makes_no_sense_is_refused_with_the_field(
    desk: Desk, said: dict[str, Any], field: str
) -> None:
    area = await desk.areas.create(SYSTEM, name="A", kind="xã")
    with pytest.raises(InvalidError) as refused:
        await desk.clusters.create(SYSTEM, ClusterSpec("x", area.id, **said))
    assert [problem.field for problem in refused.value.fields] == [field]


@pytest.mark.parametrize("zone", ["Mars/Base", "Asia", "../etc/passwd", "", "/etc/localtime", "x" * 500])
async def test_a_zone_that_is_none_is_refused(desk: Desk, zone: str) -> None:
    with pytest.raises(InvalidError) as refused:
        await desk.areas.create(SYSTEM, name="A", kind="xã", policy=AreaPolicy(timezone=zone))
    assert refused.value.code == "unknown_zone"


async def test_an_import_is_all_or_nothing(desk: Desk) -> None:
    area = await desk.areas.create(SYSTEM, name="A", kind="xã")
    bad = [ClusterSpec("1", area.id), ClusterSpec("2", area.id, languages=("?",))]
    with pytest.raises(InvalidError) as refused:
        await desk.clusters.create_many(SYSTEM, bad)
    assert refused.value.fields[0].field == "1.languages.0"
    with pytest.raises(ConflictError):
        await desk.clusters.create_many(SYSTEM, [ClusterSpec("1", area.id), ClusterSpec("1", area.id)])
    assert not desk.directory.clusters


async def test_rights_hold_below_an_area_and_nowhere_else(desk: Desk) -> None:
    district, commune, village = await tree(desk)
    other = (await desk.areas.create(SYSTEM, name="Hướng Hóa", kind="huyện")).id
    cluster = await desk.clusters.create(SYSTEM, ClusterSpec("A Vao 1", village))
    lan = await desk.user("lan", (Role.OPERATOR, commune))
    desk.directory.require(lan, Permission.STOP, village)
    for area in (district, other, None, "ar_nowhere"):
        with pytest.raises(ForbiddenError):
            desk.directory.require(lan, Permission.STOP, area)
    with pytest.raises(ForbiddenError):
        await desk.areas.change(lan, village, {"name": "x"})
    assert {area.id for area in desk.areas.readable(lan)} == {commune, village}
    changed = await desk.clusters.set_volume(lan, cluster.id, {Priority.RELAY: -3.0})
    assert dict(changed.gains) == {Priority.RELAY: -3.0}
    await desk.areas.change(SYSTEM, village, {"parent_id": other})
    with pytest.raises(ForbiddenError):
        await desk.clusters.set_volume(lan, cluster.id, {Priority.RELAY: 0.0})


async def test_moving_a_cluster_needs_the_right_at_both_ends(desk: Desk) -> None:
    a = (await desk.areas.create(SYSTEM, name="A", kind="xã")).id
    b = (await desk.areas.create(SYSTEM, name="B", kind="xã")).id
    cluster = await desk.clusters.create(SYSTEM, ClusterSpec("1", a))
    lan = await desk.user("lan", (Role.ADMIN, a))
    with pytest.raises(ForbiddenError):
        await desk.clusters.change(lan, cluster.id, {"area_id": b})
    assert desk.directory.cluster(cluster.id).area_id == a


async def test_listeners_hear_of_changes_after_the_commit(desk: Desk) -> None:
    heard: list[Change] = []
    desk.directory.subscribe(heard.append)
    area = await desk.areas.create(SYSTEM, name="A", kind="xã")
    with pytest.raises(ServiceError):
        await desk.areas.create(SYSTEM, name="A", kind="xã")
    await desk.areas.delete(SYSTEM, area.id)
    assert heard == [Change("area", area.id), Change("area", area.id, removed=True)]


def test_unknown_ids_are_named() -> None:
    directory = Directory()
    for look, code in (
        (directory.area, "area_not_found"),
        (directory.cluster, "cluster_not_found"),
        (directory.agent, "agent_not_found"),
        (directory.find_area, "area_not_found"),
    ):
        with pytest.raises(NotFoundError) as refused:
            look("xx")
        assert refused.value.code == code


async def test_ducking_is_part_of_what_holds_at_a_cluster_and_can_be_switched_off(desk: Desk) -> None:
    area = await desk.areas.create(SYSTEM, name="A", kind="xã")
    quiet = await desk.clusters.create(SYSTEM, ClusterSpec("1", area.id))
    assert desk.directory.effective_settings(quiet.id).duck_db is None
    ducking = await desk.clusters.change(SYSTEM, quiet.id, {"duck_db": -20.0})
    assert desk.directory.effective_settings(ducking.id).duck_db == -20.0
    await desk.clusters.change(SYSTEM, quiet.id, {"duck_db": None})
    assert desk.directory.effective_settings(quiet.id).duck_db is None
