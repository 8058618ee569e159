"""What makes the demo's district look alive in the console.

A week on the grid, messages for emergencies in every stock, a silent drill, a warning that comes in, and boxes that are
not well. Through the same API as everybody (:mod:`controller.demo.scenario`). Only where the demo goes on: ``--once``
counts sounds, and has none of this.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from controller.demo.district import TIMEZONE
from controller.demo.flood import SOURCE_NAME, flash_flood
from controller.demo.scenario import District, Scenario
from controller.demo.swarm import SwarmProcess
from controller.demo.week import STATION_TITLE, WAITING, WEEK, Slot, place
from controller.keys.cap_identity import CapIdentity, ensure_identity

#: Below this many clusters all boxes are well: there would be too few to look at.
_ENOUGH: Final = 12
_WARNING_AFTER_S: Final = 60.0
_POLL_S: Final = 1.0
#: A sound card that no machine has.
_NO_SUCH_OUTPUT: Final = "alsa:amplifier-unplugged"


@dataclass(frozen=True, slots=True)
class Cast:
    """Which clusters have a box, and what is wrong with the others: no sound card, switched off, never installed."""

    well: tuple[str, ...]
    mute: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()


def cast_of(clusters: Sequence[str], *, once: bool) -> Cast:
    """The same clusters every time, in different communes."""
    count = len(clusters)
    if once or count < _ENOUGH:
        return Cast(tuple(clusters))
    mute, gone, bare = clusters[count // 4], clusters[count // 2], clusters[3 * count // 4]
    ill = {mute, gone, bare}
    return Cast(tuple(each for each in clusters if each not in ill), (mute,), (gone,), (bare,))


class Life:
    """Everything that happens beside the bulletin and the relay, while the block lasts.

    Use it as an asynchronous context manager. ``arrived`` is set once the boxes are online.
    """

    def __init__(
        self,
        scenario: Scenario,
        district: District,
        cast: Cast,
        *,
        folder: Path,
        radio_url: str,
        arrived: asyncio.Event,
    ) -> None:
        self._scenario = scenario
        self._district = district
        self._cast = cast
        self._folder = folder
        self._radio_url = radio_url
        self._arrived = arrived
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._live(), name="demo-life")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def check(self) -> None:
        """Raise what kept it from going on.

        Raises:
            ScenarioError, SwarmError, CliError: a step at the desk, or a box.
        """
        if self._task is not None and self._task.done():
            self._task.result()

    async def _live(self) -> None:
        """The week is there before boxes come, so that the first person who looks finds a district at work.

        What costs more (some twenty recordings are spoken for the messages) waits until they are there.
        """
        identity = await asyncio.to_thread(
            ensure_identity, self._folder / "cap-sender", SOURCE_NAME, now=datetime.now(UTC)
        )
        await self._fill_week()
        token = await asyncio.to_thread(self._trust, identity)
        await self._arrived.wait()
        async with self._troubled():
            for template in await asyncio.to_thread(self._seed_templates):
                await asyncio.to_thread(self._put_in_force, template)
            await asyncio.to_thread(self._drill)
            await asyncio.sleep(_WARNING_AFTER_S)
            await asyncio.to_thread(self._push, token, flash_flood(datetime.now(UTC), identity))
            await asyncio.Event().wait()  # the boxes stay as they are until the demo ends

    async def _fill_week(self) -> None:
        station = await asyncio.to_thread(self._scenario.add_station, self._district, STATION_TITLE, self._radio_url)
        local = datetime.now(ZoneInfo(TIMEZONE)).replace(tzinfo=None)
        quiet = (self._district.quiet_begin, self._district.quiet_end)
        for slot, start in place(WEEK, local, quiet):
            await asyncio.to_thread(self._schedule, slot, start, station)
        await asyncio.to_thread(self._scenario.speak, self._district.area_id, *WAITING)

    @asynccontextmanager
    async def _troubled(self) -> AsyncIterator[None]:
        """While the block lasts: a box without a sound card, and one that was switched off after it had been online."""
        cast = self._cast
        if not cast.mute:
            yield
            return
        async with self._box(cast.mute, _NO_SUCH_OUTPUT, "mute"):
            async with self._box(cast.gone, "null", "gone"):
                while True:
                    if await asyncio.to_thread(self._known, cast.gone):
                        break
                    await asyncio.sleep(_POLL_S)
            yield

    @asynccontextmanager
    async def _box(self, clusters: Sequence[str], output: str, name: str) -> AsyncIterator[None]:
        card = await asyncio.to_thread(self._scenario.provision, clusters)
        async with SwarmProcess(len(clusters), card, self._folder, output, name):
            yield

    def _known(self, clusters: Sequence[str]) -> bool:
        with self._scenario.as_admin() as api:
            served = {box["cluster_id"] for box in api.pages("/api/v1/agents") if box["online"]}
        return served.issuperset(clusters)

    def _schedule(self, slot: Slot, start: datetime, station: str) -> None:
        district = self._district
        recording: str = ""
        content: dict[str, object] = {"kind": "relay", "source": station}
        if slot.text:
            recording = self._scenario.speak(district.area_id, slot.title, slot.text)
            self._scenario.approve(recording)
            content = {"kind": "recorded", "recordings": [recording], "repeat": slot.repeat, "chime_before": "opening"}
        areas = [district.communes[name] for name in slot.communes if name in district.populated] or [district.area_id]
        said = {
            "area_id": district.area_id,
            "title": slot.title,
            "priority": slot.priority,
            "dtstart": start.isoformat(timespec="seconds"),
            "rrule": slot.rrule,
            "targets": {"areas": areas},
            "content": content,
            **({"slot_s": slot.minutes * 60} if slot.minutes else {}),
        }
        with self._scenario.as_admin() as api:
            api.post("/api/v1/programmes", said)
        if slot.rejected:
            self._scenario.reject(recording, slot.rejected)

    def _seed_templates(self) -> list[dict[str, Any]]:
        """The default messages and their cancel messages, as drafts."""
        with self._scenario.as_admin() as api:
            return list(api.post("/api/v1/templates/seed", {"area_id": self._district.area_id})["templates"])

    def _put_in_force(self, template: dict[str, Any]) -> None:
        """Spoken, approved, in force: from now on it goes to every stock."""
        for words in (template["words"], template["cancel_words"]):
            for each in words:
                self._scenario.approve(each["recording"])
        self._scenario.activate(str(template["id"]))

    def _trust(self, identity: CapIdentity) -> str:
        """The sender's certificate is trusted, its warnings are proposed; its token to push with."""
        said = {
            "name": SOURCE_NAME,
            "area_id": self._district.area_id,
            "certificates": [identity.pem],
            "policy": {"mode": "propose", "require_signature": True},
        }
        with self._scenario.as_admin() as api:
            source = api.post("/api/v1/warning-sources", said)["id"]
            made = api.post(f"/api/v1/warning-sources/{source}/tokens", {"label": SOURCE_NAME})
        return str(made["token"])

    def _push(self, token: str, document: bytes) -> None:
        with self._scenario.with_token(token) as api:
            api.upload(
                "/api/v1/cap", io.BytesIO(document), size=len(document), query={}, media_type="application/cap+xml"
            )

    def _drill(self) -> None:
        with self._scenario.as_admin() as api:
            api.post("/api/v1/drills", {"kind": "silent", "title": "Kiểm tra hằng tuần", "everywhere": True})
