# SPDX-License-Identifier: Apache-2.0
"""Putting a store back to an older state, as a backup of the platform does it."""

from collections.abc import Mapping

from e2ecross.stores import Store, Table

__all__ = ["Copy", "put_back", "take_copy"]

Copy = Mapping[tuple[Table, bytes, bytes], bytes]


def take_copy(store: Store) -> Copy:
    """Everything that a store holds."""
    with store.transaction() as tx:
        return {
            (table, partition, row): record
            for table in Table
            for partition, row, record in tx.scan(table)
        }


def put_back(store: Store, copy: Copy) -> None:
    """Let a store hold that and nothing else."""
    with store.transaction() as tx:
        for table in Table:
            for partition, row, _ in list(tx.scan(table)):
                tx.delete(table, partition, row)
        for (table, partition, row), record in copy.items():
            tx.put(table, partition, row, record)
