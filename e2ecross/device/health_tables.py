# SPDX-License-Identifier: Apache-2.0
"""The records of a table, read one by one: damage in one hides nothing of the others."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.stores.base import Table

__all__ = ["TableHealth", "join_tables", "read_table"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TableHealth:
    """The records of one table.

    Attributes:
        table: which one.
        records: how many there are.
        damaged: how many of them do not decode.
        too_new: how many of them a later release wrote.
    """

    table: Table
    records: int
    damaged: int
    too_new: int


def read_table(
    table: Table,
    rows: Iterator[tuple[bytes, bytes, bytes]],
    reader: Callable[[bytes, bytes, bytes], _T],
) -> tuple[TableHealth, list[_T]]:
    """Give every (partition, row, record) to the reader; count what it refuses.

    Args:
        table: which.
        rows: of it; `RecordCorrupted` comes out of the walk, when the store is sealed.
        reader: raises `RecordCorrupted` or `StoreTooNew` for what it refuses.
    """
    values: list[_T] = []
    damaged = too_new = 0
    while True:
        try:
            values.append(reader(*next(rows)))
        except StopIteration:
            return TableHealth(table, len(values) + damaged + too_new, damaged, too_new), values
        except RecordCorrupted:
            damaged += 1
        except StoreTooNew:
            too_new += 1


def join_tables(table: Table, parts: Sequence[TableHealth]) -> TableHealth:
    """Count the records of several stripes together."""
    return TableHealth(
        table,
        sum(part.records for part in parts),
        sum(part.damaged for part in parts),
        sum(part.too_new for part in parts),
    )
