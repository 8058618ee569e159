"""``loa-controller warning`` against a real controller, in processes of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.controller.staff import open_staff
from tests.unit.controller.test_cli_desk import Result, Shell
from tests.unit.controller.warnings.test_warning_api import fresh, settled
from tests.unit.controller.warnings.warning_kit import SENDER, pem, xml

pytestmark = pytest.mark.slow


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


async def test_sources_and_warnings_from_a_shell(tmp_path: Path) -> None:
    certificate, policy, document = tmp_path / "kttv.pem", tmp_path / "policy.json", tmp_path / "flood.xml"
    certificate.write_text(pem())
    rule = {"name": "lũ quét", "senders": [SENDER], "events": ["flash flood"]}
    policy.write_text(json.dumps({"mode": "automatic", "rules": [rule]}))
    document.write_bytes(xml(fresh()))
    async with open_staff(tmp_path / "data") as staff:
        shell = Shell(tmp_path / "home", staff.running.staff_url, staff.token or "")
        area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
        place = {"area_id": area, "name": "Cụm 1", "latitude": 16.4, "longitude": 107.02}
        await staff.made("/api/v1/clusters", place)

        options = ("--area", "Tà Rụt", "--certificate", str(certificate), "--geocode", "XA=19567=Tà Rụt")
        [source] = lines(await shell("warning", "source", "add", "KTTV", *options, "--policy", str(policy), "--json"))
        assert (source["policy"]["mode"], source["geocodes"][0]["areas"]) == ("automatic", [area])
        assert source["certificates"][0]["subject"] == "CN=KTTV"
        [changed] = lines(await shell("warning", "source", "set", "KTTV", "--mode", "propose", "--json"))
        assert (changed["policy"]["mode"], changed["policy"]["rules"][0]["name"]) == ("propose", "lũ quét")
        assert "propose" in (await shell("warning", "source", "list")).out

        token = (await shell("warning", "source", "token", "KTTV")).out.strip()
        assert token.startswith("lw_")
        no_token = await shell("warning", "push", str(document))
        assert (no_token.code, "no_token" in no_token.err) == (2, True)
        [pushed] = lines(await shell("warning", "push", str(document), "--json", LOA_CAP_TOKEN=token))
        assert pushed["code"] == "received"
        await settled(staff, pushed["id"])
        [listed] = lines(await shell("warning", "list", "--state", "proposed", "--json"))
        assert listed["id"] == pushed["id"]
        shown = await shell("warning", "show", pushed["id"])
        assert "text vi" in shown.out
        assert "Bà con rời xa bờ sông" in shown.out
        copy = tmp_path / "copy.xml"
        assert (await shell("warning", "document", pushed["id"], str(copy))).code == 0
        assert copy.read_bytes() == document.read_bytes()
        [declined] = lines(await shell("warning", "decline", pushed["id"], "--reason", "đã rút", "--json"))
        assert (declined["state"], declined["reason"]) == ("declined", "đã rút")
        late = await shell("warning", "accept", pushed["id"])
        assert (late.code, "already_decided" in late.err) == (1, True)
        assert (await shell("warning", "source", "remove", "KTTV")).code == 0
        assert "unknown_source" in (await shell("warning", "push", str(document), LOA_CAP_TOKEN=token)).err
        made = await shell("keys", "cap", "--data", str(tmp_path / "data"))
        assert (made.code, made.out.startswith("-----BEGIN CERTIFICATE-----")) == (0, True)
        refused = await shell("keys", "cap", "--renew", "--data", str(tmp_path / "data"))
        assert (refused.code, "stop the controller" in refused.err) == (1, True)
