"""Notices on their way out: delivered, tried again, bounded, and never in an alert's way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.feeds.webhook import Webhook, WebhookError
from controller.services.alerts.post import WAITING, NoticePost
from controller.services.context import Role
from tests.unit.controller.air_kit import until
from tests.unit.controller.alerts.siren_hall import open_hall


class Bridge:
    """What an operator puts between the controller and a telephone company."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.got: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        app = web.Application()
        app.router.add_post("/sms", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers.get("Authorization"))
        status = self.answers.pop(0) if self.answers else 204
        if status < 300:
            self.got.append(await request.json())
        return web.Response(status=status, headers={"Location": "/elsewhere"})


async def test_a_superior_who_is_not_at_the_console_hears_of_a_solo_override(tmp_path: Path) -> None:
    bridge = Bridge(503, 302)
    async with bridge.server, open_hall(tmp_path) as hall:
        chief = await hall.person("chief", (Role.ADMIN, None))
        send = Webhook(str(bridge.server.make_url("/sms")), "secret-token")
        post = NoticePost(send, hall.stage.base.directory, pauses_s=(0, 0, 0))
        hall.desk.notices.messengers.append(post)
        task = asyncio.create_task(post.run())
        composed = await hall.armed()
        await hall.desk.override(hall.lan, composed.alert.id, "đường dây đứt")
        await until(lambda: len(bridge.got) == 2)
        task.cancel()
        assert {message["user"] for message in bridge.got} == {chief.name, "minh"}
        assert {(message["kind"], message["subject"]) for message in bridge.got} == {("alert_alone", composed.alert.id)}
        assert all("đường dây đứt" in message["text"] for message in bridge.got)
        assert bridge.tokens == {"Bearer secret-token"}
        assert post.fault is None


async def test_a_bridge_that_is_down_is_a_fault_and_the_next_notice_has_its_turn(tmp_path: Path) -> None:
    sent: list[str] = []
    down = True

    async def send(message: Mapping[str, str]) -> None:
        sent.append(message["subject"])
        if down:
            raise WebhookError("nobody listens")

    async with open_hall(tmp_path) as hall:
        post = NoticePost(send, hall.stage.base.directory, pauses_s=(0, 0))
        hall.desk.notices.messengers.append(post)
        for number in range(WAITING + 3):
            hall.desk.notices.post([hall.minh.user_id], "test", str(number), "Thử")
        task = asyncio.create_task(post.run())
        await until(lambda: len(sent) == 2 * WAITING)  # each twice; three were too many
        assert sent[:3] == ["0", "0", "1"]
        assert post.fault is not None
        assert "nobody listens" in post.fault
        down = False
        hall.desk.notices.post([hall.minh.user_id], "test", "last", "Thử")
        await until(lambda: post.fault is None)
        task.cancel()
        assert sent[-1] == "last"
        assert len(hall.desk.notices.of(hall.minh)) == WAITING + 4  # the console has them all


async def test_nobody_at_the_address_is_said_in_words(unused_tcp_port: int) -> None:
    try:
        await Webhook(f"http://127.0.0.1:{unused_tcp_port}/sms")({"id": "no_1"})
    except WebhookError as error:
        assert str(unused_tcp_port) in str(error)  # noqa: PT017 - what it says is the point
    else:
        raise AssertionError("nobody listens there")
