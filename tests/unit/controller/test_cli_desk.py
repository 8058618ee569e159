"""The command line against a real controller, in processes of its own: what scripts rely on."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyotp
import pytest

from tests.unit.controller.staff import Staff, open_staff

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs ``loa-controller`` with a home of its own."""

    home: Path
    url: str
    token: str

    async def __call__(self, *words: str, given: str = "", **variables: str) -> Result:
        environment = {
            "PATH": os.environ["PATH"],
            "XDG_CONFIG_HOME": str(self.home),
            "LOA_URL": self.url,
            "LOA_TOKEN": self.token,
            "NO_COLOR": "1",
            **variables,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from controller.cli import main; main()", *words,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in environment.items() if value},
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate(given.encode())
        assert process.returncode is not None
        result = Result(process.returncode, out.decode(), err.decode())
        assert "Traceback" not in result.out + result.err
        return result


@pytest.fixture
async def staff(tmp_path: Path) -> AsyncIterator[Staff]:
    async with open_staff(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def shell(staff: Staff, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home", staff.running.staff_url, staff.token or "")


async def test_places_from_a_shell(shell: Shell, tmp_path: Path) -> None:
    made = await shell("area", "add", "Đakrông", "--kind", "huyện", "--quiet", "21:00-05:00", "--json")
    assert made.code == 0
    assert json.loads(made.out)["quiet_hours"] == {"begin": "21:00", "end": "05:00"}
    table = tmp_path / "clusters.csv"
    table.write_text(
        "name,area,latitude,longitude,languages\nA Vao 1,Đakrông,16.1,106.8,vi pac\nA Vao 2,Đakrông,,,vi\n"
    )
    assert (await shell("cluster", "import", str(table))).code == 0
    listed = await shell("cluster", "list", "--area", "Đakrông", "--json")
    rows = [json.loads(line) for line in listed.out.splitlines()]
    assert [(row["name"], row["languages"]) for row in rows] == [("A Vao 1", ["vi", "pac"]), ("A Vao 2", ["vi"])]
    assert listed.err == ""
    refused = await shell("area", "delete", "Đakrông")
    assert (refused.code, refused.out) == (1, "")
    assert "2 clusters" in refused.err


async def test_zones_from_a_shell(shell: Shell, staff: Staff) -> None:
    area = await staff.made("/api/v1/areas", {"name": "Đakrông", "kind": "huyện"})
    one, two = [await staff.made("/api/v1/clusters", {"name": name, "area_id": area}) for name in ("A Vao", "Tà Rụt")]
    made = await shell("zone", "add", "Ven sông", "--area", "Đakrông", "--cluster", "A Vao", "--json")
    assert json.loads(made.out)["clusters"] == [one]
    changed = await shell("zone", "change", "Ven sông", "--cluster", "Tà Rụt", "--name", "Bờ suối", "--json")
    assert json.loads(changed.out)["clusters"] == [two]
    stopped = await shell("stop", "--zone", "Bờ suối", "--json")
    assert stopped.code == 0
    reviewed = await shell("alert", "review", "--voice", "--title", "Lũ", "--zone", "Bờ suối", "--json")
    assert reviewed.code == 0, reviewed.err
    assert "Đakrông (1)" in json.loads(reviewed.out)["sentence"]
    drill = await shell("drill", "silent", "--zone", "Ven sông")
    assert (drill.code, "[not_found]" in drill.err) == (1, True)
    assert (await shell("zone", "remove", "Bờ suối")).code == 0
    assert (await shell("zone", "list", "--json")).out == ""


async def test_wrong_usage_is_2_and_what_was_not_done_is_1(shell: Shell) -> None:
    assert (await shell("frobnicate")).code == 2
    assert (await shell("area", "add")).code == 2
    assert (await shell("area", "add", "x", "--quiet", "noon")).code == 2
    assert (await shell("area", "show", "nowhere")).code == 1
    dead = await shell("area", "list", LOA_URL="http://127.0.0.1:9")
    assert dead.code == 1
    assert "loa-controller serve" in dead.err
    for url in ("ftp://x", "nonsense", "http://127.0.0.1:99999", "http://[x"):
        bad = await shell("area", "list", LOA_URL=url)
        assert (bad.code, "[bad_url]" in bad.err) == (2, True), url
    for token in ("bad\ntoken", "th\u1ebb"):
        bad = await shell("area", "list", LOA_TOKEN=token)
        assert (bad.code, "[bad_token]" in bad.err) == (2, True), token
    late = await shell("area", "add", "x", "--quiet", "25:00-99:00")
    assert (late.code, "21:30-04:45" in late.err) == (2, True)
    assert "[not_found]" in (await shell("area", "show", "nowhere")).err
    assert "[bad_config]" in (await shell("serve")).err
    stranger = await shell("area", "list", LOA_TOKEN="loa_nonsense")
    assert "sign in" in stranger.err
    assert (await shell("--help")).code == 0


async def test_listening_from_a_shell(shell: Shell, tmp_path: Path) -> None:
    await shell("area", "add", "Đakrông", "--kind", "huyện")
    made = await shell("cluster", "add", "A Vao 1", "--area", "Đakrông", "--duck=-20", "--json")
    assert json.loads(made.out)["duck_db"] == -20.0
    changed = await shell("cluster", "set", "A Vao 1", "--duck", "off", "--json")
    assert json.loads(changed.out)["duck_db"] is None
    assert (await shell("cluster", "set", "A Vao 1", "--duck", "soft")).code == 2
    assert "duck_db" in (await shell("cluster", "set", "A Vao 1", "--duck=-3")).err
    taught = await shell("listen", "--help")
    assert "ffplay" in taught.out
    assert "0.15 MB a minute" in " ".join(taught.out.split())
    assert (await shell("listen")).code == 2
    assert (await shell("listen", "A Vao 1", "--source", "VOV1")).code == 2
    file = tmp_path / "heard.ogg"
    nobody = await shell("listen", "A Vao 1", "-o", str(file))
    assert (nobody.code, "[agent_offline]" in nobody.err) == (1, True)
    assert not file.exists()
    assert (await shell("listen", "--source", "VOV1")).code == 1


async def test_going_on_air_from_a_shell(shell: Shell, tmp_path: Path) -> None:
    assert (await shell("area", "add", "Tà Rụt", "--quiet", "none", "--json")).code == 0
    assert (await shell("cluster", "add", "TR 1", "--area", "Tà Rụt")).code == 0
    lie = tmp_path / "words.wav"
    lie.write_text("this is no sound\n" * 100)
    refused = await shell("live", "start", "--cluster", "TR 1", "--file", str(lie))
    assert (refused.code, "not_audio" in refused.err) == (1, True)
    assert (await shell("live", "list", "--json")).out == "", "nothing went on air"
    good = tmp_path / "good.wav"
    tone = (np.sin(np.arange(24_000) / 20) * 8_000).astype("<i2").tobytes()
    with wave.open(str(good), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(tone)
    spoken = await shell("live", "start", "--cluster", "TR 1", "--file", str(good), "--no-chime", "--json")
    assert spoken.code == 0, spoken.err
    said = json.loads(spoken.out)
    assert (said["state"], said["code"]) == ("ended", "ended_by_speaker")
    dead = await shell("live", "start", "--cluster", "TR 1", "--input", "no-such-input")
    assert dead.code == 1
    ended = [json.loads(one) for one in (await shell("live", "list", "--json")).out.splitlines()]
    assert len(ended) == 2
    assert all(one["ended"] or one["code"] for one in ended), "nobody waits for a speaker who cannot come"


async def test_a_saved_login_is_private_and_ends_with_logout(shell: Shell, staff: Staff) -> None:
    viewer = {"name": "lan", "grants": [{"role": "viewer", "area_id": None}]}
    _, made = await staff.call("POST", "/api/v1/users", viewer)
    assert (await shell("login", "lan", given="wrong\n", LOA_TOKEN="")).code == 1
    assert (await shell("login", "lan", given=f"{made['password']}\n", LOA_TOKEN="")).code == 0
    saved = shell.home / "loa" / "login.json"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "password_change_required" in (await shell("area", "list", LOA_TOKEN="")).err
    words = {"LOA_PASSWORD": made["password"], "LOA_NEW_PASSWORD": "một mật khẩu dài"}
    assert (await shell("user", "password", LOA_TOKEN="", **words)).code == 0
    assert (await shell("area", "list", LOA_TOKEN="")).code == 0
    assert (await shell("logout", LOA_TOKEN="")).code == 0
    assert not saved.exists()
    assert (await shell("area", "list", LOA_TOKEN="")).code == 1


async def test_care_on_the_machine_itself_while_it_runs(shell: Shell, staff: Staff, tmp_path: Path) -> None:
    data = str(staff.running.foundation.config.data)
    phrase = {"LOA_PASSPHRASE": "correct horse battery"}
    verified = await shell("audit", "verify", "--data", data, "--json")
    verdict = json.loads(verified.out)
    assert (verified.code, verdict["ok"]) == (0, True)
    expected = f"{verdict['head_seq']}:{verdict['head_hash']}"
    assert (await shell("audit", "verify", "--data", data, "--expect", expected)).code == 0
    assert (await shell("audit", "verify", "--data", data, "--expect", f"1:{'0' * 64}")).code == 1
    assert (await shell("backup", str(tmp_path / "b.tar"), "--data", data, **phrase)).code == 0
    assert (await shell("doctor", "--data", data, "--json")).code == 0
    busy = await shell("restore", str(tmp_path / "b.tar"), "--data", data, "--replace", **phrase)
    assert (busy.code, "stop it first" in busy.err) == (1, True)
    assert (await shell("keys", "rotate", "--data", data)).code == 1
    assert (await shell("keys", "make", "--data", data)).code == 1
    assert (await shell("keys", "seal", str(tmp_path / "root"), "--data", data, **phrase)).code == 0
    shown = await shell("keys", "show", "--data", data, "--json")
    assert json.loads(shown.out)["sealed"] is True
    second = await shell("serve", "--data", data)
    assert (second.code, "another controller" in second.err) == (1, True)
    open_plain = await shell("serve", "--data", str(tmp_path / "x"), "--staff-listen", "0.0.0.0:1")
    assert (open_plain.code, "TLS" in open_plain.err) == (2, True)


async def test_an_administrator_who_forgot_everything(shell: Shell, staff: Staff) -> None:
    data = str(staff.running.foundation.config.data)
    made = await shell("user", "reset-password", "admin", "--data", data, "--json")
    password = json.loads(made.out)["password"]
    assert (await staff.call("POST", "/api/v1/login", {"name": "admin", "password": password}))[0] == 200


async def test_a_second_factor_from_a_shell(shell: Shell, staff: Staff) -> None:
    password = "một mật khẩu dài"
    await staff.made("/api/v1/users", {"name": "lan", "password": password})
    assert (await shell("login", "lan", given=f"{password}\n", LOA_TOKEN="")).code == 0
    _, made = await (await staff.login("lan", password)).call("POST", "/api/v1/me/totp", {})
    wrong = await shell("user", "second-factor", given=f"{password}\n000000x\n", LOA_TOKEN="")
    assert (wrong.code, "[wrong_code]" in wrong.err, made["secret"] in wrong.err) == (1, True, False)
    lan = await staff.login("lan", password)
    _, made = await lan.call("POST", "/api/v1/me/totp", {})
    app = pyotp.TOTP(made["secret"])
    _, answer = await lan.call("PUT", "/api/v1/me/totp", {"code": app.now()})
    first, second, *_ = answer["recovery_codes"]
    refused = await shell("login", "lan", given=f"{password}\n", LOA_TOKEN="")  # asked for, and nothing was said
    assert (refused.code, "[secret_missing]" in refused.err) == (1, True)
    assert (await shell("login", "lan", given=f"{password}\n{first}\n", LOA_TOKEN="")).code == 0
    assert (await shell("login", "lan", "--code", second, given=f"{password}\n", LOA_TOKEN="")).code == 0
    reset = await shell("user", "reset-second-factor", "lan")
    assert reset.code == 0
    assert (await shell("login", "lan", given=f"{password}\n", LOA_TOKEN="")).code == 0


async def test_the_last_administrator_lost_their_app(shell: Shell, staff: Staff) -> None:
    _, made = await staff.call("POST", "/api/v1/me/totp", {})
    assert (await staff.call("PUT", "/api/v1/me/totp", {"code": pyotp.TOTP(made["secret"]).now()}))[0] == 200
    data = str(staff.running.foundation.config.data)
    reset = await shell("user", "reset-second-factor", "admin", "--data", data)
    assert (reset.code, "restart it" in reset.err) == (0, True)
    again = await shell("user", "reset-second-factor", "admin", "--data", data)
    assert (again.code, "[not_enrolled]" in again.err) == (1, True)
