"""The typed route layer: one value says everything about an operation, and drives routing, rights, checking and docs.

Rules kept here:

1. A :class:`Route` names method, path, operation id, the right it needs (or several, any of which will do), the shapes
   it takes and gives, and the errors it may answer with. The OpenAPI document (:mod:`controller.api.openapi`) is made
   from the same values.
2. The right is checked here coarsely (granted over any area at all); the use-case checks it for the very area.
3. Who has not chosen their own password yet does that, looks at who they are, or leaves; nothing else.
4. What a browser's cookie vouches for is refused when no page of ours asked for it (:mod:`controller.api.credentials`).
5. Bodies are bounded in size and time before they are parsed. Whatever goes wrong answers problem+json.
6. A handler gets a :class:`Call` and returns a shape (or None, or its own ``web.StreamResponse`` for files).

Not here: use-cases; the token's meaning (``authenticate`` is given in).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from controller.api.credentials import ForgedError, check_not_forged, credential_of
from controller.api.idempotency import IdempotencyKeys, body_digest
from controller.api.problems import RequestError, problem_of
from controller.api.schema import Empty, Schema
from controller.services.context import Actor, Permission
from controller.services.errors import (
    FieldProblem,
    ForbiddenError,
    InvalidError,
    PasswordChangeError,
    SecondFactorError,
    ServiceError,
    UnauthenticatedError,
)

#: Largest JSON body, in bytes. Uploads are raw bodies with their own limit.
BODY_MAX = 1 << 20
#: A JSON body must be there in this many seconds, however slowly its sender trickles.
BODY_SECONDS = 15.0
_FIELDS_MAX = 50
_PATH_PART_MAX = 128


class Access(StrEnum):
    """Rights that are no verbs."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    NEWCOMER = "newcomer"  # signed in, be it with a password that somebody else made


#: What an operation needs; of several verbs any one.
Needed = Permission | tuple[Permission, ...] | Access

BodyT = TypeVar("BodyT", bound=Schema)
QueryT = TypeVar("QueryT", bound=Schema)


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT, QueryT]):
    """One request, checked."""

    body: BodyT
    query: QueryT
    path: Mapping[str, str]
    who: Actor | None
    peer: str  # IP address of the other side
    request: web.Request
    #: Who is asking as of now, for what lasts: raises when they are signed out, disabled, or without the right since.
    again: Callable[[], Actor | None]

    @property
    def actor(self) -> Actor:
        """Who is asking.

        Raises:
            UnauthenticatedError: nobody (only possible on a public route).
        """
        if self.who is None:
            raise UnauthenticatedError("sign in first")
        return self.who


Handler = Callable[[Call[Any, Any]], Awaitable[object]]
Authenticate = Callable[[str], Actor | None]
#: Told (operation id, status, seconds) after every request.
Observe = Callable[[str, int, float], None]
#: Told (stable code, sentence) of what honest parties do not send.
Suspect = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API. Make it with :func:`route`, which checks handler and shapes against each other."""

    method: str
    path: str
    operation_id: str
    permission: Needed
    handler: Handler
    summary: str
    body: type[Schema] | None
    query: type[Schema] | None
    returns: type[BaseModel] | None
    errors: tuple[type[ServiceError], ...]
    status: int
    raw_body: str | None  # media type of a body that the handler reads by itself
    raw_returns: str | tuple[str, ...] | None  # media type, or types, of what the handler writes by itself
    idempotent: bool  # respects the Idempotency-Key header
    websocket: bool = False  # the handler upgrades the connection

    @property
    def verbs(self) -> tuple[Permission, ...]:
        """Rights of which one must be held; none when it takes no verb."""
        if isinstance(self.permission, Access):
            return ()
        return self.permission if isinstance(self.permission, tuple) else (self.permission,)

    @property
    def needs(self) -> str:
        """The right it needs, as the document names it."""
        return self.permission if isinstance(self.permission, Access) else " or ".join(self.verbs)

    @property
    def tag(self) -> str:
        """The chapter of the document: the word after the version."""
        parts = self.path.strip("/").split("/")
        return parts[2] if len(parts) > 2 and parts[0] == "api" else "service"  # noqa: PLR2004 - api, v1, word


def route(
    method: str,
    path: str,
    operation_id: str,
    permission: Needed,
    handler: Callable[[Call[BodyT, QueryT]], Awaitable[object]],
    *,
    summary: str,
    body: type[BodyT] | None = None,
    query: type[QueryT] | None = None,
    returns: type[BaseModel] | None = None,
    errors: tuple[type[ServiceError], ...] = (),
    status: int = 200,
    raw_body: str | None = None,
    raw_returns: str | tuple[str, ...] | None = None,
    idempotent: bool = False,
    websocket: bool = False,
) -> Route:
    """Declare one operation. Without ``body`` or ``query`` the handler's :class:`Call` has :class:`Empty` there."""
    return Route(
        method,
        path,
        operation_id,
        permission,
        handler,
        summary,
        body,
        query,
        returns,
        errors,
        _status(status, returns is not None or raw_returns is not None, websocket=websocket),
        raw_body,
        raw_returns,
        idempotent,
        websocket,
    )


def _status(said: int, content: bool, *, websocket: bool) -> int:  # noqa: FBT001 - reads well where it is used
    if websocket:
        return 101
    return said if content else 204


