"""A small district for browser tests: three communes, seven clusters with agents in memory, people with roles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system.desk import Desk
from tests.system.processes import Process, wait_until
from tests.system.siren_desk import as_officer, held, swarm, template

#: Roles of each sign-in name.
PEOPLE = {
    "bientap": ("editor", "operator"),  # radio officer: schedules, speaks live
    "duyet": ("approver",),
    "truc1": ("duty_officer",),
    "truc2": ("duty_officer",),
    "kythuat": ("technician",),
    "xem": ("viewer",),
}
#: Coordinates of the villages lie around here (Đakrông, Quảng Trị).
PLACE = (16.55, 106.95)
#: States of an alert whose orders hold.
_IN_FORCE = ("confirmed", "overridden", "sounding", "repeating")


@dataclass(slots=True)
class Village:
    """What tests know of it."""

    desk: Desk
    district: str = ""
    communes: dict[str, str] = field(default_factory=dict)  # name → id
    clusters: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    template: str = ""
    elsewhere: str = ""  # an area of another district

    @property
    def url(self) -> str:
        """Where the console is."""
        return self.desk.url

    def spare(self, commune: str, name: str, stack: ExitStack, **more: Any) -> str:
        """One more cluster, without a box; when ``stack`` closes it has moved away: the village is as it was."""
        cluster = self.desk.cluster(self.communes[commune], name, **more)
        stack.callback(self._move, cluster)
        return cluster

    def _move(self, cluster: str) -> None:
        with self.desk.api() as api:
            api.patch(f"/api/v1/clusters/{cluster}", {"area_id": self.elsewhere, "name": cluster})

    def hush(self) -> None:
        """End all sound, and every alert that a test composed or gave: the next test finds no banner and no board.

        By STOP, not by cancelling: a cancel message is one more start, and boxes hold the fifth within a minute.
        """
        with self.desk.api() as api:
            api.post("/api/v1/orders/stop", {"everywhere": True})

            def standing(*states: str) -> list[str]:
                return [one["id"] for one in api.get("/api/v1/alerts")["items"] if one["state"] in states]

            for alert in standing("composed", "armed"):
                api.post(f"/api/v1/alerts/{alert}/cancel", {"reason": "thử xong"})
            wait_until(lambda: not standing(*_IN_FORCE), 10, "the STOP has ended every alert")

    def until_held(self) -> None:
        """Wait until every box has the flood message in its stock."""
        held(self.desk, len(self.clusters))


def settle(folder: Path, stack: ExitStack) -> Village:
    """Make it: everybody online, a flood message on its way to every stock."""
    desk = stack.enter_context(Desk(folder))
    village = Village(desk, district=desk.area("Huyện Đakrông", kind="huyện"))
    village.elsewhere = desk.area("Huyện Hướng Hóa", kind="huyện")
    village.passwords["admin"] = "mat khau cua nha"
    with desk.api() as api:
        api.put("/api/v1/me/password", {"old": desk.password, "new": village.passwords["admin"]})
    for row, (name, count) in enumerate({"Tà Rụt": 3, "A Vao": 2, "Ba Nang": 2}.items()):
        commune = village.communes[name] = desk.area(f"Xã {name}", parent_id=village.district)
        for number in range(1, count + 1):
            place: dict[str, Any] = {
                "latitude": PLACE[0] + row * 0.04,
                "longitude": PLACE[1] + number * 0.03,
                "contact_name": f"Trưởng thôn {name} {number}",
                "contact_phone": f"09130000{row}{number}",
            }
            village.clusters[f"{name} {number}"] = desk.cluster(commune, f"{name} {number}", **place)
    for name, roles in PEOPLE.items():
        village.passwords[name] = newcomer(desk, name, roles, village.district)
    village.passwords["quantri"] = newcomer(desk, "quantri", ("admin",), None)
    village.template = template(desk, village.district)
    agents = swarm(desk, list(village.clusters.values()), folder)
    stack.enter_context(Process("swarm", [*agents, "--decode", "0"], folder))
    with desk.api() as api:
        wait_until(lambda: api.get("/api/v1/fleet")["total"]["online"] == len(village.clusters), 60, "all online")
    return village


def newcomer(desk: Desk, name: str, roles: Sequence[str], area: str | None, **more: str) -> str:
    """Somebody with these roles over an area who has chosen a password already; which one."""
    password = f"mat khau cua {name} dai"
    grants = [{"role": role, "area_id": area} for role in roles]
    with desk.api() as api:
        made = api.post("/api/v1/users", {"name": name, "grants": grants, **more})
        token = api.post("/api/v1/login", {"name": name, "password": made["password"]})["token"]
    with as_officer(desk, token) as api:
        api.put("/api/v1/me/password", {"old": made["password"], "new": password})
    return password
