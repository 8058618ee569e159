"""``media check`` as scripts see it: lines, order, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from controller.cli.media_check import check
from tests.unit.audio.sounds import noise, wav

FIELDS = [
    "file",
    "ok",
    "code",
    "reason",
    "warnings",
    "duration_s",
    "codec",
    "sample_rate",
    "channels",
    "lufs_in",
    "lufs_out",
    "true_peak_out",
]


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command("check")(check)
    return app


def test_one_line_a_file_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = wav(tmp_path / "thông báo.wav", noise(1.0))
    (tmp_path / "bad.mp3").write_text("no sound")
    monkeypatch.chdir(tmp_path)
    names = ["./thông báo.wav", str(tmp_path / "bad.mp3"), "none.wav", "thông báo.wav"]
    result = CliRunner().invoke(_app(), [*names, "--json"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["file"] for line in lines] == names
    assert [line["ok"] for line in lines] == [True, False, False, True]
    assert [line["code"] for line in lines] == ["ok", "not_audio", "not_found", "ok"]
    assert all(list(line) == FIELDS for line in lines)
    assert result.exit_code == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.mp3", good.name]


def test_all_good_is_exit_0_and_no_file_is_wrong_usage(tmp_path: Path) -> None:
    good = wav(tmp_path / "a.wav", noise(1.0))
    assert CliRunner().invoke(_app(), [str(good)]).exit_code == 0
    assert CliRunner().invoke(_app(), ["--json"]).exit_code == 2


def test_a_name_that_is_no_text_is_named_all_the_same(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[2J.wav")
    wav(tmp_path / "a.wav", noise(1.0)).rename(name)
    result = CliRunner().invoke(_app(), [name, "--json"])
    assert json.loads(result.stdout)["ok"] is True
    assert "\x1b" not in CliRunner().invoke(_app(), [name]).stdout
