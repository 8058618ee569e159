"""Small files written by the four steps: temporary, fsync, rename, fsync of the folder.

Measured with power cuts (research/reliability.md): nothing acknowledged is lost, nothing is ever half there.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_file(path: Path, body: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``body`` so that a power cut leaves either the old bytes or the new ones.

    Raises:
        OSError: the disk is full, read-only or gone. The old file is untouched.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
