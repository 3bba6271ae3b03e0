# SPDX-License-Identifier: Apache-2.0
"""The outbox of groups: one queue, in the order of sending."""

import pytest

from e2ecross.errors import RecordCorrupted
from e2ecross.state.group_outbox import (
    GROUP_OUTBOX,
    GroupWaiting,
    empty_in_group_outbox,
    forget_in_group_outbox,
    group_waiting_from_record,
    put_copies,
    put_grant_envelope,
    walk_group_outbox,
)
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.state.queue import number_row
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.group import GroupId
from e2ecross.wire.queue_records import OutboxRecord
from tests.support.devices import ANA, BUDI, MESSAGE_ID, TOKO

GROUP = GroupId(bytes(32))
GRANT = Envelope(MESSAGE_ID, ANA, BUDI, MessageKind.SIGNAL, b"grant")
COPIES = EnvelopeCopies(MESSAGE_ID, ANA, (BUDI, TOKO), b"message")


def test_what_is_put_there_comes_in_its_order() -> None:
    with MemoryStore().transaction() as tx:
        assert put_grant_envelope(tx, GROUP, GRANT) == 1
        assert put_copies(tx, GROUP, COPIES) == 2
        items = [each for _, each in walk_group_outbox(tx)]
        assert [each.sent for each in items if isinstance(each, GroupWaiting)] == [GRANT, COPIES]
        assert [number for number, _ in walk_group_outbox(tx, 1)] == [2]
        first, second = items
        assert isinstance(first, GroupWaiting)
        assert isinstance(second, GroupWaiting)
        assert (first.group, first.message_id, first.data) == (GROUP, MESSAGE_ID, GRANT.encode())
        empty_in_group_outbox(tx, second)
        forget_in_group_outbox(tx, (1, 1, 9))
        ((number, left),) = walk_group_outbox(tx)
        assert isinstance(left, GroupWaiting)
        assert (number, left.data, left.sent) == (2, b"", None)
        assert put_copies(tx, GROUP, COPIES) == 3  # a number is given once
        assert list_backlogs(tx) == []  # no backlog is taken for it, nor the other way round


def test_a_damaged_row_hides_no_other() -> None:
    with MemoryStore().transaction() as tx:
        put_grant_envelope(tx, GROUP, GRANT)
        put_copies(tx, GROUP, COPIES)
        tx.put(Table.OUTBOX, GROUP_OUTBOX, number_row(1), b"\x01\xff")
        (_, damaged), (_, other) = walk_group_outbox(tx)
        assert isinstance(damaged, RecordCorrupted)
        assert isinstance(other, GroupWaiting)


@pytest.mark.parametrize(
    "record",
    [
        OutboxRecord(GRANT.encode(), MESSAGE_ID),
        OutboxRecord(b"", MESSAGE_ID, group_id=GROUP.value),
        OutboxRecord(b"?", MESSAGE_ID, group_id=GROUP.value),
        OutboxRecord(GRANT.encode(), MESSAGE_ID, group_id=GROUP.value, copies=True),
    ],
)
def test_a_record_that_says_something_else_is_damaged(record: OutboxRecord) -> None:
    with pytest.raises(RecordCorrupted):
        group_waiting_from_record(1, record.encode())
