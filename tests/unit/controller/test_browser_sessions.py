from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from controller.api.credentials import csrf_of
from controller.config import ConfigError, load_config
from controller.services.door_watch import NOTED
from controller.services.throttle import PER_ACCOUNT
from tests.unit.controller.browser import Browser, open_browser
from tests.unit.controller.staff import PASSWORD, Staff, open_staff

WORD = "một mật khẩu dài"


@pytest.fixture
async def staff(tmp_path: Path) -> AsyncIterator[Staff]:
    async with open_staff(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
async def lan(staff: Staff) -> str:
    """Somebody who may do everything; their id."""
    return await staff.made(
        "/api/v1/users",
        {"name": "lan", "display_name": "Hồ Thị Lan", "password": WORD, "grants": [{"role": "admin"}]},
    )


@pytest.fixture
async def browser(staff: Staff, lan: str) -> AsyncIterator[Browser]:
    """A browser in which Lan is signed in."""
    async with open_browser(staff) as opened:
        assert (await opened.sign_in("lan", WORD))[0] == 200
        yield opened


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: Browser) -> None:
    cookie = browser.cookie
    assert cookie.key == "loa"
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert not cookie["secure"]
    assert not cookie["domain"]
    assert not cookie["max-age"]  # gone with the browser; the session ends by its own rules


async def test_under_tls_the_cookie_is_bound_to_this_host(tmp_path: Path) -> None:
    async with open_staff(tmp_path / "data", staff_tls=True) as staff, open_browser(staff) as browser:
        assert (await browser.sign_in("admin", PASSWORD))[0] == 200
        assert (browser.cookie.key, browser.cookie["secure"], browser.cookie["path"]) == ("__Host-loa", True, "/")
        assert (await browser.call("GET", "/api/v1/me"))[0] == 200
        plain = browser.url.replace("https://", "http://")
        status, answer = await browser.call("DELETE", "/api/v1/session", headers={"Origin": plain})
        assert (status, answer["code"]) == (403, "csrf_refused")  # the same name without TLS is another page


async def test_a_proxy_on_this_machine_may_say_that_it_took_the_tls_off(staff: Staff, lan: str) -> None:
    async with open_browser(staff) as browser:
        said = {"X-Forwarded-Proto": "https", "Host": "loa.example", "Origin": "https://loa.example"}
        status, _ = await browser.call("POST", "/api/v1/session", {"name": "lan", "password": WORD}, headers={**said})
        assert (status, browser.cookie.key, browser.cookie["secure"]) == (200, "__Host-loa", True)
        assert (await browser.call("GET", "/api/v1/me", headers={**said}))[0] == 200


async def test_me_says_who_and_what_and_where(staff: Staff, lan: str, browser: Browser) -> None:
    commune = await staff.made("/api/v1/areas", {"name": "A Vao", "kind": "xã"})
    grants = [{"role": "viewer"}, {"role": "operator", "area_id": commune}]
    await staff.made("/api/v1/users", {"name": "hung", "password": WORD, "grants": grants})
    async with open_browser(staff) as other:
        _, me = await other.sign_in("hung", WORD)
        assert me == (await other.call("GET", "/api/v1/me"))[1]
    assert me["permissions"]["read"] == {"everywhere": True, "areas": [commune]}
    assert me["permissions"]["play_now"] == {"everywhere": False, "areas": [commune]}
    assert "approve" not in me["permissions"]
    status, mine = await browser.call("GET", "/api/v1/me")
    assert (status, mine["user_id"], mine["display_name"]) == (200, lan, "Hồ Thị Lan")
    assert (mine["csrf"], mine["must_change_password"]) == (browser.csrf, False)
    assert browser.cookie.value not in str(mine)
    status, bearer = await staff.call("GET", "/api/v1/me")
    assert (bearer["csrf"], bearer["must_change_password"]) == (None, False)


