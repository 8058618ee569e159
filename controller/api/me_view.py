"""Who is signed in, as the console and scripts see it: name, roles, what may be done where."""

from __future__ import annotations

from pydantic import Field

from controller.api.schema import Schema
from controller.services.context import Actor, Permission, Role
from controller.services.directory import Directory


class GrantView(Schema):
    """A role over an area and what is below it; null = everywhere."""

    role: Role
    area_id: str | None = Field(None, max_length=64)


class Reach(Schema):
    """Where a verb may be used."""

    everywhere: bool
    areas: tuple[str, ...] = Field(description="Areas it was granted over; it holds for everything below them")


class SecondFactorView(Schema):
    """How the second factor stands with the one who is signed in."""

    enrolled: bool
    required: bool = Field(description="Some of their verbs are refused in a session without one")
    given: bool = Field(description="This session was opened with one")


class Me(Schema):
    """Who is signed in."""

    user_id: str
    name: str
    display_name: str
    grants: tuple[GrantView, ...]
    permissions: dict[Permission, Reach] = Field(description="Every verb granted by a role, and where")
    csrf: str | None = Field(description="To be sent as X-CSRF-Token with everything but GET; null for bearer tokens")
    must_change_password: bool
    second_factor: SecondFactorView


def me_of(directory: Directory, actor: Actor, csrf: str | None) -> Me:
    """What ``GET /api/v1/me`` shows to this actor."""
    user = directory.users[actor.user_id]
    return Me(
        user_id=actor.user_id,
        name=actor.name,
        display_name=user.display_name,
        grants=tuple(GrantView(role=grant.role, area_id=grant.area_id) for grant in actor.grants),
        permissions={verb: _reach(actor, verb) for verb in Permission if actor.granted(verb)},
        csrf=csrf,
        must_change_password=actor.must_change,
        second_factor=SecondFactorView(
            enrolled=user.second_factor, required=directory.wants_second_factor(actor), given=actor.second_factor
        ),
    )


def _reach(actor: Actor, verb: Permission) -> Reach:
    held = [grant.area_id for grant in actor.grants if grant.allows(verb)]
    areas = sorted({area_id for area_id in held if area_id is not None})
    return Reach(everywhere=None in held, areas=tuple(areas))
