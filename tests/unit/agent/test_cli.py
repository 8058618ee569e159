"""The command line as a user meets it: exit codes, clear words, JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.asking import ask
from agent.cli.tables import print_checks, print_status
from agent.config import AgentConfig
from agent.errors import ConfigError, StatusError
from agent.localstatus import StatusSocket
from agent.selftest import check_disk, check_network, check_tone
from agent.swarm.processes import ranges, shares
from agent.swarm.swarm import SwarmConfig
from protocol.enrolment import Provisioning
from tests.unit.agent.desk import bulletin, eventually, running_agent, soon
from tests.unit.agent.small_controller import SmallController

pytestmark = pytest.mark.slow


def loa_agent(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", *words], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "--data", "DATA", "--controller", "http://10.0.0.1"], "bad_url"),
        (["run", "--data", "DATA", "--output", "gramophone"], "bad_output"),
        (["run", "--data", "DATA", "--output", "wav:/dev/null/x.wav"], "file_unwritable"),
        (["run", "--data", "DATA", "--provisioning", "/nowhere.json"], "bad_provisioning"),
        (["run", "--data", "/proc/nowhere"], "bad_data_dir"),
        (["swarm", "--count", "3", "--controller", "ftp://x"], "bad_url"),
    ],
)
def test_wrong_usage_is_two_with_a_sentence(tmp_path: Path, words: list[str], code: str) -> None:
    done = loa_agent(*[str(tmp_path) if word == "DATA" else word for word in words])
    assert done.returncode == 2
    assert code in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_provisioning_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "provisioning.json").write_text('{"v": 1, "root": "zz", "tokens": []}')
    done = loa_agent("run", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "bad_provisioning" in done.stderr


def test_nobody_runs_there(tmp_path: Path) -> None:
    done = loa_agent("status", "--data", str(tmp_path), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == "not_running"


def test_the_self_test_tells_each_thing_on_a_line(tmp_path: Path) -> None:
    done = loa_agent("selftest", "--data", str(tmp_path), "--output", f"wav:{tmp_path}/tone.wav", "--json")
    lines = {check["name"]: check for check in map(json.loads, done.stdout.splitlines())}
    assert set(lines) == {"tone", "clock", "disk", "network"}
    assert lines["tone"]["ok"]
    assert lines["disk"]["ok"]
    assert done.returncode == (0 if all(check["ok"] for check in lines.values()) else 1)
    assert (tmp_path / "tone.wav").stat().st_size > 48_000


def test_checks_say_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tone = check_tone("wav:/proc/x.wav")
    assert not tone.ok
    assert tone.advice
    print_checks([tone, check_disk(tmp_path), check_network(None)])
    assert "what to do" in capsys.readouterr().out


def test_run_enrols_answers_status_and_ends_on_a_signal(tmp_path: Path) -> None:
    async def main() -> None:
        async with SmallController(tmp_path) as controller:
            folder = tmp_path / "agent"
            folder.mkdir()
            (folder / "provisioning.json").write_bytes(controller.provisioning().to_bytes())
            notify = tmp_path / "notify"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                systemd.bind(str(notify))
                systemd.setblocking(False)
                child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "agent.cli", "run", "--data", str(folder), "--output", "null"),
                    env=os.environ | {"NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "1000000"},
                    stderr=asyncio.subprocess.PIPE,
                )
                try:
                    agent_id = await controller.session_of()
                    await controller.send_settings(agent_id)
                    await controller.send_plan(agent_id, bulletin(controller.sound(0.5), soon(600)))
                    await controller.until(lambda: len(controller.acks()) == 2)
                    await controller.until(lambda: any(one.health.clock == "ready" for one in controller.statuses()))
                    said = await asyncio.to_thread(ask, folder, {"ask": "status"})
                    assert said["state"] == "working"
                    assert said["connected"]
                    assert said["agent_id"] == agent_id
                    assert said["next"]["title"] == "bulletin a"
                    assert "conductor" in said["loops"]
                    assert (folder / "agent.sock").stat().st_mode & 0o777 == 0o600
                    twice = await asyncio.to_thread(loa_agent, "run", "--data", str(folder), "--output", "null")
                    assert twice.returncode == 1
                    assert "already_running" in twice.stderr
                    shown = await asyncio.to_thread(loa_agent, "status", "--data", str(folder))
                    assert "bulletin a" in shown.stdout
                    child.send_signal(signal.SIGTERM)
                    assert await asyncio.wait_for(child.wait(), 10) == 0
                    assert child.stderr is not None
                    assert b"Traceback" not in await child.stderr.read()
                finally:
                    if child.returncode is None:
                        child.kill()
                        await child.wait()
                told = [systemd.recv(200) for _ in range(3)]
                assert told[0].startswith(b"READY=1")
                assert b"WATCHDOG=1" in told

    asyncio.run(main())


async def test_the_agent_has_no_listening_port(tmp_path: Path) -> None:
    async with (
        SmallController(tmp_path) as controller,
        running_agent(tmp_path / "agent", controller.provisioning()),
    ):
        await controller.session_of()
        assert _own_listeners() == 1  # the small controller's


def _own_listeners() -> int:
    own = {str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "0A" and f"socket:[{row[9]}]" in own for row in rows)


async def test_the_status_socket_survives_nonsense(tmp_path: Path) -> None:
    async with SmallController(tmp_path) as controller, running_agent(tmp_path / "agent") as agent:
        assert controller.port
        status = StatusSocket(tmp_path, agent)
        await status.open()
        try:
            for question in (b"nonsense\n", b"[1]\n", b"\xff" * 10_000 + b"\n", b""):
                reader, writer = await asyncio.open_unix_connection(tmp_path / "agent.sock")
                writer.write(question)
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 6)
                writer.close()
                await writer.wait_closed()
            said = await asyncio.to_thread(ask, tmp_path, {"ask": "status"})
            assert said["ok"]
            assert not (await asyncio.to_thread(ask, tmp_path, {"ask": "confirm", "digits": "1"}))["ok"]
            print_status(said)
        finally:
            await status.close()
        with pytest.raises(StatusError):
            await asyncio.to_thread(ask, tmp_path, {"ask": "status"})


def test_a_swarm_says_what_it_does() -> None:
    common = AgentConfig(None, None)
    config = SwarmConfig(10, 0, 4, None, "wav:/tmp/one.wav", common)
    assert config.describe() == {
        "agents": 10,
        "first": 0,
        "decoding": 4,
        "timing_only": 6,
        "output_one": "wav:/tmp/one.wav",
        "data": None,
    }
    assert [config.output_of(number) for number in (0, 3, 4)] == ["wav:/tmp/one.wav", "null", None]
    second = SwarmConfig(10, 10, 4, None, "alsa", common)
    assert (second.describe()["decoding"], second.output_of(13), second.output_of(14)) == (4, "null", None)
    assert ranges(10, 3) == [(0, 4), (4, 3), (7, 3)]
    assert (shares(16, 2), shares(1, 3)) == ([8, 8], [1, 0, 0])
    assert ranges(2, 5) == [(0, 1), (1, 1)]


def test_too_few_tokens_are_told_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(Provisioning(None, "ab" * 32, ("t" * 20,)).to_bytes())
    done = loa_agent("swarm", "--count", "2", "--provisioning", str(path), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["code"] == "bad_provisioning"
    with pytest.raises(ConfigError):
        raise ConfigError("bad_provisioning", "x")


def test_a_swarm_of_six_in_two_processes_plays_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with SmallController(tmp_path) as controller:
            provisioning = tmp_path / "p.json"
            provisioning.write_bytes(controller.provisioning(6).to_bytes())
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "agent.cli", "swarm", "--count", "6", "--processes", "2", "--decode", "2", "--json"),
                *("--provisioning", str(provisioning), "--data", str(tmp_path / "swarm")),
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                assert child.stdout is not None
                said = json.loads(await asyncio.wait_for(child.stdout.readline(), 20))
                assert (said["agents"], said["processes"], said["decoding"]) == (6, 2, 2)
                await controller.until(lambda: len(controller.sessions) == 6, 20)
                start = soon(4)
                clip = controller.sound(0.5)
                for agent_id in controller.sessions:
                    await controller.send_settings(agent_id)
                    await controller.send_plan(agent_id, bulletin(clip, start))
                await controller.until(lambda: len(controller.records) == 6, 20)
                errors = [record.start_error_us for record in controller.records.values()]
                assert all(error is not None and abs(error) < 50_000 for error in errors)
                assert {record.outcome.value for record in controller.records.values()} == {"played"}
                child.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(child.wait(), 20) == 0
            finally:
                if child.returncode is None:
                    child.terminate()  # it ends its own children, which kill -9 would leave behind
                    await child.wait()
            await eventually(lambda: not controller.sessions)

    asyncio.run(main())
