"""The controller, seen from the box: where it is, whether it is ours, what it says and what we tell it.

``discovery`` and ``locate`` (where to knock), ``transport`` (sockets), ``enrolment``, ``session`` (one control
connection) under ``link`` (over and over), ``timing`` (clock bursts), ``stream`` (the media connection), ``clerk``
(documents judged and obeyed) with ``register`` (kept), ``plans``, ``early`` and ``office``, ``archive`` (documents at
boot), ``fetch`` and ``supply`` (content by hash), ``backoff``.
"""

from __future__ import annotations

from agent.link.archive import Archive, Shelves, read_shelves, restore
from agent.link.clerk import Clerk
from agent.link.discovery import Candidate, Finder, MdnsFinder
from agent.link.link import Link
from agent.link.locate import Locator
from agent.link.office import InForce, Office
from agent.link.stream import StreamKeeper
from agent.link.supply import Supply
from agent.link.transport import Transport

__all__ = [
    "Archive",
    "Candidate",
    "Clerk",
    "Finder",
    "InForce",
    "Link",
    "Locator",
    "MdnsFinder",
    "Office",
    "Shelves",
    "StreamKeeper",
    "Supply",
    "Transport",
    "read_shelves",
    "restore",
]
