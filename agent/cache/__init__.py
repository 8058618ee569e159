"""What survives a power cut: the database of one agent, its pins, and the stored sounds.

``database`` (SQLite, WAL, FULL) < ``state`` (typed reads, one kind of write) < ``keeper`` (the only writer, in a
thread) and ``journal``; ``media`` (sounds by hash, proven, evicted) < ``shelf`` (the conductor's view); ``pins`` and
``atomic`` (small files by the four steps).
"""

from __future__ import annotations

from agent.cache.database import Database
from agent.cache.journal import JournalReader
from agent.cache.keeper import Keeper, Ledger
from agent.cache.media import MediaStore
from agent.cache.pins import PinFile, Pins, own_key
from agent.cache.shelf import Shelf
from agent.cache.state import Batch, KeptOrder, Key, StateStore

__all__ = [
    "Batch",
    "Database",
    "JournalReader",
    "Keeper",
    "KeptOrder",
    "Key",
    "Ledger",
    "MediaStore",
    "PinFile",
    "Pins",
    "Shelf",
    "StateStore",
    "own_key",
]
