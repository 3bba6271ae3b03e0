# SPDX-License-Identifier: Apache-2.0
"""What one of many workers does beside sending and receiving, and how often."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from e2ecross import Address, Client, Policy, Receipt, Text
from e2ecross.device.expiring import forget_sent
from e2ecross.errors import BackendError, RestoredStore
from e2ecross.state.message import Message
from e2ecross.state.stripe import stripe_of
from e2ecross.stores import Table, Transaction
from e2ecross.wire.shelf_records import GenerationRecord, decode_shelf, encode_shelf
from tests.client.fleet import Fleet
from tests.support.around import AroundStore
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, FakeClock, dump, make_client
from tests.support.restores import put_back, take_copy
from tests.support.store_kinds import new_store

LEAST_MS, MOST_MS = 24_000, 36_000
SOON_MS = 5_001
RECEIPTS = Policy(capabilities=frozenset({10, 19}))
BUDIS = stripe_of(BUDI.user_id, 64)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(BackendSimulator(), FakeClock())


def rounds(worker: Client, backend: BackendSimulator) -> bool:
    """Whether a call of `receive` has done what is done now and then."""
    before = backend.calls.count("one_time_prekey_count")
    worker.receive()
    return backend.calls.count("one_time_prekey_count") > before


def test_each_worker_does_all_of_it_every_half_minute(fleet: Fleet) -> None:
    workers = [fleet.worker() for _ in range(8)]
    assert list(map(partial(rounds, backend=fleet.backend), workers)) == [True] * 8
    begun, times = fleet.clock(), dict[Client, int]()
    while len(times) < len(workers):
        fleet.clock.advance(1_000)
        for each in workers:
            if each not in times and rounds(each, fleet.backend):
                times[each] = fleet.clock() - begun
    assert all(LEAST_MS <= after_ms <= MOST_MS + 1_000 for after_ms in times.values())
    assert len(set(times.values())) > 1  # none at the moment of the others


def test_it_is_not_tried_oftener_where_it_fails(fleet: Fleet) -> None:
    worker = fleet.worker()
    fleet.backend.fail("one_time_prekey_count", BackendError("away"))
    with pytest.raises(BackendError):
        worker.receive()
    fleet.clock.advance(LEAST_MS - 1)
    assert not rounds(worker, fleet.backend)


def test_where_much_waits_one_call_sends_a_part_of_it_and_the_next_goes_on(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2ecross.client.tending._MAX_SWEPT", 2)
    people = [Address("messenger", f"customer{number}") for number in range(5)]
    assert len({stripe_of(each.user_id, 64) for each in people}) == len(people)
    one = fleet.worker()
    for each in people:
        fleet.customer(each)
        one.send(each, Text("first"))
    fleet.backend.fail("deposit", times=100)
    for each in people:
        with pytest.raises(BackendError):
            one.send(each, Text("second"))
    two = fleet.worker()
    with pytest.raises(BackendError):
        two.receive()
    assert not rounds(two, fleet.backend)  # what fails is not tried with each call
    fleet.backend.heal()
    fleet.clock.advance(MOST_MS)
    left = []
    for _ in range(3):
        assert rounds(two, fleet.backend)
        left.append(len(two.pending()))
    assert left == [3, 1, 0]
    assert not rounds(two, fleet.backend)


def test_what_is_done_now_and_then_has_the_whole_store_once() -> None:
    begun: list[int] = []

    class Counting(AroundStore):
        @contextmanager
        def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
            begun.append(stripe)
            with super().transaction(stripe, moved=moved) as tx:
                yield tx

    fleet = Fleet(BackendSimulator(), FakeClock(), Counting(new_store(64)))
    worker = fleet.worker()
    fleet.customer(BUDI)
    worker.receive()
    worker.send(BUDI, Text("halo"))
    fleet.clock.advance(MOST_MS)
    begun.clear()
    worker.receive()
    assert begun.count(0) == 1  # for the prekeys


def test_prekeys_that_were_used_are_replaced_at_once(fleet: Fleet) -> None:
    worker = fleet.worker()
    worker.receive()
    fleet.say(BUDI, "halo")
    assert rounds(worker, fleet.backend)


def test_what_came_is_told_a_few_seconds_later() -> None:
    fleet = Fleet(BackendSimulator(), FakeClock(), policy=RECEIPTS)
    worker = fleet.worker()
    budi = make_client(BUDI, fleet.backend, clock=fleet.clock, policy=RECEIPTS)
    worker.send(BUDI, Text("halo"))
    budi.receive()
    ids = [budi.send(ANA, Text(str(number))).message_id for number in range(2)]
    assert len(worker.receive()) == 2
    assert told(budi) == []
    fleet.clock.advance(SOON_MS)
    worker.receive()
    assert sorted(told(budi)) == sorted(ids)
    fleet.clock.advance(SOON_MS)
    worker.receive()
    assert told(budi) == []


def test_what_a_worker_has_noted_before_it_died_another_tells() -> None:
    fleet = Fleet(BackendSimulator(), FakeClock(), policy=RECEIPTS)
    dies = fleet.worker()
    budi = make_client(BUDI, fleet.backend, clock=fleet.clock, policy=RECEIPTS)
    dies.send(BUDI, Text("halo"))
    budi.receive()
    message_id = budi.send(ANA, Text("halo")).message_id
    dies.receive()
    fleet.clock.advance(SOON_MS)
    fleet.worker().receive()
    assert told(budi) == [message_id]


def told(client: Client) -> list[bytes]:
    items = client.receive()
    client.confirm(items)
    return [
        each
        for item in items
        if isinstance(item, Message) and isinstance(item.content, Receipt)
        for each in item.content.message_ids
    ]


def test_shelves_of_stripes_are_dated_anew_by_and_by(fleet: Fleet) -> None:
    """What a clock that was wrong has dated after now would be kept for ever."""
    worker = fleet.worker()
    fleet.customer(BUDI)
    worker.send(BUDI, Text("halo"))
    with fleet.store.transaction(BUDIS) as tx:
        (sent, *_) = decode_shelf(tx.get(Table.SENT, b"") or b"")
        late = GenerationRecord(sent.number, fleet.clock() + 10**9, sent.rows)
        tx.put(Table.SENT, b"", b"", encode_shelf((late,)))
    forget_sent(worker.device._context)
    with fleet.store.transaction(BUDIS) as tx:
        (dated,) = decode_shelf(tx.get(Table.SENT, b"") or b"")
    assert dated.opened_at_ms == fleet.clock()


# --- Epochs -------------------------------------------------------------------------------------


def test_a_client_asks_again_after_its_store_was_refused(fleet: Fleet) -> None:
    worker = fleet.worker()
    for address in (BUDI, TOKO):
        fleet.customer(address)
        worker.send(address, Text("halo"))
    copy = take_copy(fleet.store)
    worker.send(BUDI, Text("since"))
    asked = Counter(fleet.backend.calls)["epochs"]
    put_back(fleet.store, copy)
    with pytest.raises(RestoredStore):
        worker.send(BUDI, Text("under a key that was used"))
    assert Counter(fleet.backend.calls)["epochs"] == asked
    before = dump(fleet.store)
    with pytest.raises(RestoredStore):
        worker.send(TOKO, Text("before it is known how much is lost"))
    assert Counter(fleet.backend.calls)["epochs"] == asked + 1
    assert dump(fleet.store) == before


def test_one_worker_sees_at_its_start_how_many_stripes_are_behind(fleet: Fleet) -> None:
    worker = fleet.worker()
    copy = take_copy(fleet.store)
    for address in (BUDI, TOKO):
        fleet.customer(address)
        worker.send(address, Text("since"))
    put_back(fleet.store, copy)
    with pytest.raises(RestoredStore, match="in 2 stripes"):
        fleet.worker().receive()


def test_after_a_restore_all_go_on(fleet: Fleet) -> None:
    worker = fleet.worker()
    for address in (BUDI, TOKO):
        fleet.customer(address)
        worker.send(address, Text("halo"))
    copy = take_copy(fleet.store)
    worker.send(BUDI, Text("since"))
    put_back(fleet.store, copy)
    restored = fleet.restored()
    with pytest.raises(RestoredStore):
        worker.send(TOKO, Text("by who slept through it"))
    for client in (restored, fleet.worker()):
        for address in (BUDI, TOKO):
            client.send(address, Text("again"))
    for address in (BUDI, TOKO):
        found = [i for i in fleet.customer(address).receive() if isinstance(i, Message)]
        assert [i.content for i in found][-2:] == [Text("again"), Text("again")]