async def test_signing_in_rotates_the_session(staff: Staff, browser: Browser) -> None:
    before = browser.cookie_header
    assert (await browser.sign_in("lan", WORD))[0] == 200
    assert browser.cookie_header != before
    assert (await browser.call("GET", "/api/v1/me", headers={"Cookie": before}))[0] == 401
    async with open_browser(staff) as other:  # a session somebody else chose is never taken over
        other.cookies.load("loa=loa_chosen_by_somebody_else")
        assert (await other.sign_in("lan", WORD))[0] == 200
        assert "chosen" not in other.cookie_header


async def test_signing_out_ends_it_at_once_and_clears_the_cookie(browser: Browser) -> None:
    kept = browser.cookie_header
    assert (await browser.call("DELETE", "/api/v1/session"))[0] == 204
    assert not browser.cookie_header
    assert (await browser.call("GET", "/api/v1/me", headers={"Cookie": kept}))[0] == 401


async def test_a_role_that_is_taken_away_is_gone_at_once(staff: Staff, lan: str, browser: Browser) -> None:
    assert (await browser.call("GET", "/api/v1/users"))[0] == 200
    assert (await staff.call("PATCH", f"/api/v1/users/{lan}", {"grants": []}))[0] == 200
    assert (await browser.call("GET", "/api/v1/users"))[0] == 403
    assert (await browser.call("GET", "/api/v1/me"))[1]["permissions"] == {}


async def test_a_new_password_ends_the_other_sessions(staff: Staff, browser: Browser) -> None:
    async with open_browser(staff) as other:
        await other.sign_in("lan", WORD)
        assert (await browser.call("PUT", "/api/v1/me/password", {"old": WORD, "new": "ein anderes Wort"}))[0] == 204
        assert (await other.call("GET", "/api/v1/me"))[0] == 401
    assert (await browser.call("GET", "/api/v1/me"))[0] == 200


#: What needs nobody signed in has nothing to be forged; it is guarded by other means, each tested on its own.
async def changing(staff: Staff) -> list[tuple[str, str]]:
    _, document = await staff.call("GET", "/api/v1/openapi.json")
    return [
        (method.upper(), re.sub(r"\{(\w+)\}", "nothing_here", path))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "get" and operation["security"]
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRF-Token": None},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": csrf_of("another session")},
        {"X-CSRF-Token": "ế"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_nothing_is_changed_for_a_page_of_somebody_else(
    staff: Staff, browser: Browser, headers: dict[str, str | None]
) -> None:
    routes = await changing(staff)
    assert len(routes) > 50
    for method, path in routes:
        status, answer = await browser.call(method, path, {}, headers=headers)
        assert (status, answer["code"]) == (403, "csrf_refused"), (method, path)
    assert (await browser.call("GET", "/api/v1/me", headers=headers))[0] == 200  # reading needs nothing


async def test_what_was_forged_is_counted_and_shown(staff: Staff, browser: Browser) -> None:
    for _ in range(NOTED + 5):
        await browser.call("DELETE", "/api/v1/session", headers={"X-CSRF-Token": None})
    async with staff.http.get(browser.url + "/metrics") as answer:
        assert f'loa_door_refused_total{{code="csrf_refused"}} {NOTED + 5}.0' in await answer.text()
    codes = [one["code"] for one in await security_events(staff)]
    assert codes.count("csrf_refused") == NOTED


async def security_events(staff: Staff) -> list[dict[str, Any]]:
    await staff.running.watch.write()
    status, answer = await staff.call("GET", "/api/v1/security-events")
    assert status == 200
    return list(answer["items"])


async def test_a_program_without_a_page_needs_the_token_only(browser: Browser) -> None:
    alone = {"X-CSRF-Token": browser.csrf}
    body = {"name": "A Vao", "kind": "xã"}
    assert (await browser.call("POST", "/api/v1/areas", body, headers={**alone}, by_page=False))[0] == 201


async def test_a_bearer_token_needs_no_more_than_itself(staff: Staff) -> None:
    other = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}  # scripts of other tools may say so
    assert (await staff.call("POST", "/api/v1/areas", {"name": "A", "kind": "xã"}, headers=other))[0] == 201


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/session/demo"])
@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_cannot_sign_anybody_in(tmp_path: Path, path: str, headers: dict[str, str | None]) -> None:
    async with open_demo(tmp_path) as staff, open_browser(staff) as browser:
        body = {"role": "admin"} if path.endswith("demo") else {"name": "admin", "password": PASSWORD}
        status, answer = await browser.call("POST", path, body, headers=headers)
        assert (status, answer["code"]) == (403, "csrf_refused")
        assert not browser.cookies


