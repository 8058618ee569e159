"""``loa-controller user``: people and their roles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.area import area_id, unique_id
from controller.cli.client import ApiClient
from controller.cli.output import CliError, JsonFlag, line, note, show, show_one
from controller.cli.secrets import ask_secret

if TYPE_CHECKING:
    from controller.services.accounts import AccountService
    from controller.services.directory import UserEntry

app = typer.Typer(help="Users: who may sign in, and what they may do where.", no_args_is_help=True)

_COLUMNS = ("id", "name", "display_name", "disabled", "roles")
_OWN_FACTOR = "/api/v1/me/totp"
Named = Annotated[str, typer.Argument(help="Id or name.")]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        help="ROLE@AREA, or ROLE for everywhere; repeat. admin, editor, approver, operator, duty_officer, technician, "
        "viewer.",
    ),
]


@app.command("list")
def list_users(*, as_json: JsonFlag = False) -> None:
    """Users you may manage."""
    with ApiClient() as api:
        show((_flat(row) for row in api.pages("/api/v1/users")), _COLUMNS, as_json=as_json)


@app.command("add")
def add(
    name: str,
    *,
    role: Roles = None,
    display_name: Annotated[str, typer.Option(help="Full name.")] = "",
    choose: Annotated[
        bool, typer.Option("--choose-password", help="Ask for a password instead of making one.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Add a user: loa-controller user add lan --role "operator@Tà Rụt". The password made is shown once."""
    with ApiClient() as api:
        body: dict[str, Any] = {"name": name, "display_name": display_name, "grants": _grants(api, role or [])}
        if choose:
            body["password"] = ask_secret("LOA_NEW_PASSWORD", f"Password for {name}", twice=True)
        show_one(_flat(api.post("/api/v1/users", body)), as_json=as_json)


@app.command("roles")
def roles(user: Named, *, role: Roles = None, as_json: JsonFlag = False) -> None:
    """Replace a user's roles (none given: take all away)."""
    with ApiClient() as api:
        body = {"grants": _grants(api, role or [])}
        show_one(_flat(api.patch(f"/api/v1/users/{_user_id(api, user)}", body)), as_json=as_json)


@app.command("disable")
def disable(user: Named, *, as_json: JsonFlag = False) -> None:
    """Lock a user out, at once and everywhere."""
    with ApiClient() as api:
        show_one(_flat(api.patch(f"/api/v1/users/{_user_id(api, user)}", {"disabled": True})), as_json=as_json)


@app.command("enable")
def enable(user: Named, *, as_json: JsonFlag = False) -> None:
    """Let a disabled user in again."""
    with ApiClient() as api:
        show_one(_flat(api.patch(f"/api/v1/users/{_user_id(api, user)}", {"disabled": False})), as_json=as_json)


