# SPDX-License-Identifier: Apache-2.0
"""Many workers of one device send: order, crashes, sweeps, epochs, and what a send costs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from e2ecross import Address, Client, Device, Notice, Text
from e2ecross.client.attempts import MAX_FAILURES
from e2ecross.errors import (
    BackendError,
    InvalidArgument,
    MailboxFull,
    NotRegistered,
    RecordCorrupted,
    RestoredStore,
    StoreBusy,
)
from e2ecross.state.outbox import Backlog, BacklogName, read_backlog
from e2ecross.state.queue import number_row
from e2ecross.state.stripe import read_stripe, stripe_of
from e2ecross.stores import MemoryStore, Store, Table, Transaction
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import Deposited
from tests.client.conversation import promise, read
from tests.client.fleet import Fleet
from tests.support.around import AroundStore
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, dump, fill
from tests.support.linked import link
from tests.support.store_kinds import new_store

HALF_A_MINUTE_MS = 30_000
LATER_MS = 36_001  # a fifth more, by chance


def stripe(address: Address) -> int:
    return stripe_of(address.user_id, 64)


def neighbours(address: Address, count: int = 1, *, same: bool = True) -> list[Address]:
    """Accounts of the same stripe, or of another one each."""
    found: list[Address] = []
    taken = {stripe(address)}
    for number in range(10_000):
        other = Address("messenger", f"customer{number}")
        if (stripe(other) in taken) == same:
            found.append(other)
            if not same:
                taken.add(stripe(other))
        if len(found) == count:
            break
    return found


(NEIGHBOUR,) = neighbours(BUDI)
ELSEWHERE = neighbours(BUDI, 5, same=False)


class Killed(Exception):
    """The worker dies: nobody of ours catches it."""


class CountingStore(AroundStore):
    """Tells which stripes transactions were begun of."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.begun: list[int] = []
        self.busy: set[int] = set()

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        self.begun.append(stripe)
        if stripe in self.busy:
            raise StoreBusy("somebody else has it")
        with super().transaction(stripe, moved=moved) as tx:
            yield tx


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> BackendSimulator:
    return BackendSimulator(clock=clock)


@pytest.fixture
def fleet(backend: BackendSimulator, clock: FakeClock) -> Fleet:
    return Fleet(backend, clock, CountingStore(new_store(64)))


def counting(fleet: Fleet) -> CountingStore:
    assert isinstance(fleet.store, CountingStore)
    return fleet.store


def die_with(backend: BackendSimulator, worker: Client, to: Address, *texts: str) -> None:
    """A worker dies between its commit and the deposit."""
    for text in texts:
        backend.fail("deposit", Killed())
        with pytest.raises(Killed):
            worker.send(to, Text(text))
    backend.heal()


def test_a_warm_send_is_two_transactions_of_the_recipients_stripe(fleet: Fleet) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    worker.send(BUDI, Text("first"))
    worker.send(BUDI, Text("second"))
    store = counting(fleet)
    store.begun.clear()
    worker.send(BUDI, Text("third"))
    assert store.begun == [stripe(BUDI)] * 2
    assert read(customer) == ["first", "second", "third"]
    assert fleet.rows(Table.OUTBOX) == 0
    assert fleet.store.stripes_with(Table.OUTBOX) == []


def test_a_send_is_no_more_where_the_last_one_was_long_ago(fleet: Fleet) -> None:
    worker = fleet.worker()
    fleet.customer(BUDI)
    worker.send(BUDI, Text("first"))
    for _ in range(2):
        fleet.clock.advance(2 * LATER_MS)
        store = counting(fleet)
        store.begun.clear()
        worker.send(BUDI, Text("later"))
        assert store.begun == [stripe(BUDI)] * 2


def test_two_workers_keep_the_order_of_a_recipient(fleet: Fleet) -> None:
    customer, one, two = fleet.customer(BUDI), fleet.worker(), fleet.worker()
    for number in range(6):
        (one, two)[number % 2].send(BUDI, Text(str(number)))
    assert read(customer) == [str(number) for number in range(6)]


