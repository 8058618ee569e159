"""What the demo does at the desk, through the same API as everybody: places, people, sounds, programmes, reports.

Synchronous on purpose (it uses the command line's client); the caller runs each step in a thread. Nothing here knows
that the controller lives in the same process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from controller.cli.client import ApiClient, Login
from controller.demo.district import (
    BULLETIN_TEXT,
    BULLETIN_TITLE,
    COMMUNES,
    DISTRICT,
    PEOPLE,
    RADIO_TITLE,
    TIMEZONE,
    SeedCluster,
)

#: Quiet hours begin this long after the demo, so that it runs at any time of day, and last as long as usual.
QUIET_AFTER = timedelta(hours=12)
QUIET_LENGTH = timedelta(hours=7, minutes=15)
_PROCESSING_S = 120.0
_POLL_S = 0.2


class ScenarioError(Exception):
    """A step of the demo did not work; the message says which and why."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class District:
    """What was created: the district's area, its communes' by name, and its clusters' ids."""

    area_id: str
    communes: Mapping[str, str]
    cluster_ids: tuple[str, ...]
    populated: frozenset[str]  # communes that have a cluster
    quiet_begin: str  # local HH:MM
    quiet_end: str


@dataclass(frozen=True, slots=True)
class OnAir:
    """A programme that was scheduled."""

    programme_id: str
    title: str
    start: datetime  # UTC
    length: timedelta


