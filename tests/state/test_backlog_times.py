# SPDX-License-Identifier: Apache-2.0
"""Backlogs of a store with stripes: what stands in them, when, and for whom."""

import pytest

from e2ecross import Address, RetryRequest
from e2ecross.device.device import Device, context_of
from e2ecross.errors import RecordCorrupted
from e2ecross.state.backlog_times import (
    LEFT_ALONE_MS,
    claim_backlogs,
    free_backlogs,
    is_sweep_due,
    note_if_empty,
    put_leaving,
)
from e2ecross.state.context import Context
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    Waiting,
    block_backlog,
    find_message,
    forget_backlog,
    free_backlog,
    list_backlog,
    put_control,
    read_backlog,
    remove_waiting,
)
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.state.queue import number_row
from e2ecross.state.stripe import read_stripe
from e2ecross.stores import MemoryStore, Table, Transaction
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.queue_records import BacklogRecord
from tests.support.devices import ANA, BUDI, NOW_MS, TOKO, make_device

MESSAGES = Backlog(BacklogName.MESSAGES, BUDI)
REQUESTS = Backlog(BacklogName.REQUESTS, BUDI)
STRIPE = 7


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(64)


@pytest.fixture
def context(store: MemoryStore) -> Context:
    return context_of(make_device(ANA, store))


def leave(tx: Transaction, number: int, to: Address = BUDI, now_ms: int = NOW_MS) -> Waiting:
    envelope = Envelope(number.to_bytes(16), ANA, to, MessageKind.SIGNAL, b"%d" % number)
    return put_leaving(tx, envelope, envelope.encode(), now_ms)


def test_one_message_is_two_rows_and_then_none(store: MemoryStore) -> None:
    with store.transaction(STRIPE) as tx:
        waiting = leave(tx, 1)
        assert len(list(tx.scan(Table.OUTBOX))) == 2
        assert find_message(tx, BUDI, waiting.message_id) == 1
        assert find_message(tx, BUDI, bytes(16)) is None
        (found,) = list_backlog(tx, MESSAGES)
        assert found.envelope == waiting.envelope
        assert remove_waiting(tx, waiting)
        assert not remove_waiting(tx, waiting)
        assert find_message(tx, BUDI, waiting.message_id) is None
        assert list(tx.scan(Table.OUTBOX)) == []


def test_messages_are_found_by_their_ids_whatever_has_gone_before(store: MemoryStore) -> None:
    with store.transaction(STRIPE) as tx:
        first, second, third = (leave(tx, number) for number in (1, 2, 3))
        assert [find_message(tx, BUDI, each.message_id) for each in (first, second, third)] == [
            *(1, 2, 3)
        ]
        remove_waiting(tx, second)
        remove_waiting(tx, first)
        assert [find_message(tx, BUDI, each.message_id) for each in (first, second, third)] == [
            *(None, None, 3)
        ]
        fourth = leave(tx, 1)  # under the id of the first
        assert find_message(tx, BUDI, fourth.message_id) == fourth.number == 4
        remove_waiting(tx, third)
        remove_waiting(tx, fourth)
        assert list(tx.scan(Table.OUTBOX)) == []


def test_who_comes_too_late_removes_nothing_else(store: MemoryStore) -> None:
    """A backlog that was empty begins at 1 again."""
    with store.transaction(STRIPE) as tx:
        old = leave(tx, 1)
        remove_waiting(tx, old)
        new = leave(tx, 2)
        assert old.number == new.number
        assert not remove_waiting(tx, old)
        assert [each.message_id for each in list_backlog(tx, MESSAGES)] == [new.message_id]


def test_no_backlog_has_a_turn(store: MemoryStore) -> None:
    with store.transaction(STRIPE) as tx:
        put_control(tx, BUDI, bytes(16), RetryRequest(bytes(16), None, 0, "decode_error"))
        leave(tx, 1)
        assert set(list_backlogs(tx)) == {MESSAGES, REQUESTS}
        for backlog in (MESSAGES, REQUESTS):
            record = read_backlog(tx, backlog)
            assert record is not None
            assert record.turn == 0
            block_backlog(tx, backlog, "mailbox_full")
        assert {partition for partition, _, _ in tx.scan(Table.OUTBOX)} == {
            *(MESSAGES.partition, REQUESTS.partition)
        }
        forget_backlog(tx, MESSAGES)
        assert list_backlogs(tx) == [REQUESTS]


def test_without_stripes_a_backlog_without_a_turn_is_damaged() -> None:
    with MemoryStore(0).transaction() as tx:
        record = BacklogRecord(1, 2, 0).encode()
        tx.put(Table.OUTBOX, MESSAGES.partition, b"", record)
        with pytest.raises(RecordCorrupted, match="has no turn"):
            read_backlog(tx, MESSAGES)


def test_it_is_left_alone_and_then_taken_over_once(store: MemoryStore, context: Context) -> None:
    with store.transaction(STRIPE) as tx:
        assert not is_sweep_due(tx, NOW_MS)
        leave(tx, 1)
        for now_ms in (NOW_MS, NOW_MS + LEFT_ALONE_MS - 1):
            assert not is_sweep_due(tx, now_ms)
            assert claim_backlogs(context, tx, now_ms, 50) == []
        now_ms = NOW_MS + LEFT_ALONE_MS
        assert is_sweep_due(tx, now_ms)
        assert claim_backlogs(context, tx, now_ms, 50) == [MESSAGES]
        assert not is_sweep_due(tx, now_ms)
        assert claim_backlogs(context, tx, now_ms, 50) == []


