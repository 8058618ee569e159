"""What is kept: the database, its audit chain, and the append-only journal of orders."""

from controller.store.engine import Database, Transaction, sqlite_url
from controller.store.errors import StoreBusyError, StoreError

__all__ = ["Database", "StoreBusyError", "StoreError", "Transaction", "sqlite_url"]
