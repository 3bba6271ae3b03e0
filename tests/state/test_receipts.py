# SPDX-License-Identifier: Apache-2.0
"""Receipts that are due and that were sent: what is found again, and the bounds."""

import pytest

from e2ecross import UserId
from e2ecross.errors import RecordCorrupted
from e2ecross.state import receipts
from e2ecross.state.receipts import (
    DUE,
    DueReceipt,
    count_due,
    forget_due,
    list_due,
    note_due,
    note_sent,
    read_receipt,
    tend_receipts,
    was_sent,
)
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.conversation_records import decode_receipt, encode_receipt
from tests.support.devices import DAY_MS, NOW_MS, Stores

ANA, BUDI = UserId("whatsapp", "ana"), UserId("instagram", "budi")
FIRST = DueReceipt(NOW_MS, ANA, bytes(16), 1)


def test_what_is_due_is_listed_in_order_and_forgotten(stores: Stores) -> None:
    later = DueReceipt(NOW_MS + 1, BUDI, b"\xff" * 16, 2)
    with stores.open("ana").transaction() as tx:
        note_due(tx, [later, FIRST])
        note_due(tx, [])
        assert sorted(list_due(tx)) == [FIRST, later]
        forget_due(tx, [FIRST])
        assert list_due(tx) == [later]


def test_what_is_due_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "_MAX_DUE", 2)
    with MemoryStore().transaction() as tx:
        assert note_due(tx, [FIRST._replace(due_at_ms=number) for number in range(3)]) == 2
        assert len(list_due(tx)) == count_due(tx) == 2
        assert note_due(tx, [FIRST], 2) == 2
        assert note_due(tx, [FIRST], 3) == 3
        assert len(list_due(tx)) == 2


def test_a_damaged_row_takes_what_is_due_with_it() -> None:
    with MemoryStore().transaction() as tx:
        note_due(tx, [FIRST])
        tx.put(Table.RECEIPTS, DUE, b"row", encode_receipt())
        assert list_due(tx) == []
        assert not tx.count(Table.RECEIPTS, DUE)


def test_what_was_sent_is_known_by_account_message_and_kind() -> None:
    with MemoryStore().transaction() as tx:
        note_sent(tx, [], NOW_MS)
        assert not was_sent(tx, FIRST, NOW_MS)
        note_sent(tx, [FIRST], NOW_MS)
        assert was_sent(tx, FIRST._replace(due_at_ms=0), NOW_MS + 44 * DAY_MS)
        for other in (
            FIRST._replace(user=BUDI),
            FIRST._replace(message_id=b"\1" * 16),
            FIRST._replace(what=2),
        ):
            assert not was_sent(tx, other, NOW_MS)
        assert not was_sent(tx, FIRST, NOW_MS + 60 * DAY_MS)
        assert list_due(tx) == []


def test_a_clock_that_was_wrong_keeps_it_no_longer() -> None:
    with MemoryStore().transaction() as tx:
        note_sent(tx, [FIRST], NOW_MS + 1_000 * DAY_MS)
        tend_receipts(tx, NOW_MS)
        assert was_sent(tx, FIRST, NOW_MS)
        assert not was_sent(tx, FIRST, NOW_MS + 60 * DAY_MS)


@pytest.mark.parametrize("row", [b"", FIRST.row[:25], FIRST.row[:8] + b"ana" + FIRST.row[-17:]])
def test_a_row_that_is_none_is_a_damaged_store(row: bytes) -> None:
    with pytest.raises(RecordCorrupted):
        read_receipt(row, encode_receipt())
    assert read_receipt(FIRST.row, encode_receipt()) == FIRST


def test_a_receipt_of_a_group_names_it() -> None:
    group = bytes(range(32))
    assert decode_receipt(encode_receipt(group)) == group
    with pytest.raises(RecordCorrupted):
        decode_receipt(encode_receipt(b"short"))
