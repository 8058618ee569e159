from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from controller.services.context import SYSTEM, Permission, Role, RoleGrant
from controller.services.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooManyError,
    UnauthenticatedError,
)
from controller.services.passwords import QUEUE, Passwords, check_password, new_password
from controller.services.sessions import IDLE, LIFE, MAX_TOKENS
from controller.services.throttle import PER_ACCOUNT, PER_ADDRESS
from controller.store.errors import StoreBusyError
from tests.unit.controller.desk import CHEAP, Desk, open_desk

GOOD = "một mật khẩu dài"
EVERYWHERE = RoleGrant(Role.ADMIN, None)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path, busy=timedelta(milliseconds=200)) as opened:
        await opened.accounts.create(SYSTEM, name="admin", display_name="", password=GOOD, grants=(EVERYWHERE,))
        yield opened


async def test_the_first_start_makes_one_administrator_with_a_random_password(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        first = await desk.accounts.ensure_admin()
        assert first is not None
        signed = await desk.sessions.login(*first, address="::1")
        assert signed.must_change
        assert signed.actor.may_everywhere(Permission.USERS)
        assert await desk.accounts.ensure_admin() is None


async def test_a_token_is_kept_as_a_hash_and_answered_from_memory(desk: Desk) -> None:
    signed = await desk.sessions.login("ADMIN", GOOD, address="::1")
    assert (
        signed.token.encode() not in (desk.folder / "loa.db").read_bytes() + (desk.folder / "loa.db-wal").read_bytes()
    )
    with closing(sqlite3.connect(desk.folder / "loa.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        actor = desk.sessions.actor_of(signed.token)
        other.execute("ROLLBACK")
    assert actor is not None
    assert actor.name == "admin"
    assert desk.sessions.actor_of(signed.token + "x") is None
    assert desk.sessions.actor_of("\ud800") is None


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody", GOOD), ("", ""), ("admin", "x" * 10_000)]
)
async def test_a_wrong_sign_in_does_not_say_what_was_wrong(desk: Desk, name: str, password: str) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        await desk.sessions.login(name, password, address="::1")
    assert (refused.value.code, refused.value.detail) == ("wrong_credentials", "the name or the password is wrong")


async def guess(desk: Desk, name: str, address: str) -> str:
    try:
        await desk.sessions.login(name, "wrong guess", address=address)
    except (UnauthenticatedError, TooManyError) as error:
        return error.code
    return "in"


async def test_guessing_is_stopped_by_name_also_all_at_once(desk: Desk) -> None:
    signed = await desk.sessions.login("admin", GOOD, address="::1")
    said = await asyncio.gather(*(guess(desk, "admin", f"192.0.2.{n}") for n in range(PER_ACCOUNT + 5)))
    assert (said.count("wrong_credentials"), said.count("too_many_tries")) == (PER_ACCOUNT, 5)
    with pytest.raises(TooManyError) as refused:
        await desk.sessions.login("admin", GOOD, address="::1")
    assert 0 < refused.value.retry_after <= 901
    assert desk.sessions.actor_of(signed.token) is not None  # who is in stays in
    desk.clock.advance(minutes=15)
    assert (await desk.sessions.login("admin", GOOD, address="::1")).actor.name == "admin"


async def test_guessing_is_stopped_by_address_across_names(desk: Desk) -> None:
    for number in range(PER_ADDRESS):
        assert await guess(desk, f"user{number}", "192.0.2.1") == "wrong_credentials"
    assert await guess(desk, "fresh", "192.0.2.1") == "too_many_tries"
    assert await guess(desk, "fresh", "192.0.2.2") == "wrong_credentials"


async def test_signing_in_well_costs_nothing(desk: Desk) -> None:
    for _ in range(PER_ADDRESS + 1):
        await desk.sessions.login("admin", GOOD, address="::1")
    assert len(desk.sessions.of_user(desk.directory.user_named("admin").id)) == MAX_TOKENS  # type: ignore[union-attr]


async def test_sessions_end_when_unused_when_old_and_when_told(desk: Desk) -> None:
    idle, old, out = [(await desk.sessions.login("admin", GOOD, address="::1")) for _ in range(3)]
    await desk.sessions.end(out.actor, out.actor.token_hash or "")
    assert desk.sessions.actor_of(out.token) is None
    for _ in range(int(LIFE / IDLE) * 2 - 1):
        desk.clock.advance(seconds=IDLE.total_seconds() / 2)
        assert desk.sessions.actor_of(old.token) is not None
    assert desk.sessions.actor_of(idle.token) is None
    desk.clock.advance(seconds=IDLE.total_seconds() / 2)
    assert desk.sessions.actor_of(old.token) is None
    assert await desk.sessions.sweep() == 2


async def test_use_is_written_down_for_the_next_start(desk: Desk) -> None:
    signed = await desk.sessions.login("admin", GOOD, address="::1")
    desk.clock.advance(hours=11)
    assert desk.sessions.actor_of(signed.token) is not None
    assert await desk.sessions.sweep() == 0
    async with open_desk(desk.folder) as again:
        again.clock.at = desk.clock.at + timedelta(hours=11)
        assert again.sessions.actor_of(signed.token) is not None


async def test_one_ends_only_ones_own_sessions(desk: Desk) -> None:
    lan, admin = await desk.user("lan"), await desk.sessions.login("admin", GOOD, address="::1")
    with pytest.raises(NotFoundError):
        await desk.sessions.end(lan, admin.actor.token_hash or "")
    assert desk.sessions.actor_of(admin.token) is not None


async def test_a_locked_database_refuses_a_sign_in_and_says_busy(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.folder / "loa.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusyError):
            await desk.sessions.login("admin", GOOD, address="::1")
        other.execute("ROLLBACK")


async def test_disabling_and_new_passwords_end_sessions_at_once(desk: Desk) -> None:
    lan, password = await desk.accounts.create(SYSTEM, name="lan", display_name="", password=None)
    first = await desk.sessions.login("lan", password or "", address="::1")
    made = await desk.accounts.reset_password(SYSTEM, lan.id)
    assert desk.sessions.actor_of(first.token) is None
    second = await desk.sessions.login("lan", made or "", address="::1")
    await desk.accounts.set_disabled(SYSTEM, lan.id, disabled=True)
    assert desk.sessions.actor_of(second.token) is None
    with pytest.raises(UnauthenticatedError):
        await desk.sessions.login("lan", made or "", address="::1")


async def test_changing_ones_own_password_keeps_this_session_only(desk: Desk) -> None:
    here, there = [await desk.sessions.login("admin", GOOD, address="::1") for _ in range(2)]
    with pytest.raises(ForbiddenError):
        await desk.accounts.change_own_password(here.actor, "wrong", "ein anderes Wort")
    await desk.accounts.change_own_password(here.actor, GOOD, "ein anderes Wort")
    assert desk.sessions.actor_of(here.token) is not None
    assert desk.sessions.actor_of(there.token) is None


async def test_a_role_that_is_taken_away_is_gone_at_once(desk: Desk) -> None:
    lan = await desk.user("lan", (Role.OPERATOR, None))
    (token,) = (entry for entry in desk.directory.tokens.values() if entry.user_id == lan.user_id)
    await desk.accounts.set_grants(SYSTEM, lan.user_id, ())
    now = desk.directory.actor_of_token(token.hash, desk.clock.now())
    assert now is not None
    assert not now.may_somewhere(Permission.STOP)


async def test_nobody_gives_or_takes_more_than_they_have(desk: Desk) -> None:
    a = (await desk.areas.create(SYSTEM, name="A", kind="xã")).id
    b = (await desk.areas.create(SYSTEM, name="B", kind="xã")).id
    lan = await desk.user("lan", (Role.ADMIN, a))
    admin = desk.directory.user_named("admin")
    assert admin is not None
    for grant in (EVERYWHERE, RoleGrant(Role.VIEWER, b), RoleGrant(Role.VIEWER, None)):
        with pytest.raises(ForbiddenError):
            await desk.accounts.create(lan, name="x", display_name="", password=GOOD, grants=(grant,))
    with pytest.raises(ForbiddenError):
        await desk.accounts.reset_password(lan, admin.id)
    with pytest.raises(ForbiddenError):
        await desk.accounts.set_disabled(lan, admin.id, disabled=True)
    with pytest.raises(NotFoundError):
        desk.accounts.get(lan, admin.id)
    user, _ = await desk.accounts.create(
        lan, name="x", display_name="", password=GOOD, grants=(RoleGrant(Role.VIEWER, a),)
    )
    with pytest.raises(ForbiddenError):
        await desk.accounts.set_grants(lan, user.id, (RoleGrant(Role.VIEWER, a), EVERYWHERE))
    assert {entry.name for entry in desk.accounts.readable(lan)} == {"lan", "x"}


async def test_one_administrator_remains(desk: Desk) -> None:
    admin = desk.directory.user_named("admin")
    assert admin is not None
    with pytest.raises(ConflictError) as refused:
        await desk.accounts.set_disabled(SYSTEM, admin.id, disabled=True)
    assert refused.value.code == "last_admin"
    with pytest.raises(ConflictError):
        await desk.accounts.set_grants(SYSTEM, admin.id, ())


@pytest.mark.parametrize("password", ["short", "adminadmin", "aaaaaaaaaaaaa", "x" * 201])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidError) as refused:
        check_password(password, "admin")
    assert refused.value.code == "weak_password"


def test_made_passwords_are_strong_and_differ() -> None:
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    for one in made:
        check_password(one, "admin")


async def test_hashing_queues_have_an_end() -> None:
    passwords = Passwords(CHEAP)
    waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(QUEUE)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await passwords.hash("x")
    await asyncio.gather(*waiting)
    assert await passwords.matches(await passwords.hash("x"), "x")
    assert not await passwords.matches("not a hash", "x")
    passwords.close()
