"""Alerts and templates from a shell: what is read aloud, what must be typed, what scripts get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.audio.sounds import tone, wav
from tests.unit.controller.air_kit import until
from tests.unit.controller.staff import open_staff
from tests.unit.controller.test_cli_desk import Shell

pytestmark = pytest.mark.slow


async def test_two_people_at_two_shells(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        await staff.made("/api/v1/clusters", {"name": "A Vao", "area_id": area, "contact_phone": "0912"})
        grant = {"role": "duty_officer", "area_id": area}
        lan, minh = await staff.user("lan", grant), await staff.user("minh", grant)
        url = staff.running.staff_url
        admin = Shell(tmp_path / "admin", url, staff.token or "")
        one, two = Shell(tmp_path / "lan", url, lan.token or ""), Shell(tmp_path / "minh", url, minh.token or "")

        added = await admin("template", "add", "Lũ", "--area", "Tà Rụt", "--say", "vi=Lũ về", "--cancel", "vi=Hết lũ",
                            "--repeat", "1", "--json")  # fmt: skip
        assert added.code == 0, added.err
        recordings = staff.running.air.catalogue.recordings
        await until(lambda: all(each.state != "processing" for each in recordings.values()), within=60)
        listened = await admin("template", "listen", "Lũ", "--to", str(tmp_path / "heard"))
        assert listened.code == 0, listened.err
        assert len(list((tmp_path / "heard").glob("*.opus"))) == 2
        approved = await admin("template", "approve", "Lũ", "--yes", "--json")
        assert json.loads(approved.out)["state"] == "active", approved.err

        nothing = await one("alert", "compose", "--template", "Lũ")
        assert (nothing.code, "no_target" in nothing.err) == (2, True)
        composed = await one("alert", "compose", "--template", "Lũ", "--area", "Tà Rụt", "--json")
        assert composed.code == 0, composed.err
        assert "CẢNH BÁO THẬT" in composed.err
        alert = json.loads(composed.out)

        wrong = await two("alert", "confirm", alert["id"], "--code", alert["code"], given="7\n")
        assert (wrong.code, "wrong_count" in wrong.err) == (1, True)
        blind = await two("alert", "confirm", alert["id"], "--code", alert["code"], "--yes")
        assert (blind.code, "no_count" in blind.err) == (2, True)
        same = await one("alert", "confirm", alert["id"], "--code", alert["code"], "--yes", "--clusters", "1")
        assert (same.code, "same_person" in same.err) == (1, True)
        given = await two("alert", "confirm", alert["id"], "--code", alert["code"], "--json", given="1\n")
        assert given.code == 0, given.err
        assert json.loads(given.out)["board"]["counts"]["no_box"] == 1

        sheet = await two("alert", "call-sheet", alert["id"])
        assert "DANH SÁCH GỌI ĐIỆN" in sheet.out
        assert "no_box" in (await two("alert", "board", alert["id"], "--rows")).out
        over = await one("alert", "cancel", alert["id"], "--reason", "nhầm", "--json")
        assert json.loads(over.out)["state"] == "cancelled"
        voice = await one("alert", "compose", "--voice", "--title", "Vỡ đập", "--area", "Tà Rụt", "--json")
        called = json.loads(voice.out)
        given = await two("alert", "confirm", called["id"], "--code", called["code"], "--json", given="1\n")
        session = json.loads(given.out)["live_session"]
        assert f"live speak {session}" in given.err
        assert (await one("live", "speak", session)).code == 2
        wav(tmp_path / "words.wav", tone(1.0))
        stranger = await two("live", "speak", session, "--file", str(tmp_path / "words.wav"))
        assert stranger.code == 1, stranger.err
        spoken = await one("live", "speak", session, "--file", str(tmp_path / "words.wav"), "--json")
        assert spoken.code == 0, spoken.err
        assert json.loads(spoken.out)["code"] == "ended_by_speaker"
        listed = await admin("alert", "list", "--json")
        assert [json.loads(line)["id"] for line in listed.out.splitlines()] == [called["id"], alert["id"]]


async def test_the_default_templates_are_drafts_once_with_their_twins(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        status, made = await staff.call("POST", "/api/v1/templates/seed", {"area_id": area})
        assert status == 201
        assert {each["category"] for each in made["templates"]} == {
            "flood", "flash_flood", "storm", "landslide", "fire", "dam_release", "evacuation", "all_clear"
        }  # fmt: skip
        assert all(each["state"] == "draft" and each["words"][0]["recording"] for each in made["templates"])
        assert all(each["cancel_words"] or each["category"] == "all_clear" for each in made["templates"])
        assert len({each["tone"] for each in made["templates"]}) >= 3
        _, again = await staff.call("POST", "/api/v1/templates/seed", {"area_id": area})
        assert again["templates"] == []
