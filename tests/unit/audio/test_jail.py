"""The jail: after it is sealed, nothing opens."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from audio import jail

PRISONER = """
import json, os, socket, sys
from audio import jail
isolated = jail.enter(int(sys.argv[1]))
loopback_up = None
if isolated:
    try:
        socket.create_connection(("127.0.0.1", 1), timeout=1)
    except OSError as error:
        loopback_up = error.errno
jail.seal(64 << 20, 1_000)
tried = {"niceness": os.nice(0), "isolated": isolated, "loopback": loopback_up}
for name, attempt in {
    "file": lambda: open("/etc/hostname", "rb"),
    "socket": lambda: socket.socket(),
    "pipe": lambda: os.pipe(),
    "memory": lambda: bytearray(1 << 30),
}.items():
    try:
        attempt()
        tried[name] = "done"
    except (OSError, MemoryError) as error:
        tried[name] = getattr(error, "errno", None) or "MemoryError"
print(json.dumps(tried))
"""


def test_a_sealed_process_opens_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", PRISONER, str(os.getpid())], capture_output=True, text=True, timeout=30, check=True
    )
    tried = json.loads(done.stdout)
    assert (tried["file"], tried["socket"], tried["pipe"], tried["memory"]) == (24, 24, 24, "MemoryError")
    assert tried["niceness"] >= jail.NICENESS
    if tried["isolated"]:
        assert tried["loopback"] == 101  # not even the loopback network: unreachable


def test_a_session_of_its_own_is_nice_as_a_whole() -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom audio import jail\njail.enter(int(sys.argv[1]))\n"
        "group = Path('/proc/self/autogroup')\nprint(group.read_text() if group.exists() else 'none', os.nice(0))"
    )
    argv = [sys.executable, "-I", "-c", code, str(os.getpid())]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True, start_new_session=True).stdout
    group, niceness = said.rsplit(maxsplit=1)
    assert int(niceness) >= jail.NICENESS
    assert group.strip() == "none" or group.split()[-2:] == ["nice", str(jail.NICENESS)], group


def test_processor_time_ends() -> None:
    code = "from audio import jail\njail.allow_cpu(0)\nwhile True: pass\n"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == -24  # SIGXCPU


def test_a_worker_whose_parent_is_gone_does_not_begin() -> None:
    code = "from audio import jail\njail.enter(1)\nprint('still here')\n"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
