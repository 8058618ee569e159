"""The service itself: health, readiness, figures, the API's own description."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from controller.api.metrics import Metrics
from controller.api.routing import Access, Call, Route, route
from controller.api.schema import Empty, Schema
from controller.services.health import Health
from protocol.version import WIRE_VERSION, __version__


class HealthView(Schema):
    """How the controller is."""

    ok: bool
    tasks: dict[str, str]
    faults: dict[str, str]


class ReadyView(Schema):
    """Whether it takes work."""

    ready: bool


class VersionView(Schema):
    """What runs here."""

    version: str
    wire: int


class ServiceRoutes:
    """Operations about the service itself; open to everyone who can reach the listener."""

    def __init__(self, health: Health, metrics: Metrics, document: Callable[[], dict[str, Any]]) -> None:
        self._health = health
        self._metrics = metrics
        self._document = document

    def table(self) -> tuple[Route, ...]:
        """Every operation of this chapter."""
        return (
            route("GET", "/healthz", "getHealth", Access.PUBLIC, self.health, returns=HealthView,
                  summary="Live tasks and faults; 503 when something is wrong"),
            route("GET", "/readyz", "getReady", Access.PUBLIC, self.ready, returns=ReadyView,
                  summary="503 until every listener is open"),
            route("GET", "/metrics", "getMetrics", Access.PUBLIC, self.metrics, raw_returns="text/plain",
                  summary="Figures for Prometheus"),
            route("GET", "/api/v1/openapi.json", "getOpenApi", Access.PUBLIC, self.document,
                  raw_returns="application/json", summary="This document"),
            route("GET", "/api/v1/version", "getVersion", Access.PUBLIC, self.version, returns=VersionView,
                  summary="Version of software and wire"),
        )  # fmt: skip

    async def health(self, _call: Call[Empty, Empty]) -> web.Response:
        """Live tasks and faults."""
        report = self._health.report()
        view = HealthView(ok=report.ok, tasks=dict(report.tasks), faults=dict(report.faults))
        return _json(view, ok=report.ok)

    async def ready(self, _call: Call[Empty, Empty]) -> web.Response:
        """Whether it takes work."""
        return _json(ReadyView(ready=self._health.ready), ok=self._health.ready)

    async def metrics(self, _call: Call[Empty, Empty]) -> web.Response:
        """Figures."""
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def document(self, _call: Call[Empty, Empty]) -> web.Response:
        """The OpenAPI document."""
        return web.json_response(self._document(), dumps=lambda value: json.dumps(value, ensure_ascii=False))

    async def version(self, _call: Call[Empty, Empty]) -> VersionView:
        """Version of software and wire."""
        return VersionView(version=__version__, wire=WIRE_VERSION)


def _json(view: Schema, *, ok: bool) -> web.Response:
    body = view.model_dump_json().encode()
    return web.Response(status=200 if ok else 503, body=body, content_type="application/json")
