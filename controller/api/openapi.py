"""The OpenAPI 3.1 document, made from the routes: nothing is written twice, so nothing can disagree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from controller.api.credentials import CSRF_HEADER, PLAIN_COOKIE, SECURE_COOKIE
from controller.api.problems import CONTENT_TYPE, status_of
from controller.api.routing import Access, Route
from controller.services.errors import ServiceError
from protocol.version import __version__

_REF = "#/components/schemas/{model}"
_PATH_PART = re.compile(r"\{([a-z0-9_]+)(?::[^}]*)?\}")

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. 'code' is stable and for scripts, 'detail' is for people.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "incident": {"type": "string", "description": "Tell it to the administrator; the log has it too"},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
    },
}


def openapi_document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document for these routes."""
    models = _models(routes)
    references, definitions = models_json_schema(models, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for one in routes:
        path = _PATH_PART.sub(r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, references)
    schemas = {**definitions.get("$defs", {}), "Problem": _PROBLEM}
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            _drop_marker(field)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Loa staff API", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "tags": [{"name": tag} for tag in sorted({one.tag for one in routes})],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": SECURE_COOKIE,
                    "description": f"A browser's session, '{PLAIN_COOKIE}' on plain loopback. Whatever is not GET or "
                    f"HEAD must carry {CSRF_HEADER} with the 'csrf' of GET /api/v1/me, and come from the same origin",
                },
            },
        },
    }


def _drop_marker(field: dict[str, Any]) -> None:
    """Take out the empty default that marks "not named": it would be refused if someone sent it."""
    if field.get("default") == "" and field.get("minLength", 0) > 0:
        del field["default"]


def _models(routes: Sequence[Route]) -> list[tuple[type[BaseModel], JsonSchemaMode]]:
    found: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for one in routes:
        if one.body is not None:
            found[one.body, "validation"] = None
        if one.returns is not None:
            found[one.returns, "serialization"] = None
    return list(found)


def _operation(one: Route, references: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": one.operation_id,
        "summary": one.summary,
        "tags": [one.tag],
        "x-permission": one.needs,
        "security": [] if one.permission is Access.PUBLIC else [{"token": []}, {"session": []}],
        "parameters": _parameters(one),
        "responses": _responses(one, references),
    }
    if one.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": references[one.body, "validation"]}},
        }
    elif one.raw_body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {one.raw_body: {"schema": {"type": "string", "format": "binary"}}},
        }
    return operation


def _parameters(one: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 128}}
        for name in _PATH_PART.findall(one.path)
    ]
    if one.query is not None:
        schema = one.query.model_json_schema(ref_template=_REF)
        required = schema.get("required", ())
        for name, shape in schema["properties"].items():
            described = {"description": shape["description"]} if "description" in shape else {}
            parameters.append(
                {"name": name, "in": "query", "required": name in required, "schema": _unwrapped(shape), **described}
            )
    if one.idempotent:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same key with the same body acts once and gives the same answer",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
        )
    return parameters


def _unwrapped(shape: dict[str, Any]) -> dict[str, Any]:
    """A query parameter cannot be null: of ``X or null`` only X remains."""
    choices = [choice for choice in shape.get("anyOf", ()) if choice.get("type") != "null"]
    plain = {name: value for name, value in shape.items() if name not in {"anyOf", "title", "description", "default"}}
    if len(choices) == 1:
        plain.update(choices[0])
    elif choices:
        plain["anyOf"] = choices
    if shape.get("default") is not None:
        plain["default"] = shape["default"]
    _drop_marker(plain)
    return plain


def _responses(one: Route, references: Any) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(one.status).phrase}
    if one.returns is not None:
        good["content"] = {"application/json": {"schema": references[one.returns, "serialization"]}}
    elif one.raw_returns is not None:
        kinds = (one.raw_returns,) if isinstance(one.raw_returns, str) else one.raw_returns
        good["content"] = {kind: {} for kind in kinds}
    responses: dict[str, Any] = {str(one.status): good}
    for status, words in sorted(_errors(one).items()):
        responses[str(status)] = {
            "description": words,
            "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
    if one.returns is not None and one.operation_id in {"getHealth", "getReady"}:
        responses["503"] = {**good, "description": HTTPStatus.SERVICE_UNAVAILABLE.phrase}
    return responses


def _errors(one: Route) -> dict[int, str]:
    """Every status this operation may answer with: its own errors, and those of the edge."""
    found: dict[int, set[str]] = {}

    def add(status: int, words: str) -> None:
        found.setdefault(status, set()).add(words)

    for error in one.errors:
        add(status_of(error), _first_line(error))
    if one.permission is not Access.PUBLIC:
        add(401, "Nobody is signed in, or no longer")
        add(403, "Signed in, but without the right")
    if one.body is not None or one.raw_body is not None:
        add(400, "The body is not JSON, or was cut off")
        add(408, "The body came too slowly")
        add(413, "The body is too large")
        add(415, "The body has another media type")
    if one.body is not None or one.query is not None or one.idempotent:
        add(422, "What was asked for makes no sense as such")
    if one.websocket:
        add(426, "This is a WebSocket")
    if "{" in one.path:
        add(404, "There is no such thing")
    if one.idempotent:
        add(409, "The Idempotency-Key was used for another request")
    add(500, "Something went wrong inside")
    add(503, "The database is busy; try again")
    return {status: "; ".join(sorted(words)) for status, words in found.items()}


def _first_line(error: type[ServiceError]) -> str:
    return (error.__doc__ or error.__name__).splitlines()[0].rstrip(".")