@app.command("reset-password")
def reset_password(
    user: Named,
    *,
    choose: Annotated[bool, typer.Option("--choose-password", help="Ask for it instead of making one.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="On the controller itself, when nobody can sign in: its data folder."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Give a user a new password, shown once. Ends all their sessions."""
    new = ask_secret("LOA_NEW_PASSWORD", f"New password for {user}", twice=True) if choose else None
    if data is not None:
        made = asyncio.run(_reset_offline(data, user, new))
    else:
        with ApiClient() as api:
            body = {"password": new} if new is not None else {}
            made = api.post(f"/api/v1/users/{_user_id(api, user)}/password", body)["password"]
    if as_json:
        line({"user": user, "password": made})
    else:
        note("done" if made is None else f"new password of {user}: {made}")


@app.command("password")
def password() -> None:
    """Change your own password."""
    old = ask_secret("LOA_PASSWORD", "Old password")
    new = ask_secret("LOA_NEW_PASSWORD", "New password", twice=True)
    with ApiClient() as api:
        api.put("/api/v1/me/password", {"old": old, "new": new})
    note("changed")


@app.command("second-factor")
def second_factor(
    *, remove: Annotated[bool, typer.Option("--remove", help="Take it away; asks for your password.")] = False
) -> None:
    """Set up an authenticator app for your account. Alerts and drills need one.

    Prints a secret for the app, asks for the code the app then shows, and prints recovery codes to be written down.
    """
    said = ask_secret("LOA_PASSWORD", "Your password")
    with ApiClient() as api:
        if remove:
            api.request("DELETE", _OWN_FACTOR, body={"password": said})
            note("removed")
            return
        made = api.post(_OWN_FACTOR, {"password": said})
        note(f"Put this into your authenticator app:\n\n  {made['secret']}\n\n  {made['uri']}\n")
        codes = api.put(_OWN_FACTOR, {"code": ask_secret("LOA_CODE", "The code it shows now")})["recovery_codes"]
    note("Done. Each of these opens one session when the app is gone; write them down, they are not shown again:")
    for one in codes:
        typer.echo(one)


@app.command("reset-second-factor")
def reset_second_factor(
    user: Named,
    *,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="On the controller itself, when nobody can sign in: its data folder."),
    ] = None,
) -> None:
    """Take away the second factor of somebody who lost it."""
    if data is not None:
        asyncio.run(_remove_factor_offline(data, user))
        note("If the controller runs on this folder, restart it now: it has read the accounts already.")
    else:
        with ApiClient() as api:
            api.delete(f"/api/v1/users/{_user_id(api, user)}/totp")
    note(f"{user} signs in without a second factor now")


@app.command("token")
def token(
    label: str,
    *,
    days: Annotated[int, typer.Option(help="How long it lives.")] = 90,
    as_json: JsonFlag = False,
) -> None:
    """A token for a script, with your own rights: export LOA_TOKEN=$(loa-controller user token nightly)."""
    with ApiClient() as api:
        answer = api.post("/api/v1/sessions", {"label": label, "days": days})
    if as_json:
        line(answer)
    else:
        typer.echo(answer["token"])


async def _reset_offline(data: Path, name: str, new: str | None) -> str | None:
    from controller.services.context import SYSTEM  # noqa: PLC0415 - as in _accounts_in

    async with _accounts_in(data, name) as (accounts, user):
        made = await accounts.reset_password(SYSTEM, user.id, new)
        if user.disabled:
            await accounts.set_disabled(SYSTEM, user.id, disabled=False)
        return made


async def _remove_factor_offline(data: Path, name: str) -> None:
    from controller.services.context import SYSTEM  # noqa: PLC0415 - as in _accounts_in

    async with _accounts_in(data, name) as (accounts, user):
        await accounts.remove_second_factor(SYSTEM, user.id)


@asynccontextmanager
async def _accounts_in(data: Path, name: str) -> AsyncIterator[tuple[AccountService, UserEntry]]:
    """The accounts of a data folder, without a server, and the user called so."""
    # Heavy imports here: every other command of this group speaks HTTP only.
    from controller.foundation import check_database  # noqa: PLC0415
    from controller.services.accounts import AccountService  # noqa: PLC0415
    from controller.services.context import SystemClock  # noqa: PLC0415
    from controller.services.directory import Directory  # noqa: PLC0415
    from controller.services.errors import ServiceError  # noqa: PLC0415
    from controller.services.passwords import Passwords  # noqa: PLC0415
    from controller.store import Database, StoreError, sqlite_url  # noqa: PLC0415

    file = data / "loa.db"
    if not file.is_file():
        raise CliError(f"there is no database in {data}", code="no_database")
    try:
        check_database(file)
    except StoreError as error:
        raise CliError(str(error), code=error.code) from error
    clock, directory, passwords = SystemClock(), Directory(), Passwords()
    db = Database(sqlite_url(str(file)), now=clock.now)
    try:
        async with db.read() as session:
            await directory.load(session)
        user = directory.users.get(name) or directory.user_named(name)
        if user is None:
            raise CliError(f"there is no user {name!r}", code="user_not_found")
        yield AccountService(db, directory, clock, passwords), user
    except (ServiceError, StoreError) as error:
        raise CliError(str(error), code=error.code) from error
    finally:
        passwords.close()
        await db.close()


def _user_id(api: ApiClient, text: str) -> str:
    return unique_id(text, "us_", api.pages("/api/v1/users"))


def _grants(api: ApiClient, roles: list[str]) -> list[dict[str, Any]]:
    grants: list[dict[str, Any]] = []
    for text in roles:
        role, at, area = text.partition("@")
        grants.append({"role": role, "area_id": area_id(api, area) if at and area != "*" else None})
    return grants


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "roles": [f"{grant['role']}@{grant['area_id'] or '*'}" for grant in row["grants"]]}
