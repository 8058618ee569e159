"""What a decoder of strangers' files may do: read one file, write one file, use so much time and memory.

Rules kept here:

1. :func:`enter` comes before anything heavy is imported: own network namespace (with no interface in it) where the
   kernel allows it, no new privileges, no core file, lowest priority but idle, death with the parent.
2. :func:`seal` comes after everything is open and imported: no further file descriptor can be made. Neither a file
   nor a socket opens without one, so a hostile file reaches nothing, whatever a decoder might be talked into.
3. :func:`allow_cpu` moves the limit of processor time forward as sound comes out.

Not here: time limits by the clock (the parent holds them and kills).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000

#: Nicer than everything that serves agents and people.
NICENESS = 15
_AUTOGROUP = Path("/proc/self/autogroup")


def enter(parent: int, niceness: int = NICENESS) -> bool:
    """Give up what a decoder never needs. Returns whether the network is cut off by a namespace of its own.

    Args:
        parent: process id of the one who started us; when it is gone, so are we.
        niceness: how far to step back behind the others.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before we asked to be told
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    step_back(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Needs a kernel that lets users make namespaces; where it does not, seal() still holds.
    isolated = libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(isolated)


def step_back(niceness: int) -> None:
    """Be nicer than the others, also where the kernel shares out processors by session before it looks at niceness.

    A leader of a session is a group of its own there (sched_autogroup, proc(5)), with as great a share as the
    controller's, however nice its only process is: so the group is told, too.
    """
    os.nice(niceness)
    if niceness and os.getsid(0) == os.getpid() and _AUTOGROUP.exists():
        with contextlib.suppress(OSError):  # asked for too often, or forbidden: niceness it has in any case
            _AUTOGROUP.write_text(str(niceness), encoding="ascii")


def seal(memory_bytes: int, file_bytes: int) -> None:
    """No new descriptors, ``memory_bytes`` more address space than now, files of at most ``file_bytes``."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    # Descriptors are handed out lowest first, so the one we get now is the lowest free one: none from it on.
    free = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.close(free)
    _limit(resource.RLIMIT_NOFILE, free)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def allow_cpu(seconds: float) -> None:
    """Let this process use ``seconds`` of processor time in all, then end it (SIGXCPU)."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
