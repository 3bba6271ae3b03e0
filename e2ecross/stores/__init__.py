# SPDX-License-Identifier: Apache-2.0
"""Where a device keeps its state: in memory, or in one SQLite file."""

from e2ecross.stores.base import Store, Table, Transaction
from e2ecross.stores.memory import MemoryStore
from e2ecross.stores.sealing_header import PassphraseCost
from e2ecross.stores.sqlite import SQLiteStore

__all__ = ["MemoryStore", "PassphraseCost", "SQLiteStore", "Store", "Table", "Transaction"]
