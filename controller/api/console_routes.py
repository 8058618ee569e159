"""The console's own door: what it shows before anybody signed in, and sessions that a browser keeps as a cookie.

Rules kept here:

1. Every sign-in makes a new session and ends the one the browser came with: nobody can put a known one there.
2. Signing in is refused to pages of other sites, too: they could sign somebody in as somebody else.
3. Doors without a password exist in a demo only (``demo_logins``, which no file can set); elsewhere there is no such
   thing.
"""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from controller.api.credentials import Credential, check_own_page, clear_cookie, credential_of, put_cookie
from controller.api.me_view import Me, me_of
from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.directory import Directory
from controller.services.entries import UserEntry
from controller.services.errors import (
    BusyError,
    ForbiddenError,
    NotFoundError,
    TooManyError,
    UnauthenticatedError,
)
from controller.services.passwords import MAX_LENGTH
from controller.services.sessions import Sessions, SignedIn
from protocol.version import __version__

_LABEL = "console"


class Credentials(Schema):
    """Name and password, and the code of who has a second factor."""

    name: str = Field(min_length=1, max_length=120)
    password: str = Field(min_length=1, max_length=MAX_LENGTH)
    code: str | None = Field(None, max_length=40, description="Of the authenticator app, or a recovery code")


class DemoDoor(Schema):
    """A door of the demo, to be opened with one click."""

    role: str = Field(min_length=1, max_length=40)


class DemoLogin(DemoDoor):
    """A door of the demo, and who enters there."""

    name: str


class ConsoleView(Schema):
    """What the console shows before anybody signed in."""

    version: str
    demo: tuple[DemoLogin, ...] = Field(description="Doors without a password; none outside a demo")
    default_timezone: str


class ConsoleRoutes:
    """Operations of the console's door."""

    def __init__(self, sessions: Sessions, directory: Directory, demo_logins: tuple[tuple[str, str], ...] = ()) -> None:
        """Prepare; ``demo_logins`` are pairs of role and user name that enter without a password."""
        self._sessions = sessions
        self._directory = directory
        self._demo_logins = demo_logins

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        path, refused = "/api/v1/session", (UnauthenticatedError, ForbiddenError, TooManyError, BusyError)
        return (
            route("GET", "/api/v1/console", "getConsole", Access.PUBLIC, self.console, returns=ConsoleView,
                  summary="What the console shows before anybody signed in"),
            route("POST", path, "openSession", Access.PUBLIC, self.open, body=Credentials, returns=Me, errors=refused,
                  summary="Sign a browser in: the session comes as a cookie"),
            route("POST", f"{path}/demo", "openDemoSession", Access.PUBLIC, self.open_demo, body=DemoDoor, returns=Me,
                  errors=(ForbiddenError, NotFoundError), summary="Sign a browser in without a password, in a demo"),
            route("DELETE", path, "closeSession", Access.NEWCOMER, self.close, errors=(NotFoundError,),
                  summary="Sign a browser out"),
        )  # fmt: skip

    async def console(self, _call: Call[Empty, Empty]) -> ConsoleView:
        """What everybody may see."""
        demo = tuple(DemoLogin(role=role, name=user.display_name or user.name) for role, user in self._doors().items())
        return ConsoleView(version=__version__, demo=demo, default_timezone=self._directory.house_timezone())

    async def open(self, call: Call[Credentials, Empty]) -> web.Response:
        """Sign in with a password."""
        check_own_page(call.request)
        said = call.body
        signed = await self._sessions.login(said.name, said.password, address=call.peer, label=_LABEL, code=said.code)
        return await self._entered(call, signed)

    async def open_demo(self, call: Call[DemoDoor, Empty]) -> web.Response:
        """Sign in through a door of the demo."""
        user = self._doors().get(call.body.role)
        if user is None:
            raise NotFoundError("there is no such door here")
        check_own_page(call.request)
        return await self._entered(call, await self._sessions.enter(user.id, label=_LABEL))

    async def close(self, call: Call[Empty, Empty]) -> web.Response:
        """Sign out, and have the browser forget the cookie."""
        await self._sessions.end(call.actor, call.actor.token_hash or "")
        response = web.Response(status=204)
        clear_cookie(call.request, response)
        return response

    def _doors(self) -> dict[str, UserEntry]:
        """Doors of the demo whose user is there by now."""
        named = {role: self._directory.user_named(name) for role, name in self._demo_logins}
        return {role: user for role, user in named.items() if user is not None and not user.disabled}

    async def _entered(self, call: Call[Credentials, Empty] | Call[DemoDoor, Empty], signed: SignedIn) -> web.Response:
        """The answer to a sign-in: who they are, with the new session as a cookie in place of the old one."""
        before = credential_of(call.request)
        old = self._sessions.actor_of(before.token) if before is not None and before.cookie else None
        if old is not None:
            await self._sessions.end(old, old.token_hash or "")
        me = me_of(self._directory, signed.actor, Credential(signed.token, cookie=True).csrf)
        response = web.Response(body=me.model_dump_json().encode(), content_type="application/json")
        put_cookie(call.request, response, signed.token)
        return response
