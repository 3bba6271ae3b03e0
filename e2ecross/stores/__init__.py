# SPDX-License-Identifier: Apache-2.0
"""Where a device keeps its state: in memory, in one SQLite file, or in a PostgreSQL database.

A name is imported when it is first used (PEP 562): who uses one store does not load the others.
"""

from typing import TYPE_CHECKING, Final

from e2ecross.lazy import lazy_names

if TYPE_CHECKING:
    from e2ecross.stores.base import Codec, Store, Table, Transaction
    from e2ecross.stores.memory import MemoryStore
    from e2ecross.stores.postgres import PostgresStore
    from e2ecross.stores.sealing_header import PassphraseCost
    from e2ecross.stores.sqlite import SQLiteStore

__all__ = [
    "Codec",
    "MemoryStore",
    "PassphraseCost",
    "PostgresStore",
    "SQLiteStore",
    "Store",
    "Table",
    "Transaction",
]

_HOMES: Final = {
    "Codec": "e2ecross.stores.base",
    "MemoryStore": "e2ecross.stores.memory",
    "PassphraseCost": "e2ecross.stores.sealing_header",
    "SQLiteStore": "e2ecross.stores.sqlite",
    "PostgresStore": "e2ecross.stores.postgres",
    "Store": "e2ecross.stores.base",
    "Table": "e2ecross.stores.base",
    "Transaction": "e2ecross.stores.base",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
