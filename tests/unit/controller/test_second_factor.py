from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyotp
import pytest
from sqlmodel import col, select

from controller.keys import UnsealError, VaultError
from controller.keys.sealing import DATABASE_KEY, Sealer
from controller.services.context import SECOND_FACTOR_VERBS, SYSTEM, Actor, Permission, Role, RoleGrant
from controller.services.directory import Directory, UserEntry
from controller.services.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    SecondFactorError,
    TooManyError,
    UnauthenticatedError,
)
from controller.services.second_factor import FRESH, PENDING, RECOVERY_CODES, TRIES, SecondFactors
from controller.services.sessions import SignedIn
from controller.services.throttle import PER_ACCOUNT, WINDOW
from controller.store import tables
from tests.unit.controller.browser import Browser, open_browser
from tests.unit.controller.desk import Desk, open_desk
from tests.unit.controller.staff import PASSWORD, Staff, open_staff

GOOD = "một mật khẩu dài"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path) as opened:
        grants = (RoleGrant(Role.DUTY_OFFICER, None),)
        await opened.accounts.create(SYSTEM, name="lan", display_name="", password=GOOD, grants=grants)
        await opened.accounts.create(
            SYSTEM, name="admin", display_name="", password=GOOD, grants=(RoleGrant(Role.ADMIN, None),)
        )
        yield opened


async def enter(desk: Desk, code: str | None = None, name: str = "lan") -> SignedIn:
    return await desk.sessions.login(name, GOOD, address="::1", code=code)


async def refused(desk: Desk, code: str | None) -> str:
    try:
        await enter(desk, code)
    except (UnauthenticatedError, TooManyError) as error:
        return error.code
    return "in"


class App:
    """An authenticator app that keeps the desk's time."""

    def __init__(self, desk: Desk, secret: str) -> None:
        self._desk, self._totp = desk, pyotp.TOTP(secret)

    def code(self, steps: int = 0) -> str:
        return self._totp.at(self._desk.clock.at, counter_offset=steps)


async def enrolled(desk: Desk, name: str = "lan") -> tuple[App, SignedIn, tuple[str, ...]]:
    """Somebody who has just set up their app, and stands in a fresh time step."""
    signed = await enter(desk, name=name)
    app = App(desk, (await desk.second_factors.begin(signed.actor, None)).secret)
    codes = await desk.second_factors.confirm(signed.actor, app.code())
    desk.clock.advance(seconds=90)
    return app, signed, codes


async def test_who_has_one_signs_in_with_it(desk: Desk) -> None:
    app, _, _ = await enrolled(desk)
    assert await refused(desk, None) == "second_factor_required"
    assert await refused(desk, "") == "second_factor_required"
    assert await refused(desk, "123456" if app.code() != "123456" else "654321") == "second_factor_wrong"
    shown = app.code()
    assert (await enter(desk, f" {shown[:3]} {shown[3:]} ")).actor.second_factor
    with pytest.raises(UnauthenticatedError, match="name or the password"):  # the code is no way round the password
        await desk.sessions.login("lan", "wrong", address="::1", code=app.code(1))


async def test_a_code_opens_one_session_and_none_before_it(desk: Desk) -> None:
    app, _, _ = await enrolled(desk)
    said = await asyncio.gather(*(refused(desk, app.code()) for _ in range(3)))
    assert sorted(said) == ["in", "second_factor_wrong", "second_factor_wrong"]
    assert await refused(desk, app.code(-1)) == "second_factor_wrong"
    desk.clock.advance(seconds=30)
    assert await refused(desk, app.code(-1)) == "second_factor_wrong"
    assert await refused(desk, app.code()) == "in"


async def test_the_code_that_confirmed_it_is_used_too(desk: Desk) -> None:
    signed = await enter(desk)
    app = App(desk, (await desk.second_factors.begin(signed.actor, None)).secret)
    await desk.second_factors.confirm(signed.actor, app.code())
    assert await refused(desk, app.code()) == "second_factor_wrong"


@pytest.mark.parametrize(
    ("steps", "said"), [(-2, "second_factor_wrong"), (-1, "in"), (1, "in"), (2, "second_factor_wrong")]
)
async def test_a_clock_may_be_half_a_minute_wrong(desk: Desk, steps: int, said: str) -> None:
    app, _, _ = await enrolled(desk)
    desk.clock.advance(seconds=90)
    assert await refused(desk, app.code(steps)) == said


