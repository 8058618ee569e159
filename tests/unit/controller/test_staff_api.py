from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from yarl import URL

from controller.api import server as server_module
from controller.api.idempotency import IdempotencyKeys
from controller.api.programme_shapes import local_time
from controller.services.errors import ConflictError, InvalidError
from tests.unit.controller.staff import PASSWORD, Staff, open_staff

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def staff(tmp_path: Path) -> AsyncIterator[Staff]:
    async with open_staff(tmp_path / "data") as opened:
        yield opened


async def document(staff: Staff) -> dict[str, Any]:
    status, found = await staff.call("GET", "/api/v1/openapi.json")
    assert status == 200
    assert isinstance(found, dict)
    return found


def operations(found: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in found["paths"].items()
        for method, operation in methods.items()
    ]


async def test_the_document_is_openapi_3_1(staff: Staff) -> None:
    found = await document(staff)
    OpenAPIV31SpecValidator(found).validate()
    ids = [operation["operationId"] for _, _, operation in operations(found)]
    assert len(ids) == len(set(ids))
    assert {"login", "createArea", "importClusters", "listAudit", "getHealth"} <= set(ids)


#: Nobody signs in for these, but whoever calls shows something else: a warning's source its own token or certificate.
_OWN_CREDENTIALS = {("POST", "/api/v1/cap"): "unknown_source"}


async def test_every_operation_but_the_public_ones_wants_a_token(staff: Staff) -> None:
    nobody = Staff(staff.running, staff.http)
    stranger = Staff(staff.running, staff.http, "loa_" + "x" * 43)
    for method, path, operation in operations(await document(staff)):
        for who in (nobody, stranger):
            status, body = await who.call(method, path.replace("{", "").replace("}", ""))
            if operation["security"]:
                assert (status, body["code"]) == (401, "unauthenticated"), (method, path)
            elif (method, path) in _OWN_CREDENTIALS:
                assert (status, body["code"]) == (401, _OWN_CREDENTIALS[method, path])
                assert "401" in operation["responses"]
            else:
                assert status != 401, (method, path, body)


async def test_who_has_a_password_that_somebody_made_chooses_their_own_first(staff: Staff) -> None:
    _, made = await staff.call("POST", "/api/v1/users", {"name": "lan", "grants": [{"role": "admin"}]})
    lan = await staff.login("lan", made["password"])
    before = set()
    for method, path, operation in operations(await document(staff)):
        if operation["x-permission"] == "newcomer":
            before.add(operation["operationId"])
        elif operation["security"]:
            status, body = await lan.call(method, path.replace("{", "").replace("}", ""))
            assert (status, body["code"]) == (403, "password_change_required"), (method, path)
    assert before == {"getMe", "changePassword", "logout", "closeSession"}
    assert (await lan.call("GET", "/api/v1/me"))[1]["must_change_password"]
    assert (await lan.call("PUT", "/api/v1/me/password", {"old": made["password"], "new": PASSWORD}))[0] == 204
    assert (await lan.call("GET", "/api/v1/areas"))[0] == 200
    assert not (await lan.call("GET", "/api/v1/me"))[1]["must_change_password"]


#: What a viewer of one commune may do elsewhere: nothing but look at what belongs to themselves.
_OWN = re.compile(r"/api/v1/(me|me/password|me/totp|session|sessions|sessions/\{session_id\}|logout)$")


async def test_a_viewer_of_one_commune_gets_nothing_of_another(staff: Staff) -> None:
    mine = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    theirs = await staff.made("/api/v1/areas", {"name": "Tà Rụt", "kind": "xã"})
    cluster = await staff.made("/api/v1/clusters", {"name": "1", "area_id": theirs})
    lan = await staff.user("lan", {"role": "viewer", "area_id": mine})
    ids = {"area_id": theirs, "cluster_id": cluster}
    reached = 0
    for method, path, operation in operations(await document(staff)):
        if not operation["security"] or _OWN.search(path):
            continue
        filled = re.sub(r"\{(\w+)\}", lambda part: ids.get(part[1], "nothing_here"), path)
        status, body = await lan.call(method, filled, {} if "requestBody" in operation else None)
        if status == 200:
            reached += 1
            assert theirs not in str(body), (method, path)
            assert cluster not in str(body), (method, path)
        else:
            assert status in {403, 404, 405, 415, 422}, (method, path, status, body)
            if "{area_id}" in path or "{cluster_id}" in path:
                assert status == 403, (method, path, status, body)
    assert reached >= 2  # the lists of areas and clusters, which show their own


