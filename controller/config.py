"""Settings of the controller: a TOML file, over it the environment, over it the command line.

Rules kept here:

1. Everything has a default that is safe; ``--data DIR`` alone is enough.
2. An unknown setting is refused: a misspelt one would silently not hold.
3. A listener that is not on loopback must have TLS. Plain HTTP carries passwords and tokens; on loopback only this
   machine can listen.

The environment's names are the settings' names in capitals: ``LOA_STAFF_LISTEN``, ``LOA_LOG_LEVEL``.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_PREFIX = "LOA_"
#: Variables of the command-line client and of tools around it, which are no settings of the server.
_NOT_SETTINGS = frozenset(
    {"LOA_URL", "LOA_TOKEN", "LOA_DEBUG", "LOA_CONFIG", "LOA_PASSWORD", "LOA_PASSPHRASE", "LOA_CODE"}
)


#: What only the demo's own code may say: no file, no variable and no flag opens a door.
_DEMO_ONLY = frozenset({"demo_logins"})

_LISTS = frozenset({"announce_interfaces", "piper_voices"})


class ConfigError(Exception):
    """The settings make no sense; the message says which and what to do."""

    code = "bad_config"


class Config(BaseModel):
    """Every setting of one controller."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    staff_listen: str = Field("127.0.0.1:8470", description="Staff API and console")
    staff_tls: bool = Field(default=False, description="TLS on the staff listener")
    staff_certificate: Path | None = Field(None, description="PEM; none = a self-signed one in the data folder")
    staff_key: Path | None = None
    second_factor_required: bool = Field(default=True, description="Alerts and drills need a second factor at sign-in")
    agent_listen: str = Field("0.0.0.0:8471", description="Agents")
    agent_tls: bool = Field(default=True, description="TLS on the agent listener")
    agent_certificate: Path | None = None
    agent_key: Path | None = None
    agent_url: str | None = Field(None, description="How agents reach us from outside (behind a proxy or NAT)")
    announce: bool = Field(default=True, description="mDNS advertisement")
    announce_interfaces: tuple[str, ...] = Field((), description="IP addresses to announce on; none = all")
    database: str | None = Field(None, description="SQLAlchemy async URL; none = SQLite in the data folder")
    horizon_days: int = Field(7, ge=1, le=35)
    allow_private_sources: bool = Field(default=False, description="Relays may come from this machine and its networks")
    drill_timezone: str = Field("Asia/Ho_Chi_Minh", description="Local time of the regular tests")
    drill_silent_weekday: int | None = Field(2, ge=0, le=6, description="Weekly silent test: 0 = Monday; null = never")
    drill_silent_hour: int = Field(9, ge=0, le=23)
    drill_monthly_day: int = Field(0, ge=0, le=28, description="Monthly audible test on this day; 0 = never")
    drill_monthly_hour: int = Field(10, ge=6, le=20, description="At a civil hour")
    notice_url: str | None = Field(
        None, pattern=r"^https?://[^\s]+$", description="Where notices are posted to as JSON (a bridge to SMS or mail)"
    )
    notice_token: str | None = Field(None, min_length=8, description="Bearer token for notice_url")
    cap_sender: str | None = Field(
        None,
        max_length=120,
        pattern=r"^[^\s,<&]+$",
        description="How our CAP alerts are signed; none = made of the root",
    )
    cap_public: bool = Field(default=True, description="Our CAP alerts may be read without signing in")
    keep_originals: bool = Field(default=False, description="Keep uploaded files beside what was made of them")
    upload_max_mib: int = Field(4096, ge=1, description="Largest upload")
    disk_reserve_mib: int = Field(256, ge=0, description="Uploads leave this much free for the database and the books")
    air_keep_days: int = Field(90, ge=1, description="How long recordings of what went on air live are kept")
    air_keep_mib: int = Field(20_480, ge=16, description="How much of them is kept; the oldest go first")
    piper_program: Path | None = Field(None, description="A piper you installed: a better voice than the built-in one")
    piper_voices: tuple[str, ...] = Field((), description="LANGUAGE=FILE.onnx for each voice of it")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = Field(default=False, description="One JSON object per log line")
    demo_logins: tuple[tuple[str, str], ...] = Field((), description="Role and user name that enter without a password")

    @property
    def staff_address(self) -> tuple[str, int]:
        """Host and port of the staff listener; port 0 = any free one."""
        return split_address(self.staff_listen)

    @property
    def agent_address(self) -> tuple[str, int]:
        """Host and port of the agent listener; port 0 = any free one."""
        return split_address(self.agent_listen)

    @property
    def keys_folder(self) -> Path:
        """The vault."""
        return self.data / "keys"

    @property
    def database_file(self) -> Path:
        """The SQLite file (when ``database`` is not set)."""
        return self.data / "loa.db"

    @property
    def journal_file(self) -> Path:
        """The journal of orders."""
        return self.data / "orders.journal"

    @property
    def media_folder(self) -> Path:
        """Recordings, named by hash."""
        return self.data / "media"

    @property
    def air_folder(self) -> Path:
        """Recordings of what went on air live."""
        return self.data / "air"

    @property
    def tls_folder(self) -> Path:
        """Self-made certificates."""
        return self.data / "tls"

    @model_validator(mode="after")
    def _safe(self) -> Self:
        for name, listen, tls in (
            ("staff", self.staff_listen, self.staff_tls),
            ("agent", self.agent_listen, self.agent_tls),
        ):
            host, _ = split_address(listen)
            if not tls and not is_loopback(host):
                raise ValueError(
                    f"{name}_listen is {listen}, which other machines can reach, without TLS: passwords would travel "
                    f"in the clear. Set {name}_tls = true (a certificate is made for you), or listen on 127.0.0.1"
                )
        if self.piper_voices and self.piper_program is None:
            raise ValueError("piper_voices need piper_program: the piper executable")
        if any(not sep or not language or not file for language, sep, file in map(_voice, self.piper_voices)):
            raise ValueError("write piper_voices as LANGUAGE=FILE.onnx, for example vi=/opt/voices/vi.onnx")
        for name, certificate, key in (
            ("staff", self.staff_certificate, self.staff_key),
            ("agent", self.agent_certificate, self.agent_key),
        ):
            if (certificate is None) != (key is None):
                raise ValueError(f"{name}_certificate and {name}_key belong together: set both or neither")
        return self


