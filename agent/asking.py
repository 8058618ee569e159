"""``loa-agent status`` and ``confirm``: asks the agent that runs in a data directory. Loads nothing heavy."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from agent.errors import StatusError

#: In the data directory, for its owner only.
SOCKET_NAME = "agent.sock"

ASK_S = 5.0
_LARGEST_ANSWER = 1024 * 1024


def ask(data: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Ask the agent that runs in ``data``. Blocking.

    Raises:
        StatusError: ``not_running`` or ``bad_status``.
    """
    path = data / SOCKET_NAME
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(ASK_S)
            asking.connect(str(path))
            asking.sendall(json.dumps(question).encode() + b"\n")
            answer = _read_line(asking)
    except OSError as error:
        message = f"no agent runs with {data} (or you may not ask it): {error.strerror or error}"
        raise StatusError("not_running", message) from error
    try:
        said = json.loads(answer)
    except ValueError as error:
        raise StatusError("bad_status", "the agent's answer makes no sense") from error
    if not isinstance(said, dict):
        raise StatusError("bad_status", "the agent's answer makes no sense")
    return said


def _read_line(asking: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"\n") and len(answer) < _LARGEST_ANSWER:
        piece = asking.recv(65536)
        if not piece:
            break
        answer += piece
    return answer
