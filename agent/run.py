"""``loa-agent run``: one agent in one process."""

from __future__ import annotations

from pathlib import Path

from agent.app import Agent
from agent.config import AgentConfig
from agent.host import Host
from agent.localstatus import StatusSocket
from agent.notify import SystemdNotifier
from agent.process import notify_systemd
from agent.supervise import together


async def run_agent(config: AgentConfig, data: Path, interfaces: tuple[str, ...]) -> None:
    """Until cancelled.

    Raises:
        AgentError: it cannot start, or a loop keeps crashing.
    """
    configured = config.controller or (config.provisioning.controller if config.provisioning else None)
    mdns = None if configured is not None else interfaces
    notifier = SystemdNotifier()
    async with Host(data, mdns=mdns) as host:
        agent = Agent(host, config)
        status = StatusSocket(data, agent)
        await status.open()
        try:
            systemd = notify_systemd(notifier, agent.ready.wait, f"agent in {data}")
            await together({"agent": agent.run(), "systemd": systemd})
        finally:
            notifier.stopping()
            await status.close()