#: What may be set from outside.
_SETTINGS = frozenset(Config.model_fields) - _DEMO_ONLY


def load_config(
    data: Path | None, file: Path | None, flags: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Config:
    """The settings in force.

    Args:
        data: the data folder, None when only the file or the environment names it.
        file: a TOML file, None for none.
        flags: what the command line says; None values say nothing.
        environment: variables, by default those of the process.

    Raises:
        ConfigError: in words for the person who starts the controller.
    """
    said: dict[str, Any] = dict(_from_file(file)) if file is not None else {}
    variables = os.environ if environment is None else environment
    for name, value in variables.items():
        field = name.removeprefix(_PREFIX).lower()
        if name.startswith(_PREFIX) and name not in _NOT_SETTINGS and field in _SETTINGS:
            said[field] = [part for part in value.split(",") if part] if field in _LISTS else value
    said.update({name: value for name, value in flags.items() if value is not None})
    if data is not None:
        said["data"] = data
    if "data" not in said:
        raise ConfigError("say where the data lives: --data DIR (for example /var/lib/loa)")
    if unknown := sorted(said.keys() & _DEMO_ONLY):
        raise ConfigError(f"there is no setting {unknown[0]!r}; known: {', '.join(sorted(_SETTINGS))}")
    try:
        return Config.model_validate(said)
    except ValidationError as error:
        raise ConfigError(_words(error, file)) from error


def _voice(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def split_address(text: str) -> tuple[str, int]:
    """``host:port`` (``[::1]:8470`` for IPv6) as a pair.

    Raises:
        ValueError: it is neither.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004
        raise ValueError(f"{text!r} is not HOST:PORT, for example 127.0.0.1:8470")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error


def _words(error: ValidationError, file: Path | None) -> str:
    where = f" in {file} or the environment" if file is not None else ""
    lines = []
    for one in error.errors(include_url=False):
        name = ".".join(str(part) for part in one["loc"])
        if one["type"] == "extra_forbidden":
            lines.append(f"there is no setting {name!r}{where}; known: {', '.join(sorted(_SETTINGS))}")
        else:
            lines.append(f"{name}: {one['msg']}" if name else one["msg"].removeprefix("Value error, "))
    return "\n".join(lines)
