"""Errors as problem+json (RFC 9457): one shape for everything that goes wrong, never a traceback.

``code`` is what scripts read and is stable; ``detail`` is for people and says what to do. An unexpected fault gets an
incident id that also stands in the log beside the traceback.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from aiohttp import web

from controller.services.errors import (
    BusyError,
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    ServiceError,
    TooManyError,
    UnauthenticatedError,
)
from controller.store.errors import StoreBusyError
from controller.store.ids import new_incident

CONTENT_TYPE = "application/problem+json"

_log = structlog.get_logger(__name__)

#: The status of each branch of the error tree.
STATUS: Mapping[type[ServiceError], int] = {
    InvalidError: 422,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    TooManyError: 429,
    BusyError: 503,
    ServiceError: 500,
}


class RequestError(Exception):
    """The request was refused before any use-case saw it (bad JSON, too large, wrong media type …)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def status_of(error: type[ServiceError]) -> int:
    """The HTTP status of a class of errors: that of its nearest ancestor in :data:`STATUS`."""
    return next(STATUS[base] for base in error.__mro__ if base in STATUS)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    fields: tuple[FieldProblem, ...] = (),
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem+json response."""
    body: dict[str, object] = {
        "type": f"urn:loa:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **(extra or {}),
    }
    if fields:
        body["fields"] = [{"field": one.field, "code": one.code, "message": one.message} for one in fields]
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(status=status, text=text, content_type=CONTENT_TYPE, headers=headers)


def problem_of(error: Exception, *, operation: str) -> web.Response:
    """The response for any exception a handler let out. What is not expected is logged with an incident id."""
    if isinstance(error, RequestError):
        return problem(error.status, error.code, error.detail)
    if isinstance(error, TooManyError):
        return problem(429, error.code, error.detail, headers={"Retry-After": str(error.retry_after)})
    if isinstance(error, UnauthenticatedError):
        return problem(401, error.code, error.detail, headers={"WWW-Authenticate": 'Bearer realm="loa"'})
    if isinstance(error, ServiceError) and status_of(type(error)) < HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem(status_of(type(error)), error.code, error.detail, fields=error.fields)
    if isinstance(error, (BusyError, StoreBusyError)):
        detail = error.detail if isinstance(error, BusyError) else str(error)
        return problem(503, error.code, detail, headers={"Retry-After": "1"})
    incident = new_incident()
    _log.error("unexpected fault", incident=incident, operation=operation, exc_info=error)
    detail = f"something went wrong inside; tell the administrator the incident id {incident}"
    return problem(500, "internal_error", detail, extra={"incident": incident})
