"""Where secrets come from: the environment, standard input, or a prompt; never the command line, which others see."""

from __future__ import annotations

import getpass
import os
import sys

from controller.cli.output import CliError


def ask_secret(variable: str, prompt: str, *, twice: bool = False) -> str:
    """A secret from the environment variable, else from the terminal, else the first line of standard input.

    Raises:
        CliError: nothing was given, or the two entries differ.
    """
    given = os.environ.get(variable)
    if given:
        return given
    if not sys.stdin.isatty():
        given = sys.stdin.readline().rstrip("\n")
        if not given:
            raise CliError(f"no secret given: set {variable}, or write it on standard input", code="secret_missing")
        return given
    first = getpass.getpass(f"{prompt}: ")
    if twice and getpass.getpass(f"{prompt}, again: ") != first:
        raise CliError("the two entries differ; nothing was done", code="secret_differs")
    if not first:
        raise CliError("nothing was entered; nothing was done", code="secret_missing")
    return first
