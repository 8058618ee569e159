"""What somebody knows who asks the API well: what is there to be named, and what is said about it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.unit.controller.alerts.test_alert_api import processed
from tests.unit.controller.staff import PASSWORD, Staff
from tests.unit.controller.test_rights_matrix import SAY, World, reaching, required
from tests.unit.controller.warnings.test_warning_api import fresh, push, settled
from tests.unit.controller.warnings.warning_kit import xml

_PASSPHRASE: Final = "nuoc len thi bao loa"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What somebody knows who asks well."""

    world: World
    paths: dict[str, dict[str, str]]  # what an operation's path means, where it is not what the world has
    token: str  # a warning sender's
    code: str  # of the alert that waits

    def of(self, operation: str, path: str) -> dict[str, str]:
        """What stands for the parameters of a path."""
        return self.world.of(path) | self.paths["alerts"] | self.paths.get(operation, {})

    def bodies(self) -> dict[str, list[Any]]:
        """What is asked, by operation."""
        world, later = self.world, datetime.now(UTC) + timedelta(hours=2)
        reach = reaching(world)
        programme = reach["createProgramme"][0]
        narrow = {"clusters": [world.ids["cluster_id"]]}
        hoa = {"name": "hoa", "password": PASSWORD}
        alert = {"kind": "text", "words": SAY, "cancel_words": SAY, **narrow}
        return reach | {
            "login": [hoa],
            "openSession": [hoa],
            "createToken": [{"label": "máy in"}],
            "beginSecondFactor": [{"password": PASSWORD}],
            "createUser": [{"name": "nam", "grants": [{"role": "viewer", "area_id": world.mine}]}],
            "changeUser": [{"display_name": "Minh"}],
            "changeArea": [{"name": "Tà Rụt"}],
            "importClusters": [{"clusters": [{"name": "Thôn Một", "area_id": world.mine}]}],
            "changeCluster": [{"name": "Cụm A"}],
            "createZone": [{"name": "Bờ suối", "area_id": world.mine, "clusters": [world.my_cluster]}],
            "changeZone": [{"name": "Ven sông"}],
            "makeBackup": [{"passphrase": _PASSPHRASE}],
            "tryVoice": [{"text": "Xin chào", "language": "vi"}],
            "decideRecording": [{"sha256": world.sound, "decision": "approved"}],
            "changeProgramme": [programme | {"title": "Chiều"}],
            "createProgramme": [programme | {"dtstart": "2030-01-05T09:00"}],
            "startLive": [{"title": "x", "clusters": [world.my_cluster]}],
            "confirmAlert": [{"code": self.code}],
            "extendAlert": [{"until": later.isoformat()}],
            "reviewAlert": [alert | {"title": "Lũ"}],
            "composeAlert": [alert | {"title": "Bão"}],
            "makeListeningTicket": [{"cluster_id": world.ids["cluster_id"]}],
            "pushCap": [xml(fresh())],
            "uploadRecording": [b"x" * 64],
            "replaceRecording": [b"x" * 64],
        }

    def queries(self, operation: str) -> dict[str, Any]:
        """What stands behind the question mark."""
        own: dict[str, dict[str, Any]] = {"uploadRecording": {"area_id": self.world.mine, "title": "Bản tin"}}
        said = dict(part.split("=") for part in required(operation).split("&") if part)
        return own.get(operation, {}) | said

    @property
    def names(self) -> dict[str, str]:
        """What is there, by the names that bodies and queries have for it."""
        ids = self.world.ids
        area, cluster = ids["area_id"], ids["cluster_id"]
        return {
            "area_id": area, "parent_id": area, "areas": area, "cluster_id": cluster, "clusters": cluster,
            "zones": ids["zone_id"],
            "recordings": ids["recording_id"], "recording": ids["recording_id"], "template": ids["template_id"],
            "source_id": ids["source_id"], "user_id": ids["user_id"], "rule_id": ids["programme_id"],
            "programme_id": ids["programme_id"], "following": ids["programme_id"], "agent_id": ids["agent_id"],
        }  # fmt: skip


