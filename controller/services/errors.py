"""Errors of the use-cases, as a tree. The API turns each branch into one HTTP status; ``code`` is what scripts read.

* ServiceError: the request was understood and cannot be done
  * InvalidError (422): what was asked for makes no sense as such
  * UnauthenticatedError (401): nobody is signed in, or no longer
  * ForbiddenError (403): signed in, but without the right
    * SecondFactorError: the right is there, but not in a session without a second factor
    * PasswordChangeError: somebody else made their password
  * NotFoundError (404): there is no such thing
  * ConflictError (409): it contradicts what is there now
  * TooManyError (429): too many tries; wait
  * BusyError (503): cannot be done right now; the same request may be repeated
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that was refused: a path such as ``quiet_hours.begin``, and why."""

    field: str
    message: str
    code: str = "invalid"


class ServiceError(Exception):
    """The request was understood and cannot be done.

    Attributes:
        code: stable snake_case word for scripts.
        detail: a sentence for people: what is wrong and what to do.
        fields: the fields at fault, if any.
    """

    code = "failed"

    def __init__(self, detail: str, *, code: str | None = None, fields: Sequence[FieldProblem] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.fields = tuple(fields)


class InvalidError(ServiceError):
    """What was asked for makes no sense as such."""

    code = "invalid_input"


class UnauthenticatedError(ServiceError):
    """Nobody is signed in, or no longer."""

    code = "unauthenticated"


class ForbiddenError(ServiceError):
    """Signed in, but without the right."""

    code = "forbidden"


class SecondFactorError(ForbiddenError):
    """The role holds the right, but the session was opened without a second factor."""

    code = "second_factor_enrolment_required"

    def __init__(self) -> None:
        super().__init__(
            "alerts and drills need a second factor: set one up in your account (or: loa-controller user "
            "second-factor), or sign in again with your code. STOP works without"
        )


class PasswordChangeError(ForbiddenError):
    """Somebody else made the password: nothing goes before choosing one's own."""

    code = "password_change_required"

    def __init__(self) -> None:
        super().__init__(
            "your password was made by somebody else; choose your own first (PUT /api/v1/me/password, or: "
            "loa-controller user password)"
        )


class NotFoundError(ServiceError):
    """There is no such thing."""

    code = "not_found"


class ConflictError(ServiceError):
    """It contradicts what is there now."""

    code = "conflict"


class TooManyError(ServiceError):
    """Too many tries; wait ``retry_after`` seconds."""

    code = "too_many_tries"

    def __init__(self, detail: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class BusyError(ServiceError):
    """Cannot be done right now; the same request may be repeated."""

    code = "busy"