async def test_recovery_codes_open_one_session_each(desk: Desk) -> None:
    _, _, codes = await enrolled(desk)
    assert len(set(codes)) == RECOVERY_CODES
    assert (await enter(desk, codes[0])).actor.second_factor
    assert await refused(desk, codes[0]) == "second_factor_wrong"
    assert await refused(desk, codes[1].upper().replace("-", " ")) == "in"
    async with desk.db.read() as session:
        kept = (await session.exec(select(tables.RecoveryCode))).all()
        said = [row.action for row in await session.exec(select(tables.Audit))]
    assert len(kept) == RECOVERY_CODES - 2
    assert not {code.replace("-", "") for code in codes} & {row.hash for row in kept}
    assert said.count("user.recovery_code") == 2
    admin = await enrolled(desk, "admin")
    assert await refused(desk, admin[2][0]) == "second_factor_wrong"  # somebody else's


async def test_guessing_codes_is_stopped_by_user_from_any_address(desk: Desk) -> None:
    app, _, _ = await enrolled(desk)
    for number in range(TRIES):
        with pytest.raises(UnauthenticatedError):
            await desk.sessions.login("lan", GOOD, address=f"192.0.2.{number}", code="000000x")
    assert await refused(desk, app.code()) == "too_many_tries"
    desk.clock.advance(seconds=WINDOW.total_seconds())
    assert await refused(desk, app.code()) == "in"


async def test_asking_for_the_code_costs_no_try_and_gives_none_back(desk: Desk) -> None:
    await enrolled(desk)
    for _ in range(PER_ACCOUNT * 4):
        assert await refused(desk, None) == "second_factor_required"
    for _ in range(TRIES):  # knowing the password does not make guessing the code free
        assert await refused(desk, None) == "second_factor_required"
        assert await refused(desk, "000000x") == "second_factor_wrong"
    assert await refused(desk, "000000x") == "too_many_tries"


async def test_nothing_counts_before_its_first_code(desk: Desk) -> None:
    signed = await enter(desk)
    await desk.second_factors.begin(signed.actor, None)
    assert await refused(desk, None) == "in"
    with pytest.raises(ForbiddenError) as wrong:
        await desk.second_factors.confirm(signed.actor, "000000x")
    assert wrong.value.code == "wrong_code"
    app = App(desk, (await desk.second_factors.begin(signed.actor, None)).secret)
    desk.clock.advance(seconds=PENDING.total_seconds() + 1)
    with pytest.raises(ConflictError) as late:
        await desk.second_factors.confirm(signed.actor, app.code())
    assert late.value.code == "nothing_pending"


async def test_a_window_left_open_sets_nothing_up(desk: Desk) -> None:
    signed = await enter(desk)
    desk.clock.advance(seconds=FRESH.total_seconds())
    with pytest.raises(ForbiddenError) as asked:
        await desk.second_factors.begin(signed.actor, None)
    assert asked.value.code == "password_required"
    with pytest.raises(ForbiddenError) as wrong:
        await desk.second_factors.begin(signed.actor, "wrong")
    assert wrong.value.code == "wrong_password"
    await desk.second_factors.begin(signed.actor, GOOD)
    script = await desk.sessions.issue(
        signed.actor.user_id, label="x", idle=FRESH, life=FRESH, action="session.token", second_factor=False
    )
    with pytest.raises(ForbiddenError):  # a fresh token of a script is no fresh sign-in
        await desk.second_factors.begin(script.actor, None)


async def test_ones_own_password_cannot_be_guessed_in_an_open_window(desk: Desk) -> None:
    _, signed, _ = await enrolled(desk)
    for _ in range(PER_ACCOUNT):
        with pytest.raises(ForbiddenError):
            await desk.accounts.remove_own_second_factor(signed.actor, "wrong")
    with pytest.raises(TooManyError):
        await desk.accounts.remove_own_second_factor(signed.actor, GOOD)


