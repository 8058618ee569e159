"""Zones: who keeps them, what they may hold, and what they mean where something shall sound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.services.alerts import places
from controller.services.alerts.model import Where
from controller.services.clusters import ClusterSpec
from controller.services.context import SYSTEM, Permission, Role
from controller.services.directory import Change, Directory
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, ServiceError
from controller.services.orders import Scope
from controller.services.zones import MAX_MEMBERS, MAX_ZONES
from tests.unit.controller.desk import Desk, open_desk
from tests.unit.controller.staff import open_staff


@dataclass(frozen=True, slots=True)
class River:
    """A district with two communes, a cluster in each, and one zone over both."""

    desk: Desk
    district: str
    communes: tuple[str, str]
    clusters: tuple[str, str]
    zone: str

    def meant(self) -> frozenset[str]:
        """What the zone means now."""
        return self.desk.directory.clusters_of_zones([self.zone])


@pytest.fixture
async def river(tmp_path: Path) -> AsyncIterator[River]:
    async with open_desk(tmp_path) as desk:
        district = (await desk.areas.create(SYSTEM, name="Đakrông", kind="huyện")).id
        first, second = [
            (await desk.areas.create(SYSTEM, name=name, kind="xã", parent_id=district)).id
            for name in ("Tà Rụt", "A Vao")
        ]
        one, other = [(await desk.clusters.create(SYSTEM, ClusterSpec("1", area))).id for area in (first, second)]
        zone = await desk.zones.create(SYSTEM, name="Ven sông", area_id=district, clusters=[one, other])
        yield River(desk, district, (first, second), (one, other), zone.id)


async def test_a_zone_is_the_same_after_a_restart(river: River) -> None:
    fresh = Directory()
    async with river.desk.db.read() as session:
        await fresh.load(session)
    assert fresh.zones == river.desk.directory.zones
    assert fresh.clusters_of_zones([river.zone]) == river.meant() == set(river.clusters)


async def test_what_is_deleted_or_moves_away_is_no_member(river: River) -> None:
    desk, (one, other) = river.desk, river.clusters
    await desk.clusters.delete(SYSTEM, one)
    assert river.meant() == {other}
    elsewhere = (await desk.areas.create(SYSTEM, name="Hướng Hóa", kind="huyện")).id
    await desk.areas.change(SYSTEM, river.communes[1], {"parent_id": elsewhere})
    assert river.meant() == frozenset()
    with pytest.raises(InvalidError) as refused:
        places.resolve(desk.directory, Where(Scope(zones=(river.zone,))))
    assert refused.value.code == "no_target"


@pytest.mark.parametrize(
    ("said", "fault", "code"),
    [
        ({"clusters": []}, InvalidError, "empty_zone"),
        ({"clusters": [f"cl_{number}" for number in range(MAX_MEMBERS + 1)]}, InvalidError, "too_many_clusters"),
        ({"clusters": ["cl_nowhere"]}, NotFoundError, "cluster_not_found"),
        ({"area_id": "ar_nowhere"}, NotFoundError, "area_not_found"),
        ({"name": "ven SÔNG"}, ConflictError, "name_taken"),
    ],
)
async def test_what_makes_no_zone_is_refused(
    river: River, said: dict[str, Any], fault: type[ServiceError], code: str
) -> None:
    good = {"name": "Bờ suối", "area_id": river.district, "clusters": river.clusters}
    with pytest.raises(fault) as refused:
        await river.desk.zones.create(SYSTEM, **(good | said))
    assert refused.value.code == code
    assert list(river.desk.directory.zones) == [river.zone]


async def test_a_zone_lies_in_its_area(river: River) -> None:
    desk, (first, _), (one, other) = river.desk, river.communes, river.clusters
    for attempt in (
        desk.zones.create(SYSTEM, name="x", area_id=first, clusters=[other]),
        desk.zones.change(SYSTEM, river.zone, {"area_id": first}),
    ):
        with pytest.raises(InvalidError) as refused:
            await attempt
        assert (refused.value.code, refused.value.fields[0].field) == ("outside_area", "clusters")
    moved = await desk.zones.change(SYSTEM, river.zone, {"area_id": first, "clusters": [one]})
    assert (moved.area_id, moved.name, set(river.meant())) == (first, "Ven sông", {one})
    again = await desk.zones.create(SYSTEM, name="Ven sông", area_id=river.district, clusters=[other])
    with pytest.raises(ConflictError):
        await desk.zones.change(SYSTEM, again.id, {"area_id": first, "clusters": [one]})


async def test_there_is_an_end_to_zones(river: River) -> None:
    desk = river.desk
    for number in range(MAX_ZONES - 1):
        await desk.zones.create(SYSTEM, name=str(number), area_id=river.district, clusters=river.clusters[:1])
    with pytest.raises(ConflictError) as refused:
        await desk.zones.create(SYSTEM, name="x", area_id=river.district, clusters=river.clusters)
    assert refused.value.code == "too_many_zones"


async def test_an_area_with_a_zone_stays_and_a_deleted_zone_is_gone(river: River) -> None:
    desk, heard = river.desk, list[Change]()
    for cluster in river.clusters:
        await desk.clusters.delete(SYSTEM, cluster)
    for commune in river.communes:
        await desk.areas.delete(SYSTEM, commune)
    with pytest.raises(ConflictError, match="zones"):
        await desk.areas.delete(SYSTEM, river.district)
    desk.directory.subscribe(heard.append)
    await desk.zones.delete(SYSTEM, river.zone)
    assert heard == [Change("zone", river.zone, removed=True)]
    with pytest.raises(NotFoundError):
        river.meant()
    await desk.areas.delete(SYSTEM, river.district)


async def test_a_zone_is_kept_by_the_people_of_its_area_and_gives_nobody_a_right(river: River) -> None:
    desk, (first, second), (one, _) = river.desk, river.communes, river.clusters
    own = await desk.zones.create(SYSTEM, name="Bờ suối", area_id=first, clusters=[one])
    lan, minh = await desk.user("lan", (Role.ADMIN, first)), await desk.user("minh", (Role.ADMIN, second))
    viewer = await desk.user("xem", (Role.VIEWER, first))
    assert [desk.zones.readable(actor) for actor in (lan, minh, viewer)] == [[own], [], [own]]
    for actor, zone in ((lan, river.zone), (minh, own.id), (viewer, own.id)):
        for attempt in (desk.zones.change(actor, zone, {"name": "x"}), desk.zones.delete(actor, zone)):
            with pytest.raises(ForbiddenError):
                await attempt
    with pytest.raises(ForbiddenError):
        await desk.zones.change(lan, own.id, {"area_id": river.district})
    await desk.zones.change(lan, own.id, {"name": "Bờ suối A"})

    for zone, allowed in ((own.id, True), (river.zone, False)):
        where = Where(Scope(zones=(zone,)))
        found = places.resolve(desk.directory, where).clusters
        if allowed:
            places.require(desk.directory, lan, Permission.EMERGENCY_COMPOSE, where, found)
        else:
            with pytest.raises(ForbiddenError):
                places.require(desk.directory, lan, Permission.EMERGENCY_COMPOSE, where, found)


async def test_zones_over_http_and_where_something_shall_sound(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        area = await staff.made("/api/v1/areas", {"name": "Đakrông", "kind": "huyện", "quiet_hours": "none"})
        one, two, three = [
            await staff.made("/api/v1/clusters", {"name": str(number), "area_id": area}) for number in range(3)
        ]
        zone = await staff.made("/api/v1/zones", {"name": "Ven sông", "area_id": area, "clusters": [one, two]})
        words = [{"language": "vi", "text": "Nước đang lên"}]
        alert = {"kind": "text", "words": words, "cancel_words": words, "title": "Lũ", "zones": [zone]}
        status, composed = await staff.call("POST", "/api/v1/alerts", alert)
        assert (status, composed["clusters"]) == (201, 2)
        status, live = await staff.call("POST", "/api/v1/live", {"title": "x", "zones": [zone]})
        assert (status, sorted(live["clusters"])) == (201, sorted([one, two]))
        status, drill = await staff.call("POST", "/api/v1/drills", {"kind": "silent", "zones": [zone]})
        assert status == 201, drill
        status, said = await staff.call("POST", "/api/v1/orders/stop", {"zones": [zone], "everywhere": True})
        assert (status, said["code"]) == (422, "contradiction")
        nowhere = {"zones": ["zn_x"]}
        for path, body in {
            "/api/v1/orders/stop": nowhere,
            "/api/v1/live": nowhere,
            "/api/v1/alerts": alert | nowhere,
            "/api/v1/orders/play": {"recordings": ["rc_x"], **nowhere},
        }.items():
            status, said = await staff.call("POST", path, body)
            assert (status, said["code"]) == (404, "zone_not_found"), path

        status, changed = await staff.call("PATCH", f"/api/v1/zones/{zone}", {"clusters": [three]})
        assert (status, changed["clusters"], changed["name"]) == (200, [three], "Ven sông")
        _, kept = await staff.call("GET", f"/api/v1/alerts/{composed['id']}")
        assert kept["clusters"] == 2  # frozen when it was composed
        assert (await staff.call("DELETE", f"/api/v1/zones/{zone}"))[0] == 204
        assert (await staff.call("GET", "/api/v1/zones"))[1]["items"] == []
