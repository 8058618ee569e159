"""A district with people, templates and boxes, for the tests of alerts. Real database, journal and keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controller.services.accounts import AccountService
from controller.services.alerts.desk import AlertDesk, Composed
from controller.services.alerts.model import AlertDraft, Category, Repetition, Where, Words
from controller.services.alerts.template_model import TemplateEntry, TemplateSpec
from controller.services.context import SYSTEM, Actor, Role, RoleGrant
from controller.services.orders import Scope
from protocol.documents import Command, PlayOrder, WithdrawOrder
from protocol.messages import Progress, ProgressStage
from schedules.instants import Frames
from tests.unit.controller.air_kit import ADMIN, Stage, command, open_stage

ONCE = Repetition(times=1)


class Talker:
    """A speech engine that writes the words down."""

    languages: tuple[str, ...] = ("vi",)

    async def speak(self, text: str, out: Path, *, language: str | None = None) -> Frames:
        await asyncio.to_thread(out.write_bytes, text.encode()[:20])
        return Frames(48_000)


@dataclass
class Hall:
    """The stage, with whom one needs for an alert."""

    stage: Stage
    area: str = ""
    clusters: list[str] = field(default_factory=list)
    lan: Actor = ADMIN  # duty officer over the area
    minh: Actor = ADMIN  # another one
    template: TemplateEntry | None = None

    @property
    def desk(self) -> AlertDesk:
        return self.stage.air.alarms.desk

    async def person(self, name: str, *grants: tuple[Role, str | None]) -> Actor:
        base = self.stage.base
        accounts = AccountService(base.db, base.directory, base.clock, base.passwords)
        held = tuple(RoleGrant(role, area) for role, area in grants)
        entry, _ = await accounts.create(SYSTEM, name=name, display_name="", password=None, grants=held)
        return Actor(entry.id, entry.name, entry.grants)

    async def furnish(self, clusters: int = 3) -> None:
        self.area = await self.stage.area()
        self.clusters = [await self.stage.cluster(self.area, f"Cụm {number}") for number in range(clusters)]
        self.lan = await self.person("lan", (Role.DUTY_OFFICER, self.area))
        self.minh = await self.person("minh", (Role.DUTY_OFFICER, self.area))
        self.template = await self.flood()
        self.stage.gateway.present |= {self.stage.agent_of(each) for each in self.clusters}

    async def flood(self, **changes: Any) -> TemplateEntry:
        """An active template whose message is 10 s and whose twin is 4 s of sound."""
        said = await self.stage.recording(self.area, b"lu dang ve!")
        over = await self.stage.recording(self.area, b"het!")
        spec = TemplateSpec(
            self.area,
            Category.FLOOD,
            "Cảnh báo lũ",
            (Words("vi", "Lũ đang về, bà con lên chỗ cao", said.id),),
            (Words("vi", "Đã hủy", over.id),),
        )
        templates = self.stage.air.alarms.templates
        entry = await templates.create(ADMIN, replace(spec, **changes))
        return await templates.activate(ADMIN, entry.id, 1)

    def draft(self, **changes: Any) -> AlertDraft:
        assert self.template is not None
        draft = AlertDraft(Where(Scope(areas=(self.area,))), template=self.template.id, repetition=ONCE)
        return replace(draft, **changes)

    async def armed(self, **changes: Any) -> Composed:
        return await self.desk.compose(self.lan, self.draft(**changes))

    def sent(self) -> list[Command]:
        return [command(envelope) for envelope, _ in self.stage.gateway.commands]

    def plays(self) -> list[PlayOrder]:
        return [each.order for each in self.sent() if isinstance(each.order, PlayOrder)]

    def withdrawals(self) -> list[WithdrawOrder]:
        return [each.order for each in self.sent() if isinstance(each.order, WithdrawOrder)]

    def tells(self, cluster: str, number: tuple[int, int], stage: ProgressStage, **more: Any) -> None:
        """A box tells how far it is."""
        said = Progress(term=number[0], seq=number[1], stage=stage, at=_us(self), **more)
        self.stage.air.alarms.boards.progress(self.stage.agent_of(cluster), said)

    async def drained(self) -> None:
        await self.stage.air.ledger.catch_up()
        await self.stage.air.alarms.books.write()


def _us(hall: Hall) -> int:
    return int(hall.stage.clock.now().timestamp() * 1_000_000)


@asynccontextmanager
async def open_hall(folder: Path, *, clusters: int = 3, furnish: bool = True, **flags: Any) -> AsyncIterator[Hall]:
    """A furnished district."""
    async with open_stage(folder, tasks=False, **flags) as stage:
        hall = Hall(stage)
        works = (hall.desk.run, stage.air.live.run)
        running = [asyncio.create_task(work(), name=work.__qualname__) for work in works]
        try:
            if furnish:
                await hall.furnish(clusters)
            yield hall
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