class Scenario:
    """One sitting at the desk, signed in as the administrator that the first start made."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self._url = url
        self._admin = _sign_in(url, name, password)
        self._approver = self._admin

    def as_admin(self) -> ApiClient:
        """A conversation as the administrator."""
        return ApiClient(self._admin)

    def with_token(self, token: str) -> ApiClient:
        """A conversation as whoever has this token."""
        return ApiClient(Login(self._url, token))

    def seed_places(self, clusters: Sequence[SeedCluster], quiet: tuple[str, str]) -> District:
        """The district, its communes and clusters, with these quiet hours (local HH:MM)."""
        begin, end = quiet
        with ApiClient(self._admin) as api:
            place = {"kind": "huyện", "timezone": TIMEZONE, "quiet_hours": {"begin": begin, "end": end}}
            district = api.post("/api/v1/areas", {"name": DISTRICT, **place})["id"]
            communes = {}
            for commune in COMMUNES:
                said = {"name": f"xã {commune.name}", "kind": "xã", "parent_id": district}
                communes[commune.name] = api.post("/api/v1/areas", said)["id"]
            listed = [
                {
                    "area_id": communes[seed.commune],
                    "name": seed.name,
                    "latitude": seed.latitude,
                    "longitude": seed.longitude,
                    "languages": list(seed.languages),
                    "contact_name": seed.contact_name,
                    "contact_phone": seed.contact_phone,
                }
                for seed in clusters
            ]
            made = api.post("/api/v1/clusters/import", {"clusters": listed})["clusters"]
        populated = frozenset(seed.commune for seed in clusters)
        return District(district, communes, tuple(one["id"] for one in made), populated, begin, end)

    def seed_people(self, district: District) -> None:
        """Those who work at the desk; the approver also acts in this scenario: who writes does not approve."""
        with ApiClient(self._admin) as api:
            for person in PEOPLE:
                grants = [{"role": role, "area_id": district.area_id} for role in person.roles]
                said = {"name": person.name, "display_name": person.display_name, "grants": grants}
                made = api.post("/api/v1/users", said)
                if person.door == "approver":
                    self._approver = _sign_in(self._url, person.name, made["password"])

    def provision(self, clusters: Sequence[str]) -> dict[str, Any]:
        """The provisioning file: one one-time token for each cluster, the controller found by mDNS."""
        with ApiClient(self._admin) as api:
            made = api.post("/api/v1/provisioning", {"clusters": list(clusters), "life_s": 3600})
            return dict(made["provisioning"])

    def record_bulletin(self, district: District) -> tuple[str, float]:
        """Have the bulletin spoken in Vietnamese and approved. Returns its recording id and length in seconds."""
        made = self.approve(self.speak(district.area_id, BULLETIN_TITLE, BULLETIN_TEXT))
        return str(made["id"]), float(made["duration_s"])

    def speak(self, area_id: str, title: str, text: str) -> str:
        """Have ``text`` spoken in Vietnamese; the recording's id. It waits for approval."""
        with ApiClient(self._admin) as api:
            said = {"area_id": area_id, "title": title, "language": "vi", "text": text}
            return str(api.post("/api/v1/recordings/speech", said)["id"])

    def ready(self, recording: str) -> dict[str, Any]:
        """A recording, once it is processed.

        Raises:
            ScenarioError: it was refused, or it takes too long.
        """
        with ApiClient(self._admin) as api:
            path = f"/api/v1/recordings/{recording}"
            made = _when(lambda: api.get(path), lambda one: one["state"] != "processing", "a recording is spoken")
        if made["state"] != "ready":
            raise ScenarioError(f"{made['title']} could not be made: {made['report']}")
        return dict(made)

    def approve(self, recording: str) -> dict[str, Any]:
        """The approver approves a recording as soon as it is ready; the recording.

        Raises:
            ScenarioError: as :meth:`ready`.
        """
        made = self.ready(recording)
        return self._decide(made, {"decision": "approved"})

    def reject(self, recording: str, reason: str) -> None:
        """The approver says no, also to what was approved before."""
        self._decide(self.ready(recording), {"decision": "rejected", "reason": reason})

    def activate(self, template: str) -> None:
        """The approver puts the first version of a template in force."""
        with ApiClient(self._approver) as api:
            api.post(f"/api/v1/templates/{template}/activate", {"version": 1})

    def schedule_bulletin(self, district: District, recording: tuple[str, float], start: datetime) -> OnAir:
        """Every day at this time, chime before and after."""
        content = {
            "kind": "recorded",
            "recordings": [recording[0]],
            "chime_before": "opening",
            "chime_after": "closing",
        }
        return self._schedule(
            district, BULLETIN_TITLE, start, timedelta(seconds=recording[1] + 10), {"content": content}
        )

    def schedule_relay(self, district: District, radio_url: str, start: datetime, window: timedelta) -> OnAir:
        """Every day at this time: the radio, live, for ``window``."""
        source = self.add_station(district, RADIO_TITLE, radio_url)
        more = {
            "priority": "RELAY",
            "slot_s": int(window.total_seconds()),
            "content": {"kind": "relay", "source": source},
        }
        return self._schedule(district, RADIO_TITLE, start, window, more)

    def add_station(self, district: District, title: str, radio_url: str) -> str:
        """A station to relay; its id."""
        with ApiClient(self._admin) as api:
            said = {"area_id": district.area_id, "title": title, "url": radio_url}
            return str(api.post("/api/v1/sources", said)["id"])

    def fleet(self) -> dict[str, Any]:
        """The fleet in numbers, by area."""
        with ApiClient(self._admin) as api:
            return dict(api.get("/api/v1/fleet"))

    def report(self, programme: OnAir) -> dict[str, Any] | None:
        """What was heard of the first occurrence; None while nothing was reported."""
        with ApiClient(self._admin) as api:
            found = api.get("/api/v1/reports/occurrences", {"rule_id": programme.programme_id})["occurrences"]
        return next((dict(one) for one in found), None)

    def _decide(self, made: Mapping[str, Any], decision: Mapping[str, str]) -> dict[str, Any]:
        with ApiClient(self._approver) as api:
            said = {"sha256": made["sha256"], **decision}
            return dict(api.post(f"/api/v1/recordings/{made['id']}/decision", said))

    def _schedule(
        self, district: District, title: str, start: datetime, length: timedelta, more: dict[str, Any]
    ) -> OnAir:
        local = start.astimezone(ZoneInfo(TIMEZONE)).replace(tzinfo=None)
        said = {
            "area_id": district.area_id,
            "title": title,
            "dtstart": local.isoformat(timespec="seconds"),
            "rrule": "FREQ=DAILY",
            "targets": {"areas": [district.area_id]},
            **more,
        }
        with ApiClient(self._admin) as api:
            made = api.post("/api/v1/programmes", said)
        return OnAir(made["id"], title, start, length)


def moved_quiet_hours(local: datetime) -> tuple[str, str]:
    """Quiet hours that begin in twelve hours, so that the demo runs at any time of day."""
    begin = local + QUIET_AFTER
    return begin.strftime("%H:%M"), (begin + QUIET_LENGTH).strftime("%H:%M")


def _sign_in(url: str, name: str, password: str) -> Login:
    with ApiClient(Login(url)) as api:
        token = api.post("/api/v1/login", {"name": name, "password": password})["token"]
    return Login(url, token)


def _when(ask: Callable[[], Any], done: Callable[[Any], bool], what: str) -> Any:
    deadline, pause = time.monotonic() + _PROCESSING_S, threading.Event()
    while not done(answer := ask()):
        if time.monotonic() > deadline:
            raise ScenarioError(f"not within {_PROCESSING_S:.0f} s: {what}")
        pause.wait(_POLL_S)
    return answer
