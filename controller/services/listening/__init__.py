"""Listening in: what a cluster's loudspeaker sounds now, or what a source sends, for people at the desk.

``desk`` is the use-case; ``room`` gathers the listeners of one agent or source; ``listener`` is one of them, from
packets to a stream of Ogg Opus; ``ports`` what the gateway does for it; ``tickets`` let a browser's audio element in.
"""

from __future__ import annotations

from controller.services.listening.desk import MAX_LISTENERS, MAX_PER_AGENT, ListeningDesk
from controller.services.listening.listener import Listener
from controller.services.listening.ports import Taps, TapSink
from controller.services.listening.tickets import ListeningTickets, Wish

__all__ = [
    "MAX_LISTENERS",
    "MAX_PER_AGENT",
    "Listener",
    "ListeningDesk",
    "ListeningTickets",
    "TapSink",
    "Taps",
    "Wish",
]
