# SPDX-License-Identifier: Apache-2.0
"""Receiving and confirming when the store fails, at any point: nothing is lost, or comes twice."""

from collections.abc import Sequence
from contextlib import suppress

import pytest

from e2ecross import Address, Client
from e2ecross.errors import RestoredStore, StoreError
from e2ecross.state.inbox import InboxItem, list_arrivals
from e2ecross.stores import MemoryStore, Table
from tests.client.conversation import left, names, reopen, send, shown
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, SpyStore, dump, make_client
from tests.support.lone_worker import end_holds
from tests.support.restores import put_back, take_copy
from tests.support.store_kinds import STRIPES

LOOKS = [] if STRIPES else [False] * 2
"""Transactions before anything is taken in: the inbox, and its numbers."""


def test_a_message_whose_store_fails_is_not_acknowledged_and_stops_no_other(
    backend: BackendSimulator,
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "0", "1", "2", "3")
    # all together; the first alone; the others; the second alone
    spy.fail_transactions = [*LOOKS, True, False, True, True]
    # Where many workers share the store, the later ones of its sender wait behind it.
    taken, left_there = (["0"], ["1", "2", "3"]) if STRIPES else (["0", "2", "3"], ["1"])
    items = budi.receive()
    assert shown(items) == taken
    budi.confirm(items)
    waiting = backend.waiting(BUDI)
    end_holds(budi, backend)
    items = budi.receive()
    assert shown(items) == left_there
    assert names(items) == [(ANA, each.message_id) for each in waiting]
    assert backend.free(BUDI) == []


def test_a_message_whose_store_fails_does_not_count_for_the_limit(
    backend: BackendSimulator,
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    toko = make_client(TOKO, backend)
    send(toko, BUDI, "0")
    send(ana, BUDI, "1", "2", "3")
    # both together, or those of the first stripe, which is that of the first; the first alone
    spy.fail_transactions = [*LOOKS, True, True]
    items = budi.receive(limit=2)
    assert shown(items) == ["1", "2"]
    budi.confirm(items)
    assert len(backend.mailbox(BUDI)) == 2
    end_holds(budi, backend)
    assert shown(budi.receive()) == ["0", "3"]


def test_when_the_store_fails_for_every_message_its_error_is_raised(
    backend: BackendSimulator,
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "0", "1")
    spy.fail_transactions = LOOKS + [True] * 4
    with pytest.raises(StoreError, match="out of order"):
        budi.receive()
    spy.fail_transactions = []
    assert len(backend.mailbox(BUDI)) == 2
    end_holds(budi, backend)
    assert shown(budi.receive()) == ["0", "1"]


def test_as_many_store_errors_as_the_limit_end_a_call(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, *map(str, range(6)))
    spy.fail_transactions = LOOKS + [True] * 4
    with pytest.raises(StoreError):
        budi.receive(limit=2)
    assert spy.fail_transactions == []
    assert len(backend.mailbox(BUDI)) == 6
    end_holds(budi, backend)
    assert shown(budi.receive()) == [str(n) for n in range(6)]


@pytest.mark.parametrize("writes", range(6))
def test_message_session_and_inbox_are_committed_together(
    writes: int, backend: BackendSimulator
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "first")
    budi.confirm(budi.receive())
    send(ana, BUDI, "halo")
    before = dump(spy.inner)
    spy.writes_until_failure = writes  # session, arrival, delivered, inbox
    with pytest.raises(StoreError):
        budi.receive()
    assert dump(spy.inner) == before
    assert len(backend.mailbox(BUDI)) == 1
    spy.writes_until_failure = None
    end_holds(budi, backend)
    assert shown(budi.receive()) == ["halo"]


def test_a_message_is_acknowledged_only_after_its_commit() -> None:
    class Watching(BackendSimulator):
        def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
            with store.transaction() as tx:
                assert list_arrivals(tx) == list(numbers)
                assert tx.count(Table.INBOX) == len(numbers)
            super().acknowledge(address, token, numbers)

    store, backend = MemoryStore(), Watching()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, store)
    send(ana, BUDI, "0", "1")
    items = budi.receive()
    assert shown(items) == ["0", "1"]
    if STRIPES:  # what it has is with this worker until the app has it
        assert backend.acknowledged == []
        budi.confirm(items)
    assert backend.acknowledged == [1, 2]


def test_items_are_not_lost_whenever_the_store_fails_before_they_are_handed_over() -> None:
    for number in range(30):
        backend = BackendSimulator()
        ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
        send(ana, BUDI, "0")
        budi.receive()
        send(ana, BUDI, "1")
        spy = SpyStore(budi.device._context.store)
        again = reopen(budi, backend, spy)
        spy.fail_transactions = [False] * number + [True]
        items: list[InboxItem] = []
        with suppress(StoreError):
            items += again.receive()
        was_reached = not spy.fail_transactions
        spy.fail_transactions = []
        if STRIPES:  # else they come once more with what this worker has left
            again.confirm(items)
            end_holds(again, backend)
        items += again.receive()
        assert shown(items) == ["0", "1"]
        assert [item.redelivered for item in items] == [True, False]
        if not was_reached:
            break
    assert 6 < number < 29


class Interrupted(BackendSimulator):
    """The user presses Ctrl-C while the back end is asked."""

    presses = False

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        if self.presses:
            self.presses = False
            raise KeyboardInterrupt
        return super().one_time_prekey_count(address, token)


def test_an_interrupt_after_items_were_collected_loses_none_of_them() -> None:
    backend = Interrupted()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0")
    budi.receive()
    send(ana, BUDI, "1")
    again = reopen(budi, backend)
    backend.presses = True
    with pytest.raises(KeyboardInterrupt):
        again.receive()
    end_holds(again, backend)
    items = again.receive()
    assert shown(items) == ["0", "1"]
    assert again.receive() == []


def test_nothing_is_returned_of_a_store_that_the_back_end_knows_to_be_older(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "in the older state")
    budi.receive()
    store = budi.device._context.store
    copy = take_copy(store)
    send(budi, ANA, "since")
    put_back(store, copy)
    again = reopen(budi, backend)
    for _ in range(2):
        with pytest.raises(RestoredStore):
            again.receive()


def test_confirming_that_fails_leaves_the_items(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "0", "1")
    items = budi.receive()
    spy.fail_commit = True
    with pytest.raises(StoreError):
        budi.confirm(items)
    spy.fail_commit = False
    assert budi.receive() == []
    assert shown(reopen(budi, backend).receive()) == ["0", "1"]
    budi.confirm(items)
    assert left(spy.inner) == 0
