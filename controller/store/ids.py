"""Short random ids: a prefix that says what it is, and ten letters that are easy to read out on a telephone.

Fifty random bits: among a million things of one kind the chance of one clash is about 1 in 2 000, and a clash is
caught by the primary key, not overwritten.
"""

from __future__ import annotations

import secrets
from typing import Literal

Prefix = Literal["ar", "cl", "us", "rc", "so", "pr", "tp", "al", "no", "ws", "wa", "lv", "at", "dr", "zn"]

#: RFC 4648 base32 in lower case.
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_LETTERS = 10


def new_id(prefix: Prefix) -> str:
    """A new id such as ``cl_k3v7qzt2ma``."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))}"


def new_incident() -> str:
    """A name for one unexpected fault, shown to the user and written to the log."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