async def test_taking_it_away_lowers_every_session(desk: Desk) -> None:
    _, signed, codes = await enrolled(desk)
    assert actor_of(desk, signed).second_factor  # the session in which it was set up
    with pytest.raises(ConflictError):
        await desk.second_factors.begin(signed.actor, GOOD)
    await desk.accounts.remove_own_second_factor(signed.actor, GOOD)
    assert not actor_of(desk, signed).second_factor
    assert await refused(desk, None) == "in"
    with pytest.raises(NotFoundError):
        await desk.accounts.remove_own_second_factor(signed.actor, GOOD)
    async with open_desk(desk.folder) as again:  # also after a restart
        assert not again.directory.users[signed.actor.user_id].second_factor
        assert not actor_of(again, signed).second_factor
        assert codes[0] not in str(again.directory.users)


async def test_an_administrator_helps_who_lost_theirs_and_not_themselves(desk: Desk) -> None:
    _, lan, _ = await enrolled(desk)
    _, admin, _ = await enrolled(desk, "admin")
    with pytest.raises(ForbiddenError):
        await desk.accounts.remove_second_factor(lan.actor, admin.actor.user_id)
    with pytest.raises(ForbiddenError) as own:
        await desk.accounts.remove_second_factor(admin.actor, admin.actor.user_id)
    assert own.value.code == "own_second_factor"
    await desk.accounts.remove_second_factor(admin.actor, lan.actor.user_id)
    assert await refused(desk, None) == "in"
    async with desk.db.read() as session:
        query = select(tables.Audit).where(col(tables.Audit.action) == "user.second_factor_removed")
        (row,) = (await session.exec(query)).all()
    assert (row.subject, "admin" in row.actor) == (lan.actor.user_id, True)


def actor_of(desk: Desk, signed: SignedIn) -> Actor:
    actor = desk.sessions.actor_of(signed.token)
    assert actor is not None
    return actor


async def test_the_secret_is_not_readable_in_the_database(desk: Desk) -> None:
    signed = await enter(desk)
    secret = (await desk.second_factors.begin(signed.actor, None)).secret
    files = b"".join(path.read_bytes() for path in desk.folder.glob("loa.db*"))
    assert secret.encode() not in files


async def test_recovery_codes_work_when_the_key_of_secrets_is_gone(desk: Desk) -> None:
    app, _, codes = await enrolled(desk)
    desk.sessions._second_factors = SecondFactors(
        desk.db, desk.directory, desk.clock, desk.accounts, Sealer(bytes(31) + b"x")
    )
    assert await refused(desk, app.code()) == "second_factor_wrong"
    assert await refused(desk, codes[0]) == "in"


def test_a_sealer_keeps_its_key_and_opens_only_its_own(tmp_path: Path) -> None:
    sealer = Sealer.ensure(tmp_path)
    assert (tmp_path / DATABASE_KEY).stat().st_mode & 0o777 == 0o600
    sealed = sealer.seal("secret", "lan")
    assert Sealer.ensure(tmp_path).unseal(sealed, "lan") == "secret"
    for text, context in ((sealed, "hung"), (sealed[:-2] + "00", "lan"), ("nonsense", "lan"), ("", "lan")):
        with pytest.raises(UnsealError):
            sealer.unseal(text, context)
    for broken in ("nonsense", "abcd"):
        (tmp_path / DATABASE_KEY).write_text(broken)
        with pytest.raises(VaultError):
            Sealer.ensure(tmp_path)


# --- what is refused without one ---


def test_without_one_alerts_and_drills_are_withheld_and_stop_is_not() -> None:
    directory = Directory(guarded=SECOND_FACTOR_VERBS)
    user = _user(RoleGrant(Role.DUTY_OFFICER, None))
    bare, full = (directory.actor(user, "t", second_factor=second) for second in (False, True))
    for verb in Permission:
        granted = full.may_somewhere(verb)
        assert bare.may_somewhere(verb) is (granted and verb not in SECOND_FACTOR_VERBS)
        assert bare.may_everywhere(verb) is directory.allows(bare, verb, None) is bare.may_somewhere(verb)
    for verb in SECOND_FACTOR_VERBS:
        directory.require(full, verb, None)
        with pytest.raises(SecondFactorError):
            directory.require(bare, verb, None)
    directory.require(bare, Permission.STOP, None)
    with pytest.raises(ForbiddenError) as plain:
        directory.require(directory.actor(_user(), "t", second_factor=False), Permission.DRILL, None)
    assert plain.value.code == "forbidden"  # a second factor would not help
    assert directory.wants_second_factor(bare)
    assert not Directory().wants_second_factor(bare)


