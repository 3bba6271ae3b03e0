# SPDX-License-Identifier: Apache-2.0
"""The unconfirmed publication in the store: in a record of its own."""

from dataclasses import replace

import pytest

from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.state.context import require_device
from e2ecross.state.publication import (
    PUBLICATION_ROW,
    forget_publication,
    read_publication,
    save_publication,
)
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import BUDI, dump, make_device


def test_it_is_written_read_and_forgotten() -> None:
    store = MemoryStore()
    make_device(BUDI, store)
    before = dump(store)
    with store.transaction() as tx:
        device = require_device(tx)
        assert read_publication(tx) == b""
        save_publication(tx, b"published keys")
        assert read_publication(tx) == b"published keys"
        assert require_device(tx).encode() == device.encode()
        assert forget_publication(tx, replace(device, publication_epoch=7)).encode() == (
            device.encode()
        )
    assert dump(store) == before


def test_a_publication_leaves_the_record_of_the_device_small() -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    device.publish(100)
    rows = dump(store)
    assert len(rows[Table.DEVICE, b"", b""]) < 200
    assert 160_000 < len(rows[Table.DEVICE, b"", PUBLICATION_ROW]) < 180_000


@pytest.mark.parametrize(
    ("record", "error"),
    [(b"", RecordCorrupted), (b"\1\xff", RecordCorrupted), (b"\2", StoreTooNew)],
)
def test_a_damaged_record_is_named(record: bytes, error: type[Exception]) -> None:
    store = MemoryStore()
    device = make_device(BUDI, store)
    with store.transaction() as tx:
        tx.put(Table.DEVICE, b"", PUBLICATION_ROW, record)
    before = dump(store)
    with pytest.raises(error, match="a publication record"):
        device.publish(1)
    assert dump(store) == before