async def test_wrong_sign_ins_are_throttled_and_shown(staff: Staff, lan: str) -> None:
    async with open_browser(staff) as browser:
        said = [await browser.sign_in("lan", "wrong") for _ in range(PER_ACCOUNT + 1)]
        await browser.sign_in("my secret word", "lan")
    assert [answer["code"] for _, answer in said] == ["wrong_credentials"] * PER_ACCOUNT + ["too_many_tries"]
    assert (said[0][0], said[-1][0]) == (401, 429)
    seen = [(one["code"], one["detail"]) for one in await security_events(staff)]
    assert seen.count(("sign_in_wrong_credentials", "lan from 127.0.0.1")) == PER_ACCOUNT
    assert seen[0] == ("sign_in_wrong_credentials", "an unknown name from 127.0.0.1")
    assert ("sign_in_too_many_tries", "lan from 127.0.0.1") in seen


async def shake_hands(browser: Browser, path: str, headers: dict[str, str]) -> int:
    """The status with which a WebSocket is answered."""
    try:
        async with browser.http.ws_connect(browser.url + path, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


async def test_a_websocket_by_cookie_must_come_from_a_page_of_ours(staff: Staff, browser: Browser) -> None:
    _, document = await staff.call("GET", "/api/v1/openapi.json")
    sockets = [
        path.replace("{", "").replace("}", "")
        for path, methods in document["paths"].items()
        if "101" in methods.get("get", {}).get("responses", {})
    ]
    assert sockets
    for path in sockets:
        cookie = {"Cookie": browser.cookie_header}
        assert await shake_hands(browser, path, {}) == 401
        assert await shake_hands(browser, path, cookie) == 403
        assert await shake_hands(browser, path, {**cookie, "Origin": "https://evil.example"}) == 403
        assert await shake_hands(browser, path, {**cookie, "Origin": browser.url}) not in {401, 403}
        bearer = {"Authorization": f"Bearer {staff.token}"}
        assert await shake_hands(browser, path, bearer) not in {401, 403}


def open_demo(folder: Path) -> Any:
    return open_staff(folder / "data", demo_logins=(("admin", "admin"), ("editor", "phat-thanh")))


async def test_doors_without_a_password_are_the_demos_alone(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as staff, open_browser(staff) as browser:
        _, shown = await browser.call("GET", "/api/v1/console")
        assert shown["demo"] == [{"role": "admin", "name": "admin"}]  # the editor is not there yet
        assert shown["default_timezone"] == "Asia/Ho_Chi_Minh"
        status, me = await browser.call("POST", "/api/v1/session/demo", {"role": "admin"})
        assert (status, me["name"]) == (200, "admin")
        assert (await browser.call("POST", "/api/v1/session/demo", {"role": "editor"}))[0] == 404
        await staff.made("/api/v1/users", {"name": "phat-thanh", "grants": [{"role": "editor"}]})
        _, me = await browser.call("POST", "/api/v1/session/demo", {"role": "editor"})
        assert (me["name"], me["must_change_password"]) == ("phat-thanh", False)  # nobody has one of their own here
        assert (await browser.call("GET", "/api/v1/areas"))[0] == 200
    async with open_staff(tmp_path / "other") as staff, open_browser(staff) as browser:
        assert (await browser.call("GET", "/api/v1/console"))[1]["demo"] == []
        assert (await browser.call("POST", "/api/v1/session/demo", {"role": "admin"}))[0] == 404
        assert not browser.cookies


def test_no_file_and_no_variable_opens_a_door(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "/x"\ndemo_logins = [["admin", "admin"]]\n')
    with pytest.raises(ConfigError, match="there is no setting 'demo_logins'"):
        load_config(None, file, {}, {})
    assert load_config(tmp_path, None, {}, {"LOA_DEMO_LOGINS": "admin"}).demo_logins == ()
