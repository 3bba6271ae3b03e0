# SPDX-License-Identifier: Apache-2.0
from e2ecross.stores import MemoryStore, Table
from tests.stores.support import put


def test_a_deleted_row_leaves_no_trace_of_its_partition() -> None:
    store = MemoryStore()
    put(store, Table.SESSIONS, b"p", b"r", b"x")
    with store.transaction() as transaction:
        transaction.delete(Table.SESSIONS, b"p", b"r")
    assert store._tables == {table: {} for table in Table}


def test_closing_forgets_everything() -> None:
    store = MemoryStore()
    put(store, Table.SESSIONS, b"p", b"r", b"x")
    store.close()
    assert store._tables == {}
