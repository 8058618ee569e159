"""Errors of the store, as a tree.

* StoreError: something about keeping data went wrong
  * StoreBusyError: another process or a long change holds the database; the request may be repeated
    * StoreFullError: the disk has no room; nothing was written, and what is asked again later may succeed
  * StoreClosedError: the database is closed; the controller is on its way out
  * UnauditedChangeError: a change was about to be committed without an audit row (a fault of this program)
  * StoreDamagedError: the database file fails its own check; it is never replaced by an empty one
  * SchemaError: the database was made by a newer version of the software
  * JournalError: the command journal cannot be opened or written
    * NotRecordedError: the disk refused what must be recorded before it may act
"""

from __future__ import annotations


class StoreError(Exception):
    """Something about keeping data went wrong."""

    code = "store_error"


class StoreBusyError(StoreError):
    """Another process or a long change holds the database; the request may be repeated."""

    code = "store_busy"


class StoreFullError(StoreBusyError):
    """The disk has no room; nothing was written, and whoever waits for a busy store waits for this too."""

    code = "disk_full"


class StoreClosedError(StoreError):
    """The database is closed; the controller is on its way out."""

    code = "store_closed"


class UnauditedChangeError(StoreError):
    """A change was about to be committed without an audit row (a fault of this program)."""

    code = "unaudited_change"


class StoreDamagedError(StoreError):
    """The database file fails its own check; it is never replaced by an empty one."""

    code = "store_damaged"


class SchemaError(StoreError):
    """The database was made by a newer version of the software."""

    code = "schema_newer"


class JournalError(StoreError):
    """The command journal cannot be opened or written."""

    code = "journal_error"


class NotRecordedError(JournalError):
    """The disk refused what must be recorded before it may act; nothing was kept and nothing may be sent."""

    code = "not_recorded"
