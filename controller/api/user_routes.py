"""Users and their roles."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from controller.api.me_view import GrantView
from controller.api.routing import Call, Route, route
from controller.api.schema import Empty, OptionalLine, Page, PageQuery, Patch, Schema, paginate
from controller.services.accounts import AccountService
from controller.services.context import Permission, RoleGrant
from controller.services.directory import UserEntry
from controller.services.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from controller.services.passwords import MAX_LENGTH

UserName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=2, max_length=60, pattern=r"^[^\x00-\x20\x7f\u2028-\u202e\u2066-\u2069/:@]+$"
    ),
]
Password = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)]
Grants = Annotated[tuple[GrantView, ...], Field(max_length=100)]


class NewUser(Schema):
    """A user to add. Without a password one is made and shown once."""

    name: UserName = Field(description="To sign in with; no spaces")
    display_name: OptionalLine = ""
    password: Password | None = None
    grants: Grants = ()


class UserChange(Patch):
    """What to change; what is not named stays."""

    grants: Grants | None = None
    disabled: bool | None = None


class PasswordReset(Schema):
    """A new password; without one it is made and shown once."""

    password: Password | None = None


class UserView(Schema):
    """A user."""

    id: str
    name: str
    display_name: str
    disabled: bool
    grants: tuple[GrantView, ...]
    second_factor: bool


class CreatedUser(UserView):
    """A new user, with the password that was made for them (it is not shown again)."""

    password: str | None


class MadePassword(Schema):
    """The password that was made; null when one was given."""

    password: str | None


class UserRoutes:
    """Operations on users."""

    def __init__(self, accounts: AccountService) -> None:
        self._accounts = accounts

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        right = Permission.USERS
        one = "/api/v1/users/{user_id}"
        usual = (NotFoundError, ForbiddenError, ConflictError)
        return (
            route("GET", "/api/v1/users", "listUsers", right, self.list_users, summary="Users you may manage",
                  query=PageQuery, returns=Page[UserView]),
            route("POST", "/api/v1/users", "createUser", right, self.create, summary="Add a user", body=NewUser,
                  returns=CreatedUser, status=201, errors=(*usual, InvalidError)),
            route("GET", one, "getUser", right, self.get, summary="One user", returns=UserView, errors=usual),
            route("PATCH", one, "changeUser", right, self.change, summary="Change roles; disable or enable",
                  body=UserChange, returns=UserView, errors=usual),
            route("POST", f"{one}/password", "resetPassword", right, self.reset, summary="Give a new password",
                  body=PasswordReset, returns=MadePassword, errors=(*usual, InvalidError)),
        )  # fmt: skip

    async def list_users(self, call: Call[Empty, PageQuery]) -> Page[UserView]:
        """Users the actor may manage, by name."""
        return paginate(self._accounts.readable(call.actor), call.query, key=lambda user: user.name, show=_view)

    async def create(self, call: Call[NewUser, Empty]) -> CreatedUser:
        """Add a user."""
        said = call.body
        user, made = await self._accounts.create(
            call.actor,
            name=said.name,
            display_name=said.display_name,
            password=said.password,
            grants=_grants(said.grants),
        )
        return CreatedUser(**_view(user).model_dump(), password=made)

    async def get(self, call: Call[Empty, Empty]) -> UserView:
        """One user."""
        return _view(self._accounts.get(call.actor, call.path["user_id"]))

    async def change(self, call: Call[UserChange, Empty]) -> UserView:
        """Change what was named."""
        user = self._accounts.get(call.actor, call.path["user_id"])
        if call.body.grants is not None:
            user = await self._accounts.set_grants(call.actor, user.id, _grants(call.body.grants))
        if call.body.disabled is not None:
            user = await self._accounts.set_disabled(call.actor, user.id, disabled=call.body.disabled)
        return _view(user)

    async def reset(self, call: Call[PasswordReset, Empty]) -> MadePassword:
        """Give a new password."""
        made = await self._accounts.reset_password(call.actor, call.path["user_id"], call.body.password)
        return MadePassword(password=made)


def _grants(grants: tuple[GrantView, ...]) -> tuple[RoleGrant, ...]:
    return tuple(dict.fromkeys(RoleGrant(grant.role, grant.area_id) for grant in grants))


def _view(user: UserEntry) -> UserView:
    grants = tuple(GrantView(role=grant.role, area_id=grant.area_id) for grant in user.grants)
    return UserView(
        id=user.id,
        name=user.name,
        display_name=user.display_name,
        disabled=user.disabled,
        grants=grants,
        second_factor=user.second_factor,
    )
