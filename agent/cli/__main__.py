"""``python -m agent.cli`` is ``loa-agent``."""

from agent.cli import main

main()
