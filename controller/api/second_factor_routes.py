"""One's own second factor, and taking away the lost one of somebody else."""

from __future__ import annotations

from pydantic import Field

from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.accounts import AccountService
from controller.services.context import Permission
from controller.services.errors import BusyError, ConflictError, ForbiddenError, NotFoundError, TooManyError
from controller.services.passwords import MAX_LENGTH
from controller.services.second_factor import SecondFactors


class SecondFactorBegin(Schema):
    """The password may be left out shortly after signing in."""

    password: str | None = Field(None, min_length=1, max_length=MAX_LENGTH)


class PendingSecondFactor(Schema):
    """What to put into an authenticator app; not shown again."""

    secret: str = Field(description="Base32, to be typed")
    uri: str = Field(description="The same as otpauth://, to be shown as a QR code")


class SecondFactorCode(Schema):
    """What the app shows now."""

    code: str = Field(min_length=1, max_length=40)


class RecoveryCodes(Schema):
    """Each opens one session when the app is gone; to be written down, not shown again."""

    recovery_codes: tuple[str, ...]


class PasswordAgain(Schema):
    """The password of who is signed in."""

    password: str = Field(min_length=1, max_length=MAX_LENGTH)


class SecondFactorRoutes:
    """Operations on second factors."""

    def __init__(self, second_factors: SecondFactors, accounts: AccountService) -> None:
        self._second_factors = second_factors
        self._accounts = accounts

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        mine, path = Access.SIGNED_IN, "/api/v1/me/totp"
        usual = (ForbiddenError, TooManyError)
        return (
            route("POST", path, "beginSecondFactor", mine, self.begin, summary="Begin to set up an authenticator app",
                  body=SecondFactorBegin, returns=PendingSecondFactor, errors=(*usual, ConflictError, BusyError)),
            route("PUT", path, "confirmSecondFactor", mine, self.confirm, summary="Confirm it with its first code",
                  body=SecondFactorCode, returns=RecoveryCodes, errors=(*usual, ConflictError)),
            route("DELETE", path, "removeOwnSecondFactor", mine, self.remove_own, summary="Take away one's own",
                  body=PasswordAgain, errors=(*usual, NotFoundError, BusyError)),
            route("DELETE", "/api/v1/users/{user_id}/totp", "removeSecondFactor", Permission.USERS, self.remove,
                  summary="Take away somebody's lost second factor", errors=(NotFoundError, ForbiddenError)),
        )  # fmt: skip

    async def begin(self, call: Call[SecondFactorBegin, Empty]) -> PendingSecondFactor:
        """Make a secret; it does not count yet."""
        made = await self._second_factors.begin(call.actor, call.body.password)
        return PendingSecondFactor(secret=made.secret, uri=made.uri)

    async def confirm(self, call: Call[SecondFactorCode, Empty]) -> RecoveryCodes:
        """Make it count."""
        return RecoveryCodes(recovery_codes=await self._second_factors.confirm(call.actor, call.body.code))

    async def remove_own(self, call: Call[PasswordAgain, Empty]) -> None:
        """Take away one's own."""
        await self._accounts.remove_own_second_factor(call.actor, call.body.password)

    async def remove(self, call: Call[Empty, Empty]) -> None:
        """Take away somebody else's."""
        await self._accounts.remove_second_factor(call.actor, call.path["user_id"])