def test_what_a_worker_left_goes_before_what_another_sends_to_the_same(
    fleet: Fleet, backend: BackendSimulator
) -> None:
    customer, one, two = fleet.customer(BUDI), fleet.worker(), fleet.worker()
    one.send(BUDI, Text("zero"))
    die_with(backend, one, BUDI, "one", "two")
    assert len(two.pending()) == 2
    two.send(BUDI, Text("three"))
    assert read(customer) == ["zero", "one", "two", "three"]
    assert two.pending() == []


def test_what_another_has_in_flight_is_left_alone_for_half_a_minute(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    customers = [fleet.customer(each) for each in (BUDI, NEIGHBOUR, ELSEWHERE[0])]
    one, two = fleet.worker(), fleet.worker()
    die_with(backend, one, BUDI, "in flight")
    backend.deposits.clear()
    two.send(NEIGHBOUR, Text("of the same stripe"))
    two.send(ELSEWHERE[0], Text("of another one"))
    two.maintain()
    clock.advance(HALF_A_MINUTE_MS - 1)
    two.maintain()
    assert list(map(read, customers)) == [[], ["of the same stripe"], ["of another one"]]
    assert len(backend.deposits) == 2
    clock.advance(1)
    two.maintain()
    assert read(customers[0]) == ["in flight"]
    assert two.pending() == []
    assert fleet.rows(Table.OUTBOX) == 0


def test_a_send_that_goes_well_sweeps_its_own_stripe(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    customer, _, one, two = (
        *map(fleet.customer, (BUDI, NEIGHBOUR)),
        fleet.worker(),
        fleet.worker(),
    )
    fleet.customer(ELSEWHERE[0])
    two.send(NEIGHBOUR, Text("before"))
    die_with(backend, one, BUDI, "left", "behind")
    clock.advance(HALF_A_MINUTE_MS)
    two.send(ELSEWHERE[0], Text("of another stripe"))
    assert read(customer) == []
    two.send(NEIGHBOUR, Text("after"))
    assert read(customer) == ["left", "behind"]


def test_so_does_a_send_that_goes_behind_something_else(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    customer, neighbour = map(fleet.customer, (BUDI, NEIGHBOUR))
    one, two = fleet.worker(), fleet.worker()
    two.send(NEIGHBOUR, Text("before"))
    die_with(backend, one, BUDI, "left", "behind")
    die_with(backend, one, NEIGHBOUR, "left, too")
    clock.advance(HALF_A_MINUTE_MS)
    two.send(NEIGHBOUR, Text("after"))
    assert read(neighbour) == ["before", "left, too", "after"]
    assert read(customer) == ["left", "behind"]


@pytest.mark.parametrize("is_behind", [False, True])
def test_what_a_device_could_not_send_that_is_not_registered_goes_when_it_is(
    is_behind: bool, fleet: Fleet, backend: BackendSimulator
) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    worker.send(BUDI, Text("first"))
    if is_behind:
        die_with(backend, worker, BUDI, "left")
    for _ in range(5):  # or else it would be left alone for longer each time
        backend.fail("deposit", NotRegistered("who?"))
        with pytest.raises(NotRegistered):
            worker.send(BUDI, Text("second"), message_id=bytes(16))
        backend.fail("deposit", NotRegistered("who?"))
        with pytest.raises(NotRegistered):
            worker.maintain()
    worker.register()
    worker.maintain()
    assert read(customer) == ["first", *["left"] * is_behind, "second"]


def test_what_could_not_be_deposited_goes_at_once_with_whoever_comes_next(
    fleet: Fleet, backend: BackendSimulator
) -> None:
    customer, _, one, two = (
        *map(fleet.customer, (BUDI, NEIGHBOUR)),
        fleet.worker(),
        fleet.worker(),
    )
    two.send(NEIGHBOUR, Text("so that it has looked"))
    backend.fail("deposit", times=20)
    promise(one, BUDI, "one", "two")
    with pytest.raises(BackendError):
        two.maintain()
    backend.heal()
    two.send(NEIGHBOUR, Text("now"))
    assert read(customer) == ["one", "two"]
    assert fleet.rows(Table.OUTBOX) == 0


def test_each_attempt_in_vain_leaves_it_alone_twice_as_long(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    fleet.customer(BUDI)
    worker = fleet.worker()
    worker.send(BUDI, Text("fills the mailbox"))
    die_with(backend, worker, BUDI, "waits")
    backend.capacity = 1
    waits = []
    clock.advance(HALF_A_MINUTE_MS)
    for attempt in range(10):
        worker.maintain()
        with fleet.store.transaction(stripe(BUDI)) as tx:
            record = read_backlog(tx, Backlog(BacklogName.MESSAGES, BUDI))
            assert record is not None
            assert read_stripe(tx).outbox_due_ms <= record.try_after_ms
        assert (record.attempts, record.code) == (attempt + 1, MailboxFull.code)
        waits.append(record.try_after_ms - clock())
        clock.advance(waits[-1] - 1)
        tried = len(backend.deposits)
        worker.maintain()
        assert len(backend.deposits) == tried
        clock.advance(1)
    exact = [HALF_A_MINUTE_MS << min(attempt, 7) for attempt in range(10)]
    assert all(4 * pause <= 5 * wait <= 6 * pause for wait, pause in zip(waits, exact, strict=True))
    assert any(wait != pause for wait, pause in zip(waits, exact, strict=True))
    backend.capacity = 1_000
    worker.maintain()
    assert read(fleet.customer(BUDI)) == ["fills the mailbox", "waits"]


def test_a_clock_that_was_wrong_keeps_nothing_for_ever(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    clock.advance(10**12)
    die_with(backend, worker, BUDI, "from the future")
    clock.advance(-(10**12))
    worker.maintain()
    assert read(customer) == ["from the future"]


def test_a_full_mailbox_keeps_its_own_rows_waiting_and_nobody_elses(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    full, other, worker = fleet.customer(BUDI), fleet.customer(NEIGHBOUR), fleet.worker()
    worker.send(BUDI, Text("fills the mailbox"))
    die_with(backend, worker, BUDI, "one", "two")
    die_with(backend, worker, NEIGHBOUR, "three", "four")
    backend.capacity = 1
    read(other)
    clock.advance(HALF_A_MINUTE_MS)
    worker.maintain()
    assert [each.code for each in worker.pending()] == [MailboxFull.code] * 2 + [
        MailboxFull.code
    ] * (len(worker.pending()) - 2)
    assert read(other) == ["three"]
    backend.capacity = 1_000
    clock.advance(LATER_MS)
    worker.maintain()
    assert (read(full), read(other)) == (["fills the mailbox", "one", "two"], ["four"])


def test_what_is_refused_for_good_leaves_with_a_notice(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    fleet.customer(BUDI)
    other, worker = fleet.customer(NEIGHBOUR), fleet.worker()
    worker.send(BUDI, Text("knows each other"))
    die_with(backend, worker, BUDI, "for nobody")
    die_with(backend, worker, NEIGHBOUR, "goes")
    (gone, _) = sorted(worker.pending(), key=lambda each: each.recipient != BUDI)
    backend.forget(BUDI)
    clock.advance(HALF_A_MINUTE_MS)
    worker.maintain()
    assert read(other) == ["goes"]
    assert worker.pending() == []
    (notice,) = fleet.worker().receive()
    assert isinstance(notice, Notice)
    assert (notice.kind, notice.messages) == ("not_delivered", (gone.message_id,))
    assert notice.code == "unknown_recipient"
    with fleet.store.transaction(stripe(BUDI)) as tx:
        assert tx.partitions(Table.INBOX)


def test_a_message_that_is_refused_at_once_is_told_by_its_exception_alone(
    fleet: Fleet, backend: BackendSimulator
) -> None:
    fleet.customer(BUDI)
    worker = fleet.worker()
    worker.send(BUDI, Text("fills the mailbox"))
    backend.capacity = 1
    with pytest.raises(MailboxFull):
        worker.send(BUDI, Text("too much"))
    assert (worker.pending(), fleet.rows(Table.OUTBOX), fleet.worker().receive()) == ([], 0, [])


# --- Damage -------------------------------------------------------------------------------------


def damage(fleet: Fleet, to: Address, row: bytes, record: bytes = b"\x01\xff") -> None:
    backlog = Backlog(BacklogName.MESSAGES, to)
    with fleet.store.transaction(stripe(to)) as tx:
        assert tx.get(Table.OUTBOX, backlog.partition, row) is not None
        tx.put(Table.OUTBOX, backlog.partition, row, record)


@pytest.mark.parametrize(
    "row", [b"", number_row(1), number_row(2)], ids=["backlog", "first", "second"]
)
def test_damaged_rows_are_the_trouble_of_one_recipient(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock, row: bytes
) -> None:
    customer, other, worker = fleet.customer(BUDI), fleet.customer(NEIGHBOUR), fleet.worker()
    die_with(backend, worker, BUDI, "one", "two")
    die_with(backend, worker, NEIGHBOUR, "three")
    damage(fleet, BUDI, row)
    assert len(worker.pending()) == 3
    worker.send(NEIGHBOUR, Text("four"))
    assert read(other) == ["three", "four"]
    clock.advance(LATER_MS)
    fleet.worker().maintain()
    assert read(customer) == ["one", "two"]
    assert (worker.pending(), fleet.rows(Table.OUTBOX)) == ([], 0)
    assert fleet.worker().receive() == []


def test_a_backlog_whose_own_row_is_lost_is_swept_like_any_other(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    die_with(backend, worker, BUDI, "one", "two", "three")
    with fleet.store.transaction(stripe(BUDI)) as tx:
        assert tx.delete(Table.OUTBOX, Backlog(BacklogName.MESSAGES, BUDI).partition, b"")
    clock.advance(LATER_MS)
    fleet.worker().maintain()
    assert read(customer) == ["one", "two", "three"]
    assert (worker.pending(), fleet.rows(Table.OUTBOX)) == ([], 0)


def test_a_message_to_who_has_damaged_rows_goes_after_them(
    fleet: Fleet, backend: BackendSimulator
) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    die_with(backend, worker, BUDI, "one")
    damage(fleet, BUDI, b"")
    worker.send(BUDI, Text("two"))
    assert read(customer) == ["one", "two"]


def test_a_stripe_whose_record_is_damaged_stops_no_other(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    _, other, worker = *map(fleet.customer, (BUDI, ELSEWHERE[0])), fleet.worker()
    die_with(backend, worker, BUDI, "one")
    die_with(backend, worker, ELSEWHERE[0], "two")
    with fleet.store.transaction(stripe(BUDI)) as tx:
        tx.put(Table.STRIPE, b"", b"", b"\x01\xff")
    clock.advance(LATER_MS)
    with pytest.raises(RecordCorrupted):
        worker.maintain()
    assert read(other) == ["two"]
    results = worker.send_many([BUDI, ELSEWHERE[0]], Text("three"))
    assert [type(each).__name__ for each in results] == ["RecordCorrupted", "Sent"]
    assert read(other) == ["three"]


def test_a_stripe_whose_record_is_damaged_keeps_no_worker_from_starting(fleet: Fleet) -> None:
    """The back end knows more of it than can be read, which is no reason to be restored."""
    _, other = map(fleet.customer, (BUDI, ELSEWHERE[0]))
    fleet.worker().send(BUDI, Text("one"))
    with fleet.store.transaction(stripe(BUDI)) as tx:
        tx.put(Table.STRIPE, b"", b"", b"\x01\xff")
    for start in (fleet.worker, fleet.restored):
        worker = start()
        worker.send(ELSEWHERE[0], Text("two"))
        assert read(other) == ["two"]
        with pytest.raises(RecordCorrupted):
            worker.send(BUDI, Text("lost"))
    with fleet.store.transaction(stripe(BUDI)) as tx:
        tx.delete(Table.STRIPE, b"", b"")
    with pytest.raises(RestoredStore):
        fleet.worker().send(ELSEWHERE[0], Text("three"))


def test_one_envelope_that_fails_every_call_holds_up_nobody(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    """The back end raises for the call as a whole, whoever else is in it."""
    bad = [BUDI, *neighbours(BUDI, 8)]
    good = neighbours(BUDI, 12)[8:]
    customers, worker = {each: fleet.customer(each) for each in [*bad, *good]}, fleet.worker()
    for each in customers:
        die_with(backend, worker, each, "left")
    for each in bad:
        backend.break_for(each)
    for _ in range(4):
        clock.advance(LATER_MS)
        with suppress(BackendError):
            worker.maintain()
    assert [read(customers[each]) for each in good] == [["left"]] * 4
    backend.broken.clear()
    clock.advance(2**7 * LATER_MS)
    worker.maintain()
    assert [read(customers[each]) for each in bad] == [["left"]] * 9


def test_a_stripe_that_is_busy_is_swept_later(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    to, worker = [BUDI, *ELSEWHERE], fleet.worker()
    customers = [fleet.customer(each) for each in to]
    for each in to:
        die_with(backend, worker, each, "left")
    clock.advance(LATER_MS)
    counting(fleet).busy = set(map(stripe, to[:3]))  # so that one comes before others
    with pytest.raises(StoreBusy):
        worker.maintain()
    counting(fleet).busy = set()
    assert list(map(read, customers)) == [[]] * 3 + [["left"]] * 3
    worker.maintain()
    assert list(map(read, customers)) == [["left"]] * 3 + [[]] * 3


def test_what_fails_beside_a_send_is_not_its_failure(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    fleet.customer(BUDI)
    other, worker = fleet.customer(NEIGHBOUR), fleet.worker()
    die_with(backend, worker, BUDI, "stays")
    backend.break_for(BUDI)
    clock.advance(LATER_MS)
    assert worker.send(NEIGHBOUR, Text("goes")).message_id
    assert read(other) == ["goes"]
    assert [each.code for each in worker.pending()] == ["backend_error"]


def test_out_of_reach_few_calls_are_made_in_vain(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    to = [BUDI, *neighbours(BUDI, 19, same=False)]
    customers, worker = [fleet.customer(each) for each in to], fleet.worker()
    for each in to:
        die_with(backend, worker, each, "left")
    clock.advance(LATER_MS)
    backend.unreachable = True
    before = len(backend.calls)
    with pytest.raises(BackendError):
        worker.maintain()
    assert backend.calls[before:].count("deposit") == MAX_FAILURES
    backend.unreachable = False
    worker.maintain()
    assert [read(each) for each in customers] == [["left"]] * 20


def test_out_of_reach_one_stripe_is_tried_several_times_and_others_once(
    fleet: Fleet, backend: BackendSimulator, clock: FakeClock
) -> None:
    to = [*ELSEWHERE, *(neighbours(each, 2)[1] for each in ELSEWHERE)]
    customers, worker = [fleet.customer(each) for each in to], fleet.worker()
    for each in to:
        die_with(backend, worker, each, "left")
    clock.advance(LATER_MS)
    backend.unreachable = True
    before = len(backend.calls)
    with pytest.raises(BackendError):
        worker.maintain()
    # Two together and each alone, then two together in each other stripe.
    assert backend.calls[before:].count("deposit") == 3 + len(ELSEWHERE) - 1
    backend.unreachable = False
    worker.maintain()
    assert [read(each) for each in customers] == [["left"]] * len(to)


def test_a_rejected_envelope_of_many_goes_with_the_next_call(fleet: Fleet) -> None:
    """The back end cannot take it now, and takes others."""
    customer, other, worker = *map(fleet.customer, (BUDI, ELSEWHERE[0])), fleet.worker()
    worker.send_many([BUDI, ELSEWHERE[0]], Text("first"))
    deposit_all = fleet.backend.deposit_all

    def refuse_one(token: bytes, envelopes: Sequence[bytes], **given: Any) -> Deposited:  # noqa: ANN401
        done = deposit_all(token, envelopes[1:], **given)
        return Deposited({0: BackendError("not now")}, done.seqs, done.epochs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet.backend, "deposit_all", refuse_one)
        results = worker.send_many([BUDI, ELSEWHERE[0]], Text("second"))
    assert [type(each).__name__ for each in results] == ["BackendError", "Sent"]
    fleet.worker().maintain()
    assert (read(customer), read(other)) == (["first", "second"], ["first", "second"])


def test_other_own_devices_get_no_copies(fleet: Fleet, backend: BackendSimulator) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    laptop = link(worker, backend)
    sent = worker.send(BUDI, Text("for the customer alone"))
    assert [each.address for each in sent.deliveries] == [BUDI]
    worker.maintain()
    assert read(customer) == ["for the customer alone"]
    assert "for the customer alone" not in read(laptop)
    copies = [each for each in map(Envelope.decode, backend.deposits) if each.sender == ANA]
    assert {each.recipient for each in copies if each.message_id == sent.message_id} == {BUDI}


# --- Many recipients ----------------------------------------------------------------------------


def test_many_recipients_are_one_deposit_and_two_transactions_a_stripe(
    fleet: Fleet, backend: BackendSimulator
) -> None:
    to = [BUDI, *ELSEWHERE, NEIGHBOUR]
    customers, worker = [fleet.customer(each) for each in to], fleet.worker()
    worker.send_many(to, Text("first"))
    worker.send_many(to, Text("second"))
    store, told = counting(fleet), list[dict[int, int]]()
    store.begun.clear()
    with watching(backend, told):
        worker.send_many(to, Text("third"))
    stripes = sorted({stripe(each) for each in to})
    assert store.begun == stripes * 2
    (epochs,) = told
    assert list(epochs) == stripes
    for each, epoch in epochs.items():
        with fleet.store.transaction(each) as tx:
            assert read_stripe(tx).epoch == epoch
    assert [read(each) for each in customers] == [["first", "second", "third"]] * len(to)


@contextmanager
def watching(backend: BackendSimulator, told: list[dict[int, int]]) -> Iterator[None]:
    """Note the epochs that are told with deposits."""
    deposit_all = backend.deposit_all

    def note(token: bytes, envelopes: Sequence[bytes], **given: object) -> object:
        told.append(dict(given["epochs"]))  # type: ignore[call-overload]
        return deposit_all(token, envelopes, **given)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "deposit_all", note)
        yield


def test_a_stripe_that_fails_stops_no_other(fleet: Fleet) -> None:
    to = [BUDI, *ELSEWHERE]
    customers, worker = [fleet.customer(each) for each in to], fleet.worker()
    worker.send_many(to, Text("first"))
    counting(fleet).busy = {stripe(ELSEWHERE[2])}
    results = worker.send_many(to, Text("second"))
    counting(fleet).busy = set()
    assert [type(each) for each in results if isinstance(each, Exception)] == [StoreBusy]
    assert isinstance(results[3], StoreBusy)
    texts = [read(each) for each in customers]
    assert texts[3] == ["first"]
    assert texts[:3] + texts[4:] == [["first", "second"]] * 5
    assert worker.pending() == []


def test_what_was_sent_is_sent_although_its_row_could_not_be_removed(
    fleet: Fleet, backend: BackendSimulator
) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    store = counting(fleet)
    worker.send(BUDI, Text("first"))
    deposit = backend.deposit

    def busy_then(*args: object, **given: object) -> None:
        deposit(*args, **given)  # type: ignore[arg-type]
        store.busy = {stripe(BUDI)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "deposit", busy_then)
        worker.send(BUDI, Text("second"))
    store.busy = set()
    assert worker.pending() == []  # its row goes with the next commit there
    worker.send(BUDI, Text("third"))
    assert fleet.rows(Table.OUTBOX) == 0
    assert read(customer) == ["first", "second", "third"]


def test_twice_to_the_same_in_one_call(fleet: Fleet) -> None:
    customer, worker = fleet.customer(BUDI), fleet.worker()
    worker.send_many([BUDI, BUDI, BUDI], Text("again"))
    assert read(customer) == ["again"] * 3
    assert fleet.rows(Table.OUTBOX) == 0


# --- The same message twice ---------------------------------------------------------------------


def test_a_message_id_is_an_idempotency_key(fleet: Fleet, backend: BackendSimulator) -> None:
    customer, one, two = fleet.customer(BUDI), fleet.worker(), fleet.worker()
    message_id = bytes(range(16))
    first = one.send(BUDI, Text("order 7"), message_id=message_id)
    again = two.send(BUDI, Text("order 7"), message_id=message_id)
    assert again == first
    assert len(backend.deposits) == 1
    with pytest.raises(InvalidArgument, match="message_id was used for another message"):
        two.send(BUDI, Text("order 8"), message_id=message_id)
    assert read(customer) == ["order 7"]


def test_a_message_that_waits_is_sent_by_who_repeats_it(
    fleet: Fleet, backend: BackendSimulator
) -> None:
    customer, one, two = fleet.customer(BUDI), fleet.worker(), fleet.worker()
    message_id = bytes(range(16))
    backend.fail("deposit", Killed())
    with pytest.raises(Killed):
        one.send(BUDI, Text("order 7"), message_id=message_id)
    with pytest.raises(InvalidArgument, match="message_id was used for another message"):
        two.send(BUDI, Text("order 8"), message_id=message_id)
    two.send(BUDI, Text("order 7"), message_id=message_id)
    assert read(customer) == ["order 7"]
    assert fleet.rows(Table.OUTBOX) == 0


# --- Epochs -------------------------------------------------------------------------------------


class Remembering(BackendSimulator):
    """Remembers the highest epoch that it was told of each stripe of the fleet."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.known: dict[int, int] = {}

    def epochs(self, address: Address, token: bytes) -> dict[int, int]:
        return {**super().epochs(address, token), **(self.known if address == ANA else {})}

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        answer = super().deposit_all(token, envelopes, epochs=epochs, consents=consents)
        if Envelope.decode(envelopes[0]).sender != ANA:
            return answer
        told = dict(epochs or {})
        before = {stripe: self.known.get(stripe, 0) for stripe in told}
        self.known.update({stripe: max(told[stripe], before[stripe]) for stripe in told})
        return Deposited(answer.refused, answer.seqs, before)


def test_a_stripe_that_the_back_end_knows_more_of_sends_nothing_more(clock: FakeClock) -> None:
    relay = Remembering(clock)
    fleet = Fleet(relay, clock)
    customer, neighbour = fleet.customer(BUDI), fleet.customer(ELSEWHERE[0])
    fleet.customer(ELSEWHERE[1])
    worker = fleet.worker()
    worker.send(BUDI, Text("first"))
    told = relay.known
    with fleet.store.transaction(stripe(BUDI)) as tx:
        assert told[stripe(BUDI)] == read_stripe(tx).epoch > 0
    other = MemoryStore(64)
    fill(other, dump(fleet.store))
    old = Client(Device.open(other, clock=clock), relay)
    old.send(ELSEWHERE[1], Text("while nothing is missing"))
    worker.send(BUDI, Text("second"))
    worker.send(BUDI, Text("third"))
    with pytest.raises(RestoredStore):
        old.send(BUDI, Text("with keys that were used"))
    for to in (BUDI, ELSEWHERE[0]):
        with pytest.raises(RestoredStore):
            old.send(to, Text("not before it was looked into"))
    assert len(old.pending()) == 1
    assert read(customer) == ["first", "second", "third", "!duplicate_message"]
    assert read(neighbour) == []
    worker.send(ELSEWHERE[0], Text("the newer one goes on"))
    assert read(neighbour) == ["the newer one goes on"]
