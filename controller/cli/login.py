"""``loa-controller login`` and ``logout``: a saved session for the commands that follow."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from controller.cli.client import ApiClient, ApiError, Login, current_login, login_path, save_login
from controller.cli.output import JsonFlag, line, note
from controller.cli.secrets import ask_secret


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("login")(login)
    app.command("logout")(logout)


def login(
    name: str,
    *,
    url: Annotated[
        str | None, typer.Option(help="The controller; default: LOA_URL, the last one, or this machine.")
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="SHA-256 of a self-signed certificate, as serve prints it.")
    ] = None,
    code: Annotated[
        str | None, typer.Option(help="Of your authenticator app, or a recovery code; asked for when it is needed.")
    ] = None,
    print_token: Annotated[bool, typer.Option(help="Print the token instead of saving it.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Sign in. The password comes from LOA_PASSWORD, a prompt, or standard input; a code from --code or LOA_CODE.

    The token is saved in $XDG_CONFIG_HOME/loa/login.json, readable by you only.
    """
    before = current_login()
    target = url or before.url
    pin = fingerprint or (before.fingerprint if target == before.url else None)
    password = ask_secret("LOA_PASSWORD", f"Password of {name}")
    with ApiClient(Login(target, None, pin)) as api:
        said = {"name": name, "password": password, "label": "command line"}
        try:
            answer = api.post("/api/v1/login", said | ({} if code is None else {"code": code}))
        except ApiError as error:
            if error.code != "second_factor_required" or code is not None:
                raise
            answer = api.post("/api/v1/login", said | {"code": ask_secret("LOA_CODE", "Code of your app")})
    if print_token:
        line(answer) if as_json else typer.echo(answer["token"])
        return
    path = save_login(Login(target, answer["token"], pin))
    if as_json:
        line({"user_id": answer["user_id"], "name": answer["name"], "expires": answer["expires"], "url": target})
    note(f"signed in to {target} as {answer['name']} until {answer['expires']} ({path})")
    if answer["must_change_password"]:
        note(
            "This password was made for you; nothing else goes before you choose your own: loa-controller user password"
        )


def logout() -> None:
    """Sign out and forget the saved login."""
    with ApiClient() as api, contextlib.suppress(ApiError):
        api.post("/api/v1/logout")
    login_path().unlink(missing_ok=True)
    note("signed out")
