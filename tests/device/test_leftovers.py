# SPDX-License-Identifier: Apache-2.0
"""What a client is through with: it goes with the next commit, and is dropped with that alone."""

import pytest

from e2ecross import Address, Envelope, MessageKind
from e2ecross.device.collecting import confirm
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.waiting import is_something_due, list_pending
from e2ecross.state.epoch import count_operation
from e2ecross.state.in_flight import IN_FLIGHT, file_all, put_in_flight
from e2ecross.state.inbox import list_arrivals, note_arrival
from e2ecross.state.outbox import Backlog, BacklogName, Waiting
from e2ecross.state.queue import number_row
from e2ecross.stores import MemoryStore, Store, Table
from tests.support.devices import ANA, BUDI, SpyStore, make_device


def fill(store: Store, numbers: range) -> list[Waiting]:
    """Put envelopes in flight and note arrivals, under these numbers; a new store begins with 1."""
    with store.transaction() as tx:
        waiting = []
        for number in numbers:
            note_arrival(tx, number, b"")
            count_operation(tx)
            envelope = Envelope(number.to_bytes(16), ANA, BUDI, MessageKind.SIGNAL, bytes(60))
            waiting.append(put_in_flight(tx, envelope, envelope.encode()))
        return waiting


def left(store: Store) -> tuple[list[bytes], list[int]]:
    """Rows in flight, and numbers of arrivals."""
    with store.transaction() as tx:
        rows = [row for row, _ in tx.list(Table.OUTBOX, IN_FLIGHT)]
        return rows, list_arrivals(tx)


def test_what_comes_while_a_transaction_is_open_goes_with_the_next() -> None:
    store, leftovers = MemoryStore(), Leftovers()
    first, second = fill(store, range(1, 3))
    leftovers.note_sent(first)
    leftovers.note_acknowledged([1])
    with leftovers.going() as forget, store.transaction() as tx:
        leftovers.note_sent(second)
        leftovers.note_acknowledged([2])
        forget(tx)
    assert left(store) == ([number_row(second.number)], [2])
    with leftovers.going() as forget, store.transaction() as tx:
        forget(tx)
    assert left(store) == ([], [])


def test_what_was_rolled_back_goes_with_the_next() -> None:
    store, leftovers = MemoryStore(), Leftovers()
    for waiting in fill(store, range(1, 4)):
        leftovers.note_sent(waiting)
    leftovers.note_acknowledged(range(1, 4))
    before = left(store)

    def fail() -> None:
        with leftovers.going() as forget, store.transaction() as tx:
            forget(tx)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert left(store) == before
    with leftovers.going() as forget, store.transaction() as tx:
        forget(tx)
    assert left(store) == ([], [])


def test_a_backlog_that_is_damaged_keeps_no_other_leftovers() -> None:
    store, leftovers = MemoryStore(), Leftovers()
    people = [Address("messenger", f"user{number}") for number in range(6)]
    with store.transaction() as tx:
        for number, recipient in enumerate(people):
            count_operation(tx)
            envelope = Envelope(bytes(16), ANA, recipient, MessageKind.SIGNAL, bytes(number + 1))
            leftovers.note_sent(put_in_flight(tx, envelope, envelope.encode()))
        assert file_all(tx) == 0  # meanwhile, by another client
        backlogs = [Backlog(BacklogName.MESSAGES, recipient) for recipient in people]
        tx.put(Table.OUTBOX, backlogs[2].partition, b"", b"\x01\xff")
    with leftovers.going() as forget, store.transaction() as tx:
        forget(tx)
    with store.transaction() as tx:
        still = [backlog for backlog in backlogs if tx.count(Table.OUTBOX, backlog.partition)]
    assert still == [backlogs[2]]  # it goes when that is mended


def test_what_the_back_end_has_heard_of_makes_no_reader_write() -> None:
    spy = SpyStore(MemoryStore())
    context, leftovers = make_device(ANA, spy)._context, Leftovers()
    with spy.transaction() as tx:
        note_arrival(tx, 1, b"")
    leftovers.note_acknowledged([1])
    spy.forget()
    assert not is_something_due(context, leftovers)
    assert list_pending(context, leftovers) == []
    assert not spy.writes
    confirm(context, leftovers, [])
    assert left(spy) == ([], [])
