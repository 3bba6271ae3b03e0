# SPDX-License-Identifier: Apache-2.0
"""For how long something waits: what counts, and what it may cost to look."""

from collections.abc import Callable
from typing import Any

import pytest

from e2ecross import Text
from e2ecross.device.ages import Ages, read_ages
from e2ecross.device.device import context_of
from e2ecross.errors import BackendError
from e2ecross.state.outbox import Backlog, BacklogName, put_resend
from e2ecross.state.queue import number_row
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, make_client, make_device


def test_what_is_asked_for_again_does_not_wait_since_it_was_sent_first() -> None:
    clock = FakeClock()
    backend = BackendSimulator(clock=clock)
    ana = make_client(ANA, backend, MemoryStore(64), clock=clock)
    make_client(BUDI, backend, clock=clock)
    message_id = ana.send(BUDI, Text("halo")).message_id
    clock.advance(60_000)
    context = context_of(ana.device)
    with peer_transaction(context, BUDI.user_id) as tx:
        put_resend(tx, BUDI, message_id)
    assert read_ages(context) == Ages(0, 0)


@pytest.mark.parametrize("is_row_lost", [True, False])
def test_of_a_message_that_is_not_there_or_not_kept_nothing_is_known(is_row_lost: bool) -> None:
    clock = FakeClock()
    backend = BackendSimulator(clock=clock)
    ana = make_client(ANA, backend, MemoryStore(64), clock=clock)
    make_client(BUDI, backend, clock=clock)
    ana.send(BUDI, Text("arrives"))
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("waits"))
    clock.advance(60_000)
    context = context_of(ana.device)
    assert read_ages(context) == Ages(60_000, 0)
    backlog = Backlog(BacklogName.MESSAGES, BUDI)
    with peer_transaction(context, BUDI.user_id) as tx:
        if is_row_lost:
            tx.delete(Table.OUTBOX, backlog.partition, number_row(1))
        else:
            for partition, row, _ in list(tx.scan(Table.SENT)):
                tx.delete(Table.SENT, partition, row)
    assert read_ages(context) == Ages(0, 0)


@pytest.mark.parametrize("table", [Table.OUTBOX, Table.INBOX])
def test_of_many_stripes_some_are_looked_at_and_never_all_at_once(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(256)
    context = context_of(make_device(ANA, store))
    with store.transaction() as tx:
        for stripe in range(200):
            tx.at(stripe).put(table, b"", bytes(7) + b"\1", b"\1damaged")
    begun: list[int] = []
    transaction = MemoryStore.transaction

    def spy(self: MemoryStore, stripe: int = 0, *, moved: bool = False) -> object:
        begun.append(stripe)
        return transaction(self, stripe, moved=moved)

    monkeypatch.setattr(MemoryStore, "transaction", spy)
    assert read_ages(context) == Ages(0, 0)
    first = set(begun)
    assert (len(begun), len(first)) == (64, 64)
    assert 0 not in first
    read_ages(context)
    assert set(begun) > first  # others each time


def test_the_stripe_that_locks_all_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(64)
    context = context_of(make_device(ANA, store))
    with store.transaction() as tx:
        for stripe in (0, 1):
            tx.at(stripe).put(Table.INBOX, b"", bytes(7) + b"\1", b"\1damaged")
    monkeypatch.setattr(MemoryStore, "transaction", _never_all(MemoryStore.transaction))
    assert read_ages(context) == Ages(0, 0)


def _never_all(transaction: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: MemoryStore, stripe: int = 0, *, moved: bool = False) -> object:
        assert stripe
        return transaction(self, stripe, moved=moved)

    return begin
