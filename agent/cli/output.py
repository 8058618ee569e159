"""How the commands speak: results on stdout, logs and errors on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import typer

from agent.errors import AgentError, ConfigError

_USAGE = 2


def set_up_logs(level: str) -> None:
    """Log lines go to stderr; key=value without colours when that is no terminal (journald, a file)."""
    number = logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise ConfigError("bad_option", f"unknown log level {level!r}: use debug, info, warning or error")
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.LogfmtRenderer(bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def say(value: dict[str, Any]) -> None:
    """One JSON object as one line on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


@contextmanager
def clean_errors(*, as_json: bool = False) -> Iterator[None]:
    """Turn what went wrong into one clear line and an exit code."""
    try:
        yield
    except AgentError as error:
        if as_json:
            say({"ok": False, "code": error.code, "error": str(error)})
        sys.stderr.write(f"loa-agent: {error} ({error.code})\n")
        raise typer.Exit(_USAGE if isinstance(error, ConfigError) else 1) from None
    except OSError as error:
        sys.stderr.write(f"loa-agent: {error.strerror or error} (os_error)\n")
        raise typer.Exit(1) from None
