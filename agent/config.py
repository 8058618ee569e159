"""What an agent is told when it starts, as checked values.

There is no configuration file: the plan, the settings and the keys come signed from the controller, and nothing that
lies on the box can make it sound something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigError
from agent.link.address import read_address
from audio.errors import AudioError
from audio.playout import WavOutput, open_output
from protocol.enrolment import Provisioning
from protocol.errors import MalformedError

#: Sounds a data directory may hold, in bytes: two weeks of a full programme at 32 kbit/s.
MEDIA_BUDGET = 4 * 1024**3

PROVISIONING_NAME = "provisioning.json"
_LARGEST_PROVISIONING = 1024 * 1024

MOST_AGENTS = 5_000
MOST_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One agent.

    Attributes:
        data: its folder; None keeps everything in memory (a swarm).
        output: where sound goes (``alsa``, ``pulse:SINK``, ``wav:FILE``, ``null``); None keeps time without decoding.
        controller: a configured address; without it mDNS is asked.
        provisioning: what the card brought for enrolment.
        token_index: which of its tokens is this agent's.
        metered: the link costs money by the byte: speak less often.
    """

    data: Path | None
    output: str | None
    controller: str | None = None
    provisioning: Provisioning | None = None
    token_index: int = 0
    metered: bool = False
    name: str = ""


def check_config(config: AgentConfig) -> AgentConfig:
    """The same, if it can be right.

    Raises:
        ConfigError: ``bad_url``, ``bad_output``, ``file_unwritable`` or ``bad_provisioning``.
    """
    if config.controller is not None:
        read_address(config.controller)
    if config.output is not None:
        try:
            output = open_output(config.output)  # touches no device: a sound card may come later
            if isinstance(output, WavOutput):
                output.probe()  # a file that cannot be written now never will be
        except AudioError as error:
            raise ConfigError(error.code, str(error)) from error
    return config


def read_provisioning(path: Path | None, data: Path | None) -> Provisioning | None:
    """The provisioning file that was named, or the one that lies in the data directory, or None.

    Raises:
        ConfigError: ``bad_provisioning``: it was named and is not there, or it is not such a file.
    """
    lying = None if data is None else data / PROVISIONING_NAME
    chosen = path or lying
    if chosen is None or (path is None and not chosen.exists()):
        return None
    try:
        body = chosen.read_bytes()[: _LARGEST_PROVISIONING + 1]
        found = Provisioning.from_bytes(body)
        if found.controller is not None:
            read_address(found.controller)
    except OSError as error:
        raise ConfigError("bad_provisioning", f"{chosen} cannot be read: {error.strerror}") from error
    except MalformedError as error:
        raise ConfigError("bad_provisioning", f"{chosen} is not a provisioning file: {error.detail}") from error
    return found


def make_data_folder(path: Path) -> Path:
    """The data directory, made if it was not there, closed to others.

    Raises:
        ConfigError: ``bad_data_dir``.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError("bad_data_dir", f"{path} cannot be used: {error.strerror}") from error
    return path