async def learn(world: World) -> Knowledge:
    """What an operation can be done to: alerts in every state, a backup, things that nothing else needs."""
    admin, mine = world.staff, world.mine
    hoa = await admin.user("hoa", {"role": "admin"})
    given, waiting = [await _composed(hoa, world, title) for title in ("Lũ ống", "Sạt lở")]
    own = await _composed(admin, world, "Cháy rừng")
    status, said = await admin.call("POST", f"/api/v1/alerts/{given['id']}/confirm", {"code": given["code"]})
    assert status == 200, said
    _, template = await admin.call("GET", f"/api/v1/templates/{world.ids['template_id']}")
    for words in (*template["words"], *template["cancel_words"]):
        await _approved(admin, words["recording"])
    spoken = {"area_id": mine, "title": "Thử", "text": "Thử"}
    spare, gone = [await admin.made("/api/v1/recordings/speech", spoken) for _ in range(2)]
    for each in (spare, gone):
        await processed(admin, each)
    assert (await admin.call("DELETE", f"/api/v1/recordings/{gone}"))[0] == 204
    tokens = f"/api/v1/warning-sources/{world.warning_source}/tokens"
    _, token = await admin.call("POST", tokens, {"label": "máy"})
    _, taken = await push(admin, xml(fresh()), token["token"])
    warning = await settled(admin, taken["results"][0]["id"])
    me = (await admin.call("GET", "/api/v1/me"))[1]["user_id"]
    notice = world.staff.running.air.alarms.notices.post((me,), "alert_alone", own["id"], "Một mình")[0].id
    area = await admin.made("/api/v1/areas", {"name": "Bỏ", "kind": "thôn", "parent_id": mine})
    cluster = await admin.made("/api/v1/clusters", {"name": "Bỏ", "area_id": mine})
    zone = {"name": "Bỏ", "area_id": mine, "clusters": [world.my_cluster]}
    spare_zone = await admin.made("/api/v1/zones", zone)
    paths = {
        "alerts": {"alert_id": given["id"], "sha256": given["sound"]},
        "confirmAlert": {"alert_id": waiting["id"]},
        "overrideAlert": {"alert_id": own["id"]},
        "downloadBackup": {"name": await _backup(admin)},
        "getConsolePage": {"file": "index.html"},
        "listenToSource": {"source_id": "nothing_here"},  # the real one is waited for, a quarter of a minute
        "archiveRecording": {"recording_id": spare},
        "restoreRecording": {"recording_id": gone},
        "declineWarning": {"warning_id": warning["id"]},
        "seeNotice": {"notice_id": notice},
        "endSession": {"session_id": await _another_session(admin)},
        "deleteArea": {"area_id": area},
        "deleteCluster": {"cluster_id": cluster},
        "deleteZone": {"zone_id": spare_zone},
        "getCapAlert": {"identifier": await _published(admin)},
    }
    return Knowledge(world, paths, token["token"], waiting["code"])


async def _approved(admin: Staff, recording: str) -> None:
    await processed(admin, recording)
    path = f"/api/v1/recordings/{recording}"
    verdict = {"sha256": (await admin.call("GET", path))[1]["sha256"], "decision": "approved"}
    assert (await admin.call("POST", f"{path}/decision", verdict))[0] == 200


async def _composed(who: Staff, world: World, title: str) -> dict[str, str]:
    words = [{"language": "vi", "text": title}]  # others than of the alert before: that would be a duplicate
    said = {"kind": "text", "clusters": [world.ids["cluster_id"]], "words": words, "cancel_words": SAY, "title": title}
    status, made = await who.call("POST", "/api/v1/alerts", said)
    assert status == 201, made
    alert: dict[str, Any] = {}
    async with asyncio.timeout(20):
        while not alert.get("sha256"):
            await asyncio.sleep(0.1)
            _, alert = await who.call("GET", f"/api/v1/alerts/{made['id']}")
    return {"id": made["id"], "code": made["code"], "sound": alert["sha256"][0]}


async def _published(admin: Staff) -> str:
    """What the world knows our alert by."""
    async with asyncio.timeout(20):
        while True:
            async with admin.http.get(f"{admin.running.staff_url}/api/v1/cap/alerts") as feed:
                if found := re.search(r"/api/v1/cap/alerts/([^\"<]+)\.xml", await feed.text()):
                    return found[1]
            await asyncio.sleep(0.1)


async def _another_session(admin: Staff) -> str:
    await admin.call("POST", "/api/v1/sessions", {"label": "cũ"})
    _, sessions = await admin.call("GET", "/api/v1/sessions")
    return next(str(one["id"]) for one in sessions["items"] if one["label"] == "cũ")


async def _backup(admin: Staff) -> str:
    """A backup's name."""
    assert (await admin.call("POST", "/api/v1/backups", {"passphrase": _PASSPHRASE}))[0] == 202
    files: list[dict[str, str]] = []
    async with asyncio.timeout(20):
        while not files:
            await asyncio.sleep(0.1)
            _, backups = await admin.call("GET", "/api/v1/backups")
            files = backups["files"]
    return files[0]["name"]
