"""The command line of the agent: ``run``, ``swarm``, ``status``, ``confirm``, ``selftest``.

Exit codes: 0 did it, 1 did not, 2 wrong usage. ``--json`` prints one JSON object per line on stdout; everything else
goes to stderr. No traceback reaches a user.
"""

from agent.cli.tree import main

__all__ = ["main"]
