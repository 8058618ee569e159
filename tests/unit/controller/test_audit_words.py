"""The audit log in words: every action has a sentence, ids become names, and people read what is theirs to read."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import get_args

import pytest

from controller.services.alerts.model import AlertStep
from controller.services.alerts.wording import Tongue
from controller.services.areas import AreaPolicy
from controller.services.audit import AuditFilter, AuditKind, AuditPage, ChainCheck
from controller.services.audit.sentences import PHRASES
from controller.services.clusters import ClusterSpec
from controller.services.context import SYSTEM, Role
from controller.services.dispatch import ORDER_KINDS
from controller.services.errors import ForbiddenError
from controller.store.actions import AuditAction
from tests.unit.controller.air_kit import until
from tests.unit.controller.desk import open_desk
from tests.unit.controller.staff import open_staff

_ACTIONS = frozenset(get_args(AuditAction))


def test_every_action_has_words_in_both_languages() -> None:
    # The type checker refuses an action that is not of AuditAction wherever the log is written.
    assert set(PHRASES) == _ACTIONS
    for action, phrase in PHRASES.items():
        assert phrase.kind in get_args(AuditKind), action
        for text in (phrase.vi, phrase.en):
            assert text[0].isupper(), text
            assert not re.search(r"[a-z]_|[a-z]\.[a-z]", re.sub(r"\{\w+\}", "", text)), text
        assert set(re.findall(r"\{\w+\}", phrase.vi)) == set(re.findall(r"\{\w+\}", phrase.en)), action


def test_what_the_journal_of_orders_becomes_has_words_too() -> None:
    assert {f"alert.{step}" for step in get_args(AlertStep)} <= _ACTIONS
    assert {f"order.{kind}" for kind in ORDER_KINDS} <= _ACTIONS


async def test_ids_become_names_with_links_while_the_thing_is_there(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        area = await desk.areas.create(SYSTEM, name="Xã Tà Rụt", kind="commune", parent_id=None, policy=AreaPolicy())
        cluster = await desk.clusters.create(SYSTEM, ClusterSpec(area_id=area.id, name="A Vao 3"))
        page = await desk.audit.rows(SYSTEM, before=None, limit=1)
        assert _text(page) == ["Hệ thống Thêm cụm loa A Vao 3 vào Xã Tà Rụt"]
        assert [part.thing and part.thing.page for part in page.rows[0].said.parts if part.thing] == [
            cluster.id,
            area.id,
        ]
        english = await desk.audit.rows(SYSTEM, before=None, limit=1, tongue=Tongue.EN)
        assert _text(english) == ["The system Added the cluster A Vao 3 to Xã Tà Rụt"]

        await desk.clusters.delete(SYSTEM, cluster.id)
        for row in (await desk.audit.rows(SYSTEM, before=None, limit=2)).rows:
            it = next(part for part in row.said.parts if part.text == "A Vao 3")
            assert it.thing is not None
            assert it.thing.page is None


async def test_it_is_searched_as_people_type(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        for name in ("Xã Đakrông", "Xã Tà Rụt"):
            await desk.areas.create(SYSTEM, name=name, kind="commune", parent_id=None, policy=AreaPolicy())
        await desk.user("ha", (Role.EDITOR, None))

        async def found(**wanted: str) -> list[str]:
            return _text(await desk.audit.rows(SYSTEM, before=None, limit=50, wanted=AuditFilter(**wanted)))  # type: ignore[arg-type]

        assert await found(text="dakrong THEM khu vuc") == ["Hệ thống Thêm khu vực Xã Đakrông"]
        assert await found(text="khong co") == []
        assert [text.split()[0] for text in await found(kind="sessions")] == ["ha"]
        assert len(await found(kind="clusters")) == 2


async def test_who_reads_it_for_an_area_reads_what_is_about_that_area_alone(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        here, there = [
            await desk.areas.create(SYSTEM, name=name, kind="commune", parent_id=None, policy=AreaPolicy())
            for name in ("Xã A", "Xã B")
        ]
        cluster = await desk.clusters.create(SYSTEM, ClusterSpec(area_id=here.id, name="A1"))
        other = await desk.clusters.create(SYSTEM, ClusterSpec(area_id=there.id, name="B1"))
        await desk.zones.create(SYSTEM, area_id=here.id, name="Ven sông", clusters=[cluster.id])
        await desk.clusters.change(SYSTEM, other.id, {"area_id": here.id})
        await desk.clusters.change(SYSTEM, other.id, {"area_id": there.id})
        official = await desk.user("chu-tich", (Role.ADMIN, here.id))
        await desk.user("nguoi-khac", (Role.EDITOR, there.id))

        texts = _text(await desk.audit.rows(official, before=None, limit=50))
        assert "Hệ thống Tạo nhóm cụm loa Ven sông của Xã A" in texts
        assert "chu-tich Đăng nhập" in [text.split(" (")[0] for text in texts]
        assert not [text for text in texts if "B1" in text or "Xã B" in text or "nguoi-khac" in text]
        with pytest.raises(ForbiddenError):
            await desk.audit.verify(official)
        editor = await desk.user("bien-tap", (Role.EDITOR, None))
        with pytest.raises(ForbiddenError):
            await desk.audit.rows(editor, before=None, limit=5)


async def test_pages_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        for number in range(7):
            await desk.areas.create(SYSTEM, name=f"Thôn {number}", kind="village", parent_id=None, policy=AreaPolicy())
        before, seen = None, []
        while True:
            page = await desk.audit.rows(SYSTEM, before=before, limit=3, wanted=AuditFilter(text="thon"))
            seen += [row.seq for row in page.rows]
            before = page.next
            if before is None:
                break
        assert seen == list(range(7, 0, -1))


async def test_over_http_orders_and_people_are_named(tmp_path: Path) -> None:
    async with open_staff(tmp_path) as staff:
        area = await staff.made("/api/v1/areas", {"name": "Xã A", "kind": "commune"})
        await staff.made("/api/v1/clusters", {"name": "A1", "area_id": area})
        status, _ = await staff.call("POST", "/api/v1/orders/stop", {"areas": [area]})
        assert status in {200, 202}
        await staff.running.air.ledger.catch_up()
        status, page = await staff.call("GET", "/api/v1/audit?kind=orders&text=dung", headers={"Accept-Language": "vi"})
        assert status == 200
        (row,) = page["items"]
        assert "".join(part["text"] for part in row["sentence"]) == "DỪNG phát tại Xã A"
        assert row["sentence"][-1]["thing"] == {"kind": "area", "page": area}
        _, english = await staff.call("GET", "/api/v1/audit?kind=orders", headers={"Accept-Language": "en"})
        assert english["items"][0]["sentence"][0]["text"] == "STOPPED all sound"


def _text(page: AuditPage) -> list[str]:
    return [row.said.text for row in page.rows]


async def test_the_walk_over_a_long_log_tells_how_far_it_is_and_can_be_ended(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        async with desk.db.transaction(SYSTEM) as tx:
            for number in range(1_200):
                tx.audit("area.change", f"ar_{number}")
        check = ChainCheck(desk.audit, desk.directory)
        check.begin(SYSTEM)
        while check.state(SYSTEM).rows == 0:  # noqa: ASYNC110 - to see it between two batches
            await asyncio.sleep(0)
        half = check.state(SYSTEM)
        assert half.running
        assert 0 < half.rows < half.of
        await check.cancel(SYSTEM)
        ended = check.state(SYSTEM)
        assert (ended.running, ended.verdict) == (False, None)
        check.begin(SYSTEM)
        check.begin(SYSTEM)  # joins
        await until(lambda: not check.state(SYSTEM).running)
        verdict = check.state(SYSTEM).verdict
        assert verdict is not None
        assert verdict.ok
        assert verdict.rows == half.of >= 1_200
        assert await desk.audit.verify(SYSTEM) == verdict
        await check.close()
