"""Signing in and out, and one's own account."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from controller.api.credentials import credential_of
from controller.api.me_view import Me, me_of
from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Line, OptionalLine, Page, PageQuery, Schema, paginate
from controller.services.accounts import AccountService
from controller.services.directory import Directory, TokenEntry
from controller.services.errors import (
    BusyError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooManyError,
    UnauthenticatedError,
)
from controller.services.passwords import MAX_LENGTH
from controller.services.sessions import MAX_TOKEN_LIFE, Sessions, SignedIn


class LoginRequest(Schema):
    """Name and password."""

    name: str = Field(min_length=1, max_length=120)
    password: str = Field(min_length=1, max_length=MAX_LENGTH)
    code: str | None = Field(None, max_length=40, description="Of the authenticator app, or a recovery code")
    label: OptionalLine = Field("", description="What this session is, for the list of sessions")


class TokenView(Schema):
    """A fresh token; it is not shown again."""

    token: str
    expires: datetime
    user_id: str
    name: str
    must_change_password: bool

    @classmethod
    def of(cls, signed: SignedIn) -> TokenView:
        """From the use-case's answer."""
        actor = signed.actor
        return cls(
            token=signed.token,
            expires=signed.expires,
            user_id=actor.user_id,
            name=actor.name,
            must_change_password=signed.must_change,
        )


class NewToken(Schema):
    """A token for a script."""

    label: Line
    days: int = Field(90, ge=1, le=MAX_TOKEN_LIFE.days)


class PasswordChange(Schema):
    """Old and new password."""

    old: str = Field(min_length=1, max_length=MAX_LENGTH)
    new: str = Field(min_length=1, max_length=MAX_LENGTH)


class SessionView(Schema):
    """A living session; ``id`` ends it."""

    id: str
    label: str
    created_at: datetime
    last_used: datetime
    expires: datetime
    current: bool


class SessionRoutes:
    """Operations on one's own sessions."""

    def __init__(self, sessions: Sessions, accounts: AccountService, directory: Directory) -> None:
        self._sessions = sessions
        self._accounts = accounts
        self._directory = directory

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        mine, newcomer = Access.SIGNED_IN, Access.NEWCOMER
        return (
            route("POST", "/api/v1/login", "login", Access.PUBLIC, self.login, summary="Sign in", body=LoginRequest,
                  returns=TokenView, errors=(UnauthenticatedError, TooManyError, BusyError)),
            route("POST", "/api/v1/logout", "logout", newcomer, self.logout, summary="Sign out"),
            route("GET", "/api/v1/me", "getMe", newcomer, self.me, summary="Who am I", returns=Me),
            route("PUT", "/api/v1/me/password", "changePassword", newcomer, self.change_password,
                  summary="Change one's own password", body=PasswordChange,
                  errors=(ForbiddenError, InvalidError, TooManyError, BusyError)),
            route("GET", "/api/v1/sessions", "listSessions", mine, self.list_sessions, summary="One's own sessions",
                  query=PageQuery, returns=Page[SessionView]),
            route("POST", "/api/v1/sessions", "createToken", mine, self.create, body=NewToken, returns=TokenView,
                  summary="A token for a script, with one's own rights", status=201),
            route("DELETE", "/api/v1/sessions/{session_id}", "endSession", mine, self.end, summary="End a session",
                  errors=(NotFoundError,)),
        )  # fmt: skip

    async def login(self, call: Call[LoginRequest, Empty]) -> TokenView:
        """Sign in."""
        said = call.body
        signed = await self._sessions.login(
            said.name, said.password, address=call.peer, label=said.label, code=said.code
        )
        return TokenView.of(signed)

    async def logout(self, call: Call[Empty, Empty]) -> None:
        """Sign out."""
        await self._sessions.end(call.actor, call.actor.token_hash or "")

    async def me(self, call: Call[Empty, Empty]) -> Me:
        """Who is signed in."""
        shown = credential_of(call.request)
        return me_of(self._directory, call.actor, shown.csrf if shown is not None else None)

    async def change_password(self, call: Call[PasswordChange, Empty]) -> None:
        """Change one's own password."""
        await self._accounts.change_own_password(call.actor, call.body.old, call.body.new)

    async def list_sessions(self, call: Call[Empty, PageQuery]) -> Page[SessionView]:
        """One's own sessions."""
        current = call.actor.token_hash

        def show(entry: TokenEntry) -> SessionView:
            return SessionView(
                id=entry.hash,
                label=entry.label,
                created_at=entry.created_at,
                last_used=entry.last_used,
                expires=entry.expires,
                current=entry.hash == current,
            )

        return paginate(self._sessions.of_user(call.actor.user_id), call.query, key=lambda entry: entry.hash, show=show)

    async def create(self, call: Call[NewToken, Empty]) -> TokenView:
        """Make a token for a script."""
        life, said = timedelta(days=call.body.days), call.body
        return TokenView.of(
            await self._sessions.issue(
                call.actor.user_id,
                label=said.label,
                idle=life,
                life=life,
                action="session.token",
                second_factor=call.actor.second_factor,
            )
        )

    async def end(self, call: Call[Empty, Empty]) -> None:
        """End a session."""
        await self._sessions.end(call.actor, call.path["session_id"])