#: The first and the last instants that a date can say: in another time zone they are none.
DAWN, DUSK = "0001-01-01T00:00:00%2B00:01", "9999-12-31T23:59:59-00:01"


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("GET", "/api/v1/nowhere", {}, (404, "not_found")),
        ("PUT", "/api/v1/areas", {}, (405, "method_not_allowed")),
        ("POST", "/api/v1/areas", {"data": b"name=x"}, (415, "unsupported_media_type")),
        ("POST", "/api/v1/areas", {"data": BytesIO(b"x" * (1 << 21)), "headers": JSON}, (413, "body_too_large")),
        ("POST", "/api/v1/areas", {"data": b"{", "headers": JSON}, (400, "invalid_json")),
        ("POST", "/api/v1/areas", {"data": b"[" * 99_999, "headers": JSON}, (400, "invalid_json")),
        ("POST", "/api/v1/areas", {"json": {"name": "x"}}, (422, "invalid_input")),
        ("POST", "/api/v1/areas", {"json": {"name": "x", "kind": "y", "nope": 1}}, (422, "invalid_input")),
        ("POST", "/api/v1/areas", {"json": {"name": "\u0007", "kind": "y"}}, (422, "invalid_input")),
        ("POST", "/api/v1/areas", {"json": {"name": "x", "kind": "y", "parent_id": "ar_0"}}, (404, "area_not_found")),
        ("GET", "/api/v1/areas?limit=0", {}, (422, "invalid_input")),
        ("GET", "/api/v1/areas?cursor=%C3%A9", {}, (422, "invalid_input")),
        ("GET", "/api/v1/areas?nope=1", {}, (422, "invalid_input")),
        ("GET", "/api/v1/areas/" + "x" * 200, {}, (404, "not_found")),
        ("GET", "/api/v1/areas/%00", {}, (404, "not_found")),
        ("GET", "/api/v1/areas/..%2F..%2Fetc", {}, (404, "area_not_found")),
        ("GET", "/api/v1/audit?before=99999999999999999999", {}, (422, "invalid_input")),
        ("GET", f"/api/v1/schedule?until=2000-01-02T00:00:00Z&since={DAWN}", {}, (422, "invalid_input")),
        ("GET", f"/api/v1/schedule?since=2000-01-02T00:00:00Z&until={DUSK}", {}, (422, "invalid_input")),
        ("GET", f"/api/v1/reports/occurrences?since={DAWN}", {}, (422, "invalid_input")),
        ("GET", f"/api/v1/play-records?since={DUSK}", {}, (422, "invalid_input")),
        ("GET", "/api/v1/play-records?since=2026-11-20T03:00:00", {}, (422, "invalid_input")),
    ],
)  # fmt: skip
async def test_bad_input_gets_a_problem_with_a_code(
    staff: Staff, method: str, path: str, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    headers = {"Authorization": f"Bearer {staff.token}", **options.pop("headers", {})}
    url = staff.running.staff_url + path
    async with staff.http.request(method, URL(url, encoded=True), headers=headers, **options) as answer:
        body = await answer.json(content_type=None)
        assert (answer.status, body["code"]) == expected
        assert answer.content_type == "application/problem+json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert set(body) >= {"type", "title", "status", "detail"}


@pytest.mark.parametrize("text", ["0001-01-01T00:00", "1969-12-31T23:59", "2200-01-01T00:00", "9999-12-31T23:59"])
def test_a_local_time_that_no_zone_can_turn_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as refused:
        local_time("dtstart", text)
    assert refused.value.code == "time_out_of_range"


async def test_an_unexpected_fault_shows_an_incident_and_no_traceback(
    staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_area: str) -> str:
        raise RuntimeError("secret inside")

    area = await staff.made("/api/v1/areas", {"name": "A", "kind": "xã"})
    monkeypatch.setattr(staff.running.foundation.directory.__class__, "timezone_of", lambda _self, area: broken(area))
    status, body = await staff.call("GET", f"/api/v1/areas/{area}")
    assert (status, body["code"]) == (500, "internal_error")
    assert body["incident"] in body["detail"]
    assert "secret" not in str(body)


async def test_a_day_at_the_desk(staff: Staff) -> None:
    district = await staff.made("/api/v1/areas", {"name": "Đakrông", "kind": "huyện"})
    quiet = {"begin": "21:00", "end": "05:00"}
    commune = await staff.made(
        "/api/v1/areas", {"name": "Tà Rụt", "kind": "xã", "parent_id": district, "quiet_hours": quiet}
    )
    rows: list[dict[str, Any]] = [
        {"name": f"Tà Rụt {n}", "area_id": commune, "languages": ["vi", "pac"]} for n in range(1, 8)
    ]
    status, answer = await staff.call("POST", "/api/v1/clusters/import", {"clusters": rows})
    assert (status, len(answer["clusters"])) == (201, 7)
    first = answer["clusters"][0]["id"]
    status, body = await staff.call("PUT", f"/api/v1/clusters/{first}/volume", {"gains": {"RELAY": -6}})
    assert (status, body["gains"]) == (200, {"RELAY": -6.0})
    seen: list[str] = []
    more: str | None = ""
    while more is not None:
        status, page = await staff.call("GET", f"/api/v1/clusters?area_id={district}&limit=3{more}")
        assert status == 200
        seen += [row["name"] for row in page["items"]]
        more = None if page["next"] is None else f"&cursor={page['next']}"
    assert seen == sorted(row["name"] for row in rows)
    status, body = await staff.call("GET", f"/api/v1/areas/{commune}")
    assert (body["effective_quiet_hours"], body["clusters"]) == (quiet, 7)
    status, body = await staff.call("PATCH", f"/api/v1/areas/{commune}", {"quiet_hours": None})
    assert body["effective_quiet_hours"] == {"begin": "21:30", "end": "04:45"}
    status, body = await staff.call("GET", "/api/v1/audit?limit=3")
    assert [row["action"] for row in body["items"]] == ["area.change", "cluster.volume", "cluster.create"]
    status, body = await staff.call("GET", "/api/v1/audit/verdict")
    assert (status, body["ok"], body["faults"]) == (200, True, [])


async def test_health_readiness_and_figures(staff: Staff) -> None:
    status, body = await staff.call("GET", "/healthz")
    assert (status, body["ok"], body["tasks"]["sessions"]) == (200, True, "running")
    assert await staff.call("GET", "/readyz") == (200, {"ready": True})
    staff.running.health.add("test", lambda: "the disk is full")
    status, body = await staff.call("GET", "/healthz")
    assert (status, body["faults"]["test"]) == (503, "the disk is full")
    async with staff.http.get(staff.running.staff_url + "/metrics") as answer:
        text = await answer.text()
    assert 'loa_api_requests_total{operation="login",status="200"}' in text


async def test_a_locked_database_is_503_store_busy_and_reading_goes_on(
    staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = staff.running.foundation
    monkeypatch.setattr(base.db, "_busy_timeout", base.db._busy_timeout / 50)
    with closing(sqlite3.connect(base.config.database_file, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with asyncio.timeout(20):
            done = True
            while done:  # a task of the controller's own may be the one that waits for the file: then it is refused
                slow = asyncio.create_task(staff.call("POST", "/api/v1/areas", {"name": "A", "kind": "xã"}))
                done = bool((await asyncio.wait({slow}, timeout=0.3))[0])
            status, body = await staff.call("POST", "/api/v1/areas", {"name": "B", "kind": "xã"})
            assert (status, body["code"]) == (503, "store_busy")
            assert (await staff.call("GET", "/api/v1/areas"))[0] == 200
            other.execute("ROLLBACK")
            assert (await slow)[0] == 201


async def test_a_connection_without_a_request_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "IDLE_SECONDS", 0.2)
    async with open_staff(tmp_path / "data") as staff:
        parts = urlsplit(staff.running.staff_url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_one_address_has_a_limit_of_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PER_ADDRESS", 3)
    monkeypatch.setattr(server_module, "is_loopback", lambda _host: False)
    async with open_staff(tmp_path / "data") as staff:
        await staff.http.close()
        parts = urlsplit(staff.running.staff_url)
        opened = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(5)]
        answers = []
        for reader, writer in opened:
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            try:
                answers.append((await reader.read())[:12])
            except ConnectionResetError:
                answers.append(b"")
            writer.close()
        assert answers.count(b"HTTP/1.1 200") == 3


async def test_nonsense_instead_of_http_is_a_problem_too(staff: Staff, caplog: pytest.LogCaptureFixture) -> None:
    parts = urlsplit(staff.running.staff_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert b'"code": "bad_request"' in answer
    assert "Traceback" not in caplog.text  # a stranger must not be able to fill the log


async def test_tls_with_the_self_made_certificate(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data", staff_tls=True) as staff:
        assert staff.running.staff_url.startswith("https://")
        assert len(staff.running.staff_fingerprint or "") == 64
        assert (await staff.call("GET", "/api/v1/me"))[0] == 200


async def test_an_idempotency_key_acts_once() -> None:
    keys, acts = IdempotencyKeys(), 0
    release = asyncio.Event()

    async def act() -> tuple[int, bytes]:
        nonlocal acts
        acts += 1
        await release.wait()
        return 201, b"x"

    both = asyncio.gather(keys.run(("u", "stop", "k"), "d", act), keys.run(("u", "stop", "k"), "d", act))
    await asyncio.sleep(0)
    release.set()
    assert list(await both) == [(201, b"x"), (201, b"x")]
    assert await keys.run(("u", "stop", "k"), "d", act) == (201, b"x")
    assert acts == 1
    with pytest.raises(ConflictError):
        await keys.run(("u", "stop", "k"), "another body", act)
    with pytest.raises(InvalidError):
        await keys.run(("u", "stop", ""), "d", act)


async def test_a_failed_attempt_may_be_repeated_under_its_key() -> None:
    keys = IdempotencyKeys()

    async def fail() -> tuple[int, bytes]:
        raise ConflictError("not now")

    async def work() -> tuple[int, bytes]:
        return 200, b""

    with pytest.raises(ConflictError):
        await keys.run(("u", "o", "k"), "d", fail)
    assert await keys.run(("u", "o", "k"), "d", work) == (200, b"")
