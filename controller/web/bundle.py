"""The built console as values: every file that may be served, read once.

Rules kept here: only what is in the listing exists, so no path can lead elsewhere; names with a hash never change their
content; a ``.gz`` beside a file is its other form, not a file of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Final

INDEX: Final = "index.html"
#: Vite puts what has a hash in its name here.
HASHED: Final = "assets/"
#: What a console may consist of. Anything else in the folder is not ours and not served.
TYPES: Final[Mapping[str, str]] = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "png": "image/png",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
    "wasm": "application/wasm",
}


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file, in the forms it can be sent in."""

    name: str
    content_type: str
    body: bytes
    gzipped: bytes | None
    etag: str

    @property
    def immutable(self) -> bool:
        """Whether its name changes with its content."""
        return self.name.startswith(HASHED)


class Bundle:
    """The files of a built console; empty when it was never built."""

    def __init__(self, files: Mapping[str, BundleFile]) -> None:
        self._files = dict(files)

    @classmethod
    def load(cls, folder: Traversable) -> Bundle:
        """Read a folder that ``controller/web/build.py`` made. One that is not there gives an empty bundle."""
        bodies = dict(_walk(folder, "")) if folder.is_dir() else {}
        return cls({name: _file(name, bodies) for name in bodies if _suffix(name) in TYPES})

    def __bool__(self) -> bool:
        return INDEX in self._files

    def __iter__(self) -> Iterator[BundleFile]:
        return iter(self._files.values())

    def get(self, name: str) -> BundleFile | None:
        """The file of this name, if the bundle has it."""
        return self._files.get(name)


def _file(name: str, bodies: Mapping[str, bytes]) -> BundleFile:
    digest = hashlib.sha256(bodies[name]).hexdigest()[:24]
    return BundleFile(name, TYPES[_suffix(name)], bodies[name], bodies.get(f"{name}.gz"), f'"{digest}"')


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]
