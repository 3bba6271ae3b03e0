# SPDX-License-Identifier: Apache-2.0
"""A worker that is killed: counts in stripes of a `PostgresStore` until nobody lets it.

Usage: python -m tests.stores.postgres_child CONNINFO NAME
"""

import random
import sys
from typing import TYPE_CHECKING

from e2ecross.errors import StoreBusy
from e2ecross.stores import Table

if TYPE_CHECKING:
    from e2ecross.stores import PostgresStore

__all__ = ["PEERS", "count_on"]

PEERS = range(1, 17)


def count_on(store: "PostgresStore", peer: int) -> None:
    """One message: the next number, and a row that has it; never one without the other."""
    with store.transaction(peer) as tx:
        number = int(tx.get(Table.SESSIONS, b"count") or b"0")
        tx.put(Table.SESSIONS, b"count", b"", b"%d" % (number + 1))
        assert tx.add(Table.OUTBOX, b"rows", number.to_bytes(8), b"")
        if not number % 5:
            tx.delete(Table.ONE_TIME_PREKEYS, b"", b"%d" % number)


def main() -> None:
    from e2ecross.stores import PostgresStore  # its driver may not be installed

    with PostgresStore(*sys.argv[1:3]) as store:
        print("ready", flush=True)
        while True:
            try:
                count_on(store, random.choice(PEERS))
            except StoreBusy:  # the server was killed, or another worker is slow
                print("busy", flush=True)


if __name__ == "__main__":
    main()
