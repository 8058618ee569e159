"""``loa-controller cap check``: the process itself, its lines and exit codes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from controller.cap import sign_alert
from controller.cli.output import UsageFault
from controller.cli.tree import build
from tests.unit.controller.cap.cap_kit import CORPUS, FLOOD, identity

FIELDS = [
    *("file", "ok", "code", "reason", "flags", "quarantine", "identifier", "sender", "sent", "status", "msg_type"),
    *("scope", "references", "infos", "signature"),
]


def run(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
    result = CliRunner().invoke(build("cap"), ["cap", "check", *map(str, arguments)], input=stdin)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def flood(tmp_path: Path) -> Path:
    path = tmp_path / "lũ.xml"
    path.write_text(FLOOD)
    return path


def test_a_good_file(flood: Path) -> None:
    code, out, _ = run(flood, "--json")
    (row,) = rows(out)
    assert code == 0
    assert list(row) == FIELDS
    assert (row["file"], row["ok"], row["code"], row["signature"]) == (str(flood), True, "ok", "none")


def test_standard_input() -> None:
    code, out, _ = run("-", "--json", stdin=FLOOD.encode())
    assert (code, rows(out)[0]["file"], rows(out)[0]["ok"]) == (0, "-", True)


def test_one_fault_does_not_stop_the_rest(tmp_path: Path, flood: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "several").write_text(f"<a>{FLOOD.partition('?>')[2]}<alert/></a>")
    files: list[str | Path] = [
        flood,
        tmp_path,
        tmp_path / "empty",
        "/dev/zero",
        "./nowhere",
        "a\x00b",
        tmp_path / "several",
        flood,
    ]
    code, out, _ = run(*files, "--json")
    told = rows(out)
    assert code == 1
    assert [row["code"] for row in told] == [
        *("ok", "not_a_file", "empty", "too_large", "not_found", "unreadable", "ok", "missing_identifier", "ok")
    ]
    assert all(list(row) == FIELDS for row in told)
    assert [row["file"] for row in told[:6]] == [str(file) for file in files[:6]]
    assert all(row["reason"] for row in told if not row["ok"])


def test_trust(tmp_path: Path) -> None:
    who, stranger = identity(), identity("stranger")
    (tmp_path / "a.xml").write_bytes(sign_alert(FLOOD.encode(), who.key, who.certificate))
    (tmp_path / "who.pem").write_bytes(stranger.pem() + who.pem())
    (tmp_path / "stranger.pem").write_bytes(stranger.pem())
    assert rows(run(tmp_path / "a.xml", "--json")[1])[0]["signature"] == "untrusted"
    assert (
        rows(run(tmp_path / "a.xml", "--json", "--trust", tmp_path / "stranger.pem")[1])[0]["signature"] == "untrusted"
    )
    both = ("--trust", tmp_path / "stranger.pem", "--trust", tmp_path / "who.pem")
    # The certificates of the kit are of 2026: judged by today's clock they may be over, and then that is told.
    row = rows(run(tmp_path / "a.xml", "--json", *both)[1])[0]
    assert row["signature"] == "valid" or row["flags"][0].startswith("certificate_")


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_certificate_that_is_none(tmp_path: Path, flood: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "cert").write_bytes(content)
    with pytest.raises(UsageFault) as caught:
        run(flood, "--trust", tmp_path / "cert")
    assert (caught.value.code, caught.value.exit_code) == ("bad_trust", 2)


def process(*arguments: str | Path | bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from controller.cli import main; main()", "cap", "check", *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


def test_the_process(tmp_path: Path, flood: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff\x1b[31m.xml"
    Path(os.fsdecode(odd)).write_text(FLOOD.replace("Lũ quét", "\u202e&lt;script>"))
    result = process(flood, odd, "--json")
    assert (result.returncode, result.stderr) == (0, b"")
    first, second = [json.loads(line) for line in result.stdout.splitlines()]
    assert os.fsencode(second["file"]) == odd
    assert first["file"] == str(flood)
    people = process(odd)
    assert people.returncode == 0
    assert b"\x1b" not in people.stdout
    assert process(odd, "--trust", "./nowhere").returncode == 2


def test_nothing_it_names_is_opened_by_any_library_beneath(tmp_path: Path) -> None:
    """Python's own hooks do not see what C opens: a pipe that nobody writes to would hold the process for ever, and a
    listener counts who calls."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    who = identity()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        web = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        files: list[Path] = []
        for name in (pipe.as_uri(), web):
            body = FLOOD.partition("?>")[2].strip()
            resource = (
                "<resource><resourceDesc>x</resourceDesc><mimeType>audio/mpeg</mimeType>"
                f"<uri>{name}</uri><derefUri>{name}</derefUri></resource><area>"
            )
            include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{name}" parse="text"/>'
            schema = f'<n xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x {name}"/>'
            said = body.replace("<area>", resource, 1).replace("</scope>", f"</scope>{include}{schema}", 1)
            signed = sign_alert(FLOOD.encode(), who.key, who.certificate).decode()
            for content in (
                said,
                f'<?xml-stylesheet type="text/xsl" href="{name}"?>{said}',
                f'<!DOCTYPE alert SYSTEM "{name}">{body}',
                f'<!DOCTYPE alert [<!ENTITY x SYSTEM "{name}">]>{body.replace("Lũ quét", "&x;", 1)}',
                f'<!DOCTYPE alert [<!ENTITY % p SYSTEM "{name}"> %p;]>{body}',
                signed.replace('URI=""', f'URI="{name}"', 1),
                signed.replace("<ds:X509Data>", f'<ds:RetrievalMethod URI="{name}"/><ds:X509Data>', 1),
            ):
                files.append(tmp_path / f"{len(files)}.xml")
                files[-1].write_text(content)
        result = process(*files, "--json")
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert [row["ok"] for row in found] == [True, True, False, False, False, True, True] * 2
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_table_for_people(tmp_path: Path, flood: Path) -> None:
    code, out, _ = run(flood, "./nowhere")
    assert code == 1
    assert "Lũ quét – Immediate, Extreme, Likely – Đakrông" in out
    assert "there is no such file [not_found]" in out


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_the_corpus_in_one_run() -> None:
    files = sorted(CORPUS.rglob("*.xml"))
    code, out, _ = run(*files, "--json")
    told = rows(out)
    assert code == 1
    assert [row["file"] for row in told] == [str(file) for file in files]
    assert [Path(row["file"]).name for row in told if not row["ok"]] == ["google_invalid.xml"]
    assert {Path(row["file"]).name for row in told if row["quarantine"]} == {
        *("google_canada_errors.xml", "google_noaa_errors.xml")
    }