class Dispatcher:
    """Serves routes: who, may they, is it well-formed, do it, answer."""

    def __init__(self, authenticate: Authenticate, observe: Observe, suspect: Suspect) -> None:
        self._authenticate = authenticate
        self._observe = observe
        self._suspect = suspect
        self._keys = IdempotencyKeys()

    def mount(self, app: web.Application, routes: tuple[Route, ...]) -> None:
        """Add the routes to an application."""
        for one in routes:
            app.router.add_route(one.method, one.path, self._serving(one))

    def _serving(self, one: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            begun = asyncio.get_running_loop().time()
            try:
                response = await self._answer(one, request)
            except (asyncio.CancelledError, web.HTTPException):
                raise
            except Exception as error:  # noqa: BLE001 - the edge: everything becomes a problem with a code
                if isinstance(error, ForgedError):
                    self._suspect(error.code, f"{one.operation_id} from {request.remote}")
                response = problem_of(error, operation=one.operation_id)
            self._observe(one.operation_id, response.status, asyncio.get_running_loop().time() - begun)
            return response

        return serve

    async def _answer(self, one: Route, request: web.Request) -> web.StreamResponse:
        who = self._who(one, request)
        if any(len(part) > _PATH_PART_MAX or not part.isprintable() for part in request.match_info.values()):
            raise RequestError(404, "not_found", "there is no such thing")
        raw = await read_body(request) if one.body is not None else b""
        call = Call(
            body=_parse_body(one.body, raw) if one.body is not None else Empty(),
            query=_parse_query(one.query, request),
            path=dict(request.match_info),
            who=who,
            peer=request.remote or "",
            request=request,
            again=lambda: self._who(one, request),
        )
        key = request.headers.get("Idempotency-Key") if one.idempotent else None
        if key is None:
            return _respond(one, await one.handler(call))
        scope = (who.user_id if who else "", one.operation_id, key)

        async def once() -> tuple[int, bytes]:
            response = _respond(one, await one.handler(call))
            body = response.body if isinstance(response, web.Response) else None
            return response.status, body if isinstance(body, bytes) else b""

        status, body = await self._keys.run(scope, body_digest(request.path, raw), once)
        return web.Response(status=status, body=body or None, content_type="application/json")

    def _who(self, one: Route, request: web.Request) -> Actor | None:
        if one.permission is Access.PUBLIC:
            return None
        shown = credential_of(request)
        who = self._authenticate(shown.token) if shown is not None else None
        if shown is None or who is None:
            raise UnauthenticatedError("sign in first (POST /api/v1/login), or again: the token is unknown or expired")
        check_not_forged(request, shown)
        if who.must_change and one.permission is not Access.NEWCOMER:
            raise PasswordChangeError
        if one.verbs and not any(map(who.may_somewhere, one.verbs)):
            if any(map(who.granted, one.verbs)):
                raise SecondFactorError
            raise ForbiddenError(f"you need the right '{one.needs}'; ask an administrator for a role")
        return who


async def read_body(
    request: web.Request,
    *,
    limit: int = BODY_MAX,
    seconds: float = BODY_SECONDS,
    types: tuple[str, ...] = ("application/json",),
) -> bytes:
    """The body of a request, JSON unless ``types`` says otherwise, bounded in size and time.

    Raises:
        RequestError: wrong media type (415), too large (413), too slow (408), cut off (400).
    """
    if request.content_type not in types:
        raise RequestError(415, "unsupported_media_type", f"send the body as {types[0]}")
    too_large = RequestError(413, "body_too_large", f"the body is larger than {limit} bytes")
    if (request.content_length or 0) > limit:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    raise too_large
                parts.append(part)
    except TimeoutError as error:
        raise RequestError(408, "body_too_slow", f"the body did not arrive within {seconds:.0f} s") from error
    except web.RequestPayloadError as error:
        raise RequestError(400, "body_cut_off", "the body ended before it was whole") from error
    return b"".join(parts)


def _parse_body(shape: type[Schema], raw: bytes) -> Schema:
    try:
        return shape.model_validate_json(raw)
    except ValidationError as error:
        if any(one["type"] == "json_invalid" for one in error.errors(include_url=False, include_context=False)):
            raise RequestError(400, "invalid_json", "the body is not JSON") from error
        raise _invalid(error) from error


def _parse_query(shape: type[Schema] | None, request: web.Request) -> Schema:
    values: dict[str, object] = {}
    for name in request.query:
        given = request.query.getall(name)
        values[name] = given if len(given) > 1 else given[0]
    try:
        return (shape or Empty).model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: ValidationError) -> InvalidError:
    fields = [
        FieldProblem(_field(one["loc"]), one["msg"], one["type"])
        for one in error.errors(include_url=False, include_context=False, include_input=False)[:_FIELDS_MAX]
    ]
    first = fields[0]
    return InvalidError(f"{first.field or 'the body'}: {first.message}", fields=fields)


def _field(location: tuple[int | str, ...]) -> str:
    """Where the fault is, without the names of our own checks: ``function-after[...]``, ``literal['none']``."""
    return ".".join(str(part) for part in location if not (isinstance(part, str) and "[" in part))


def _respond(one: Route, result: object) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result
    if one.returns is None:
        return web.Response(status=one.status)
    # A page made in a generic function is a plain Page: its parameters are gone at run time.
    if not isinstance(result, one.returns.__pydantic_generic_metadata__["origin"] or one.returns):
        raise TypeError(f"{one.operation_id} returned {type(result).__name__}, not {one.returns.__name__}")
    body = result.model_dump_json(by_alias=True).encode()
    return web.Response(status=one.status, body=body, content_type="application/json")
