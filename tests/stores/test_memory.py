# SPDX-License-Identifier: Apache-2.0
import os
import sys

import pytest

from e2ecross.errors import StoreError
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


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of other tests' threads
def test_a_forked_child_cannot_use_its_copy() -> None:
    """It would use the same message keys as its parent."""
    store = MemoryStore()
    put(store, Table.SESSIONS, b"p", b"r", b"x")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with store.transaction():
                pass
        except StoreError:
            code = 7
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    put(store, Table.SESSIONS, b"p", b"s", b"y")
