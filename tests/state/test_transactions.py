# SPDX-License-Identifier: Apache-2.0
"""How an operation begins a transaction."""

import pytest

from e2ecross import Device
from e2ecross.errors import RestoredStore, StoreError
from e2ecross.state.context import require_device
from e2ecross.state.transactions import reading_transaction
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import ANA, FakeClock, make_device


@pytest.mark.parametrize("stripes", [0, 64])
def test_what_is_of_the_device_is_read_however_it_stands_with_any_stripe(stripes: int) -> None:
    store = MemoryStore(stripes)
    context = make_device(ANA, store)._context
    with store.transaction() as tx:
        for stripe in range(1, stripes + 1):
            tx.at(stripe).put(Table.STRIPE, b"", b"", b"\x01\xff")
    for _ in range(100):  # a stripe by chance each time
        with reading_transaction(context) as tx:
            assert require_device(tx).registration_id == context.registration_id


def test_nothing_is_written_by_who_reads() -> None:
    context = make_device(ANA, MemoryStore(64))._context
    with pytest.raises(StoreError), reading_transaction(context) as tx:
        tx.put(Table.ACCOUNTS, b"?", b"", b"?")


def test_a_device_of_before_a_restore_reads_nothing() -> None:
    store = MemoryStore(64)
    context = make_device(ANA, store)._context
    Device.open(store, clock=FakeClock(), restored=True)
    with pytest.raises(RestoredStore, match="open the device anew"), reading_transaction(context):
        raise AssertionError
