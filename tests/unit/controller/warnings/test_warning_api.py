"""Warnings over HTTP, against a real controller: pushing, who may, what others read."""

from __future__ import annotations

import asyncio
import io
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from controller.cap import CapAlert, read_alerts
from controller.cap.document import MAX_BYTES
from tests.unit.controller.alerts.test_alert_api import activated
from tests.unit.controller.staff import Staff, open_staff
from tests.unit.controller.warnings.warning_kit import about, automatic_policy, eventually, flood, info, pem, xml

pytestmark = pytest.mark.slow
CAP_XML = {"Content-Type": "application/cap+xml"}


def fresh(**more: Any) -> CapAlert:
    """A flood warning of this minute."""
    now = datetime.now(UTC).replace(microsecond=0)
    return flood(sent=now, infos=(info(expires=now + timedelta(hours=2)),), **more)


async def push(
    staff: Staff, data: bytes, token: str | None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    own = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{staff.running.staff_url}/api/v1/cap"
    async with staff.http.post(url, data=io.BytesIO(data), headers={**CAP_XML, **own, **(headers or {})}) as response:
        return response.status, await response.json()


async def settled(staff: Staff, warning_id: str) -> dict[str, Any]:
    """A warning once it was judged."""
    async with asyncio.timeout(10):
        while True:
            status, found = await staff.call("GET", f"/api/v1/warnings/{warning_id}")
            assert status == 200, found
            if found["state"] != "received":
                return dict(found)
            await asyncio.sleep(0.02)


async def district(staff: Staff, **more: Any) -> tuple[str, str, str]:
    """An area with one cluster, and a source for it with a token: area, source, token."""
    area = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
    await staff.made("/api/v1/clusters", {"area_id": area, "name": "Cụm 1", "latitude": 16.4, "longitude": 107.02})
    body = {"name": "KTTV", "area_id": area, "policy": {"mode": "propose"}, **more}
    source = await staff.made("/api/v1/warning-sources", body)
    status, made = await staff.call("POST", f"/api/v1/warning-sources/{source}/tokens", {"label": "máy chủ"})
    assert status == 201
    return area, source, made["token"]


async def test_push_answers_for_every_alert_and_needs_a_source(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        _, source, token = await district(staff)
        document = xml(fresh())
        assert (await push(staff, document, None))[0] == 401
        assert (await push(staff, document, "lw_wrong"))[1]["code"] == "unknown_source"
        assert (await push(staff, document, staff.token))[0] == 401  # a person is no source
        status, answer = await push(staff, document, token)
        assert (status, answer["source_id"], [one["code"] for one in answer["results"]]) == (202, source, ["received"])
        found = await settled(staff, answer["results"][0]["id"])
        assert (found["state"], found["reached"], found["source"]) == ("proposed", 1, "KTTV")
        assert (await push(staff, document, token))[1]["results"][0]["code"] == "duplicate"
        assert (await push(staff, b"<no/>", token))[1]["code"] == "no_alert"
        assert (await push(staff, b"not xml", token))[1]["code"] == "not_xml"
        assert (await push(staff, document, token, {"Content-Type": "application/json"}))[0] == 415
        assert (await push(staff, b"x" * (MAX_BYTES + 1), token))[0] == 413
        async with staff.http.get(
            f"{staff.running.staff_url}/api/v1/warnings/{found['id']}/document",
            headers={"Authorization": f"Bearer {staff.token}"},
        ) as response:
            assert await response.read() == document
            assert response.headers["Content-Disposition"].startswith("attachment")
        status, listed = await staff.call("GET", "/api/v1/warnings?state=proposed&limit=1")
        assert [one["id"] for one in listed["items"]] == [found["id"]]
        async with staff.http.get(f"{staff.running.staff_url}/metrics") as response:
            assert f'loa_warnings_received_total{{source="{source}"}} 1.0' in await response.text()


async def test_strangers_who_guess_tokens_lock_out_themselves_only(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        _, _, token = await district(staff)
        codes = [(await push(staff, b"<x/>", f"lw_{n}"))[0] for n in range(32)]
        assert (codes[0], codes[-1]) == (401, 429)
        assert (await push(staff, xml(fresh()), token))[0] == 202


async def test_rights_over_warnings_and_sources(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        area, source, token = await district(staff)
        other = await staff.made("/api/v1/areas", {"name": "Ba Nang", "kind": "xã"})
        _, answer = await push(staff, xml(fresh()), token)
        warning = answer["results"][0]["id"]
        await settled(staff, warning)
        stranger = await staff.user("xa", {"role": "duty_officer", "area_id": other})
        viewer = await staff.user("xem", {"role": "viewer", "area_id": area})
        assert (await stranger.call("GET", f"/api/v1/warnings/{warning}"))[0] == 403
        assert (await stranger.call("GET", "/api/v1/warnings"))[1]["items"] == []
        assert (await stranger.call("POST", f"/api/v1/warnings/{warning}/decline", {"reason": "x"}))[0] == 403
        assert (await viewer.call("GET", f"/api/v1/warnings/{warning}"))[0] == 200
        assert (await viewer.call("POST", f"/api/v1/warnings/{warning}/accept", {}))[0] == 403
        assert (await viewer.call("PATCH", f"/api/v1/warning-sources/{source}", {"enabled": False}))[0] == 403
        assert (await stranger.call("GET", f"/api/v1/warning-sources/{source}"))[0] == 403
        assert (await staff.call("PATCH", f"/api/v1/warning-sources/{source}", {"enabled": False}))[0] == 200
        assert (await push(staff, xml(fresh(identifier="2")), token))[0] == 401
        assert (await staff.call("DELETE", f"/api/v1/warning-sources/{source}"))[0] == 204
        assert (await staff.call("GET", f"/api/v1/warnings/{warning}"))[0] == 200
        assert (await staff.call("DELETE", f"/api/v1/areas/{area}"))[1]["code"] == "not_empty"


async def test_a_source_is_checked_and_its_tokens_are_shown_once(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        area, source, token = await district(staff)
        path = f"/api/v1/warning-sources/{source}"
        bad: list[tuple[dict[str, Any], str]] = [
            ({"policy": {"mode": "automatic"}}, "policy"),
            ({"certificates": ["no pem"]}, "certificates.0"),
            ({"geocodes": [{"name": "XA", "value": "1", "areas": ["ar_nowhere"]}]}, "geocodes.0"),
            ({"url": "http://feed.example/atom"}, "url"),
            (
                {"policy": {"mode": "automatic", "rules": [{"name": "r", "senders": ["a"], "events": ["b"]}]}},
                "certificates",
            ),
        ]
        for body, field in bad:
            status, problem = await staff.call("PATCH", path, body)
            assert (status, problem["fields"][0]["field"]) == (422, field), problem
        body = {"name": "Nguồn", "area_id": area, "kind": "poll", "url": "http://169.254.169.254/x"}
        status, problem = await staff.call("POST", "/api/v1/warning-sources", body)
        assert (status, problem["fields"][0]["code"]) == (422, "address_refused")
        assert (await staff.call("POST", "/api/v1/warning-sources", {"name": "kttv", "area_id": area}))[0] == 409
        _, shown = await staff.call("GET", path)
        assert token not in str(shown)
        [listed] = shown["tokens"]
        assert (await staff.call("DELETE", f"{path}/tokens/{listed['id']}"))[0] == 204
        assert (await push(staff, xml(fresh()), token))[0] == 401
        twin = {"name": "Hai", "area_id": area, "client_certificates": [pem()]}
        assert (await staff.call("POST", "/api/v1/warning-sources", twin))[0] == 201
        status, problem = await staff.call("PATCH", path, {"client_certificates": [pem()]})
        assert (status, problem["fields"][0]["code"]) == (422, "taken")
        _, rows = await staff.call("GET", f"/api/v1/audit?subject={source}")
        assert [row["action"] for row in rows["items"]] == [
            "warning_source.revoke_token",
            "warning_source.token",
            "warning_source.create",
        ]
        assert token not in str(rows)


def _pair(folder: Path, name: str) -> tuple[str, Path, Path]:
    """A self-signed client certificate: PEM, and files for a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(Encoding.PEM)
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(text)
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return text.decode(), *files


async def _post(staff: Staff, data: bytes, pair: tuple[str, Path, Path] | None) -> int:
    """Push over a new TLS connection with this client certificate; 0 = the handshake was refused."""
    tls = ssl.create_default_context(cafile=str(staff.running.foundation.config.tls_folder / "staff.crt"))
    if pair is not None:
        tls.load_cert_chain(pair[1], pair[2])
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
            http.post(f"{staff.running.staff_url}/api/v1/cap", data=data, headers=CAP_XML) as response,
        ):
            return response.status
    except aiohttp.ClientError:
        return 0


async def test_mutual_tls_asks_only_when_a_source_has_a_certificate(tmp_path: Path) -> None:
    known, strange = _pair(tmp_path, "known"), _pair(tmp_path, "strange")
    async with open_staff(tmp_path / "data", staff_tls=True) as staff:
        _, source, _ = await district(staff)
        document = xml(fresh())
        # Nobody has a certificate yet: nobody is asked, and nobody is known by one.
        assert await _post(staff, document, known) == 401
        body = {"client_certificates": [known[0]]}
        status, shown = await staff.call("PATCH", f"/api/v1/warning-sources/{source}", body)
        assert (status, len(shown["client_certificates"])) == (200, 1)
        assert await _post(staff, document, known) == 202
        assert await _post(staff, document, None) == 401  # asked, and not bound to answer
        assert await _post(staff, document, strange) == 0
        assert (await staff.call("PATCH", f"/api/v1/warning-sources/{source}", {"client_certificates": []}))[0] == 200
        assert await _post(staff, document, known) == 401


async def test_our_own_alerts_are_open_unless_switched_off(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        url = f"{staff.running.staff_url}/api/v1/cap/alerts"
        async with staff.http.get(url) as response:
            assert (response.status, response.content_type) == (200, "application/atom+xml")
            tag = response.headers["ETag"]
        async with staff.http.get(url, headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        async with staff.http.get(f"{url}/al_1.1.xml") as response:
            assert (response.status, (await response.json())["code"]) == (404, "cap_not_found")
    async with open_staff(tmp_path / "other", cap_public=False) as staff:
        url = f"{staff.running.staff_url}/api/v1/cap/alerts"
        async with staff.http.get(url) as response:
            assert response.status == 401
        async with staff.http.get(url, headers={"Authorization": f"Bearer {staff.token}"}) as response:
            assert response.status == 200


async def test_a_signed_warning_sounds_by_itself_through_the_real_desk(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data") as staff:
        area, source, token = await district(staff)
        template = await activated(staff, area)
        now = datetime.now(UTC).replace(microsecond=0)
        policy = automatic_policy().model_dump(mode="json")
        body = {"certificates": [pem(now)], "templates": {"Flash flood": template}, "policy": policy}
        status, problem = await staff.call("PATCH", f"/api/v1/warning-sources/{source}", body)
        assert status == 200, problem
        warning = fresh()
        _, answer = await push(staff, xml(warning, signed=True, at=now), token)
        found = await settled(staff, answer["results"][0]["id"])
        assert (found["state"], found["rule"], found["reasons"]) == ("issued", "lũ quét", [])
        status, alert = await staff.call("GET", f"/api/v1/alerts/{found['alert_id']}")
        assert (status, alert["origin"], alert["origin_reference"]) == (200, "policy", found["id"])
        assert alert["given"]["reason"] == "policy KTTV / lũ quét"
        # Its sender takes it back, signed again: the alert is cancelled without a person.
        cancel = about(warning, "Cancel", "VN-QTR-2", sent=warning.sent + timedelta(seconds=1))
        _, answer = await push(staff, xml(cancel, signed=True, at=now), token)
        assert (await settled(staff, answer["results"][0]["id"]))["state"] == "issued"
        _, alert = await staff.call("GET", f"/api/v1/alerts/{found['alert_id']}")
        assert alert["state"] == "cancelled"
        publisher = staff.running.cap.publisher

        async def published() -> bool:
            return len(await publisher.feed()) == 2

        await eventually(published)
        assert [one.msg_type for one in await publisher.feed()] == ["Cancel", "Alert"]


def test_the_kit_writes_what_the_reader_reads() -> None:
    [reading] = read_alerts(xml(fresh()), now=datetime.now(UTC))
    assert reading.ok
    assert not reading.quarantine
