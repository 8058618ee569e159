"""Our own alerts as CAP: written, signed, kept; believed by our reader and by another program."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from lxml import etree

from controller.cap import Reading, Verdict, read_alerts
from controller.keys import VaultError
from controller.keys.cap_identity import CAP_CERTIFICATE, CAP_KEY, ensure_identity, renew_identity
from controller.services.alerts import AlertDraft, AlertKind, AlertState, Category, Where, Words
from controller.services.context import SYSTEM
from controller.services.drills.model import Drill, DrillKind
from controller.services.errors import NotFoundError
from controller.services.orders import Scope
from controller.services.warnings import CapPublisher, OwnAlert, atom
from tests.unit.controller.desk import START
from tests.unit.controller.warnings.warning_kit import World, eventually, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def publisher_of(world: World) -> CapPublisher:
    return CapPublisher(
        db=world.desk.db,
        alerts=world.alerts,
        directory=world.desk.directory,
        clock=world.desk.clock,
        folder=world.desk.folder / "keys",
        sender="pctt@dakrong.example",
    )


async def sounding(world: World) -> str:
    """An alert in two languages that was confirmed."""
    draft = AlertDraft(
        where=Where(Scope(areas=(world.district,))),
        kind=AlertKind.TEXT,
        title="Lũ quét trên sông Đakrông",
        category=Category.FLASH_FLOOD,
        words=(Words("vi", "Bà con rời xa bờ sông <ngay>."), Words("bru", "Ễn tễ…")),
    )
    composed = await world.alerts.compose(SYSTEM, draft)
    world.alerts.give(composed.alert.id)
    return composed.alert.id


async def read(publisher: CapPublisher, identifier: str) -> Reading:
    body = await publisher.document(identifier)
    trust = [(await publisher.identity()).certificate]
    [reading] = read_alerts(body, now=START + timedelta(minutes=1), trust=trust)
    return reading


async def test_an_alert_is_published_signed_with_places_and_words(world: World) -> None:
    publisher = publisher_of(world)
    alert_id = await sounding(world)
    publisher.alert_changed(world.alerts.kept[alert_id])
    await publisher.step()
    reading = await read(publisher, f"{alert_id}.1")
    alert = reading.alert
    assert alert is not None
    assert (reading.signature, reading.flags, reading.quarantine) == (Verdict.VALID, (), False)
    assert (alert.sender, alert.status, alert.msg_type) == ("pctt@dakrong.example", "Actual", "Alert")
    assert [info.language for info in alert.infos] == ["vi", "bru"]
    assert alert.infos[0].description == "Bà con rời xa bờ sông <ngay>."
    assert [area.desc for area in alert.infos[0].areas] == ["A Vao, Đakrông", "Ba Nang, Đakrông", "Tà Rụt, Đakrông"]
    assert alert.infos[0].areas[0].contains(16.45, 106.95)
    assert [len(area.circles) for area in alert.infos[0].areas] == [1, 0, 1]
    assert alert.infos[0].areas[1].geocodes[0] == ("loa:area", world.areas["Ba Nang"])


async def test_extending_updates_and_cancelling_cancels_with_every_reference(world: World) -> None:
    publisher = publisher_of(world)
    alert_id = await sounding(world)
    publisher.alert_changed(world.alerts.kept[alert_id])
    await publisher.step()
    publisher.alert_changed(world.alerts.kept[alert_id])
    await publisher.step()
    assert publisher.published == 1  # nothing changed, nothing is published
    world.desk.clock.advance(minutes=5)
    publisher.alert_changed(world.alerts.give(alert_id, START + timedelta(hours=3)))
    await publisher.step()
    world.desk.clock.advance(minutes=5)
    publisher.alert_changed(await world.alerts.cancel(SYSTEM, alert_id))
    await publisher.step()
    kinds = [entry.msg_type for entry in await publisher.feed()]
    assert kinds == ["Cancel", "Update", "Alert"]
    cancel = (await read(publisher, f"{alert_id}.3")).alert
    assert cancel is not None
    assert [key.identifier for key in cancel.references] == [f"{alert_id}.1", f"{alert_id}.2"]
    assert cancel.infos[0].description.startswith("Huỷ:")
    assert cancel.infos[0].urgency == "Past"


async def test_what_takes_the_place_of_an_alert_is_its_update(world: World) -> None:
    publisher = publisher_of(world)
    first = await sounding(world)
    draft = replace(world.alerts.kept[first].draft, replaces=(first,))
    composed = await world.alerts.compose(SYSTEM, draft)
    publisher.alert_changed(world.alerts.kept[first])
    await publisher.step()
    second = world.alerts.give(composed.alert.id)
    publisher.alert_changed(world.alerts.kept[first])
    publisher.alert_changed(second)
    await publisher.step()
    update = (await read(publisher, f"{second.id}.1")).alert
    assert update is not None
    assert update.msg_type == "Update"
    assert [key.identifier for key in update.references] == [f"{first}.1"]
    assert update.sent > update.references[0].sent
    publisher.alert_changed(await world.alerts.cancel(SYSTEM, second.id))
    await publisher.step()
    cancel = (await read(publisher, f"{second.id}.2")).alert
    assert cancel is not None
    assert [key.identifier for key in cancel.references] == [f"{first}.1", f"{second.id}.1"]
    assert publisher.published == 3  # and no more of the first


async def test_what_was_never_confirmed_is_nobodys_business(world: World) -> None:
    publisher = publisher_of(world)
    alert_id = await sounding(world)
    alert = world.alerts.kept[alert_id]
    publisher.alert_changed(replace(alert, given=None, state=AlertState.ARMED))
    publisher.alert_changed(replace(alert, given=None, state=AlertState.CANCELLED))
    await publisher.step()
    assert await publisher.feed() == []
    with pytest.raises(NotFoundError):
        await publisher.document(f"{alert_id}.1")


async def test_a_drill_is_an_exercise_and_a_silent_test_is_nothing(world: World) -> None:
    publisher = publisher_of(world)
    drill = Drill(
        id="dr_1",
        kind=DrillKind.DRILL,
        title="DIỄN TẬP: Lũ quét",
        clusters=frozenset(world.clusters.values()),
        words={"vi": "Đây là diễn tập."},
        started_by="us_1",
        start=START,
        expires=START + timedelta(minutes=10),
    )
    publisher.drill_changed(drill)
    publisher.drill_changed(replace(drill, id="dr_2", kind=DrillKind.SILENT))
    await publisher.step()
    reading = await read(publisher, "dr_1.1")
    assert reading.alert is not None
    assert (reading.alert.status, reading.alert.infos[0].description) == ("Exercise", "Đây là diễn tập.")
    assert [(one.identifier, one.status) for one in await publisher.feed()] == [("dr_1.1", "Exercise")]


async def test_what_a_crash_left_is_published_at_the_next_start(world: World) -> None:
    alert_id = await sounding(world)  # it sounded, and the controller was killed before a listener ran
    publisher = publisher_of(world)
    task = asyncio.create_task(publisher.run())
    await eventually(publisher.feed)
    task.cancel()
    await asyncio.wait((task,))
    assert [entry.identifier for entry in await publisher.feed()] == [f"{alert_id}.1"]


async def test_words_that_xml_cannot_carry_are_a_fault_and_hold_up_nobody(world: World) -> None:
    publisher = publisher_of(world)
    own = OwnAlert.of(world.alerts.kept[await sounding(world)])
    assert own is not None
    publisher.changed(replace(own, id="bad id"))
    publisher.changed(own)
    await publisher.step()
    assert [entry.identifier for entry in await publisher.feed()] == [f"{own.id}.1"]
    assert publisher.fault is not None
    assert "bad id" in publisher.fault


@pytest.mark.skipif(shutil.which("xmlsec1") is None, reason="xmlsec1 is not installed")
async def test_another_program_believes_the_signature(world: World, tmp_path: Path) -> None:
    publisher = publisher_of(world)
    alert_id = await sounding(world)
    publisher.alert_changed(world.alerts.kept[alert_id])
    await publisher.step()
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    body = await publisher.document(f"{alert_id}.1")
    good.write_bytes(body)
    bad.write_bytes(body.replace("rời xa".encode(), "đến gần".encode()))
    certificate = tmp_path / "cap.crt"
    certificate.write_text((await publisher.identity()).pem)
    for file, code in ((good, 0), (bad, 1)):
        process = await asyncio.create_subprocess_exec(
            "xmlsec1", "--verify", "--pubkey-cert-pem", str(certificate), "--enabled-reference-uris", "empty",
            str(file), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert await process.wait() == code, file


async def test_the_feed_is_atom(world: World) -> None:
    publisher = publisher_of(world)
    alert_id = await sounding(world)
    publisher.alert_changed(world.alerts.kept[alert_id])
    await publisher.step()
    body = atom(
        await publisher.feed(), sender="s", base="http://x/feed", link_of=lambda one: f"http://x/{one}.xml", now=START
    )
    root = etree.fromstring(body)
    names = {"a": "http://www.w3.org/2005/Atom"}
    assert root.xpath("string(a:updated)", namespaces=names) == START.isoformat()
    assert root.xpath("string(a:entry/a:link/@href)", namespaces=names) == f"http://x/{alert_id}.1.xml"
    assert root.xpath("string(a:entry/a:link/@type)", namespaces=names) == "application/cap+xml"


def test_the_identity_is_made_once_and_renewed_only_when_asked(tmp_path: Path) -> None:
    first = ensure_identity(tmp_path, "loa", now=START)
    again = ensure_identity(tmp_path, "loa", now=START + timedelta(days=900))
    assert again.pem == first.pem
    assert (tmp_path / CAP_KEY).stat().st_mode & 0o077 == 0
    (tmp_path / CAP_CERTIFICATE).unlink()
    mended = ensure_identity(tmp_path, "loa", now=START)
    assert mended.key.private_numbers() == first.key.private_numbers()
    renewed = renew_identity(tmp_path, "loa", now=START)
    assert renewed.pem != first.pem
    assert x509.load_pem_x509_certificate(renewed.pem.encode()).not_valid_after_utc > START + timedelta(days=1000)
    (tmp_path / CAP_CERTIFICATE).write_text(first.pem)
    with pytest.raises(VaultError, match="another key"):
        ensure_identity(tmp_path, "loa", now=START)
    (tmp_path / CAP_KEY).write_text("nonsense")
    with pytest.raises(VaultError):
        ensure_identity(tmp_path, "loa", now=START)
