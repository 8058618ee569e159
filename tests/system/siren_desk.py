"""What system tests of alerts share: duty officers at a real controller, an active template, a small swarm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from controller.cli.client import ApiClient, Login
from tests.system.desk import Desk
from tests.system.processes import BIN, wait_until


def officer(desk: Desk, name: str) -> str:
    """A duty officer over everything; their token."""
    who = {"name": name, "password": f"mat khau cua {name} dai"}
    with desk.api() as api:
        api.post("/api/v1/users", {**who, "grants": [{"role": "duty_officer", "area_id": None}]})
        answer = api.post("/api/v1/login", who)
    return str(answer["token"])


def as_officer(desk: Desk, token: str) -> ApiClient:
    return ApiClient(Login(desk.url, token))


def template(desk: Desk, area: str, words: str = "Lũ về.", **more: object) -> str:
    """A template in force: spoken, approved, activated."""
    body = {"area_id": area, "category": "flood", "title": "Cảnh báo lũ", "times": 1, "tone": "none",
            "words": [{"language": "vi", "text": words}],
            "cancel_words": [{"language": "vi", "text": "Đã hủy."}], **more}  # fmt: skip
    with desk.api() as api:
        made = api.post("/api/v1/templates", body)
        for each in (*made["words"], *made["cancel_words"]):
            desk.approved(each["recording"])
        api.post(f"/api/v1/templates/{made['id']}/activate", {"version": 1})
    return str(made["id"])


def held(desk: Desk, clusters: int, seconds: float = 30) -> None:
    """Wait until every cluster holds the sound of every template."""

    def ready() -> bool:
        with desk.api() as api:
            found = api.get("/api/v1/templates/readiness")["templates"]
        return bool(found) and all(each["holding"] == clusters for each in found)

    wait_until(ready, seconds, "the templates are in stock")


def swarm(desk: Desk, clusters: list[str], folder: Path) -> list[str | Path]:
    """The command of a swarm that keeps everything in memory."""
    file = folder / "swarm.json"
    with desk.api() as api:
        body = {"clusters": clusters, "controller": desk.agent_url, "life_s": 3600}
        file.write_text(json.dumps(api.post("/api/v1/provisioning", body)["provisioning"]))
    return [BIN / "loa-agent", "swarm", "--count", str(len(clusters)), "--provisioning", file, "--data", "memory"]


def composed(api: ApiClient, template_id: str, area: str, **more: object) -> dict[str, Any]:
    """An armed alert."""
    body = {"template": template_id, "areas": [area], **more}
    made: dict[str, Any] = api.post("/api/v1/alerts", body)
    assert made["state"] == "armed", made
    return made
