# SPDX-License-Identifier: Apache-2.0
"""Putting a store back to an older state, as a backup of the platform does it."""

from e2ecross.stores import Store, Table
from tests.support.devices import Dump as Copy
from tests.support.devices import dump as take_copy
from tests.support.devices import fill

__all__ = ["Copy", "put_back", "take_copy"]


def put_back(store: Store, copy: Copy) -> None:
    """Let a store hold that and nothing else."""
    with store.transaction() as tx:
        for table in Table:
            for stripe, partition, row, _ in list(tx.scan_all(table)):
                tx.at(stripe).delete(table, partition, row)
    fill(store, copy)
