"""What an agent believes for good, kept beside the database as well: its key, the pinned root, how far it has come.

Should the card lose the database, this small file (written by the four steps) still keeps old orders from sounding
and a strange controller from being believed. Without both, the agent must be enrolled again; it never goes on with
empty counters.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from agent.cache.atomic import write_file
from agent.errors import StorageError
from protocol.counters import Counters
from protocol.errors import MalformedError
from protocol.keys import PUBLIC_KEY_BYTES, SigningKey

_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Pins:
    """The result of an enrolment, and the counters since."""

    root_public: bytes
    cluster_id: str
    controller: str | None  # the address that was enrolled at, tried first the next time
    counters: Counters

    def to_bytes(self) -> bytes:
        """For the file."""
        body = {
            "v": 1,
            "root": self.root_public.hex(),
            "cluster": self.cluster_id,
            "controller": self.controller,
            "counters": self.counters.to_dict(),
        }
        return json.dumps(body, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Pins:
        """From the file.

        Raises:
            StorageError: ``pins_damaged``.
        """
        try:
            body = json.loads(data)
            root = bytes.fromhex(body["root"])
            if body["v"] != 1 or len(root) != PUBLIC_KEY_BYTES:
                raise ValueError("another version")
            controller = body["controller"]
            if not isinstance(controller, str | None):
                raise TypeError("controller")
            return cls(root, str(body["cluster"]), controller, Counters.from_dict(body["counters"]))
        except (ValueError, KeyError, TypeError, AttributeError, MalformedError) as error:
            message = "the file of pinned keys is damaged; enrol this agent again with an empty data directory"
            raise StorageError("pins_damaged", message) from error


class PinFile:
    """Where :class:`Pins` lie. ``path`` None: nowhere (an agent of a swarm in memory). Blocking, one at a time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writing = threading.Lock()  # a writer that nobody waits for any more may still be at it

    def read(self) -> Pins | None:
        """The pins, or None for an agent that was never enrolled.

        Raises:
            StorageError: they are there and cannot be read.
        """
        if self._path is None:
            return None
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError("storage_failing", f"{self._path} cannot be read: {error.strerror}") from error
        return Pins.from_bytes(data)

    def write(self, pins: Pins) -> None:
        """Make them durable.

        Raises:
            StorageError: the disk does not take them.
        """
        if self._path is None:
            return
        try:
            with self._writing:
                write_file(self._path, pins.to_bytes())
        except OSError as error:
            raise StorageError("storage_failing", f"{self._path} cannot be written: {error.strerror}") from error


def own_key(path: Path | None) -> SigningKey:
    """The agent's own Ed25519 key, made at the first start and readable by nobody else.

    Raises:
        StorageError: it cannot be read or written, or is damaged (then the agent is a new one: remove the file).
    """
    if path is None:
        return SigningKey.generate()
    try:
        return SigningKey.from_seed(bytes.fromhex(path.read_text(encoding="ascii")))
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise StorageError("key_damaged", f"{path} is not a key; remove it and enrol this agent again") from error
    except OSError as error:
        raise StorageError("storage_failing", f"{path} cannot be read: {error.strerror}") from error
    key = SigningKey.generate()
    try:
        write_file(path, key.seed.hex().encode() + b"\n")
    except OSError as error:
        raise StorageError("storage_failing", f"{path} cannot be written: {error.strerror}") from error
    return key
