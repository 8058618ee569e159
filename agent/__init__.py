"""The agent: one box, one loudspeaker cluster. Plays what its signed plan says, with or without a network.

Rooms, from the top: ``cli`` (commands), ``run`` and ``swarm`` (processes), ``app`` (one agent, from an empty folder to
a supervised cluster), ``cluster`` (its parts and loops), ``link`` (the controller: finding it, speaking with it,
judging what it says), ``health`` (what the box says of itself), ``conductor`` (from the arbiter's decisions to sound),
``cache`` (what survives a power cut), and the leaves ``watch`` (faults and events), ``clocks``, ``supervise``,
``errors``.

Promises (each with a test): nothing sounds that does not verify; nothing planned needs the network; STOP acts first;
every occurrence leaves one record, delivered once; every wait ends and every queue is bounded.

This package imports nothing, so that ``loa-agent status`` stays quick.
"""

from __future__ import annotations

__all__: list[str] = []
