"""How ``loa-agent status`` asks the running agent: a UNIX socket in the data directory, for its owner only.

One JSON object in, one out. Nothing can be changed through it but the answer to the enrolment digits. The agent has
no listening port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from agent.app import Agent
from agent.asking import ASK_S, SOCKET_NAME
from agent.conductor.mute import LONGEST
from agent.errors import StatusError

log = structlog.get_logger("agent.status")

_LARGEST_QUESTION = 4096
#: Bytes of a path that the kernel takes for a UNIX socket.
_LONGEST_PATH = 107


class StatusSocket:
    """The asked side."""

    def __init__(self, data: Path, agent: Agent) -> None:
        self._path = data / SOCKET_NAME
        self._agent = agent
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. A folder whose path is too long for a socket only costs the status command.

        Raises:
            StatusError: ``already_running``: another agent uses this data directory.
        """
        if len(os.fsencode(self._path)) > _LONGEST_PATH:
            log.warning("the data directory's path is too long for a status socket", path=str(self._path))
            return
        if _answers(self._path):
            raise StatusError("already_running", f"another agent uses {self._path.parent}; stop it first")
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=self._path, limit=_LARGEST_QUESTION)
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_S):
                question = await reader.readline()
                writer.write(json.dumps(self._answer(question)).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError) as error:
            log.debug("a status question broke off", error=str(error))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, question: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(question)
        except ValueError:
            return {"ok": False, "code": "bad_question"}
        if not isinstance(asked, dict):
            return {"ok": False, "code": "bad_question"}
        if asked.get("ask") == "confirm":
            same = self._agent.confirm(str(asked.get("digits", "")))
            return {"ok": same, "code": None if same else "digits_differ"}
        if asked.get("ask") in {"mute", "unmute"}:
            return self._hush(asked)
        return {"ok": True} | describe(self._agent)

    def _hush(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Mute and unmute: only who may open this socket stands at the box."""
        cluster = self._agent.cluster
        if cluster is None:
            return {"ok": False, "code": "not_enrolled"}
        if asked["ask"] == "mute":
            minutes = asked.get("minutes")
            if type(minutes) is not int or not 0 < minutes * 60 <= LONGEST.total_seconds():
                return {"ok": False, "code": "bad_question"}
            cluster.conductor.mute_here(timedelta(minutes=minutes))
        had = asked["ask"] == "mute" or cluster.conductor.unmute()
        muted = cluster.conductor.muted
        state = None if muted is None else json.loads(muted.state().model_dump_json())
        return {"ok": True, "had": had, "muted": state}


def describe(agent: Agent) -> dict[str, Any]:
    """What an agent says to its own technician."""
    cluster = agent.cluster
    said: dict[str, Any] = {
        "state": agent.state,
        "agent_id": agent.agent_id,
        "cluster_id": agent.cluster_id or None,
        "digits": agent.digits,
        "connected": cluster is not None and cluster.connected,
        "loops": sorted(agent.supervisor.alive),
        "crashes": agent.supervisor.crashes,
        "faults": [{"code": one.code, "detail": one.words} for one in agent.watch.faults],
    }
    if cluster is not None:
        said["status"] = json.loads(cluster.status().model_dump_json())
        upcoming = cluster.conductor.decision.upcoming
        if upcoming is not None:
            title = "" if upcoming.item is None else upcoming.item.title
            said["next"] = {"at": upcoming.since.isoformat(), "title": title, "priority": int(upcoming.priority)}
    return said


def _answers(path: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(1.0)
            asking.connect(str(path))
    except OSError:
        return False
    return True