def test_what_has_left_is_due_no_more(store: MemoryStore) -> None:
    now_ms = NOW_MS + LEFT_ALONE_MS
    with store.transaction(STRIPE) as tx:
        waiting, other = leave(tx, 1), leave(tx, 2, TOKO)
        remove_waiting(tx, waiting)
        assert not note_if_empty(tx)
        assert is_sweep_due(tx, now_ms)
        remove_waiting(tx, other)
        assert note_if_empty(tx)
        assert not is_sweep_due(tx, now_ms)


def test_where_it_cannot_be_read_what_waits_something_may_be_due(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RecordCorrupted("what another key has sealed")

    with store.transaction(STRIPE) as tx:
        leave(tx, 1)
        monkeypatch.setattr(type(tx), "partitions", fail)
        assert not note_if_empty(tx)
        assert is_sweep_due(tx, NOW_MS + LEFT_ALONE_MS)


def test_backlogs_that_were_not_tried_in_vain_are_taken_over_first(
    store: MemoryStore, context: Context
) -> None:
    people = [Address("messenger", f"user{number}") for number in range(20)]
    with store.transaction(STRIPE) as tx:
        for number, each in enumerate(people):
            leave(tx, number, each)
            if number % 2:
                block_backlog(tx, Backlog(BacklogName.MESSAGES, each), "backend_error")
        now_ms = NOW_MS + LEFT_ALONE_MS
        taken = claim_backlogs(context, tx, now_ms, 12)
        assert {backlog.recipient for backlog in taken[:10]} == set(people[::2])
        assert {backlog.recipient for backlog in taken[10:]} < set(people[1::2])
        assert is_sweep_due(tx, now_ms)
        rest = claim_backlogs(context, tx, now_ms, 50)
        assert {backlog.recipient for backlog in [*taken, *rest]} == set(people)
        assert taken[:10] != sorted(taken[:10], key=lambda backlog: people.index(backlog.recipient))


def test_what_waits_for_the_user_is_taken_over_when_that_has_decided(
    store: MemoryStore, context: Context
) -> None:
    key, now_ms = b"\x05" + bytes(32), NOW_MS + LEFT_ALONE_MS
    with store.transaction(STRIPE) as tx:
        leave(tx, 1)
        block_backlog(tx, MESSAGES, "untrusted_identity", key)
        assert claim_backlogs(context, tx, now_ms, 50) == []
        assert not is_sweep_due(tx, now_ms)
        free_backlog(tx, MESSAGES)
        assert is_sweep_due(tx, now_ms)
        assert claim_backlogs(context, tx, NOW_MS, 50) == [MESSAGES]


def test_backlogs_are_freed_as_far_as_they_are_there(store: MemoryStore, context: Context) -> None:
    with store.transaction(STRIPE) as tx:
        leave(tx, 1)
        leave(tx, 2, TOKO)
        other = Backlog(BacklogName.MESSAGES, TOKO)
        tx.put(Table.OUTBOX, other.partition, b"", b"\x01\xff")
        free_backlogs(tx, [MESSAGES, REQUESTS, other])
        assert is_sweep_due(tx, NOW_MS)
        assert set(claim_backlogs(context, tx, NOW_MS, 50)) == {MESSAGES, other}
        assert read_stripe(tx).outbox_due_ms == NOW_MS  # the damaged one is due at any time


def test_a_backlog_whose_row_is_lost_is_written_anew_with_what_is_left_there(
    store: MemoryStore, context: Context
) -> None:
    with store.transaction(STRIPE) as tx:
        for number in (1, 2, 3):
            leave(tx, number)
        for row in (b"", number_row(1)):
            assert tx.delete(Table.OUTBOX, MESSAGES.partition, row)
        assert claim_backlogs(context, tx, NOW_MS + LEFT_ALONE_MS, 50) == [MESSAGES]
        assert [each.number for each in list_backlog(tx, MESSAGES)] == [2, 3]
        for number in (2, 3):
            tx.delete(Table.OUTBOX, MESSAGES.partition, number_row(number))
        tx.delete(Table.OUTBOX, MESSAGES.partition, b"")
        assert tx.partitions(Table.OUTBOX)  # the ids are left
        assert claim_backlogs(context, tx, NOW_MS + LEFT_ALONE_MS, 50) == []
        assert not is_sweep_due(tx, NOW_MS + 2 * LEFT_ALONE_MS)


@pytest.mark.parametrize("partition", [b"", b"\x09" + MESSAGES.partition[1:], b"\x01no address"])
def test_a_partition_that_is_no_backlog_hides_no_others(
    store: MemoryStore, partition: bytes
) -> None:
    with store.transaction(STRIPE) as tx:
        leave(tx, 1)
        tx.put(Table.OUTBOX, partition, bytes(8), b"?")
        assert list_backlogs(tx) == [MESSAGES]


def test_a_device_that_is_opened_as_restored_has_all_of_it_encrypted_anew(
    store: MemoryStore, context: Context
) -> None:
    with store.transaction(context.stripe_of(BUDI.user_id)) as tx:
        leave(tx, 1)
    restored = Device.open(store, restored=True)
    restored.restore_stripes()
    with store.transaction(context.stripe_of(BUDI.user_id)) as tx:
        assert list_backlogs(tx) == []  # its content was not kept
        assert tx.partitions(Table.INBOX)
