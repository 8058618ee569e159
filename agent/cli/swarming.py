"""What ``loa-agent swarm`` does with its options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.cli.output import say
from agent.config import AgentConfig, check_config, make_data_folder, read_provisioning
from agent.errors import ConfigError
from agent.process import run_until_signal
from agent.swarm.processes import ranges, run_children, shares
from agent.swarm.swarm import Swarm, SwarmConfig


@dataclass(frozen=True, slots=True)
class SwarmOptions:
    """As they stand on the command line."""

    count: int
    processes: int
    decode: int
    data: Path | None
    controller: str | None
    provisioning: Path | None
    output_one: str | None
    interfaces: tuple[str, ...]
    first: int
    log: str
    as_json: bool


def run_swarm(options: SwarmOptions) -> None:
    """Check, say what it does, and do it until a signal comes.

    Raises:
        AgentError: wrong options, or agents that keep crashing.
    """
    config = _config(options)
    parts = ranges(options.count, options.processes)
    if options.as_json:
        say({"event": "swarm", "processes": len(parts), "pid": os.getpid()} | config.describe())
    if len(parts) == 1:
        run_until_signal(lambda: Swarm(config).run())
    else:
        arguments = [
            _child_arguments(options, options.first + first, count, decode)
            for (first, count), decode in zip(parts, shares(options.decode, len(parts)), strict=True)
        ]
        run_until_signal(lambda: run_children(arguments))


def _config(options: SwarmOptions) -> SwarmConfig:
    data = None if options.data is None else make_data_folder(options.data)
    provisioning = read_provisioning(options.provisioning, data)
    last = options.first + options.count
    if provisioning is not None and len(provisioning.tokens) < last and data is None:
        message = f"{last} agents need {last} tokens, and the provisioning file has {len(provisioning.tokens)}"
        raise ConfigError("bad_provisioning", message)
    common = check_config(AgentConfig(None, options.output_one, options.controller, provisioning))
    return SwarmConfig(
        count=options.count,
        first=options.first,
        decode=options.decode,
        data=data,
        output_one=options.output_one,
        agent=common,
        interfaces=options.interfaces,
    )


def _child_arguments(options: SwarmOptions, first: int, count: int, decode: int) -> list[str]:
    given = {
        "--count": str(count),
        "--first": str(first),
        "--decode": str(decode),
        "--data": "memory" if options.data is None else str(options.data),
        "--controller": options.controller,
        "--provisioning": None if options.provisioning is None else str(options.provisioning),
        "--output-one": options.output_one if first == 0 else None,
        "--log": options.log,
    }
    words = ["swarm"]
    for name, value in given.items():
        if value is not None:
            words += [name, value]
    for interface in options.interfaces:
        words += ["--interface", interface]
    return words
