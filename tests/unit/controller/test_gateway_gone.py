"""An agent that is gone is no fault of the gateway's."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from controller.gateway.door import _Inner


async def _nothing(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


async def test_who_went_while_answered_is_not_logged_and_a_fault_is() -> None:
    inner = _Inner(web.Server(_nothing))
    writer = Mock(output_size=0)  # nothing was answered yet
    request = make_mocked_request("GET", "/agent/v1/stream", writer=writer)
    with structlog.testing.capture_logs() as logs:
        with pytest.raises(ConnectionResetError):
            inner.handle_error(request, 500, ConnectionResetError("a pong found nobody"))
        assert logs == []
        assert inner.handle_error(request, 500, ValueError("a fault")).status == 500
    assert [one["event"] for one in logs] == ["agent_request_failed"]
