"""The package as it is given away: built by its hook without a Node of the machine's, installed, and opened."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.system.processes import ROOT, Process, free_port

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(280)]

_UI = "controller/web/ui"
_NOT_SOURCES = shutil.ignore_patterns("node_modules", "static", "__pycache__")


def test_a_wheel_serves_the_console(tmp_path: Path) -> None:
    (wheel,) = _built(tmp_path)
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    assert {"controller/web/static/index.html", "controller/web/static/built-from"} <= names
    assert any(re.fullmatch(r"controller/web/static/assets/\S+\.js", name) for name in names)
    assert not any("node_modules" in name or name.startswith(("tests/", _UI)) for name in names)

    program = _installed(tmp_path / "venv", wheel)
    port, agents = free_port(), free_port()
    argv: list[str | Path] = [program, "serve", "--data", tmp_path / "data", "--no-announce"]
    argv += ["--staff-listen", f"127.0.0.1:{port}", "--agent-listen", f"127.0.0.1:{agents}"]
    with Process("from-wheel", argv, tmp_path) as controller:
        controller.wait_for(r"Staff API: http", 60)
        page = _got(f"http://127.0.0.1:{port}/console/")
        (script,) = re.findall(r'<script[^>]+src="(/console/assets/[^"]+\.js)"', page)
        assert len(_got(f"http://127.0.0.1:{port}{script}")) > 1_000


def _built(folder: Path) -> list[Path]:
    """The wheel, made from the sources alone; what npm brings is borrowed from here, as it is locked."""
    source = folder / "source"
    shutil.copytree(ROOT / "controller", source / "controller", ignore=_NOT_SOURCES)
    for package in ("agent", "audio", "protocol", "schedules"):
        shutil.copytree(ROOT / package, source / package, ignore=_NOT_SOURCES)
    for file in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    (source / _UI / "node_modules").symlink_to(ROOT / _UI / "node_modules")
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if not (Path(each) / "node").exists())
    assert shutil.which("node", path=path) is None
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True, timeout=240, env={**os.environ, "PATH": path})
    return list(folder.glob("loa-*.whl"))


def _installed(folder: Path, wheel: Path) -> Path:
    """The program in an environment of its own, which borrows the libraries of this one but nothing of Loa's."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120)
    (libraries,) = folder.glob("lib/python*/site-packages")
    (libraries / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    said = "import controller; print(controller.__file__)"
    where = subprocess.run([python, "-c", said], check=True, capture_output=True, text=True, timeout=60, cwd=folder)
    assert Path(where.stdout.strip()).is_relative_to(folder), where.stdout
    return folder / "bin" / "loa-controller"


def _got(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.status == 200
        return str(answer.read().decode())
