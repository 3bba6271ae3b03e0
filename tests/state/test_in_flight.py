# SPDX-License-Identifier: Apache-2.0
"""Envelopes in flight: what is left there is filed in the backlogs, in its order."""

import pytest

from e2ecross import Address, Envelope, MessageKind
from e2ecross.state.epoch import count_operation
from e2ecross.state.in_flight import (
    IN_FLIGHT,
    file_all,
    put_in_flight,
    remove_from_flight,
    remove_sent,
)
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    Waiting,
    block_backlog,
    list_backlog,
    put_envelope,
    read_backlog,
)
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.state.queue import number_row
from e2ecross.stores import MemoryStore, Table, Transaction
from tests.support.devices import ANA, BUDI, TOKO, SpyStore

MESSAGES = Backlog(BacklogName.MESSAGES, BUDI)


def forget(tx: Transaction, waiting: Waiting) -> None:
    remove_from_flight(tx, waiting)
    remove_sent(tx, waiting)


def envelope_of(number: int, recipient: Address = BUDI) -> Envelope:
    return Envelope(number.to_bytes(16), ANA, recipient, MessageKind.SIGNAL, bytes(60))


def fly(tx: Transaction, envelope: Envelope) -> Waiting:
    """Put an envelope in flight, as if it had just been encrypted."""
    count_operation(tx)
    return put_in_flight(tx, envelope, envelope.encode())


def ids(tx: Transaction, recipient: Address = BUDI) -> list[int]:
    backlog = Backlog(BacklogName.MESSAGES, recipient)
    return [int.from_bytes(waiting.message_id) for waiting in list_backlog(tx, backlog)]


def in_flight(tx: Transaction) -> list[bytes]:
    return [row for row, _ in tx.list(Table.OUTBOX, IN_FLIGHT)]


def test_what_has_left_is_forgotten_without_a_trace() -> None:
    spy = SpyStore(MemoryStore())
    with spy.transaction() as tx:
        count_operation(tx)
        spy.forget()
        waiting = put_in_flight(tx, envelope_of(1), envelope_of(1).encode())
        assert (waiting.backlog, waiting.message_id) == (MESSAGES, envelope_of(1).message_id)
        assert waiting.envelope == envelope_of(1)
        assert list_backlogs(tx) == []
    assert sum(spy.writes.values()) == 1
    with spy.transaction() as tx:
        forget(tx, waiting)
        assert in_flight(tx) == []
        assert fly(tx, envelope_of(2)).number != waiting.number


def test_what_is_left_is_filed_behind_what_stands_in_its_backlog() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        put_envelope(tx, envelope_of(1))
        for number, recipient in ((2, BUDI), (3, TOKO), (4, BUDI)):
            fly(tx, envelope_of(number, recipient))
        assert file_all(tx) == 0
        assert in_flight(tx) == []
        assert ids(tx) == [1, 2, 4]
        assert ids(tx, TOKO) == [3]
        assert file_all(tx) == 0


def test_what_was_filed_meanwhile_is_found_and_forgotten_and_nothing_else() -> None:
    with MemoryStore().transaction() as tx:
        first, second = (fly(tx, envelope_of(n)) for n in (1, 2))
        file_all(tx)
        other = fly(tx, envelope_of(3))
        forget(tx, first)
        assert ids(tx) == [2]
        forget(tx, first)
        assert ids(tx) == [2]
        forget(tx, second)
        assert ids(tx) == []
        assert in_flight(tx) == [number_row(other.number)]


def test_one_that_was_found_in_its_backlog_takes_none_in_flight_with_it() -> None:
    with MemoryStore().transaction() as tx:
        number = put_envelope(tx, envelope_of(1))
        flying = fly(tx, envelope_of(2, TOKO))
        assert flying.number == number
        forget(tx, Waiting(MESSAGES, number, envelope_of(1).message_id, envelope_of(1)))
        assert ids(tx) == []
        assert in_flight(tx) == [number_row(flying.number)]


@pytest.mark.parametrize("damage", [b"\x01\xff", b"", b"\x01\x0a\x01\x00"])
def test_a_row_that_is_damaged_is_forgotten_and_counted(damage: bytes) -> None:
    with MemoryStore().transaction() as tx:
        waiting = [fly(tx, envelope_of(number)) for number in (1, 2, 3)]
        tx.put(Table.OUTBOX, IN_FLIGHT, number_row(waiting[1].number), damage)
        assert file_all(tx) == 1
        assert ids(tx) == [1, 3]
        assert in_flight(tx) == []


def test_a_backlog_that_is_damaged_keeps_only_its_own_in_flight() -> None:
    with MemoryStore().transaction() as tx:
        put_envelope(tx, envelope_of(1))
        tx.put(Table.OUTBOX, MESSAGES.partition, b"", b"\x01\xff")
        first = fly(tx, envelope_of(2))
        fly(tx, envelope_of(3, TOKO))
        assert file_all(tx) == 0
        assert ids(tx, TOKO) == [3]
        assert in_flight(tx) == [number_row(first.number)]


def test_what_has_gone_through_ends_the_wait_of_what_stands_behind_it() -> None:
    with MemoryStore().transaction() as tx:
        flying = fly(tx, envelope_of(1))
        file_all(tx)
        put_envelope(tx, envelope_of(2))
        block_backlog(tx, MESSAGES, "backend_error")
        forget(tx, flying)
        record = read_backlog(tx, MESSAGES)
        assert record is not None
        assert record.code == ""
        assert ids(tx) == [2]