def _user(*grants: RoleGrant) -> UserEntry:
    return UserEntry("us_1", "lan", "", disabled=False, grants=grants)


@asynccontextmanager
async def strict(folder: Path) -> AsyncIterator[tuple[Staff, Browser]]:
    async with open_staff(folder / "data", second_factor_required=True) as staff, open_browser(staff) as browser:
        yield staff, browser


async def test_the_first_administrator_sets_up_theirs_and_can_warn(tmp_path: Path) -> None:
    async with strict(tmp_path) as (staff, browser):
        _, me = await browser.sign_in("admin", PASSWORD)
        assert me["second_factor"] == {"enrolled": False, "required": True, "given": False}
        assert me["permissions"]["emergency_compose"][
            "everywhere"
        ]  # the role holds it: the console says what is missing
        drill = {"kind": "silent", "where": {"everywhere": True}}
        before = await browser.call("POST", "/api/v1/drills", drill)
        assert (before[0], before[1]["code"]) == (403, "second_factor_enrolment_required")
        assert (await browser.call("POST", "/api/v1/orders/stop", {"everywhere": True}))[0] < 300
        status, made = await browser.call("POST", "/api/v1/me/totp", {})
        assert (status, made["uri"].startswith("otpauth://totp/Loa:admin?")) == (200, True)
        app = pyotp.TOTP(made["secret"])
        status, answer = await browser.call("PUT", "/api/v1/me/totp", {"code": app.now()})
        assert (status, len(answer["recovery_codes"])) == (200, RECOVERY_CODES)
        _, me = await browser.call("GET", "/api/v1/me")
        assert me["second_factor"] == {"enrolled": True, "required": True, "given": True}
        after = await browser.call("POST", "/api/v1/drills", drill)
        assert after[1]["code"] != "second_factor_enrolment_required"
        # The script's token of the fixture was made before, by a password alone.
        old = await staff.call("POST", "/api/v1/drills", drill)
        assert old[1]["code"] == "second_factor_enrolment_required"
        for token, code in ((staff.token, 403), (await made_token(browser), after[0])):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await browser.call("POST", "/api/v1/drills", drill, headers={**headers}))[0] == code
        name, password = "admin", PASSWORD
        said = {"name": name, "password": password}
        assert (await staff.call("POST", "/api/v1/login", said))[1]["code"] == "second_factor_required"
        assert (await staff.call("POST", "/api/v1/login", said | {"code": answer["recovery_codes"][0]}))[0] == 200
        assert (await browser.sign_in(name, password))[1]["code"] == "second_factor_required"
        assert (await browser.sign_in(name, password, app.now()))[1]["code"] == "second_factor_wrong"  # used
        assert (await browser.sign_in(name, password, answer["recovery_codes"][1]))[0] == 200


async def made_token(browser: Browser) -> str:
    """A script's token inherits the second factor of the session that made it."""
    status, made = await browser.call("POST", "/api/v1/sessions", {"label": "nightly"})
    assert status == 201
    return str(made["token"])


async def test_the_second_factor_of_another_is_taken_away_over_http(tmp_path: Path) -> None:
    async with strict(tmp_path) as (staff, browser):
        lan = await staff.made("/api/v1/users", {"name": "lan", "password": GOOD})
        await browser.sign_in("lan", GOOD)
        assert (await staff.call("DELETE", f"/api/v1/users/{lan}/totp"))[1]["code"] == "not_enrolled"
        secret = (await browser.call("POST", "/api/v1/me/totp", {"password": GOOD}))[1]["secret"]
        await browser.call("PUT", "/api/v1/me/totp", {"code": pyotp.TOTP(secret).now()})
        assert (await staff.call("GET", f"/api/v1/users/{lan}"))[1]["second_factor"] is True
        assert (await browser.call("DELETE", f"/api/v1/users/{lan}/totp"))[0] == 403
        assert (await staff.call("DELETE", f"/api/v1/users/{lan}/totp"))[0] == 204
        assert (await browser.call("GET", "/api/v1/me"))[1]["second_factor"]["enrolled"] is False
